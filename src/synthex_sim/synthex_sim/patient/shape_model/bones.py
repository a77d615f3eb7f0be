"""Placed samples as the pelvic bones of a phantom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from synthex_sim.patient.phantom import sacrum, shapes
from synthex_sim.patient.phantom.closed_mesh import mesh_distance
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.shape_model.placement import PlacedBones

#: Standard deviation of the smoothing that rounds the flat triangles, mm.
_SMOOTHING_MM = 0.7
_COARSE_MM = 3.0
#: Width of the transition from the sample to what is below S3.
_BLEND_MM = 6.0
#: Along the sacrum from S1 to S3, pelvic frame, and how much of its end is looked at.
_DOWN, _END_MM = (0.0, -0.86, -0.51), 8.0


@dataclass(frozen=True)
class CenteredPelvis(Pelvis):
    """A person's pelvic frame whose hip joints lie where the sampled bones have their sockets.

    Attributes:
        left, right: (3,) LPS mm.
    """

    left: np.ndarray
    right: np.ndarray

    def hip_center(self, side: int) -> np.ndarray:
        return self.left if side > 0 else self.right


class SampledBones:
    """Hip bones and upper sacrum of a shape model, the phantom's sacrum below S3 (``phantom.PelvicBones``).

    Args:
        pelvis: the person's.
        placed: the samples.
        faces: (T, 3) of the sacrum.
        reference: (N, 3) LPS mm of ``upper_sacrum_points``.
    """

    def __init__(self, pelvis: Pelvis, placed: PlacedBones, faces: np.ndarray, reference: np.ndarray) -> None:
        self._pelvis, self._placed, self._faces = pelvis, placed, faces
        self.s1_shift_mm = _s1_plate(placed.sacrum, pelvis) - _s1_plate(reference, pelvis)
        self._end_shift_mm = _lower_end(placed.sacrum, pelvis) - _lower_end(reference, pelvis)

    def hip(self, side: int, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
        return _solid(self._placed.hips[side], self._placed.faces[side], grid)

    def sacrum(self, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray, np.ndarray]:
        moved = shapes.Grid(grid.origin_mm - self._end_shift_mm, grid.spacing_mm, grid.shape)
        block, part, lower, upper = sacrum.build(self._pelvis, moved)
        whole = np.full(grid.shape, shapes.REACH_MM, np.float32)
        whole[block] = np.where(upper, np.float32(shapes.REACH_MM), lower)
        above = np.ones(grid.shape, bool)
        above[block] = upper
        own, _, field = _solid(self._placed.sacrum, self._faces, grid)
        near = np.maximum(_BLEND_MM - np.abs(whole[own] - field), 0)
        whole[own] = np.minimum(whole[own], field) - near * near / (4 * _BLEND_MM)  # a rounded union
        both = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(block, own, strict=True))
        first = np.array([side.start for side in both])
        shape = tuple(side.stop - side.start for side in both)
        part = shapes.Grid(grid.origin_mm + grid.spacing_mm * first, grid.spacing_mm, shape)
        return both, part, whole[both], above[both]

    def landmarks(self) -> Mapping[str, np.ndarray]:
        return {}


def _solid(points: np.ndarray, faces: np.ndarray, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
    block, part = grid.block(points.min(axis=0) - shapes.REACH_MM, points.max(axis=0) + shapes.REACH_MM)
    field = mesh_distance(part, points, faces)
    return block, part, ndimage.gaussian_filter(field, _SMOOTHING_MM / grid.spacing_mm, mode="nearest")


def upper_sacrum_points(pelvis: Pelvis) -> np.ndarray:
    """(N, 3) LPS mm, surface of the phantom's sacrum from S1 to S3 in this pelvis."""
    grid = shapes.Grid(np.full(3, -170.0), _COARSE_MM, (114, 114, 114))
    _, part, field, upper = sacrum.build(pelvis, grid)
    field = np.where(upper, field, np.float32(shapes.REACH_MM))
    points, *_ = marching_cubes(np.pad(field, 1, constant_values=shapes.REACH_MM), 0.0)
    return points * _COARSE_MM + part.origin_mm - _COARSE_MM


def _s1_plate(points: np.ndarray, pelvis: Pelvis) -> np.ndarray:
    """(3,) LPS mm: the end plate of S1, the front of a sacrum's top in the midline."""
    up, ahead = (pelvis.direction(np.array(v), 1) for v in ((0.0, 0.92, 0.39), (0.0, 0.0, 1.0)))
    middle = pelvis.place(sacrum.S1_PLATE[None])[0][0]
    near = points[np.linalg.norm(points - middle, axis=1) < 28.0]
    near = near[np.abs((near - middle) @ pelvis.direction(np.array([1.0, 0, 0]), 1)) < 15.0]
    front = near[(near - middle) @ ahead > -14.0]
    return front[np.argsort(front @ up)[-max(8, len(front) // 5):]].mean(axis=0)


def _lower_end(points: np.ndarray, pelvis: Pelvis) -> np.ndarray:
    """(3,) LPS mm: the middle of a sacrum's last millimetres."""
    along = points @ pelvis.direction(np.array(_DOWN), 1)
    return points[along > along.max() - _END_MM].mean(axis=0)
