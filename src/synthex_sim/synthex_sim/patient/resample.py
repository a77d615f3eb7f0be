"""Volumes on other grids: a CT with cubes for voxels, a label map on a CT's grid."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from synthex_sim.patient.hounsfield import LOWEST_HU
from synthex_sim.patient.volume import Volume

_SPACINGS_MM = (0.2, 10.0)
_MOST_VOXELS = 1 << 30
#: Standard deviation of a bell curve of a half width of 1.
_SIGMA_OF_WIDTH = 1 / math.sqrt(8 * math.log(2))
#: Voxels of each grid that are looked up in the other, along each axis, to see how much the two overlap.
_PROBES = 40


def isotropic(volume: Volume, spacing_mm: float) -> Volume:
    """A CT resampled to cubes, by linear interpolation.

    The new axes are at right angles: the first keeps its direction, the second its plane. Where the new voxels are
    larger, the CT is smoothed first to their size, so that nothing is skipped. Outside of the CT there is air.

    Args:
        volume: in Hounsfield units.
        spacing_mm: edge of the cubes.

    Raises:
        ValueError: the spacing is out of range, or there would be too many voxels.
    """
    low, high = _SPACINGS_MM
    if not low <= spacing_mm <= high:
        raise ValueError(f"voxels of {spacing_mm:g} mm were asked for; {low:g} to {high:g} mm are possible")
    turned, lengths = np.linalg.qr(volume.affine[:3, :3])
    axes = turned * np.sign(np.diag(lengths)) * spacing_mm
    reached = np.linalg.solve(axes, volume.corners().T)
    first = reached.min(axis=1)
    shape = tuple(int(n) for n in np.floor(reached.max(axis=1) - first + 1e-6) + 1)
    if math.prod(shape) > _MOST_VOXELS:
        raise ValueError(f"voxels of {spacing_mm:g} mm would be {' x '.join(map(str, shape))}; ask for larger ones")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, axes @ first
    width = np.sqrt(np.maximum(0.0, (spacing_mm / volume.spacing_mm) ** 2 - 1.0))
    values = np.maximum(volume.values, np.float32(LOWEST_HU))  # padding outside the field of view must not bleed in
    if width.any():
        values = ndimage.gaussian_filter(values, _SIGMA_OF_WIDTH * width, mode="nearest", truncate=3.0)
    old = np.linalg.inv(volume.affine) @ affine
    values = ndimage.affine_transform(
        values, _diagonal_or_whole(old[:3, :3]), old[:3, 3], output_shape=shape, order=1, cval=LOWEST_HU)
    note = f"resampled to cubes of {spacing_mm:g} mm"
    values = np.rint(values).astype(np.int16) if volume.values.dtype == np.int16 else values
    return Volume(values, affine, volume.source, (*volume.notes, note))


def labels_onto(labels: np.ndarray, affine: np.ndarray, like: Volume) -> np.ndarray:
    """A label map on another volume's grid: for each voxel the label at its centre, 0 outside of the map.

    Args:
        labels: (I, J, K) uint8.
        affine: (4, 4) of its voxels -> LPS mm.
        like: the volume whose grid is wanted.

    Returns:
        (I, J, K) uint8 on the grid of ``like``.
    """
    old = np.linalg.inv(affine) @ like.affine
    # "grid-constant": a voxel reaches half a step around its centre, at the edge of the map, too
    return ndimage.affine_transform(
        labels, _diagonal_or_whole(old[:3, :3]), old[:3, 3], output_shape=like.shape, order=0, mode="grid-constant",
        cval=0)


def overlap(one: Volume, other: Volume) -> float:
    """How much of the smaller of two grids lies within the other, 0..1."""
    return max(_share_within(one, other), _share_within(other, one))


def _share_within(inner: Volume, outer: Volume) -> float:
    lines = [np.linspace(0, n - 1, _PROBES) for n in inner.shape]
    index = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    to_outer = np.linalg.inv(outer.affine) @ inner.affine
    at = index @ to_outer[:3, :3].T + to_outer[:3, 3]
    return float(((at >= -0.5) & (at <= np.array(outer.shape) - 0.5)).all(axis=1).mean())


def _diagonal_or_whole(matrix: np.ndarray) -> np.ndarray:
    """A diagonal matrix as the (3,) that makes scipy fast; only where rounding alone stands beside the diagonal."""
    diagonal = np.diag(matrix)
    if np.abs(matrix - np.diag(diagonal)).max() < 1e-9 * np.abs(diagonal).max() and (diagonal > 0).all():
        return diagonal.copy()
    return matrix
