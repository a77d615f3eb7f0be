#!/usr/bin/env python3
"""Chest radiographs of many thorax phantoms side by side in one intensity scale: the picture of docs/thorax.md.

    tools/run_in_workspace tools/pictures/thorax.py [--count 12] [--also PATIENT ...]

The first half of the persons are healthy, the others have lesions; those are shown once more with the outlines of the
projected lesions. Writes docs/images/thorax.png. The geometry is that of ``film_view``: 430 x 430 mm, AP.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from sheet import save, sheet

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.film import film_view
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.source import load_patient
from synthex_sim.patient.thorax import structures
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

REPOSITORY = Path(__file__).resolve().parents[2]
#: Line integrals of the window, dark to bright: the same for every picture.
WINDOW = (0.3, 5.6)
_PHYSICS = Physics(noise=False, grid=True)


def radiograph(simulator: XraySimulator, patient: Patient, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, rows) float32 line integrals, minus the logarithm of the transmission, and 0 or 1: where lesions lie."""
    view = film_view(patient.center, rows)
    image, annotation = simulator.acquire(Scene(patient, np.eye(4)), view, Exposure(90.0, 5.0), _PHYSICS, 1, 0)
    logarithm = -np.log(np.maximum(image.transmission, 1e-6)).astype(np.float32)
    return logarithm, (annotation.hits >> np.uint32(structures.LESION)) & 1


def shown(line_integrals: np.ndarray, window: tuple[float, float] = WINDOW) -> np.ndarray:
    """(R, C, 3) uint8, bone bright."""
    low, high = window
    grey = (255 * np.clip((line_integrals - low) / (high - low), 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def outlined(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(R, C, 3) uint8: the picture with the mask's outlines in yellow."""
    picture = picture.copy()
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, (255, 220, 0), 1)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="the first phantom's seed")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--spacing-mm", type=float, default=1.5)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--also", nargs="*", default=[], help="a CT: shown before the phantoms")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images" / "thorax.png")
    options = parser.parse_args()
    simulator = XraySimulator(CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml"))
    plain = []
    for path in options.also:
        plain.append((Path(path).name, shown(radiograph(simulator, load_patient(path), options.rows)[0])))
    marked = []
    for n in range(options.count):
        source = f"thorax:{options.first + n}?lesions={'no' if n < options.count // 2 else 'yes'}"
        line_integrals, mask = radiograph(simulator, load_patient(source), options.rows)
        plain.append((source, shown(line_integrals)))
        if mask.any():
            marked.append((f"{source}, outlined", outlined(shown(line_integrals), mask)))
    save(options.out, sheet(plain + marked, options.columns), most_kb=1500)


if __name__ == "__main__":
    main()
