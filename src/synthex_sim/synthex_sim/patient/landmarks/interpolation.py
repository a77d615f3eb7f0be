"""Trilinear interpolation on a lattice of any direction; ten times as fast as the general one of scipy."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def interpolate_lattice(
    values: np.ndarray, first: np.ndarray, steps: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    """Values at ``first`` + ``steps`` @ (a, b, c); outside the array those at its edge.

    Args:
        values: (I, J, K) float32, at least two elements along each axis.
        first: (3,) float64 index of the lattice's first point.
        steps: (3, 3) float64, a column for each axis of the lattice, in elements.
        shape: (A, B, C) of the lattice.

    Returns:
        (A, B, C) float32.
    """
    out = np.empty(shape, np.float32)
    top_i, top_j, top_k = values.shape[0] - 1.0, values.shape[1] - 1.0, values.shape[2] - 1.0
    for a in range(shape[0]):
        for b in range(shape[1]):
            row_i = first[0] + a * steps[0, 0] + b * steps[0, 1]
            row_j = first[1] + a * steps[1, 0] + b * steps[1, 1]
            row_k = first[2] + a * steps[2, 0] + b * steps[2, 1]
            for c in range(shape[2]):
                x = min(max(row_i + c * steps[0, 2], 0.0), top_i)
                y = min(max(row_j + c * steps[1, 2], 0.0), top_j)
                z = min(max(row_k + c * steps[2, 2], 0.0), top_k)
                i = min(int(x), values.shape[0] - 2)
                j = min(int(y), values.shape[1] - 2)
                k = min(int(z), values.shape[2] - 2)
                p, q, r = np.float32(x - i), np.float32(y - j), np.float32(z - k)
                low = values[i, j, k] * (1 - r) + values[i, j, k + 1] * r
                high = values[i, j + 1, k] * (1 - r) + values[i, j + 1, k + 1] * r
                near = low * (1 - q) + high * q
                low = values[i + 1, j, k] * (1 - r) + values[i + 1, j, k + 1] * r
                high = values[i + 1, j + 1, k] * (1 - r) + values[i + 1, j + 1, k + 1] * r
                out[a, b, c] = near * (1 - p) + (low * (1 - q) + high * q) * p
    return out
