"""Geometry of a batch of views as kernels take it (the structures of ``ray_range.cuh``), all views at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from synthex_sim.carm.view import View


class ViewTable(NamedTuple):
    """V views in the world.

    Attributes:
        sources: (V, 3) float64 mm.
        directions: (V, 3, 3) float64, homogeneous pixel -> direction of camera z component 1.
        reach_mm: (V,) float64, camera z of the detectors.
        intrinsics: (V, 3, 3) float64, pixels.
        world_to_camera: (V, 4, 4) float64, mm.
        shape: (rows, columns) of all.
    """

    sources: np.ndarray
    directions: np.ndarray
    reach_mm: np.ndarray
    intrinsics: np.ndarray
    world_to_camera: np.ndarray
    shape: tuple[int, int]

    def worlds(self) -> np.ndarray:
        """(V, 13) float64: ``WorldView`` structures."""
        return np.concatenate([self.sources, self.directions.reshape(-1, 9), self.reach_mm[:, None]], axis=1)

    def in_indices(self, index_from_world: np.ndarray) -> np.ndarray:
        """(V, 12) float64: ``IndexView`` structures of a volume with this (4, 4) world -> voxel index transform."""
        turn, shift = index_from_world[:3, :3], index_from_world[:3, 3]
        return np.concatenate([self.sources @ turn.T + shift, (turn @ self.directions).reshape(-1, 9)], axis=1)


def view_table(views: Sequence[View]) -> ViewTable:
    """The table for one or more views of one detector shape."""
    intrinsics = np.stack([view.intrinsics for view in views])
    world_to_camera = np.stack([view.world_to_camera for view in views])
    turn = world_to_camera[:, :3, :3].transpose(0, 2, 1)
    return ViewTable(
        sources=-(turn @ world_to_camera[:, :3, 3, None])[..., 0],
        directions=turn @ np.linalg.inv(intrinsics),
        reach_mm=np.array([view.source_to_detector_mm for view in views]),
        intrinsics=intrinsics,
        world_to_camera=world_to_camera,
        shape=views[0].shape,
    )
