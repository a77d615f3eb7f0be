"""Stands in for the GPU in tests: numpy for CuPy, and kernels that g++ compiled."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from cuda_host import HostModule

from synthex_sim.xray.cuda import cuda_source


class _HostTexture(ctypes.Structure):
    """``HostTexture`` of the shim."""

    _fields_ = [("texels", ctypes.c_void_p), ("width", ctypes.c_int), ("height", ctypes.c_int), ("depth", ctypes.c_int)]


class HostDevice:
    """The interface of ``synthex_sim.xray.cuda.device.CudaDevice`` on the host."""

    xp = np

    def __init__(self, folder: Path) -> None:
        """Takes a folder for what is compiled."""
        self._folder = folder
        self._modules: dict[tuple[str, ...], HostModule] = {}

    def kernels(self, *names: str) -> HostModule:
        """Kernels of sources, compiled once."""
        if names not in self._modules:
            folder = self._folder / "_".join(names)
            folder.mkdir()
            self._modules[names] = HostModule(cuda_source(*names), folder)
        return self._modules[names]

    @staticmethod
    def texture(values: np.ndarray) -> SimpleNamespace:
        """An object whose ``ptr`` the shim's tex3D takes."""
        depth, height, width = values.shape
        held = np.ascontiguousarray(values)
        texture = _HostTexture(held.ctypes.data, width, height, depth)
        return SimpleNamespace(ptr=ctypes.addressof(texture), keep=(held, texture))

    @staticmethod
    def host(values: np.ndarray) -> np.ndarray:
        """The array itself."""
        return values

    @staticmethod
    def array(values: np.ndarray) -> np.ndarray:
        """A copy, as the GPU would have."""
        return np.array(values, order="C")
