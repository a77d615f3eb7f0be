"""The manipulator's radiograph without a patient, from its true geometry: what the tests of its trace share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cm_kinematics.geometry import load_geometry
from cm_kinematics.kinematics import base_point, tip_point
from synthex_perception.inference.tube_profile import DeviceSize
from synthex_sim.carm.view import View
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.tissue_cpu import tissue_of
from synthex_sim.xray.tool_cpu import cast_tools

GEOMETRY = load_geometry(Path(__file__).resolve().parents[3] / "config" / "cm" / "notched_27.yaml")
SIZE = DeviceSize()
FOCAL_PX = 1020 / (0.194 * 6)
K = np.array([[-FOCAL_PX, 0, 127.5], [0, FOCAL_PX, 127.5], [0, 0, 1.0]])


@dataclass(frozen=True)
class SeenDevice:
    """An image of the device, (256, 256) float32 attenuation, and what is true in it (pixels, mm)."""

    attenuation: np.ndarray
    mask: np.ndarray
    base_px: np.ndarray
    tip_px: np.ndarray
    base_mm: np.ndarray
    tip_mm: np.ndarray


def see(
    tilt_deg: float = 0.0, bend_rad: float = 0.0, depth_mm: float = 760.0, turn_deg: float = 30.0, noise: float = 0.03,
    middle_mm: tuple[float, float] = (0.0, 0.0), roll_deg: float = 0.0, seed: int = 0,
) -> SeenDevice:
    """The device with the middle of its notched body at a depth, over tissue that thins to one side."""
    angles = np.full(GEOMETRY.joint_count, bend_rad / GEOMETRY.joint_count)
    turn = Rotation.from_euler("xz", [tilt_deg, turn_deg], degrees=True)
    pose = np.eye(4)
    pose[:3, :3] = (turn * Rotation.from_euler("y", roll_deg, degrees=True)).as_matrix()
    ends = np.stack([base_point(GEOMETRY), tip_point(GEOMETRY, angles)])
    pose[:3, 3] = np.array([*middle_mm, depth_mm]) - pose[:3, :3] @ ends.mean(axis=0)
    view = View(K, np.eye(4), (256, 256), 0.194 * 6)
    (length_cm,), coverage, _ = cast_tools((manipulator(GEOMETRY, angles, pose),), view, tissue_of([], []), 0)
    tissue = 4.0 - 0.008 * np.arange(256)[None, :]
    image = tissue + 2.0 * length_cm + np.random.default_rng(seed).normal(0, noise, (256, 256))
    ends = ends @ pose[:3, :3].T + pose[:3, 3]
    pixels = view.project(ends)[0]
    return SeenDevice(image.astype(np.float32), coverage > 0.5, pixels[0], pixels[1], ends[0], ends[1])
