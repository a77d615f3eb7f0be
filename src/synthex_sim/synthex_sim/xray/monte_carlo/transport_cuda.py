"""Photon transport on the GPU: ``transport.cu``."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthex_sim.xray.cuda.device import CudaDevice
from synthex_sim.xray.monte_carlo.simulation import Problem, Tally, make_tally, refuse_bad_run

#: As in transport.cu.
MAX_MATERIALS = 16
QUANTA = 2.0**24
#: Launches of a run, each with a tally of its own: their spread gives the standard error.
_BATCHES = 16
_BLOCKS, _THREADS = 1024, 128


def photon_transport_cuda(problem: Problem, photons: int, key: int, device: Any = None, *, first: int = 0) -> Tally:
    """Follows photons on the GPU; the same result run to run, whatever the card's scheduling.

    Arguments and errors as of ``photon_transport``. Numbers are float32 here, so histories part from the CPU's where a
    rounding decides: images agree within their noise, not bit by bit.

    Args:
        device: what runs the kernel; CuPy's current device if not given.

    Raises:
        CudaUnavailableError: CuPy or a GPU is missing.
        ValueError: more materials than the kernel has room for, or see ``photon_transport``.
    """
    refuse_bad_run(photons, key, first)
    device = CudaDevice() if device is None else device
    arrays = [device.array(a) for a in kernel_arrays(problem, np.float32)]
    images, scalars = problem.empty_tallies(device.xp, _BATCHES, np.uint64)
    kernel = device.kernels("transport")["transport"]
    for batch in range(_BATCHES):
        begin, end = photons * batch // _BATCHES, photons * (batch + 1) // _BATCHES
        if begin < end:
            counts = (np.uint64(key), np.uint64(first + begin), np.uint64(end - begin))
            kernel((_BLOCKS,), (_THREADS,), (images[batch], scalars[batch], *arrays, *counts))
    quanta = device.host(images).astype(np.float64)
    return make_tally(quanta / QUANTA, device.host(scalars).sum(axis=0) / QUANTA, photons)


def kernel_arrays(problem: Problem, real: type) -> list[np.ndarray]:
    """The kernel's array arguments between the tallies and the key, in order, as numpy arrays of type ``real``.

    Raises:
        ValueError: more materials than the kernel has room for.
    """
    attenuation, incoherent, incoherent_norm, cumulative = problem.table_arrays
    if attenuation.shape[0] > MAX_MATERIALS:
        raise ValueError(f"the CUDA kernel takes at most {MAX_MATERIALS} materials, got {attenuation.shape[0]}")
    box, inv_spacing, material, density = problem.volume
    shares, lines = problem.spectrum
    geometry = np.concatenate(
        [
            np.ravel(part)
            for part in (
                box, inv_spacing, problem.source, problem.pixel_to_direction, problem.field.edges, problem.camera,
                problem.pinhole, problem.extent, problem.pixels, problem.plane_mm2,
            )
        ]
    )
    sizes = [
        *material.shape, attenuation.shape[0], attenuation.shape[1], incoherent.shape[1], lines.size,
        int(problem.extent[1]), int(problem.extent[0]), int(problem.isotropic), int(problem.forced),
        *problem.field.share.shape,
    ]
    reals = (attenuation, incoherent, incoherent_norm, cumulative, problem.majorant)
    more = (density, shares, lines, problem.absorbed, problem.field.share, geometry)
    return [
        *(np.ascontiguousarray(a, dtype=real) for a in reals), np.ascontiguousarray(material),
        *(np.ascontiguousarray(a, dtype=real) for a in more), np.array(sizes, dtype=np.int32),
    ]
