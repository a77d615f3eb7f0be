"""The judge: line integrals of few pixels, sampled four times as finely as the voxels, by scipy's code alone."""

from __future__ import annotations

import numpy as np
from geometry import Shot, crossing, rays_in_voxels
from scipy.ndimage import map_coordinates


def fine_line_integrals(
    volume: np.ndarray, affine: np.ndarray, shot: Shot, every: int, samples_per_voxel: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Line integrals by the midpoint rule of the trilinearly interpolated volume, zero beyond its voxel centres.

    Args:
        volume: (I, J, K) float32.
        affine: (4, 4) voxel index -> LPS mm.
        every: takes each ``every``-th pixel of each ``every``-th row, from the middle of that step on.

    Returns:
        pixels: two index arrays (n,), rows and columns.
        integrals: (n,) float64, millimetres times the volume's unit.
    """
    start, way = rays_in_voxels(shot, affine)
    rows, columns = (np.arange(every // 2, n, every) for n in shot.shape)
    pixels = np.meshgrid(rows, columns, indexing="ij")
    pixels = pixels[0].ravel(), pixels[1].ravel()
    way = way[pixels]
    size = np.array(volume.shape) - 1.0
    enter, leave = crossing(start, way, np.zeros(3), size)
    integrals = np.zeros(len(way))
    for n, (direction, low, high) in enumerate(zip(way, enter, leave, strict=True)):
        if high <= low:
            continue
        length = (high - low) * np.linalg.norm(direction)
        count = int(np.ceil(length * samples_per_voxel))
        shares = low + (np.arange(count) + 0.5) / count * (high - low)
        points = start[:, None] + direction[:, None] * shares
        values = map_coordinates(volume, points, order=1, mode="nearest", prefilter=False, output=np.float64)
        integrals[n] = values.sum() * (np.linalg.norm(affine[:3, :3] @ direction) * (high - low) / count)
    return pixels, integrals
