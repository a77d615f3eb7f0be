"""Ours, under the same interface as the peers: the bare line integral, and whole exposures with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from geometry import Shot
from volume_files import VolumeFiles

from cm_kinematics.geometry import load_geometry
from cm_kinematics.joint_spline import joint_angles
from synthex_sim.carm.carm import CArm
from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import WaterEquivalent
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene, Tool
from synthex_sim.xray.simulator import PROJECTORS, XraySimulator

REPOSITORY = Path(__file__).resolve().parents[2]


def view_of(shot: Shot) -> View:
    """The same exposure as a ``View`` of a world that is the patient's LPS frame.

    The camera looks from the source, so its x axis runs against the columns.
    """
    rows, columns = shot.shape
    focal = shot.source_to_detector_mm / shot.pixel_mm
    intrinsics = np.array([[-focal, 0.0, (columns - 1) / 2], [0.0, focal, (rows - 1) / 2], [0.0, 0.0, 1.0]])
    rotation = np.stack([-shot.column_step / shot.pixel_mm, shot.row_step / shot.pixel_mm, shot.normal])
    return View.from_krt(intrinsics, rotation, -rotation @ shot.source, shot.shape, shot.pixel_mm)


class LineIntegrals:
    """A projector alone: one material, no labels, no tool.

    Args:
        projector: its name.

    Raises:
        ValueError: there is no such projector.
    """

    def __init__(self, projector: str = "cpu") -> None:
        if projector not in PROJECTORS:
            raise ValueError(f"unknown projector '{projector}'; known: {', '.join(sorted(PROJECTORS))}")
        self._projector = PROJECTORS[projector]()
        self._water = WaterEquivalent()

    def load(self, volume: VolumeFiles) -> None:
        """Makes the volume ready; rendering does not."""
        self._scene = Scene(Patient("benchmark", volume.hu, volume.affine))
        self._projector.prepare(self._scene.patient, self._water)

    def aim(self, shot: Shot) -> None:
        """Makes the view."""
        self._view = view_of(shot)

    def render(self) -> np.ndarray:
        """(R, C) float32, g/cm^3 mm."""
        areas = self._projector.project(self._scene, (self._view,), self._water, labels=False).areas[0, 0]
        return 10.0 * (areas.get() if hasattr(areas, "get") else areas)


class Exposures:
    """One exposure after the other as a session makes them: picture with everything its physics knows, and all labels.

    Args:
        physics: name of a renderer.
        tool: whether the manipulator is in the picture.
        projector: name of a projector.
    """

    def __init__(self, physics: str, tool: bool, projector: str) -> None:
        carm = CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml")
        self._simulator = XraySimulator(carm, physics, projector)
        self._tools = (manipulator_in_the_picture(),) if tool else ()
        self._sample = 0

    def load(self, volume: VolumeFiles) -> None:
        """Makes patient and scene."""
        self._scene = Scene(Patient("benchmark", volume.hu, volume.affine, volume.labels), tools=self._tools)

    def aim(self, shot: Shot) -> None:
        """Makes the view."""
        self._view = view_of(shot)

    def render(self) -> np.ndarray:
        """(R, C) uint16 counts. Each frame has noise of its own."""
        self._sample += 1
        radiograph, _ = self._simulator.acquire(
            self._scene, self._view, Exposure(90.0, 0.5), Physics(), seed=1, sample=self._sample)
        return radiograph.counts


def manipulator_in_the_picture() -> Tool:
    """The manipulator, bent, from the patient's left front towards the middle of the picture; its y axis is its own."""
    geometry = load_geometry(REPOSITORY / "config" / "cm" / "notched_27.yaml")
    along = np.array([-0.80, 0.30, 0.52])
    along /= np.linalg.norm(along)
    across = np.cross(along, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    pose = np.eye(4)
    pose[:3] = np.stack([across, along, np.cross(across, along), -55.0 * along], axis=1)
    return manipulator(geometry, joint_angles(np.full(5, 1.5), geometry.joint_count), pose)
