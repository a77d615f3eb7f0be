#!/usr/bin/env python3
"""One patient under every physics, for docs/xray.md: renderers, exposures, scatter, the manipulator at full resolution.

    tools/run_in_workspace tools/pictures/physics.py            # all of them, a few minutes on two cores
    tools/run_in_workspace tools/pictures/physics.py exposures  # one of them

Research and simulation only, not a medical device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sheet import save, sheet

from cm_kinematics.geometry import load_geometry
from synthex_sim.carm.carm import CArm
from synthex_sim.carm.placement import supine_pose
from synthex_sim.carm.view import View
from synthex_sim.display import log_display
from synthex_sim.patient.source import load_patient
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene, Tool
from synthex_sim.xray.simulator import XraySimulator

REPOSITORY = Path(__file__).resolve().parents[2]
AIM = np.array([0.0, 0.0, 1120.0])
ROWS = 320


class Studio:
    """The patient on the table, the device, and what stands in the pictures."""

    def __init__(self, patient: str) -> None:
        self.carm = CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml")
        self.patient = load_patient(patient)
        self.pose = supine_pose(self.patient.reference_point(), AIM)

    def view(self, rows: int = ROWS, orbital_deg: float = 0.0, target: np.ndarray = AIM) -> View:
        """From 780 mm."""
        joints = self.carm.aim(target, 780.0, orbital_deg, 0.0)
        return self.carm.view(joints).resized(self.carm.image_shape(rows))

    def femoral_head(self) -> np.ndarray:
        """(3,) of the left one in the world."""
        return self.pose[:3, :3] @ self.patient.landmarks["FH-l"] + self.pose[:3, 3]

    def manipulator(self) -> Tool:
        """In the coronal plane, from the side, its tip in the left femoral head, bent by 50 degrees."""
        geometry = load_geometry(REPOSITORY / "config" / "cm" / "notched_27.yaml")
        angles = np.full(geometry.joint_count, np.radians(50.0) / geometry.joint_count)
        pose = np.eye(4)
        pose[:3, 1] = (0.6, 0.8, 0.0)
        pose[:3, 2] = (0.0, 0.0, 1.0)
        pose[:3, 0] = np.cross(pose[:3, 1], pose[:3, 2])
        tool = manipulator(geometry, angles, pose)
        pose[:3, 3] = self.femoral_head() - tool.tip_world
        return manipulator(geometry, angles, pose)

    def scene(self, tool: bool = False) -> Scene:
        """The patient, with the manipulator if wanted."""
        return Scene(self.patient, self.pose, (self.manipulator(),) if tool else ())

    def counts(self, scene: Scene, view: View, renderer: str = "realistic", mas: float = 0.5,
               physics: Physics | None = None):
        """(R, C) uint16 of one exposure."""
        simulator = XraySimulator(self.carm, renderer)
        return simulator.acquire(scene, view, Exposure(self.carm.tube.kvp, mas), physics, seed=1)[0].counts


def renderers(studio: Studio) -> np.ndarray:
    """Each physics, AP and 35 degrees oblique, without and with the manipulator; each picture in its own window."""
    pictures = []
    for angle, tool in ((0.0, False), (0.0, True), (35.0, True)):
        view = studio.view(orbital_deg=angle, target=studio.femoral_head() * 0.5 + AIM * 0.5)
        for name in ("naive", "heuristic", "realistic"):
            picture = log_display(studio.counts(studio.scene(tool), view, name), low=5.0)
            pictures.append((f"{name}  {angle:g} deg" + ("  manipulator" if tool else ""), picture))
    return sheet(pictures, columns=3)


def exposures(studio: Studio) -> np.ndarray:
    """Three exposures of the same view, all in one window."""
    view = studio.view(rows=512)
    window = slice(150, 150 + ROWS)
    images = {mas: studio.counts(studio.scene(), view, mas=mas)[window, window] for mas in (0.02, 0.2, 2.0)}
    pictures = zip(images, _one_window(list(images.values())), strict=True)
    return sheet([(f"{mas:g} mA s", picture) for mas, picture in pictures], 3)


def scatter(studio: Studio) -> np.ndarray:
    """None, by photon transport, by kernels, and by kernels behind the grid; all in one window, without noise."""
    view = studio.view()
    chosen = {
        "no scatter": Physics("none", grid=False, noise=False),
        "photon transport, no grid": Physics("monte_carlo", grid=False, noise=False),
        "kernels, no grid": Physics("kernel", grid=False, noise=False),
        "kernels, grid": Physics("kernel", grid=True, noise=False),
    }
    images = [studio.counts(studio.scene(), view, physics=physics) for physics in chosen.values()]
    return sheet(list(zip(chosen, _one_window(images), strict=True)), columns=4)


def slits(studio: Studio) -> np.ndarray:
    """The manipulator in the hip at the detector's own resolution: 480 of 1536 pixels each way."""
    view = studio.view(rows=1536, target=studio.femoral_head())
    window = (slice(528, 1008),) * 2
    pictures = [
        (name, log_display(studio.counts(studio.scene(True), view, name, mas=2.0)[window]))
        for name in ("heuristic", "realistic")
    ]
    return sheet(pictures, columns=2)


def _one_window(images: list[np.ndarray]) -> list[np.ndarray]:
    """Pictures of images in one window, percentiles of all of them together."""
    joined = log_display(np.concatenate(images), low=2.0)
    return np.split(joined, len(images))


PICTURES = {function.__name__: function for function in (renderers, exposures, scatter, slits)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", help=f"some of {', '.join(PICTURES)}; none: all")
    parser.add_argument("--patient", default="phantom:7")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images")
    options = parser.parse_args()
    if unknown := set(options.pictures) - set(PICTURES):
        parser.error(f"unknown picture {', '.join(sorted(unknown))}; known: {', '.join(PICTURES)}")
    studio = Studio(options.patient)
    for name in options.pictures or PICTURES:
        path = options.out / f"xray_{name}.png"
        save(path, PICTURES[name](studio), most_kb=450)
        print(path)


if __name__ == "__main__":
    main()
