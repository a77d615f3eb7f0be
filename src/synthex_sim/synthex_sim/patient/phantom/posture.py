"""Where soft tissue of the mean body lies in a person: it goes with the pelvis, with a femur, or with the spine."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import femur, spine
from synthex_sim.patient.phantom.frame import HIP_CENTER, UPRIGHT, Pelvis, rotation

# How the measured body lay (``muscle_shapes``): pelvis tilted by 27 degrees, thighs bent. Pelvic frame to the femur's
# frame (x lateral, y proximal, z anterior), and to LPS.
_LEG_AT_REST = np.array([(0.940, -0.262, -0.219), (-0.020, 0.599, -0.801), (0.341, 0.757, 0.558)])
_TRUNK_AT_REST = rotation(x_deg=26.9) @ UPRIGHT
_PIVOT = HIP_CENTER * np.array([0.0, 1.0, 1.0])
# Middle of the lumbar bodies there: height above the hips, position front to back (LPS y).
_SPINE_AT_REST = np.array([(95, 35.0), (120, 18.0), (150, 8.0), (180, 8.0), (210, 7.0), (240, 11.0), (270, 18.0)])
_LUMBAR_FROM_MM, _LUMBAR_WHOLLY_MM = 45.0, 115.0


#: Down the thigh in the mean body, pelvic frame.
DISTAL = -_LEG_AT_REST[1]


class Posture:
    """Maps points of the mean body into one person.

    Attributes:
        pelvis: the person's pelvis.
        vertebrae: the person's lumbar vertebrae, L5 first.
    """

    def __init__(self, pelvis: Pelvis, vertebrae: list[spine.Vertebra]) -> None:
        self.pelvis, self.vertebrae = pelvis, vertebrae
        centers = np.array([v.center for v in vertebrae]).reshape(-1, 3)
        self._line = centers[np.argsort(centers[:, 2])]

    def place(self, points: np.ndarray, side: int, leg: np.ndarray | float = 0.0, trunk: bool = False) -> np.ndarray:
        """(N, 3) points of the left half, pelvic frame mm -> LPS mm of the side.

        Args:
            points: in the mean body.
            side: +1 left, -1 right.
            leg: (N,) or scalar, 0 where a point goes with the pelvis to 1 where it goes with the femur.
            trunk: whether points above the sacrum go with the spine.
        """
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        placed = self.pelvis.place(points, side)[0]
        weight = np.broadcast_to(np.asarray(leg, dtype=np.float64), len(points))[:, None]
        if weight.any():
            placed = placed + weight * (self._with_femur(points, side) - placed)
        if trunk and len(self._line):
            lying, height = self._with_spine(points, side)
            weight = np.clip((height - _LUMBAR_FROM_MM) / (_LUMBAR_WHOLLY_MM - _LUMBAR_FROM_MM), 0, 1)[:, None]
            placed = placed + weight * (lying - placed)
        return placed

    def femur_frame(self, side: int) -> tuple[np.ndarray, np.ndarray, float]:
        """(3, 3) axes (lateral, proximal, anterior) as columns in LPS, (3,) head centre, size against the mean."""
        person = self.pelvis.person
        axes = femur.axes(person.femurs[0 if side > 0 else 1], side)
        return axes, self.pelvis.hip_center(side), person.head_radius_mm / femur.MEAN_HEAD_MM

    def spine_at(self, z_mm: np.ndarray) -> np.ndarray:
        """(N, 2) LPS x and y of the middle of the lumbar bodies at heights (N,), mm; (0, 20) where none is known."""
        if not len(self._line):
            return np.tile([0.0, 20.0], (np.size(z_mm), 1))
        return np.stack([np.interp(z_mm, self._line[:, 2], self._line[:, k]) for k in (0, 1)], axis=-1)

    def _with_femur(self, points: np.ndarray, side: int) -> np.ndarray:
        axes, head, size = self.femur_frame(side)
        return ((points - HIP_CENTER) @ _LEG_AT_REST.T * size) @ axes.T + head

    def _with_spine(self, points: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
        scale = self.pelvis.person.scale
        lying = (points - _PIVOT) @ _TRUNK_AT_REST.T * np.array([side * scale[0], scale[2], scale[1]])
        mean_y = np.interp(lying[:, 2], _SPINE_AT_REST[:, 0], _SPINE_AT_REST[:, 1])
        here = self.spine_at(lying[:, 2])
        lying[:, 0] += here[:, 0]
        lying[:, 1] += here[:, 1] - mean_y
        return lying, lying[:, 2].copy()
