"""The ``session`` task: the continuum manipulator in the hip under standard and oblique views."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cm_kinematics.geometry import CmGeometry
from cm_kinematics.joint_spline import CONTROL_COUNT, joint_angles
from cm_kinematics.kinematics import tip_point
from synthex_sim import anatomy
from synthex_sim.carm.carm import CArm
from synthex_sim.carm.placement import SUPINE, supine_pose
from synthex_sim.carm.view import View, rigid_inverse
from synthex_sim.dataset.tasks.task import DrawnScene
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import cached_phantom
from synthex_sim.patient.truncation import truncated
from synthex_sim.random_streams import Purpose, stream
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene, Tool

#: Where the patient's reference point lies in the world; any height within the column's reach gives the same pictures.
_AT_WORLD = np.array([0.0, 0.0, 1120.0])


class SessionTask:
    """Scenes as the live session shows them, and well around them."""

    name = "session"
    label_names = anatomy.LABEL_NAMES
    landmark_names = anatomy.SESSION_LANDMARKS

    def __init__(
        self, config: dict[str, Any], carm: CArm, geometry: CmGeometry, patient: Patient | None = None
    ) -> None:
        """Takes the content of ``config/tasks/session.yaml``, a device profile and a manipulator.

        Args:
            patient: the one patient to image instead of phantoms; its images are for validation only.

        Raises:
            ValueError: a key is missing, or there are no patients for one of the splits.
        """
        devices = {"carm": asdict(carm), "manipulator_device": asdict(geometry)}
        given = {} if patient is None else {"given_patient": patient.digest()}
        # through JSON, so that what is compared with an earlier order is what a file holds
        self.config = json.loads(json.dumps(config | devices | given))
        self._given = patient
        self._carm = carm
        self._geometry = geometry
        try:
            size = int(config["image_size"])
            self._patients = config["patients"]
            self._view = config["view"]
            self._tool = config["manipulator"]
            self._exposure = config["exposure"]
            self._physics = config["physics"]
            first = int(self._patients["phantom_seed_first"])
            self._train, valid = int(self._patients["train"]), int(self._patients["valid"])
            self._empty, self._no_patient = float(config["empty_probability"]), float(config["no_patient_probability"])
        except KeyError as error:
            raise ValueError(f"the session task's configuration misses the key {error}") from error
        if self._train < 1 or valid < 1:
            raise ValueError("the session task needs at least one patient each for train and valid")
        self.image_shape = carm.image_shape(size)
        self._seeds = tuple(range(first, first + self._train + valid))
        self.patient_names = tuple(f"phantom:{seed}" for seed in self._seeds)
        if patient is not None:
            self.patient_names = (patient.name,)

    def split_of(self, patient: int) -> str:
        """train or valid."""
        return "train" if self._given is None and patient < self._train else "valid"

    def patient_of(self, index: int, count: int) -> int:
        """Patients take turns in blocks, so that each is made once."""
        return index * len(self.patient_names) // count

    def load_patient(self, patient: int, seed: int) -> Patient:
        """The phantom of this number, cut off above or below the pelvis with some probability; or the given patient."""
        if self._given is not None:
            return self._given
        phantom = cached_phantom(self._seeds[patient])
        rng = stream(seed, patient, Purpose.ANATOMY)
        if rng.random() >= self._patients["truncated_probability"]:
            return phantom
        keep_mm, below = rng.uniform(*self._patients["truncated_to_mm"]), bool(rng.random() < 0.7)
        return truncated(phantom, keep_mm=keep_mm, below=below)

    def draw(self, patient: Patient, number: int, seed: int, index: int) -> DrawnScene:
        """Draws sample ``index``; the world of what comes back is the patient's LPS frame."""
        choice = stream(seed, index, Purpose.SCENE_CHOICE)
        emptiness, has_tool = choice.random(), choice.random() < self._tool["probability"]
        pose = self._patient_pose(patient, stream(seed, index, Purpose.ANATOMY))
        view, distance = self._draw_view(stream(seed, index, Purpose.VIEW))
        view = view.with_world(rigid_inverse(pose))
        shown: Patient | None = patient
        if emptiness < self._empty:
            shown, has_tool = None, False
        elif emptiness < self._empty + self._no_patient:
            shown, has_tool = None, True
        tools = (self._draw_tool(patient, seed, index),) if has_tool else ()
        return DrawnScene(
            scene=Scene(shown, np.eye(4), tools),
            view=view,
            exposure=self._draw_exposure(stream(seed, index, Purpose.EXPOSURE)),
            physics=self._draw_physics(stream(seed, index, Purpose.PHYSICS)),
            patient=number,
            source_to_isocenter_mm=distance,
        )

    def _patient_pose(self, patient: Patient, rng: np.random.Generator) -> np.ndarray:
        tilt = math.radians(rng.normal(0.0, self._patients["tilt_sd_deg"])) * _unit_vector(rng)
        return supine_pose(patient.reference_point(), _AT_WORLD, tilt)

    def _draw_view(self, rng: np.random.Generator) -> tuple[View, float]:
        """The view in the world of the supine patient, and its distance from the source to the aim."""
        config = self._view
        near_ap = rng.random() < config["near_ap_probability"]
        uniform = rng.uniform(*config["orbital_deg"]), rng.uniform(*config["angular_deg"])
        normal = np.clip(rng.normal(0.0, config["near_ap_sd_deg"], 2), -38.0, 38.0)
        orbital, angular = normal if near_ap else uniform
        offset = SUPINE @ (rng.uniform(-1.0, 1.0, 3) * np.asarray(config["target_offset_mm"]))
        distance = rng.uniform(*config["source_to_target_mm"])
        joints = self._carm.aim(_AT_WORLD + offset, distance, float(orbital), float(angular))
        joints = replace(joints, wig_wag_deg=float(rng.uniform(*config["wig_wag_deg"])))
        return self._carm.view(joints).resized(self.image_shape), float(distance)

    def _draw_tool(self, patient: Patient, seed: int, index: int) -> Tool:
        """A manipulator whose tip lies near the hip; in the patient's LPS frame."""
        angles = self._draw_shape(stream(seed, index, Purpose.MANIPULATOR_SHAPE))
        rng = stream(seed, index, Purpose.MANIPULATOR_POSE)
        heads = [n for n in ("FH-l", "FH-r") if n in patient.landmarks]
        others = [n for n in patient.landmarks if n not in heads]
        names = heads if rng.random() < self._tool["at_femoral_head_probability"] else others
        near = patient.landmarks[names[rng.integers(len(names))]] if names else patient.reference_point()
        tip = near + rng.normal(0.0, self._tool["tip_sd_mm"], 3)
        azimuth = rng.uniform(0.0, 2 * np.pi)
        elevation = math.radians(rng.normal(0.0, self._tool["out_of_plane_sd_deg"]))
        axis = np.array(
            [math.cos(azimuth) * math.cos(elevation), math.sin(elevation), math.sin(azimuth) * math.cos(elevation)]
        )
        rotation = Rotation.align_vectors([axis], [[0.0, 1.0, 0.0]])[0]
        rotation = rotation * Rotation.from_euler("y", rng.uniform(0.0, 2 * np.pi))
        tip_local = tip_point(self._geometry, angles)
        tool_pose = np.eye(4)
        tool_pose[:3, :3] = rotation.as_matrix()
        tool_pose[:3, 3] = tip - tool_pose[:3, :3] @ tip_local
        return manipulator(self._geometry, angles, tool_pose)

    def _draw_shape(self, rng: np.random.Generator) -> np.ndarray:
        """(n,) joint angles in radians, within the bend at which the slits close."""
        limit = self._geometry.bend_limit_rad
        count = self._geometry.joint_count
        if rng.random() < self._tool["constant_curvature_probability"]:
            return np.full(count, rng.uniform(-limit, limit) / count)
        while True:
            angles = joint_angles(rng.normal(0.0, self._tool["control_angle_sd_deg"], CONTROL_COUNT), count)
            if abs(angles.sum()) <= limit:
                return angles

    def _draw_exposure(self, rng: np.random.Generator) -> Exposure:
        low, high = self._exposure["mas"]
        return Exposure(
            kvp=float(np.rint(rng.uniform(*self._exposure["kvp"]))),
            mas=float(np.exp(rng.uniform(math.log(low), math.log(high)))),
        )

    def _draw_physics(self, rng: np.random.Generator) -> Physics:
        grid, scatter = rng.random(2)
        return Physics(
            scatter="kernel" if scatter < self._physics["scatter_probability"] else "none",
            grid=bool(grid < self._physics["grid_probability"]),
        )


def _unit_vector(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)
