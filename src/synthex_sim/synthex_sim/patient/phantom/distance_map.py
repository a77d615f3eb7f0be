"""Euclidean distances to the true voxels of a mask, one axis after the other (Felzenszwalb and Huttenlocher 2012)."""

from __future__ import annotations

import numba
import numpy as np

_FAR = np.float32(1e9)


def distance_to(mask: np.ndarray, step_mm: float, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """Distance of every voxel to the nearest true one.

    Args:
        mask: (I, J, K) bool.
        step_mm: edge of the cubic voxels.
        axes: along which to measure; without the third, every slice by itself.

    Returns:
        (I, J, K) float32, mm; more than 10 m where there is no true voxel.
    """
    squared = np.where(mask, np.float32(0), _FAR)
    for axis in axes:
        lines = np.ascontiguousarray(np.moveaxis(squared, axis, -1))
        _along_lines(lines.reshape(-1, lines.shape[-1]))
        squared = np.moveaxis(lines, -1, axis)
    return np.ascontiguousarray(np.sqrt(squared) * np.float32(step_mm))


@numba.njit(cache=True, nogil=True)
def _along_lines(lines):
    """Replaces f by min over q of f(q) + (p - q)^2 in every row: the lower envelope of parabolas."""
    n = lines.shape[1]
    roots = np.empty(n, np.int64)
    bounds = np.empty(n + 1, np.float64)
    values = np.empty(n, np.float64)
    for row in range(lines.shape[0]):
        line = lines[row]
        top = -1
        for q in range(n):
            height = float(line[q])
            values[q] = height
            if height >= 1e9:
                continue
            cross = -1e18
            while top >= 0:
                r = roots[top]
                cross = ((height + q * q) - (values[r] + r * r)) / (2.0 * (q - r))
                if cross > bounds[top]:
                    break
                top -= 1
            if top < 0:
                cross = -1e18
            top += 1
            roots[top] = q
            bounds[top] = cross
        if top < 0:
            continue
        bounds[top + 1] = 1e18
        at = 0
        for p in range(n):
            while bounds[at + 1] < p:
                at += 1
            line[p] = (p - roots[at]) ** 2 + values[roots[at]]
