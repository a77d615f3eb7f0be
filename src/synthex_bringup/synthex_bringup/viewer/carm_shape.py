"""The C-arm as lines and boxes for people to look at, in the frame of its X-ray source (``carm_source_optical``).

The C lies in the plane of beam and camera x; its back is on the side of negative x, where the stand is: at the
patient's left in a supine AP view, as the profile's orbital limits (detector up to 110 degrees towards the left) ask
for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Where things are in the pictures only; no profile states them.
ARM_CLEARANCE_MM = 60.0
TUBE_HALF_SIZE_MM = (70.0, 70.0, 50.0)
DETECTOR_DEPTH_MM = 60.0


@dataclass(frozen=True, eq=False)
class CArmShape:
    """What is drawn of a C-arm; millimetres, source frame.

    Attributes:
        arm: (n, 3) line of the C.
        tube_centre, tube_half_size: (3,) box around the X-ray tube.
        detector_centre, detector_half_size: (3,) box of the detector's housing, behind its plane.
        beam: (4, 2, 3) the beam's edges, from the source to the detector's corners.
        corners: (4, 3) outer corners of the image: top left, top right, bottom right, bottom left as stored.
    """

    arm: np.ndarray
    tube_centre: np.ndarray
    tube_half_size: np.ndarray
    detector_centre: np.ndarray
    detector_half_size: np.ndarray
    beam: np.ndarray
    corners: np.ndarray


def carm_shape(
    intrinsics: np.ndarray, shape: tuple[int, int], source_to_detector_mm: float, source_to_isocenter_mm: float
) -> CArmShape:
    """The drawing of a C-arm with this image.

    Args:
        intrinsics: (3, 3) pixels; the sign of the focal lengths says which way round the image lies on the detector.
        shape: (rows, columns) of the image.
    """
    corners = image_corners(intrinsics, shape, source_to_detector_mm)
    centre = corners.mean(axis=0)
    half = np.array([*(np.ptp(corners, axis=0)[:2] / 2), DETECTOR_DEPTH_MM / 2])
    radius = max(source_to_isocenter_mm, source_to_detector_mm - source_to_isocenter_mm) + ARM_CLEARANCE_MM
    angles = np.linspace(-np.pi / 2, np.pi / 2, 33)
    arm = np.stack([-radius * np.cos(angles), np.zeros_like(angles),
                    source_to_isocenter_mm + radius * np.sin(angles)], axis=1)
    # a little behind the detector's plane, so that the image on it is seen from both sides
    box = centre + [0.0, 0.0, half[2] + 2.0]
    return CArmShape(
        arm=arm,
        tube_centre=np.array([0.0, 0.0, -TUBE_HALF_SIZE_MM[2]]),
        tube_half_size=np.array(TUBE_HALF_SIZE_MM),
        detector_centre=box,
        detector_half_size=half,
        beam=np.stack([np.zeros_like(corners), corners], axis=1),
        corners=corners,
    )


def image_corners(intrinsics: np.ndarray, shape: tuple[int, int], source_to_detector_mm: float) -> np.ndarray:
    """(4, 3) mm where the stored image's outer corners lie in the source frame: top left, then clockwise as stored.

    Pixel centres are at integers, hence the half pixel outside them.
    """
    rows, columns = shape
    left, top, right, bottom = -0.5, -0.5, columns - 0.5, rows - 0.5
    pixels = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]], dtype=np.float64)
    return source_to_detector_mm * pixels @ np.linalg.inv(intrinsics).T
