"""The flat panel's heavy parts on a GPU; see ``detector.Panel``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from synthex_sim.random_streams import Purpose
from synthex_sim.xray.cuda.device import blocks_over
from synthex_sim.xray.noise import GROUP, LANES, noise_address, refuse_bad_numbers, refuse_other_shapes

if TYPE_CHECKING:
    from synthex_sim.xray.detector import Conversion

_TILE = (32, 8)


class CudaPanel:
    """cupy arrays in, cupy arrays out; the same numbers as ``CpuPanel`` but for rounding."""

    def __init__(self, device: Any) -> None:
        """Takes the ``CudaDevice`` that runs the kernels."""
        self._arrays = device.xp
        self._kernels = device.kernels("noise", "detector")

    def array(self, values: ArrayLike, dtype: Any) -> Any:
        """The values as a contiguous array on the GPU."""
        return self._arrays.ascontiguousarray(self._arrays.asarray(values, dtype=dtype))

    def absorbed_energy(self, energy: Any, variance: Any, seed: int, samples: Sequence[int]) -> Any:
        """(V, R, C) float32.

        Raises:
            ValueError: shapes that do not fit, or an energy or variance that is negative or not finite.
        """
        refuse_other_shapes(energy, variance)
        drawn, bad = self._arrays.empty(energy.shape, np.float32), self._arrays.zeros(1, np.int32)
        if energy.size:
            address, grid = self._address(energy.shape, seed, samples, Purpose.QUANTUM_NOISE)
            self._kernels["draw_absorbed_energy"](grid, (LANES,), (energy, variance, *address, drawn, bad))
        refuse_bad_numbers(int(bad[0]))
        return drawn

    def blurred(self, energy: Any, kernel: np.ndarray) -> Any:
        """(V, R, C) float32."""
        out = self._arrays.empty(energy.shape, np.float32)
        taps, radius = self.array(kernel, np.float32), np.int32(kernel.shape[0] // 2)
        if energy.size:
            image = self.array(energy, np.float32)
            grid = blocks_over(energy.shape, _TILE)
            self._kernels["blur_image"](grid, _TILE, (image, taps, radius, *_size(energy), out))
        return out

    def digitised(self, energy: Any, conversion: Conversion, seed: int, samples: Sequence[int]) -> Any:
        """(V, R, C) uint16."""
        counts = self._arrays.empty(energy.shape, np.uint16)
        if not energy.size:
            return counts
        noise = energy
        if conversion.deviation_kev > 0.0:
            noise = self._arrays.empty(energy.shape, np.float32)
            address, grid = self._address(energy.shape, seed, samples, Purpose.READOUT_NOISE)
            self._kernels["draw_unit_normals"](grid, (LANES,), (*address, noise))
        deviation, limit = np.float32(conversion.deviation_kev), np.float32(conversion.limit_kev)
        steps = self.array(conversion.steps_per_kev, np.float32), self.array(conversion.most_steps, np.int32)
        image, step = self.array(energy, np.float32), np.int32(conversion.step)
        arguments = (image, noise, deviation, limit, *steps, step, *_size(energy), counts)
        self._kernels["digitise"](blocks_over(energy.shape, _TILE), _TILE, arguments)
        return counts

    def _address(self, shape: tuple[int, ...], seed: int, samples: Sequence[int], purpose: Purpose) -> tuple[Any, Any]:
        """What the noise kernels need to know, and their grid."""
        numbers, tag, key = noise_address(seed, samples, shape[0], purpose, 0)
        pixels = shape[1] * shape[2]
        address = (self.array(numbers, np.uint32), tag, key[0], key[1], np.uint32(pixels))
        return address, (-(-pixels // GROUP), shape[0])


def _size(image: Any) -> tuple[np.int32, np.int32]:
    return np.int32(image.shape[1]), np.int32(image.shape[2])
