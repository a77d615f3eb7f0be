#!/usr/bin/env python3
"""AP radiographs of many patients side by side in one intensity scale: the picture of docs/phantoms.md.

    tools/run_in_workspace tools/pictures/population.py --count 24 [--also PATIENT ...]

Writes docs/images/population.png. The geometry is that of a pelvis on film (``synthex_sim.carm.film``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage
from sheet import save, sheet

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.film import SIDE_MM, film_view
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.source import load_patient
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

REPOSITORY = Path(__file__).resolve().parents[2]
#: The picture is aimed so much above the middle of GSN and SPS, at the middle of the hip bones.
_ABOVE_MM = 25.0
_PHYSICS = Physics(noise=False, grid=True)
#: Dynamic range compression as on film displays: this share of what varies over more than so many mm is taken out.
_COMPRESSION, _COARSE_MM = 0.6, 20.0
#: What is left of the line integrals, dark to bright: the same for every picture.
_WINDOW = (0.4, 2.4)


def radiograph(simulator: XraySimulator, patient: Patient, rows: int) -> np.ndarray:
    """(rows, rows) float32 line integrals, minus the logarithm of the transmission."""
    view = film_view(patient.reference_point() + (0.0, 0.0, _ABOVE_MM), rows)
    image, _ = simulator.acquire(Scene(patient, np.eye(4)), view, Exposure(80.0, 20.0), _PHYSICS, 1, 0)
    return -np.log(np.maximum(image.transmission, 1e-6)).astype(np.float32)


def shown(line_integrals: np.ndarray) -> np.ndarray:
    """(R, C) uint8, bone bright; the same line integrals always give the same grey."""
    coarse = ndimage.gaussian_filter(line_integrals, _COARSE_MM * len(line_integrals) / SIDE_MM)
    low, high = _WINDOW
    return (255 * np.clip((line_integrals - _COMPRESSION * coarse - low) / (high - low), 0, 1)).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="the first phantom's seed")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--spacing-mm", type=float, default=1.5)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--also", nargs="*", default=[], help="PATIENT[,LABELS,SCHEME]: shown before the phantoms")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images" / "population.png")
    options = parser.parse_args()
    simulator = XraySimulator(CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml"))
    pictures = []
    for source in [*options.also, *(f"phantom:{options.first + n}" for n in range(options.count))]:
        path, labels, scheme = (source.split(",") + ["", ""])[:3]
        patient = load_patient(path, labels, scheme, str(REPOSITORY / "config" / "labels"))
        pictures.append((Path(path).name, shown(radiograph(simulator, patient, options.rows))))
    save(options.out, sheet(pictures, options.columns), most_kb=600)


if __name__ == "__main__":
    main()
