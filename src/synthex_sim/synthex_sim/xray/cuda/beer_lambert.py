"""Beer-Lambert law for every energy of a spectrum, on a GPU: ``xray/beer_lambert.py`` says what is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthex_sim.xray.cuda.device import CudaDevice

_THREADS = 256


def attenuate(
    areas: Any, coefficients: np.ndarray, energies_kev: np.ndarray, weights: np.ndarray, device: Any = None
) -> tuple[Any, Any]:
    """First and second moment of the energy that comes through.

    Args:
        areas: (V, M, R, C) float32 on the device, g/cm^2.
        coefficients: (M, n) mass attenuation coefficients, cm^2/g.
        energies_kev: (n,) bin centres.
        weights: (n,) photons per bin, in the unit that the result is wanted in, times what the detector absorbs.
        device: what runs the kernel; CuPy's current device if not given.

    Returns:
        signal, second: (V, R, C) float32 on the device, weights' unit times keV and keV^2.

    Raises:
        ValueError: other shapes or types.
        CudaUnavailableError: CuPy or a GPU is missing.
    """
    views, materials, rows, columns = areas.shape
    if areas.dtype != np.float32 or not areas.flags.c_contiguous:
        raise ValueError(f"area densities must be contiguous float32, got {areas.dtype}")
    if coefficients.shape != (materials, len(energies_kev)) or weights.shape != energies_kev.shape:
        raise ValueError(
            f"{materials} materials and {len(energies_kev)} energies need coefficients and weights of these sizes, got "
            f"{coefficients.shape} and {weights.shape}"
        )
    device = CudaDevice() if device is None else device
    signal = device.xp.empty((views, rows, columns), np.float32)
    second = device.xp.empty((views, rows, columns), np.float32)
    tables = [device.array(np.ascontiguousarray(table, np.float32)) for table in (coefficients, energies_kev, weights)]
    pixels = rows * columns
    device.kernels("beer_lambert")["beer_lambert"]((-(-pixels // _THREADS), views), (_THREADS,), (
        areas, *tables, np.int32(materials), np.int32(len(energies_kev)), np.int32(pixels), signal, second,
    ))
    return signal, second
