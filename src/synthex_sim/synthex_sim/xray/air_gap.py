"""How far behind the patient the detector stands, and how wide the body is: a patient's shape, for scatter kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient

#: Distance of the outline's points, mm; each field of the detector sees several.
_POINTS_MM = 10.0
#: The detector is divided into so many fields each way, and the last point of the body looked for in each.
_FIELDS = 12


@dataclass(frozen=True, eq=False)
class BodyOutline:
    """A patient's surface as points.

    Attributes:
        points: (n, 3) patient LPS mm; none where the volume holds nothing but air.
    """

    points: np.ndarray

    @classmethod
    def of(cls, patient: Patient, air_up_to_hu: int = -400) -> BodyOutline:
        """The outline of what is denser than ``air_up_to_hu`` (skin, not the table's foam)."""
        steps = np.maximum(1, np.rint(_POINTS_MM / patient.spacing_mm)).astype(int)
        solid = patient.hu[tuple(slice(s // 2, None, s) for s in steps)] > air_up_to_hu
        while not solid.any() and (steps > 1).any():  # something thin may lie between the points
            steps = np.maximum(1, steps // 2)
            solid = patient.hu[tuple(slice(s // 2, None, s) for s in steps)] > air_up_to_hu
        surface = np.argwhere(solid & ~ndimage.binary_erosion(solid))
        index = surface * steps + steps // 2
        return cls(index @ patient.affine[:3, :3].T + patient.affine[:3, 3])

    def air_gap_mm(self, view: View, pose: ArrayLike | None = None) -> np.ndarray:
        """Distance, along the central ray's direction, from where the beam leaves the body to the detector.

        Args:
            pose: (4, 4) patient LPS -> world, mm; None for the identity.

        Returns:
            (12, 12) float32 mm over the detector, smoothed; the mean where the beam passes the body by, and the
            distance from source to detector where it does so everywhere.
        """
        return air_gap_mm(self.posed(np.eye(4) if pose is None else np.asarray(pose, dtype=np.float64)), view)

    def aspect(self, view: View, pose: ArrayLike | None = None) -> float:
        """How wide the body is across the beam over how thick it is along it; see ``aspect``."""
        return aspect(self.posed(np.eye(4) if pose is None else np.asarray(pose, dtype=np.float64)), view)

    def posed(self, pose: np.ndarray) -> np.ndarray:
        """(n, 3) the points in the world, mm, by a (4, 4) pose."""
        return self.points @ pose[:3, :3].T + pose[:3, 3]


def air_gap_mm(points: np.ndarray, view: View) -> np.ndarray:
    """The gap behind (n, 3) points in the world, mm: outlines of all that is in the beam; see ``BodyOutline``."""
    pixels, depth = view.project(points)
    sdd = view.source_to_detector_mm
    seen = view.contains(pixels) & (depth < sdd)
    if not seen.any():
        return np.full((_FIELDS, _FIELDS), sdd, dtype=np.float32)
    rows, cols = view.shape
    place = ((pixels[seen] + 0.5) * [_FIELDS / cols, _FIELDS / rows]).astype(int)
    last = np.zeros((_FIELDS, _FIELDS))
    np.maximum.at(last, (place[:, 1], place[:, 0]), depth[seen])
    gap = np.where(last > 0, sdd - last, sdd - last[last > 0].mean())
    return ndimage.uniform_filter(gap, 3, mode="nearest").astype(np.float32)


def aspect(points: np.ndarray, view: View) -> float:
    """Width across the beam over thickness along it, of the ellipsoid that has the points' moments.

    Args:
        points: (n, 3) world mm, outlines of all that is in the beam.

    Returns:
        Of the section across the beam the narrowest width; infinite where there are no points.
    """
    if not len(points):
        return float("inf")
    camera = points @ view.world_to_camera[:3, :3].T
    # through the middle: the inverse's blocks are those of sections, the covariance's own those of shadows
    inverse = np.linalg.inv(np.cov(camera.T, ddof=0) + np.eye(3))
    return float(np.sqrt(inverse[2, 2] / np.linalg.eigvalsh(inverse[:2, :2])[-1]))
