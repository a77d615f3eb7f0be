"""``monte_carlo_scatter``: the reference image of scattered radiation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter, map_coordinates

from synthex_sim.carm.view import View
from synthex_sim.xray.monte_carlo.history_random import history_key
from synthex_sim.xray.monte_carlo.material_grid import MaterialGrid
from synthex_sim.xray.monte_carlo.simulation import Problem, Tally, make_problem, photon_transport
from synthex_sim.xray.scatter import ScatterImage
from synthex_sim.xray.spectrum import Spectrum

#: Edge of the detector pixels that photons are counted in, and width (sigma) of the Gaussian that smooths the counts.
#: Scatter behind an air gap of 15 cm and more varies over centimetres: neither blurs it by as much as a percent.
COARSE_MM = 5.0
SMOOTHING_MM = 10.0


def monte_carlo_scatter(
    grid: MaterialGrid,
    view: View,
    spectrum: Spectrum,
    absorbed_fraction: ArrayLike | None = None,
    photons: int = 10_000_000,
    seed: int = 0,
    sample: int = 0,
    *,
    photons_per_pixel: float = 1.0,
    field: ArrayLike | None = None,
    smoothing_mm: float = SMOOTHING_MM,
    transport: Callable[[Problem, int, int], Tally] = photon_transport,
) -> ScatterImage:
    """Scatter in one view by Monte Carlo, counted in coarse pixels, smoothed, and interpolated to the view's pixels.

    Args:
        grid: the patient (``MaterialGrid.from_patient``). Tools in the beam do not scatter.
        absorbed_fraction: (e,) share of the energy that the detector absorbs at the spectrum's energies.
        photons: how many to follow; the noise falls with its root (docs/scatter.md has figures).
        seed, sample: of the run, and number of the image within it. The same two give the same image, whatever the
            number of threads; other samples have other histories.
        photons_per_pixel: photons that arrive in a pixel of the view with nothing in the beam: scales the result to the
            unit of a primary image made with as many.
        field: what the beam reaches, see ``make_problem``; intensities scale the result.
        smoothing_mm: 0 for the counts as they are.
        transport: ``photon_transport``, or ``photon_transport_cuda`` to do it on the GPU.

    Returns:
        energy and energy ratio of the one view, (1, R, C).

    Raises:
        ValueError: see ``make_problem`` and ``history_key``.
    """
    rows, cols = view.shape
    coarse = tuple(max(1, int(round(n * view.pixel_spacing_mm / COARSE_MM))) for n in view.shape)
    problem = make_problem(
        grid, view, spectrum.energies_kev, spectrum.weights, absorbed_fraction, pixels=coarse, field=field
    )
    tally = transport(problem, photons, history_key(seed, sample))
    # photons are spread over the field; what one coarse pixel got is shared by the pixels within it
    scale = photons_per_pixel * problem.field.pixels * coarse[0] * coarse[1] / (rows * cols)
    sigma = [smoothing_mm / (n * view.pixel_spacing_mm / m) for n, m in zip(view.shape, coarse, strict=True)]
    images = [gaussian_filter(i, sigma, mode="nearest", truncate=3.0) for i in (tally.scatter, tally.scatter_squared)]
    place = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(view.shape, coarse, strict=True)]
    at = np.meshgrid(*place, indexing="ij")
    energy, squared = (map_coordinates(i, at, order=1, mode="nearest") for i in images)
    ratio = squared / np.maximum(energy, 1e-300)
    return ScatterImage((energy * scale).astype(np.float32)[None], ratio.astype(np.float32)[None])
