#!/usr/bin/env python3
"""The standard views of the pelvis, imaged by each device profile that can take them: the picture of docs/carm.md.

    tools/run_in_workspace tools/pictures/standard_views.py

Writes docs/images/standard_views.png. Judet views are aimed at the hip they are named after, the others at the middle
of the pelvis.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sheet import save, sheet

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.placement import supine_pose
from synthex_sim.carm.standard_views import STANDARD_VIEWS, standard_joints
from synthex_sim.carm.view import View
from synthex_sim.display import log_display
from synthex_sim.patient.source import load_patient
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

REPOSITORY = Path(__file__).resolve().parents[2]
AIM = np.array([0.0, 0.0, 1120.0])
#: Without noise: the PNG stays small.
PHYSICS = Physics(noise=False)


def views(carm: CArm, scene: Scene, distance_mm: float, rows: int) -> dict[str, View]:
    """Every standard view that the device can take."""
    taken = {}
    for name in STANDARD_VIEWS:
        side = {"left": "FH-l", "right": "FH-r"}.get(name.rsplit("_", 1)[-1])
        target = AIM
        if side:
            target = scene.patient_pose[:3, :3] @ scene.patient.landmarks[side] + scene.patient_pose[:3, 3]
        try:
            joints = standard_joints(carm, name, target, distance_mm)
        except ValueError as error:
            print(error)
            continue
        title = f"{name}  {joints.orbital_deg:g} / {joints.angular_deg:g}"
        taken[title] = carm.view(joints).resized(carm.image_shape(rows))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patient", default="phantom:7")
    parser.add_argument("--device", type=Path, default=REPOSITORY / "config" / "carm" / "cios_fusion.yaml")
    parser.add_argument("--distance-mm", type=float, default=780.0, help="from the source to the aim")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images" / "standard_views.png")
    options = parser.parse_args()
    carm = CArm.from_yaml(options.device)
    patient = load_patient(options.patient)
    scene = Scene(patient, supine_pose(patient.reference_point(), AIM))
    simulator = XraySimulator(carm)
    exposure = Exposure(carm.tube.kvp, carm.mas)
    pictures = []
    for sample, (name, view) in enumerate(views(carm, scene, options.distance_mm, options.rows).items()):
        radiograph, _ = simulator.acquire(scene, view, exposure, PHYSICS, 1, sample)
        # the air beside the patient fills a quarter of a view aimed at one hip: windowed without it
        pictures.append((name, log_display(radiograph.counts, low=20.0 if "oblique" in name else 3.0)))
    save(options.out, sheet(pictures, columns=4))
    print(f"{len(pictures)} views of {patient.name} by {carm.name}: {options.out}")


if __name__ == "__main__":
    main()
