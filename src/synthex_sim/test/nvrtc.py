"""NVIDIA's run-time compiler, which needs neither a GPU nor a driver: do kernels compile, and do they spill?"""

from __future__ import annotations

import ctypes
import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest


class Resources(NamedTuple):
    """What a kernel takes of a multiprocessor.

    Attributes:
        registers: 32-bit registers of a thread.
        stack: bytes of local memory of a thread that the code asks for.
        spilled: bytes of registers stored to local memory because there were too few.
    """

    registers: int
    stack: int
    spilled: int


def compiled(source: str, architecture: str = "sm_90") -> dict[str, Resources]:
    """Compiles CUDA C down to machine code.

    Returns:
        What each kernel takes, by name.

    Raises:
        pytest.skip.Exception: the compiler's wheel is not installed.
        RuntimeError: the source does not compile; the message is the compiler's.
    """
    library, program = _library(), ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None))
    try:
        options = [f"--gpu-architecture={architecture}".encode(), b"--ptxas-options=-v", b"--std=c++17"]
        failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        size = ctypes.c_size_t()
        _check(library.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
        log = ctypes.create_string_buffer(size.value)
        _check(library.nvrtcGetProgramLog(program, log))
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    text = log.value.decode()
    if failed:
        raise RuntimeError(f"NVRTC cannot compile the CUDA source for {architecture}:\n{text}")
    return dict(map(_resources, re.split(r"Compiling entry function ", text)[1:]))


def _resources(text: str) -> tuple[str, Resources]:
    """A kernel's name and resources from its part of ptxas' report."""
    numbers = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", text)
    registers = re.search(r"Used (\d+) registers", text)
    return text.split("'")[1], Resources(int(registers[1]), int(numbers[1]), int(numbers[2]))


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    try:
        package = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        package = None
    if package is None:
        pytest.skip("NVIDIA's run-time compiler is not installed (nvidia-cuda-nvrtc-cu12 of requirements/dev.txt)")
    folder = Path(next(iter(package.submodule_search_locations))) / "lib"
    return ctypes.CDLL(str(next(folder.glob("libnvrtc.so.*"))))


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC failed with status {status}")
