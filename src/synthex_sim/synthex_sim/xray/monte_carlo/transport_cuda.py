"""Photon transport on the GPU through CuPy; ``transport.cu`` is compiled for the card at first use.

CuPy is imported when it is needed, not with this module: machines without it can still import everything.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from synthex_sim.xray.monte_carlo.simulation import Problem, Tally, make_tally
from synthex_sim.xray.monte_carlo.transport_cpu import CHANNELS, COMPTON, DEPOSITED, MULTIPLE, RAYLEIGH

SOURCE = Path(__file__).with_name("transport.cu")
#: As in transport.cu.
MAX_MATERIALS = 16
QUANTA = 2.0**24
#: Launches of a run, each with a tally of its own: their spread gives the standard error.
_BATCHES = 16
_BLOCKS, _THREADS = 1024, 128


def photon_transport_cuda(problem: Problem, photons: int, key: int, *, first: int = 0) -> Tally:
    """Follows photons on the GPU; the same result run to run, whatever the card's scheduling.

    Arguments and errors as of ``photon_transport``. Numbers are float32 here, so histories part from the CPU's where a
    rounding decides: images agree within their noise, not bit by bit.

    Raises:
        ImportError: CuPy is missing.
        ValueError: more materials than the kernel has room for, or see ``photon_transport``.
    """
    import cupy

    if photons < 1:
        raise ValueError(f"at least one photon is needed, got {photons}")
    if not (0 <= int(key) < 2**64 and 0 <= int(first) < 2**63):
        raise ValueError(f"key and first history must be whole numbers from 0, got {key} and {first}")
    arrays = [cupy.asarray(a) for a in kernel_arrays(problem, np.float32)]
    cols, rows = int(problem.extent[0]), int(problem.extent[1])
    images = cupy.zeros((_BATCHES, CHANNELS, rows, cols), dtype=np.uint64)
    scalars = cupy.zeros((_BATCHES, DEPOSITED + problem.tables.attenuation.shape[0]), dtype=np.uint64)
    for batch in range(_BATCHES):
        begin, end = photons * batch // _BATCHES, photons * (batch + 1) // _BATCHES
        if begin < end:
            counts = (np.uint64(key), np.uint64(first + begin), np.uint64(end - begin))
            _kernel()((_BLOCKS,), (_THREADS,), (images[batch], scalars[batch], *arrays, *counts))
    image = cupy.asnumpy(images).astype(np.float64) / QUANTA
    scatter = image[:, COMPTON] + image[:, RAYLEIGH] + image[:, MULTIPLE]
    deviation = scatter.std(axis=0, ddof=1) * np.sqrt(_BATCHES)
    return make_tally(image.sum(axis=0), cupy.asnumpy(scalars).sum(axis=0) / QUANTA, deviation, photons)


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


@lru_cache(maxsize=1)
def _kernel() -> Any:
    import cupy

    module = cupy.RawModule(code=SOURCE.read_text(), options=("-std=c++17", "-DREAL=float"))
    return module.get_function("transport")
