"""OperatingRoom: what stands where in a session, from joints and device shapes to scenes and views.

Frames: ``world`` (z up, on the floor), ``table`` (at the table top; x to the patient's head, y to the patient's right,
z up), ``ct_lps`` (the patient's own). Millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cm_kinematics.geometry import CmGeometry
from synthex_sim.carm.carm import CArm, CArmJoints
from synthex_sim.carm.placement import supine_pose
from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.scene import Scene


@dataclass(frozen=True, eq=False)
class OperatingRoom:
    """A patient on a table under a C-arm, with a manipulator.

    Attributes:
        carm: device profile.
        patient: the patient, or None.
        manipulator: geometry of the continuum manipulator.
        table_height_mm: of the table top over the floor.
        reference_height_mm: of the patient's reference point over the table top.
        image_shape: (rows, columns) of the images.
    """

    carm: CArm
    patient: Patient | None
    manipulator: CmGeometry
    table_height_mm: float
    reference_height_mm: float
    image_shape: tuple[int, int]

    @property
    def table_pose(self) -> np.ndarray:
        """(4, 4) table -> world."""
        pose = np.eye(4)
        pose[2, 3] = self.table_height_mm
        return pose

    @property
    def patient_in_table(self) -> np.ndarray:
        """(4, 4) ct_lps -> table; the identity without a patient."""
        if self.patient is None:
            return np.eye(4)
        return supine_pose(self.patient.reference_point(), (0.0, 0.0, self.reference_height_mm))

    def aim_point(self, offset_mm: tuple[float, float, float]) -> np.ndarray:
        """(3,) world: the patient's reference point moved by an offset given in the table frame."""
        return np.array([0.0, 0.0, self.table_height_mm + self.reference_height_mm]) + np.asarray(offset_mm)

    def view(self, joints: CArmJoints) -> View:
        """The view at these joints with the session's image size.

        Raises:
            ValueError: joints outside the limits, or an image size that does not fit the square pixels.
        """
        return self.carm.view(joints).resized(self.image_shape)

    def scene(self, shaft_in_table: np.ndarray | None, joint_angles: np.ndarray | None) -> Scene:
        """The scene with the manipulator at a pose and shape (None: without it).

        Args:
            shaft_in_table: (4, 4) shaft frame (segment 0) -> table.
            joint_angles: (n,) radians.
        """
        tools = ()
        if shaft_in_table is not None and joint_angles is not None:
            tools = (manipulator(self.manipulator, np.asarray(joint_angles), self.table_pose @ shaft_in_table),)
        return Scene(self.patient, self.table_pose @ self.patient_in_table, tools)
