"""Noise in volumes: smooth fields over all of it, and small periodic tiles that are laid side by side."""

from __future__ import annotations

import numba
import numpy as np
from scipy import ndimage

from synthex_sim.patient.phantom import shapes

#: Edge of a periodic tile, voxels: too long for its repetition to be seen, short enough to cost nothing.
_TILE = 96


def noise(rng: np.random.Generator, grid: shapes.Grid, sigma_mm: float) -> np.ndarray:
    """(I, J, K) float32 smooth Gaussian noise of unit variance, made on a coarse lattice where that suffices."""
    step = max(1.0, 0.7 * sigma_mm / grid.spacing_mm)
    shape = tuple(int(np.ceil(n / step)) + 6 for n in grid.shape)
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma_mm / (step * grid.spacing_mm))
    coarse /= coarse.std()
    if step == 1.0:
        return coarse[tuple(slice(3, 3 + n) for n in grid.shape)]
    return shapes.upsample(coarse, step, grid.shape, offset=2.0)


def tile(rng: np.random.Generator, sigma_voxels: tuple[float, float, float] | float) -> np.ndarray:
    """(96, 96, 96) float32 periodic Gaussian noise of zero mean and unit variance."""
    values = rng.standard_normal((_TILE,) * 3, dtype=np.float32)
    values = ndimage.gaussian_filter(values, sigma_voxels, mode="wrap")
    values -= values.mean()
    return values / values.std()


@numba.njit(cache=True, nogil=True)
def add_tiled(hu, values, amplitude, above_hu):
    """Adds ``amplitude`` times a periodic tile to all voxels above a value; others stay as they are."""
    n0, n1, n2 = values.shape
    for i in range(hu.shape[0]):
        for j in range(hu.shape[1]):
            for k in range(hu.shape[2]):
                if hu[i, j, k] > above_hu:
                    hu[i, j, k] += amplitude * values[i % n0, j % n1, k % n2]
