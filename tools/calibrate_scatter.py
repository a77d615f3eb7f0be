#!/usr/bin/env python3
"""Calibrates the scatter kernels against the Monte Carlo: makes ``synthex_sim/xray/scatter_kernels.npz``.

Pencil beams of single energies hit slabs of water from above; how the photons leave at the bottom gives, for every
energy, thickness and air gap, the scattered energy per primary energy and how it spreads on the detector. Spread is
written as a sum of Gaussians of fixed widths (non-negative least squares on the enclosed energy), so that tables can be
interpolated and added up over a spectrum. Takes about twenty minutes on one core::

    nice -n 15 python tools/calibrate_scatter.py --photons 2000000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from synthex_sim.carm.view import View
from synthex_sim.xray.materials import WATER
from synthex_sim.xray.monte_carlo import MaterialGrid, make_problem, photon_transport
from synthex_sim.xray.monte_carlo.interactions import interaction_tables

ENERGIES_KEV = np.array([20.0, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 105, 125])
THICKNESSES_CM = np.array([1.0, 3, 6, 10, 14, 18, 22, 27, 33, 39, 45])
GAPS_MM = np.array([20.0, 60, 100, 150, 200, 260, 330, 410, 500])
SIGMAS_MM = np.array([8.0, 18, 36, 65, 105, 165, 260, 420])
#: Edges of the energy bins of scattered photons, as a share of the primary energy.
RATIO_EDGES = np.linspace(0.4, 1.0, 25)
#: Where the energies of scattered photons are looked at: in the middle of the gaps, on the area of a detector. What
#: passes by outside has lost more.
_ENERGY_GAP_MM, _ENERGY_RADIUS_MM = 260.0, 200.0
#: Slabs of more mean free paths let too little through to be worth a run; tables are continued from thinner ones.
MOST_FREE_PATHS = 9.0
_SLAB_MM = 1600.0
_RADII_MM = np.concatenate([[0.0], np.geomspace(3.0, 1500.0, 60)])


def pencil_beam(energy_kev: float, thickness_cm: float, photons: int, seed: int) -> tuple[np.ndarray, float]:
    """How photons of one energy leave a slab of water below a pencil beam.

    Returns:
        endings: (n, 7) float64 of the scattered photons that leave downwards: energy / primary energy, position x, y in
            mm from the beam, direction x, y, z, and the depth in mm from the slab's lower face at which they last were.
        transmitted: share of primary photons that pass the slab, exact.
    """
    height = 10.0 * thickness_cm
    grid = MaterialGrid(
        np.zeros((1, 1, 1), np.uint8), np.ones((1, 1, 1), np.float32), (WATER,),
        np.array([[_SLAB_MM, 0, 0, 0], [0, _SLAB_MM, 0, 0], [0, 0, height, 0], [0, 0, 0, 1.0]]),
    )
    # a needle of a field, far from the slab; the detector does not matter, endings are looked at instead
    view = View.from_krt(
        [[2000.0, 0, 0], [0, 2000.0, 0], [0, 0, 1]], np.eye(3), (0.0, 0.0, 1000.0 + height / 2), (1, 1), 1.0
    )
    tiny = (-1e-3, -1e-3, 1e-3, 1e-3)
    problem = make_problem(grid, view, [energy_kev], [1.0], pixels=(1, 1), field=tiny, forced=False)
    ends = photon_transport(problem, photons, seed, endings=True).endings.astype(np.float64)
    scattered = (ends[:, 0] > 0) & (ends[:, 2] > 0) & (ends[:, 8] > 0)
    ends = ends[scattered]
    mu = interaction_tables((WATER,)).total(0, np.array([energy_kev]))[0]
    middle = _SLAB_MM / 2
    out = np.column_stack([ends[:, 1] / energy_kev, ends[:, 3:5] - middle, ends[:, 6:9], height - ends[:, 5]])
    return out, float(np.exp(-mu * height))


def landing_radius(ends: np.ndarray, gap_mm: float) -> np.ndarray:
    """(n,) mm from the beam at which photons meet a plane ``gap_mm`` below the slab."""
    along = (gap_mm + ends[:, 6]) / ends[:, 5]
    return np.hypot(ends[:, 1] + along * ends[:, 3], ends[:, 2] + along * ends[:, 4])


def spread(ends: np.ndarray, gap_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the Gaussians for the energy that arrives at a detector behind a gap, relative to all that leaves.

    Returns:
        weights: (s,) of ``SIGMAS_MM``, not negative.
        enclosed: (r,) share of the energy within ``_RADII_MM``, which they were fitted to.
    """
    radius = landing_radius(ends, gap_mm)
    energy, _ = np.histogram(radius, _RADII_MM, weights=ends[:, 0])
    enclosed = np.cumsum(energy) / ends[:, 0].sum()
    model = 1.0 - np.exp(-0.5 * (_RADII_MM[1:, None] / SIGMAS_MM) ** 2)
    # what counts is energy per area: rings are weighted by the inverse of their radius
    rings, target = np.diff(model, axis=0, prepend=0.0), np.diff(enclosed, prepend=0.0)
    middle = 0.5 * (_RADII_MM[1:] + _RADII_MM[:-1])
    scale = 1.0 / np.maximum(middle, 20.0)
    weights, _ = nnls(rings * scale[:, None], target * scale)
    return weights, enclosed


def calibrate(photons: int, seed: int) -> dict[str, np.ndarray]:
    """All tables; see ``synthex_sim.xray.scatter``."""
    shape = (ENERGIES_KEV.size, THICKNESSES_CM.size)
    amount = np.full(shape, np.nan)
    ratios = np.full((*shape, RATIO_EDGES.size - 1), np.nan)
    weights = np.full((*shape, GAPS_MM.size, SIGMAS_MM.size), np.nan)
    for e, energy in enumerate(ENERGIES_KEV):
        mu_cm = 10.0 * interaction_tables((WATER,)).total(0, np.array([energy]))[0]
        for t, thickness in enumerate(THICKNESSES_CM):
            if mu_cm * thickness > MOST_FREE_PATHS:
                break
            more = int(photons * min(8.0, max(1.0, np.exp(0.5 * (mu_cm * thickness - 4.0)))))
            ends, transmitted = pencil_beam(energy, thickness, more, seed + 100 * e + t)
            amount[e, t] = ends[:, 0].sum() / more / transmitted
            near = ends[landing_radius(ends, _ENERGY_GAP_MM) < _ENERGY_RADIUS_MM, 0]
            energy_in_bin, _ = np.histogram(np.minimum(near, 1.0), RATIO_EDGES, weights=near)
            ratios[e, t] = energy_in_bin / energy_in_bin.sum()
            for g, gap in enumerate(GAPS_MM):
                weights[e, t, g] = spread(ends, gap)[0]
            print(
                f"{energy:5.0f} keV {thickness:5.1f} cm: {len(ends):8d} photons, scatter/primary {amount[e, t]:.3f}, "
                f"weights at {GAPS_MM[3]:.0f} mm {np.round(weights[e, t, 3], 3).tolist()}", flush=True
            )
        continue_thicker(e, t_known=int(np.isfinite(amount[e]).sum()), tables=(amount, ratios, weights))
    return {
        "energies_kev": ENERGIES_KEV, "thicknesses_cm": THICKNESSES_CM, "gaps_mm": GAPS_MM, "sigmas_mm": SIGMAS_MM,
        "energy_ratios": 0.5 * (RATIO_EDGES[1:] + RATIO_EDGES[:-1]), "amount": amount.astype(np.float32),
        "ratio_shares": ratios.astype(np.float32), "weights": weights.astype(np.float32),
    }


def continue_thicker(e: int, t_known: int, tables: tuple[np.ndarray, ...]) -> None:
    """Fills what was not run from the thickest slab that was; the amount goes on growing as it last did."""
    amount, ratios, weights = tables
    for t in range(t_known, THICKNESSES_CM.size):
        ratios[e, t], weights[e, t] = ratios[e, t_known - 1], weights[e, t_known - 1]
        slope = np.log(amount[e, t_known - 1] / amount[e, t_known - 2]) / (
            THICKNESSES_CM[t_known - 1] - THICKNESSES_CM[t_known - 2]
        )
        amount[e, t] = amount[e, t - 1] * np.exp(slope * (THICKNESSES_CM[t] - THICKNESSES_CM[t - 1]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photons", type=int, default=2_000_000, help="per slab and energy")
    parser.add_argument("--seed", type=int, default=1)
    package = Path(__file__).resolve().parents[1] / "src" / "synthex_sim" / "synthex_sim" / "xray"
    parser.add_argument("--out", type=Path, default=package / "scatter_kernels.npz")
    args = parser.parse_args()
    np.savez_compressed(args.out, **calibrate(args.photons, args.seed))
    print(f"{args.out}: {args.out.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
