"""Where the manipulator's base and tip are in the C-arm's frame, from one image and the device's known size.

A point's pixel gives its ray, not its depth. The notched body is a tube of diameter D and length L; seen from the side,
tilted out of the image plane by a, it covers an area of  A = (f/z)^2 D L cos a  pixels however it is bent in the plane,
so  z = f sqrt(D L cos a / A).  Neither a nor the errors of the segmented area are known: a is taken as normal with the
spread at which the device is held, and both go into the depth's standard deviation. What comes out is therefore sharp
across the beam and vague along it, and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from cm_kinematics.geometry import CmGeometry
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class CmPositionModel:
    """What is assumed of a detection.

    Attributes:
        pixel_sd: of base and tip, pixels, each axis.
        area_sd: of the segmented area, relative.
        out_of_plane_sd_deg: of the angle between the device and the image plane.
    """

    pixel_sd: float = 3.0
    area_sd: float = 0.15
    out_of_plane_sd_deg: float = 20.0


@dataclass(frozen=True, eq=False)
class CmPosition:
    """Base and tip in ``carm_source_optical``, millimetres.

    Attributes:
        base_mm, tip_mm: (3,) float64.
        base_covariance, tip_covariance: (3, 3) float64, mm^2.
    """

    base_mm: np.ndarray
    tip_mm: np.ndarray
    base_covariance: np.ndarray
    tip_covariance: np.ndarray


def locate_manipulator(
    base_px: ArrayLike, tip_px: ArrayLike, mask_pixels: int, intrinsics: ArrayLike, geometry: CmGeometry,
    model: CmPositionModel = CmPositionModel(),
) -> CmPosition:
    """Base and tip from their pixels and the size of the notched body's mask.

    Args:
        base_px, tip_px: (2,) (column, row), pixel centres at integers.
        mask_pixels: of the notched body, which lies within the image as a whole.
        intrinsics: (3, 3) of the image.
        geometry: of the device.

    Raises:
        ValueError: pixels that are not finite, or an empty mask.
    """
    pixels = np.stack([np.asarray(base_px, dtype=np.float64), np.asarray(tip_px, dtype=np.float64)])
    if not np.isfinite(pixels).all():
        raise ValueError("base and tip must be finite pixels")
    if mask_pixels < 1:
        raise ValueError("the manipulator's mask is empty")
    k = np.asarray(intrinsics, dtype=np.float64)
    length = geometry.length_mm - geometry.flexible_start_mm
    tilt_sd = math.radians(model.out_of_plane_sd_deg)
    # moments of cos a for a normal a: E cos a = exp(-s^2/2), E cos^2 a = (1 + exp(-2 s^2)) / 2
    foreshortening = math.exp(-(tilt_sd**2) / 2)
    foreshortening_sd = math.sqrt((1 + math.exp(-2 * tilt_sd**2)) / 2 - foreshortening**2) / foreshortening
    focal = math.sqrt(abs(k[0, 0] * k[1, 1]))
    depth = focal * math.sqrt(geometry.outer_diameter_mm * length * foreshortening / mask_pixels)
    common_sd = 0.5 * depth * math.hypot(model.area_sd, foreshortening_sd)
    # the body's middle is at that depth: its ends lie before and behind it
    end_sd = 0.5 * length * math.sin(tilt_sd)
    depth_sd = math.hypot(common_sd, end_sd)
    inverse = np.linalg.inv(k)
    rays = np.column_stack([pixels, np.ones(2)]) @ inverse.T
    covariances = []
    for ray in rays:
        across = depth * model.pixel_sd * inverse[:, :2]
        covariances.append(across @ across.T + depth_sd**2 * np.outer(ray, ray))
    return CmPosition(rays[0] * depth, rays[1] * depth, covariances[0], covariances[1])
