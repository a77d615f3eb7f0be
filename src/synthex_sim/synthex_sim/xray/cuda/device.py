"""The GPU through CuPy: kernels compiled at run time, textures, arrays.

CuPy is imported when a device is asked for, not when this file is: the rest of the package runs without it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from synthex_sim.xray.cuda import cuda_source

#: No fast maths: images have to agree with the CPU's.
_OPTIONS = ("--std=c++17",)


class CudaUnavailableError(RuntimeError):
    """There is no CuPy here, or no GPU that it can use; the message says what to do."""


class CudaDevice:
    """CuPy's current device (``with cupy.cuda.Device(1): ...`` or CUDA_VISIBLE_DEVICES choose among several).

    Attributes:
        xp: the array module, cupy.
    """

    def __init__(self) -> None:
        """Looks for CuPy and a GPU.

        Raises:
            CudaUnavailableError: one of them is missing.
        """
        try:
            import cupy
        except ImportError as error:
            raise CudaUnavailableError(
                "the CUDA projector needs CuPy, which is not installed here: pip install -c "
                "requirements/constraints.txt -r requirements/gpu.txt, or use the projector 'cpu'"
            ) from error
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except RuntimeError as error:
            raise CudaUnavailableError(
                f"CuPy finds no NVIDIA GPU or no driver for it ({error}); nvidia-smi shows what the machine has. "
                "Without a GPU use the projector 'cpu'"
            ) from error
        if count == 0:
            raise CudaUnavailableError(
                "CuPy finds no NVIDIA GPU; is CUDA_VISIBLE_DEVICES empty? Without a GPU use the projector 'cpu'"
            )
        self.xp = cupy

    def kernels(self, *names: str) -> Any:
        """The kernels of sources (``cuda_source``), compiled on first use.

        They are called as ``kernels["march_1"](grid, block, arguments)``. Arguments are arrays of this device and numpy
        scalars of the parameters' types.
        """
        return _compiled(self.xp.cuda.Device().id, names)

    def texture(self, values: np.ndarray) -> Any:
        """A 3D texture of a C-contiguous (I, J, K) uint32 or uint8 array, looked up unfiltered at x = k, y = j, z = i.

        Returns:
            An object whose ``ptr`` is the texture object; the texture lives as long as it does.
        """
        runtime, texture = self.xp.cuda.runtime, self.xp.cuda.texture
        depth, height, width = values.shape
        channel = texture.ChannelFormatDescriptor(8 * values.itemsize, 0, 0, 0, runtime.cudaChannelFormatKindUnsigned)
        array = texture.CUDAarray(channel, width, height, depth)
        array.copy_from(values)
        return texture.TextureObject(
            texture.ResourceDescriptor(runtime.cudaResourceTypeArray, cuArr=array),
            texture.TextureDescriptor(
                (runtime.cudaAddressModeClamp,) * 3, runtime.cudaFilterModePoint, runtime.cudaReadModeElementType
            ),
        )

    def host(self, values: Any) -> np.ndarray:
        """A copy on the host of an array on the device."""
        return self.xp.asnumpy(values)

    def array(self, values: np.ndarray) -> Any:
        """A contiguous copy of a host array on the device; structures arrive as bytes."""
        values = np.ascontiguousarray(values)
        return self.xp.asarray(values.view(np.uint8) if values.dtype.fields else values)


def blocks_over(shape: tuple[int, int, int], block: tuple[int, int]) -> tuple[int, int, int]:
    """The grid of a launch with one thread for each pixel of (V, R, C) images; ``block`` is along columns and rows."""
    return -(-shape[2] // block[0]), -(-shape[1] // block[1]), shape[0]


@cache
def _compiled(device: int, names: tuple[str, ...]) -> _Kernels:
    import cupy

    return _Kernels(cupy.RawModule(code=cuda_source(*names), options=_OPTIONS))


class _Kernels:
    """Kernels of one module by name."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._module.get_function(name)
        return self._known[name]
