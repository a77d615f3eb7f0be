"""The flat panel's heavy parts on the CPU (numba, parallel); see ``detector.Panel``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike

from synthex_sim.random_streams import Purpose
from synthex_sim.xray.blur import blurred
from synthex_sim.xray.noise import absorbed_energy, unit_normals

if TYPE_CHECKING:
    from synthex_sim.xray.detector import Conversion


@njit(parallel=True, nogil=True, cache=True)
def _digitise(energy, noise, deviation_kev, limit_kev, steps_per_kev, most_steps, step, counts):
    """noise: unit normals as energy, or (1, 1, 1) where the deviation is 0."""
    views, rows, columns = energy.shape
    noisy = deviation_kev > 0.0
    for task in prange(views * rows):
        view, row = task // rows, task % rows
        scale, top = steps_per_kev[view], np.float32(most_steps[view])
        for column in range(columns):
            value = min(energy[view, row, column], limit_kev)
            if noisy:
                value += deviation_kev * noise[view, row, column]
            steps = min(max(value * scale + np.float32(0.5), np.float32(0.0)), top)
            counts[view, row, column] = np.uint16(np.int32(steps) * step)


class CpuPanel:
    """numpy arrays in, numpy arrays out."""

    def array(self, values: ArrayLike, dtype: Any) -> np.ndarray:
        """The values as a contiguous numpy array."""
        return np.ascontiguousarray(values, dtype=dtype)

    def absorbed_energy(
        self, energy: np.ndarray, variance: np.ndarray, seed: int, samples: Sequence[int]
    ) -> np.ndarray:
        """(V, R, C) float32."""
        return absorbed_energy(energy, variance, seed, samples, Purpose.QUANTUM_NOISE)

    def blurred(self, energy: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """(V, R, C) float32."""
        return blurred(energy, kernel)

    def digitised(self, energy: np.ndarray, conversion: Conversion, seed: int, samples: Sequence[int]) -> np.ndarray:
        """(V, R, C) uint16."""
        noise = np.zeros((1, 1, 1), np.float32)
        if conversion.deviation_kev > 0.0:
            noise = unit_normals(energy.shape, seed, samples, Purpose.READOUT_NOISE)
        counts = np.empty(energy.shape, np.uint16)
        if counts.size:
            deviation, limit = np.float32(conversion.deviation_kev), np.float32(conversion.limit_kev)
            steps = conversion.steps_per_kev, conversion.most_steps, conversion.step
            _digitise(np.ascontiguousarray(energy), noise, deviation, limit, *steps, counts)
        return counts
