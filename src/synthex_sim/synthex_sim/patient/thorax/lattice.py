"""A coarse lattice under a fine grid: smooth, large shapes are worked out there and interpolated to the voxels."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes

_STEP_MM = 5.0


class Lattice:
    """Every n-th voxel of a grid.

    Attributes:
        grid: the fine grid.
        step: voxels of it from one lattice point to the next.
        coarse: the lattice as a grid of its own; it covers the fine one.
    """

    def __init__(self, grid: shapes.Grid) -> None:
        self.grid = grid
        self.step = max(1, int(round(_STEP_MM / grid.spacing_mm)))
        shape = tuple(int(np.ceil(n / self.step)) + 2 for n in grid.shape)
        self.coarse = shapes.Grid(grid.origin_mm, grid.spacing_mm * self.step, shape)

    def fine(self, values: np.ndarray) -> np.ndarray:
        """(I, J, K) float32 on the fine grid from values on the lattice."""
        return shapes.upsample(values, self.step, self.grid.shape)
