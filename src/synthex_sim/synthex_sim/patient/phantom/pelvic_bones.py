"""Where hip bones and sacrum of a person come from: the phantom draws its own, a shape model samples real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from synthex_sim.patient.phantom import hip_bone, hip_landmarks, sacrum, shapes
from synthex_sim.patient.phantom.frame import Pelvis


class PelvicBones(Protocol):
    """Hip bones and sacrum, placed in a person's LPS frame.

    Attributes:
        s1_shift_mm: (3,) LPS, from where the pelvic frame puts the end plate of S1 to where this sacrum has it: the
            spine is moved by it.
    """

    s1_shift_mm: np.ndarray

    def hip(self, side: int, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
        """Block (slices), its grid and float32 signed distance in mm of one hip bone, +1 left, -1 right."""

    def sacrum(self, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray, np.ndarray]:
        """The same of sacrum and coccyx, and a bool mask of what is labelled upper sacrum."""

    def landmarks(self) -> Mapping[str, np.ndarray]:
        """Name -> (3,) LPS mm of the 14 hip landmarks where they are known exactly; else empty."""


class DrawnBones:
    """The phantom's own bones (``PelvicBones``)."""

    def __init__(self, pelvis: Pelvis) -> None:
        self._pelvis = pelvis
        self.s1_shift_mm = np.zeros(3)

    def hip(self, side: int, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
        return hip_bone.build(self._pelvis, side, grid)

    def sacrum(self, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray, np.ndarray]:
        return sacrum.build(self._pelvis, grid)

    def landmarks(self) -> Mapping[str, np.ndarray]:
        return hip_landmarks.landmarks(self._pelvis)
