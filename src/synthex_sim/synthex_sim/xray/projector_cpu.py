"""The CPU projector: one view of a scene -> area densities and label hits."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from synthex_sim.carm.view import View, rigid_inverse
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.march_cpu import march
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.tool_cpu import cast_tool
from synthex_sim.xray.volume_cpu import PreparedVolume, prepare_volume

#: The manipulator's slits are 0.33 mm wide: what every tool is resolved to.
_FINEST_DETAIL_MM = 0.33


class CpuProjector:
    """Casts rays on all CPU cores. Keeps the last few patients ready, so a volume is split into materials once."""

    name = "cpu"

    def __init__(self, kept_patients: int = 2) -> None:
        self._kept = kept_patients
        self._volumes: OrderedDict[int, tuple[Patient, PreparedVolume]] = OrderedDict()

    def project(self, scene: Scene, view: View) -> Projection:
        """Area densities and label hits of one view.

        Raises:
            ValueError: the source lies inside the patient's volume, or the volume is all air.
        """
        rows, cols = view.shape
        soft, bone = np.zeros((rows, cols), np.float32), np.zeros((rows, cols), np.float32)
        hits, right_first = np.zeros((rows, cols), np.uint8), np.zeros((rows, cols), np.uint8)
        volume = None if scene.patient is None else self.prepare(scene.patient)
        if volume is not None:
            self._march(volume, scene.patient_pose, view, soft, bone, hits, right_first)
        coverage = np.zeros((rows, cols), np.float32)
        tools = []
        for tool in scene.tools:
            pieces = tool.pieces.transformed(tool.pose)
            length, covered, lost_soft, lost_bone = cast_tool(pieces, view, volume, scene.patient_pose, _FINEST_DETAIL_MM)
            soft -= lost_soft
            bone -= lost_bone
            tools.append(length * np.float32(tool.material.density_g_cm3))
            coverage = np.maximum(coverage, covered)
        # displaced tissue is sampled off the march's planes: differences of some 1e-4 g/cm^2 must not turn negative
        np.maximum(soft, 0.0, out=soft)
        np.maximum(bone, 0.0, out=bone)
        return Projection(soft, bone, tuple(tools), hits, right_first.astype(bool), coverage)

    def prepare(self, patient: Patient) -> PreparedVolume:
        """The patient split into materials; kept for the next call."""
        key = id(patient)
        if key not in self._volumes:
            self._volumes[key] = (patient, prepare_volume(patient))
            while len(self._volumes) > self._kept:
                self._volumes.popitem(last=False)
        self._volumes.move_to_end(key)
        return self._volumes[key][1]

    @staticmethod
    def _march(volume, patient_pose, view, soft, bone, hits, right_first) -> None:
        index_from_world = np.linalg.inv(volume.affine) @ rigid_inverse(patient_pose)
        origin = index_from_world[:3, :3] @ view.source + index_from_world[:3, 3]
        if ((origin > 0) & (origin < np.array(volume.labels.shape) - 1)).all():
            raise ValueError("the X-ray source lies inside the patient's volume; move the C-arm away from the patient")
        directions = view.pixel_to_direction
        march(
            volume.density, volume.labels, origin, index_from_world[:3, :3] @ directions, directions,
            view.source_to_detector_mm, soft, bone, hits, right_first,
        )
