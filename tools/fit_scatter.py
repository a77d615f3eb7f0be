#!/usr/bin/env python3
"""Fits what the scatter kernels know of patients (``PatientEffects``) to the Monte Carlo, and prints it.

Photon transport behind trunks of water and phantoms, from 530 to 860 mm and all around, is kept in a folder and read
again. What is least is the mean over the cases of the mean of abs(kernel / Monte Carlo - 1) in the body's shadow, found
by Nelder and Mead's method. None of the people whom ``compare_scatter.py`` lists as not fitted to is among them. Some
15 minutes on two cores::

    python tools/fit_scatter.py --kept runs/scatter
"""

from __future__ import annotations

import argparse
import pickle
from dataclasses import astuple
from pathlib import Path

import numpy as np
from compare_scatter import ROOT, Case, Reference, compare, simulate
from scipy.optimize import minimize

from synthex_sim.carm.carm import CArm
from synthex_sim.xray.scatter import FITTED, PatientEffects


def around(patient: str) -> list[Case]:
    """Views of one patient as a session's C-arm has them."""
    return [
        *(Case(patient, source_to_patient_mm=mm) for mm in (530.0, 620.0, 780.0)),
        *(Case(patient, orbital_deg=90, source_to_patient_mm=mm) for mm in (530.0, 620.0, 780.0)),
        *(Case(patient, orbital_deg=deg, source_to_patient_mm=mm) for deg, mm in ((30.0, 530.0), (-35.0, 700.0))),
        *(Case(patient, angular_deg=deg, source_to_patient_mm=mm) for deg, mm in ((40.0, 530.0), (-35.0, 700.0))),
    ]


def cases(patients: list[str]) -> list[Case]:
    """All that is fitted to."""
    first = patients[0]
    more = [Case(first, kvp=60), Case(first, kvp=120), Case(first, source_to_patient_mm=860.0)]
    trunks = [c for c in around("water:20x34") + around("water:28x42") if not c.angular_deg]
    return more + trunks + [case for patient in patients for case in around(patient)]


def references(wanted: list[Case], photons: int, folder: Path) -> list[Reference]:
    """Monte Carlo images, those of earlier runs from the folder."""
    carm = CArm.from_yaml(ROOT / "config" / "carm" / "cios_fusion.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, case in enumerate(wanted):
        path = folder / f"{case.name}_{photons}.pickle"
        if not path.exists():
            path.write_bytes(pickle.dumps(simulate(case, carm, photons, 180, seed=number + 1)))
        found.append(pickle.loads(path.read_bytes()))
        print(f"{case.name:48s} {compare(found[-1]).line()}", flush=True)
    return found


def mean_error(reference: Reference, patient: PatientEffects) -> float:
    """Mean of abs(kernel / Monte Carlo - 1) in the shadow."""
    result = compare(reference, patient)
    return float(np.abs(result.error[result.shadow]).mean())


def fit(found: list[Reference]) -> PatientEffects:
    """Least mean error over all cases, from the present numbers on."""
    scale = np.array(astuple(FITTED))

    def cost(relative: np.ndarray) -> float:
        if (relative < 0).any():
            return 1e3
        return float(np.mean([mean_error(r, PatientEffects(*(relative * scale))) for r in found]))

    best = minimize(cost, np.ones(scale.size), method="Nelder-Mead",
                    options={"xatol": 5e-3, "fatol": 2e-5, "maxfev": 400, "initial_simplex": _simplex(scale.size)})
    print(f"mean error {cost(np.ones(scale.size)):.4f} before, {best.fun:.4f} after {best.nfev} trials")
    return PatientEffects(*(float(value) for value in best.x * scale))


def _simplex(numbers: int) -> np.ndarray:
    """Each number a fifth more than it is."""
    return np.vstack([np.ones(numbers), np.ones((numbers, numbers)) + 0.2 * np.eye(numbers)])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", nargs="+", default=["phantom:7", "phantom:1", "phantom:9"])
    parser.add_argument("--photons", type=int, default=1_500_000)
    parser.add_argument("--kept", type=Path, default=ROOT / "runs" / "scatter", help="folder for Monte Carlo images")
    args = parser.parse_args()
    found = references(cases(args.patients), args.photons, args.kept)
    fitted = fit(found)
    print(fitted)
    for case, reference in zip(cases(args.patients), found, strict=True):
        print(f"{case.name:48s} {compare(reference, fitted).line()}")


if __name__ == "__main__":
    main()
