#!/usr/bin/env python3
"""Do AP radiographs of phantoms have the greys and the contrast of those rendered from real anatomy?

    tools/run_in_workspace tools/benchmarks/radiograph_statistics.py --real PATIENT[,LABELS,SCHEME] ... [--count 24]

For each patient, in the AP view on film (``synthex_sim.carm.film``), in line integrals (minus the logarithm of the
transmission, scatter behind the grid included):

* ``thickness``: median over the pelvis, that is the box around both hemipelves' mask.
* ``spread``: 95th minus 5th percentile there.
* ``hip``, ``sacrum``: median just inside (1 to 4 mm) the bone's outline minus median just outside (1 to 4 mm).
* ``texture``: standard deviation of what varies over less than 3 mm within the hip bones' masks.
* ``distance``: from the histogram of the pelvis to the nearest real one, both shifted to their medians: the first
  Wasserstein distance, in line integrals.

Prints a table, and how many phantoms lie between the least and the greatest real value.
"""

from __future__ import annotations

import argparse
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage, stats

from synthex_sim import anatomy
from synthex_sim.annotation.annotation import annotate
from synthex_sim.carm.carm import CArm
from synthex_sim.carm.film import SIDE_MM, film_view
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.source import load_patient
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

REPOSITORY = Path(__file__).resolve().parents[2]
_ROWS = 512
_BONES = sum(1 << label for label in anatomy.BONE_LABELS)
_HIPS = (1 << anatomy.LEFT_HEMIPELVIS) | (1 << anatomy.RIGHT_HEMIPELVIS)


@dataclass(frozen=True)
class Greys:
    """What the table shows of one radiograph, all in line integrals."""

    thickness: float
    spread: float
    hip: float
    sacrum: float
    texture: float


def measure(simulator: XraySimulator, patient: Patient) -> tuple[Greys, np.ndarray]:
    """The greys of one patient, and the line integrals of the pelvis about their median."""
    view = film_view(patient.reference_point() + (0.0, 0.0, 25.0), _ROWS)
    scene = Scene(patient, np.eye(4))
    images, projection = simulator.render(scene, [view], Exposure(80.0, 20.0), Physics(noise=False), 1)
    values = -np.log(np.maximum(images[0].transmission, 1e-6))
    hits = annotate(scene, view, projection).hits
    hips = (hits & _HIPS) != 0
    pelvis = values[ndimage.find_objects(hips.astype(int))[0]]
    fine = values - ndimage.gaussian_filter(values, 3.0 * _ROWS / SIDE_MM)
    low, high = np.percentile(pelvis, (5, 95))
    greys = Greys(
        float(np.median(pelvis)),
        float(high - low),
        _step(values, hits, _HIPS),
        _step(values, hits, 1 << anatomy.UPPER_SACRUM),
        float(fine[ndimage.binary_erosion(hips, iterations=4)].std()),
    )
    return greys, pelvis.ravel() - np.median(pelvis)


def _step(values: np.ndarray, hits: np.ndarray, bits: int) -> float:
    """How much brighter a bone is inside of its outline than outside, where no other bone lies."""
    bone, other = (hits & bits) != 0, (hits & (_BONES & ~bits)) != 0
    pixel = SIDE_MM / _ROWS
    inside, outside = ndimage.distance_transform_edt(bone) * pixel, ndimage.distance_transform_edt(~bone) * pixel
    free = ~ndimage.binary_dilation(other, iterations=4)
    return float(
        np.median(values[free & (inside > 1) & (inside < 4)]) - np.median(values[free & (outside > 1) & (outside < 4)])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", nargs="+", required=True, help="PATIENT[,LABELS,SCHEME]")
    parser.add_argument("--first", type=int, default=0, help="the first phantom's seed")
    parser.add_argument("--count", type=int, default=24)
    options = parser.parse_args()
    simulator = XraySimulator(CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml"))
    real, phantoms, shapes = [], [], []
    print(f"{'patient':24s}thickness   spread      hip   sacrum  texture distance")
    for number, source in enumerate([*options.real, *(f"phantom:{options.first + n}" for n in range(options.count))]):
        path, labels, scheme = (source.split(",") + ["", ""])[:3]
        greys, histogram = measure(simulator, load_patient(path, labels, scheme, str(REPOSITORY / "config" / "labels")))
        row = astuple(greys)
        is_real = number < len(options.real)
        distance = min((stats.wasserstein_distance(histogram, other) for other in shapes), default=0.0)
        if is_real:
            shapes.append(histogram)
        (real if is_real else phantoms).append((*row, distance))
        figures = "".join(f"{value:9.3f}" for value in (*row, distance))
        print(f"{Path(path).name[:24]:24s}{figures}")
    columns = np.array(phantoms)
    low, high = np.min(real, axis=0), np.max(real, axis=0)
    within = ((columns >= low) & (columns <= high)).mean(axis=0)
    print("median of the phantoms  ", np.round(np.median(columns, axis=0), 3))
    print("real, least and greatest", np.round(low, 3), np.round(high, 3))
    print("share within these      ", np.round(within, 2))


if __name__ == "__main__":
    main()
