"""One Monte Carlo run: a material grid, a view and a spectrum in; tallies out.

``Tally`` keeps what was counted, per photon emitted into the field; ``photon_transport`` makes it on the CPU,
``transport_cuda.photon_transport_cuda`` on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synthex_sim.carm.view import View
from synthex_sim.xray.monte_carlo.beam_field import BeamField
from synthex_sim.xray.monte_carlo.interactions import (
    CUTOFF_KEV,
    ENERGY_MAX_KEV,
    InteractionTables,
    energy_grid,
    interaction_tables,
)
from synthex_sim.xray.monte_carlo.material_grid import MaterialGrid
from synthex_sim.xray.monte_carlo.transport_cpu import (
    CHANNELS,
    COMPTON,
    DEPOSITED,
    DETECTED,
    EMITTED,
    ESCAPED,
    MULTIPLE,
    PRIMARY,
    RAYLEIGH,
    SCATTER_SQUARED,
    transport,
)

#: Tallies of a CPU run. Part of the result (sums of floats are made in this order): do not change it lightly.
CHUNKS = 64


@dataclass(frozen=True, eq=False)
class Tally:
    """What a run counted, per photon emitted into the field.

    Attributes:
        primary, compton, rayleigh, multiple: (r, c) float64 keV absorbed in each coarse pixel: from photons that did
            not scatter, scattered once by either process, or more often.
        scatter_squared: (r, c) float64 keV^2, sum of squared energies of the scattered photons that were absorbed.
        deviation: (r, c) float64 keV, standard error of the scatter, from the spread of the chunks.
        emitted_kev, detected_kev, escaped_kev: energy emitted, incident on the detector, gone elsewhere.
        deposited_kev: (M,) energy left in each material.
        photons: how many were followed.
        endings: None, or (photons, 9) float32: weight (0 where absorbed), energy, times scattered, position and
            direction (box frame, mm) in which each photon left the volume.
    """

    primary: np.ndarray
    compton: np.ndarray
    rayleigh: np.ndarray
    multiple: np.ndarray
    scatter_squared: np.ndarray
    deviation: np.ndarray
    emitted_kev: float
    detected_kev: float
    escaped_kev: float
    deposited_kev: np.ndarray
    photons: int
    endings: np.ndarray | None = None

    @property
    def scatter(self) -> np.ndarray:
        """(r, c) keV absorbed from all scattered photons."""
        return self.compton + self.rayleigh + self.multiple


@dataclass(frozen=True, eq=False)
class Problem:
    """A run's input as plain arrays in the box frame; the arguments of ``transport_cpu.transport``."""

    tables: InteractionTables
    majorant: np.ndarray
    volume: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    spectrum: tuple[np.ndarray, np.ndarray]
    source: np.ndarray
    pixel_to_direction: np.ndarray
    field: BeamField
    camera: np.ndarray
    pinhole: np.ndarray
    extent: np.ndarray
    pixels: np.ndarray
    absorbed: np.ndarray
    plane_mm2: float
    isotropic: bool
    forced: bool

    @property
    def table_arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays of the interaction tables that transport reads."""
        t = self.tables
        return t.attenuation, t.incoherent, t.incoherent_norm, t.coherent_cumulative

    def empty_tallies(self, xp: ModuleType, parts: int, dtype: Any) -> tuple[Any, Any]:
        """Images (parts, CHANNELS, r, c) and scalars (parts, 3 + M) of zeros to count into, numpy's or cupy's."""
        columns, rows = int(self.extent[0]), int(self.extent[1])
        scalars = DEPOSITED + self.tables.attenuation.shape[0]
        return xp.zeros((parts, CHANNELS, rows, columns), dtype), xp.zeros((parts, scalars), dtype)


def make_problem(
    grid: MaterialGrid,
    view: View,
    energies_kev: ArrayLike,
    weights: ArrayLike,
    absorbed_fraction: ArrayLike | None = None,
    *,
    pixels: tuple[int, int],
    field: ArrayLike | None = None,
    isotropic: bool = False,
    forced: bool = True,
) -> Problem:
    """Checks the input of a run and brings it into the box frame.

    Args:
        grid: what the photons travel through.
        view: source, detector and the field.
        energies_kev, weights: (e,) the spectrum: photon energies and shares of photons (any scale).
        absorbed_fraction: (e,) share of the energy that the detector absorbs at ``energies_kev``, interpolated linearly
            and held constant beyond; None for all of it.
        pixels: (rows, columns) of the coarse image, which covers the whole detector.
        field: what the beam reaches: (first column, first row, last column, last row) in pixel coordinates of the view
            (edges, so the whole detector is (-0.5, -0.5, columns - 0.5, rows - 0.5)), or (rows, columns) relative
            intensities of the view's pixels (collimation, heel effect); None for the whole detector, evenly.
        isotropic: the source emits evenly into solid angle (fluence falls as cos^3 to the edges); else the fluence is
            the same all over the detector.
        forced: forced detection of scattered photons (less noise per photon) instead of counting those that arrive.

    Raises:
        ValueError: energies out of range or without photons, a field outside the detector or of nothing, a source
            inside the volume, a volume that reaches behind the detector.
    """
    energies = np.asarray(energies_kev, dtype=np.float64).reshape(-1)
    shares = np.asarray(weights, dtype=np.float64).reshape(-1)
    if energies.shape != shares.shape or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise ValueError("a spectrum needs as many weights as energies, none of them negative and not all zero")
    if energies.min() < CUTOFF_KEV or energies.max() > ENERGY_MAX_KEV - 1.0:
        raise ValueError(
            f"photon energies must lie in {CUTOFF_KEV:g}..{ENERGY_MAX_KEV - 1:g} keV, got "
            f"{energies.min():g}..{energies.max():g}"
        )
    box_from_world = np.linalg.inv(grid.world_from_box)
    source = box_from_world[:3, :3] @ view.source + box_from_world[:3, 3]
    if ((source > 0) & (source < grid.box_mm)).all():
        raise ValueError("the X-ray source lies inside the volume")
    camera = (view.world_to_camera @ grid.world_from_box)[:3]
    _check_before_detector(camera, grid, view)
    tables = interaction_tables(grid.materials)
    densest = [float(grid.density[grid.material == m].max(initial=0.0)) for m in range(len(grid.materials))]
    majorant = (tables.attenuation.sum(axis=2) * np.array(densest)[:, None]).max(axis=0)
    rows, cols = view.shape
    k = view.intrinsics
    if abs(k[0, 1]) > 1e-9:
        raise ValueError("views with skewed pixels are not supported by the Monte Carlo simulation")
    fraction = np.ones(energies.size) if absorbed_fraction is None else np.asarray(absorbed_fraction, dtype=np.float64)
    if fraction.shape != energies.shape:
        raise ValueError(f"absorbed_fraction needs one value per energy ({energies.size}), got {fraction.shape}")
    ascending = np.argsort(energies)
    return Problem(
        tables=tables,
        majorant=np.maximum(majorant, 1e-9),
        volume=(
            grid.box_mm, 1.0 / grid.spacing_mm, np.ascontiguousarray(grid.material), np.ascontiguousarray(grid.density)
        ),
        spectrum=(np.cumsum(shares) / shares.sum(), energies),
        source=source,
        pixel_to_direction=box_from_world[:3, :3] @ view.pixel_to_direction,
        field=BeamField.of(field, rows, cols),
        camera=np.ascontiguousarray(camera),
        pinhole=np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2], view.source_to_detector_mm]),
        extent=np.array([pixels[1], pixels[0], pixels[1] / cols, pixels[0] / rows], dtype=np.float64),
        pixels=np.array([cols, rows], dtype=np.float64),
        absorbed=np.interp(energy_grid(), energies[ascending], fraction[ascending]),
        plane_mm2=float(rows * cols * view.pixel_spacing_mm**2),
        isotropic=bool(isotropic),
        forced=bool(forced),
    )


def photon_transport(problem: Problem, photons: int, key: int, *, first: int = 0, endings: bool = False) -> Tally:
    """Follows photons on the CPU with as many threads as numba has; the result does not depend on how many.

    Args:
        problem: from ``make_problem``.
        photons: how many, from history ``first`` on; runs with other histories of the same key are independent.
        key: 0 <= key < 2**64; ``history_key`` makes it of a seed and a sample.
        endings: keep how every photon ended (36 bytes each).

    Raises:
        ValueError: no photons, or a key out of range.
    """
    refuse_bad_run(photons, key, first)
    images, scalars = problem.empty_tallies(np, CHUNKS, np.float64)
    ends = np.zeros((photons if endings else 0, 9), dtype=np.float32)
    transport(
        images, scalars, problem.table_arrays, problem.majorant, problem.volume, problem.spectrum, problem.source,
        problem.pixel_to_direction, (problem.field.edges, problem.field.share), problem.camera, problem.pinhole,
        problem.extent, problem.pixels, problem.absorbed, problem.plane_mm2, problem.isotropic, problem.forced,
        np.uint64(key), np.uint64(first), np.int64(photons), ends,
    )
    return make_tally(images, scalars.sum(axis=0), photons, ends if endings else None)


def refuse_bad_run(photons: int, key: int, first: int) -> None:
    """Raises ValueError where there are no photons, or a key or first history is out of range."""
    if photons < 1:
        raise ValueError(f"at least one photon is needed, got {photons}")
    if not (0 <= int(key) < 2**64 and 0 <= int(first) < 2**63):
        raise ValueError(f"key and first history must be whole numbers from 0, got {key} and {first}")


def make_tally(images: np.ndarray, scalars: np.ndarray, photons: int, endings: np.ndarray | None = None) -> Tally:
    """A Tally of a run in N parts.

    Args:
        images: (N, CHANNELS, r, c) float64, the parts' images.
        scalars: (3 + M,) float64, summed over all parts.
    """
    scatter = images[:, COMPTON] + images[:, RAYLEIGH] + images[:, MULTIPLE]
    deviation = scatter.std(axis=0, ddof=1) * np.sqrt(len(images))
    image, scalars = images.sum(axis=0) / photons, scalars / photons
    return Tally(
        image[PRIMARY], image[COMPTON], image[RAYLEIGH], image[MULTIPLE], image[SCATTER_SQUARED], deviation / photons,
        float(scalars[EMITTED]), float(scalars[DETECTED]), float(scalars[ESCAPED]), scalars[DEPOSITED:], photons,
        endings,
    )


def _check_before_detector(camera: np.ndarray, grid: MaterialGrid, view: View) -> None:
    """Matter behind the detector would scatter photons that have already been detected."""
    used = np.argwhere(grid.density > 0)
    if used.size == 0:
        return
    low, high = used.min(axis=0) * grid.spacing_mm, (used.max(axis=0) + 1) * grid.spacing_mm
    corners = np.array([[(low, high)[(c >> a) & 1][a] for a in range(3)] for c in range(8)])
    behind = (corners @ camera[2, :3] + camera[2, 3]).max() - view.source_to_detector_mm
    if behind > 0:
        raise ValueError(f"the volume reaches {behind:.0f} mm behind the detector; crop it or move the detector away")
