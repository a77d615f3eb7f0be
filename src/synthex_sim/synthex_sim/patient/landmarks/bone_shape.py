"""One bone of a label map as a smooth solid: its surface between the voxels, and where the scan cut it off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from skimage.measure import euler_number, marching_cubes

from synthex_sim.patient.landmarks.interpolation import interpolate_lattice
from synthex_sim.patient.slice_distances import slice_distances

#: Voxels finer than this are averaged: what is lost is below the label map's own accuracy, what is won is time.
_WORKING_MM = 1.5
#: Voxels that are longer than this in one direction (over the shortest) are interpolated along it.
_ANISOTROPY = 1.5
#: Standard deviation of the smoothing, in working voxels.
_SMOOTHING = 0.6
#: Voxels around a bone that are looked at too.
_MARGIN = 4
#: Pieces of a label below this share of it are noise.
_SMALLEST_SHARE = 0.02
#: Less than this is no bone.
_SMALLEST_MM3 = 1000.0


@dataclass(frozen=True, eq=False)
class BoneShape:
    """A bone as occupancy on a lattice.

    Attributes:
        occupancy: (I, J, K) float32, share of bone, smoothed; the surface is where it is one half.
        affine: (4, 4) lattice index -> LPS mm.
    """

    occupancy: np.ndarray
    affine: np.ndarray

    @property
    def spacing_mm(self) -> float:
        """Length of the longest voxel edge of the lattice."""
        return float(np.linalg.norm(self.affine[:3, :3], axis=0).max())

    def sample(self, points_mm: np.ndarray) -> np.ndarray:
        """Occupancy (...) at (..., 3) LPS mm by linear interpolation; outside the lattice as at its edge."""
        inverse = np.linalg.inv(self.affine)
        index = np.moveaxis(points_mm @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
        return ndimage.map_coordinates(self.occupancy, index, order=1, mode="nearest")

    def sample_lattice(self, corner_mm: np.ndarray, steps_mm: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """Occupancy (A, B, C) at ``corner_mm`` + ``steps_mm`` @ (a, b, c), as ``sample`` gives it but faster.

        Args:
            corner_mm: (3,) LPS mm.
            steps_mm: (3, 3) LPS mm, a column for each axis of the lattice.
            shape: (A, B, C).
        """
        inverse = np.linalg.inv(self.affine)
        first = inverse[:3, :3] @ corner_mm + inverse[:3, 3]
        return interpolate_lattice(self.occupancy, first, inverse[:3, :3] @ steps_mm, shape)

    @cached_property
    def tunnels(self) -> int:
        """How many holes go through the bone: one in a whole hip bone, which has its foramen, none in a femur.

        Euler's number is pieces + cavities - tunnels. Pieces beyond the first are counted too: what a broken label has.
        """
        solid = self.occupancy > 0.5
        pieces = ndimage.label(solid, np.ones((3, 3, 3)))[1]
        cavities = max(0, ndimage.label(~solid)[1] - 1)
        return int(pieces + cavities - euler_number(solid, 3) + pieces - 1)

    @cached_property
    def surface(self) -> tuple[np.ndarray, np.ndarray]:
        """(V, 3) points of the surface, LPS mm, and (V, 3) unit normals that point out of the bone."""
        at, _, _, _ = marching_cubes(self.occupancy, 0.5)
        step = 0.75
        gradient = [
            ndimage.map_coordinates(self.occupancy, (at + step * axis).T, order=1, mode="nearest")
            - ndimage.map_coordinates(self.occupancy, (at - step * axis).T, order=1, mode="nearest")
            for axis in np.eye(3)
        ]
        normals = -np.stack(gradient, axis=1) @ np.linalg.inv(self.affine[:3, :3])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return at @ self.affine[:3, :3].T + self.affine[:3, 3], normals


def bone_shape(
    labels: np.ndarray, label: int, affine: np.ndarray, box: tuple[slice, ...] | None
) -> BoneShape | None:
    """The bone that has a label, or None where there is less than a cubic centimetre of it.

    Where the bone reaches the edge of the volume it is continued beyond, so that no surface is made where the scan
    ends.

    Args:
        labels: (I, J, K) integers.
        label: which.
        affine: (4, 4) voxel index -> LPS mm.
        box: around the label, of ``scipy.ndimage.find_objects``; None where it is absent.
    """
    if box is None:
        return None
    low = np.array([max(0, side.start - _MARGIN) for side in box])
    high = np.array([min(n, side.stop + _MARGIN) for side, n in zip(box, labels.shape, strict=True)])
    mask = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == label
    if mask.sum() * abs(np.linalg.det(affine[:3, :3])) < _SMALLEST_MM3:
        return None
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    mask = np.pad(_without_noise(mask), _MARGIN, mode="edge")
    occupancy, step, first = _on_working_lattice(mask, spacing)
    local = np.eye(4)
    local[:3, :3] = np.diag(step)
    local[:3, 3] = low - _MARGIN + first
    occupancy = ndimage.gaussian_filter(occupancy, _SMOOTHING, mode="nearest")
    return BoneShape(occupancy, affine @ local)


def _without_noise(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    if count == 1:
        return mask
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    return (sizes >= _SMALLEST_SHARE * sizes.sum())[parts]


def _on_working_lattice(mask: np.ndarray, spacing_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Occupancy on voxels near ``_WORKING_MM``, (3,) its step in voxels and (3,) the voxel index of its first."""
    step, first = np.ones(3), np.zeros(3)
    blocks = np.array([max(1, int(_WORKING_MM / mm + 0.25)) for mm in spacing_mm])
    long = int(np.argmax(spacing_mm * blocks))
    ratio = spacing_mm[long] * blocks[long] / (spacing_mm * blocks).min()
    if ratio >= _ANISOTROPY:
        blocks[long] = 1
        factor = math.ceil(spacing_mm[long] / max(_WORKING_MM, spacing_mm.min()))
        occupancy = _between_slices(mask, long, factor, spacing_mm)
        step[long] = 1 / factor
    else:
        occupancy = mask.astype(np.float32)
    return _block_means(occupancy, blocks), step * blocks, first + step * (blocks - 1) / 2


def _between_slices(mask: np.ndarray, axis: int, factor: int, spacing_mm: np.ndarray) -> np.ndarray:
    """Occupancy with ``factor`` times the slices: distances to the outline are interpolated, not the label."""
    distance = np.moveaxis(slice_distances(mask, axis, spacing_mm), axis, 0)
    at = np.arange((len(distance) - 1) * factor + 1) / factor
    below = np.minimum(at.astype(int), len(distance) - 2)
    share = (at - below).astype(np.float32)[:, None, None]
    between = distance[below] * (1 - share) + distance[below + 1] * share
    pixel_mm = np.delete(spacing_mm, axis).mean()
    return np.moveaxis(np.clip(0.5 - between / pixel_mm, 0, 1), 0, axis)


def _block_means(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(I, J, K) float32 means of blocks of voxels; what does not fill a block at the end repeats the last voxel."""
    whole = np.pad(values, [(0, -n % b) for n, b in zip(values.shape, blocks, strict=True)], mode="edge")
    parts = [
        whole[tuple(slice(at, None, b) for at, b in zip(corner, blocks, strict=True))] for corner in np.ndindex(*blocks)
    ]
    return np.float32(sum(np.asarray(part, np.float32) for part in parts) / len(parts))
