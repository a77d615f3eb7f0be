"""What a task is: which scenes to sample, which labels, which image size. A new task is one new file beside this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene


@dataclass(frozen=True, eq=False)
class DrawnScene:
    """One sample before it is rendered.

    Attributes:
        scene, view, exposure: what to render; the world is the patient's LPS frame.
        patient: index of the patient in the task's list.
        source_to_isocenter_mm: from the source to the patient's reference point.
        physics: what the image shows.
    """

    scene: Scene
    view: View
    exposure: Exposure
    patient: int
    source_to_isocenter_mm: float
    physics: Physics = Physics()


class Task(Protocol):
    """A sampling distribution with its labels. Sample i depends only on (config, seed, i)."""

    name: str
    config: dict[str, Any]
    image_shape: tuple[int, int]
    label_names: tuple[str, ...]
    landmark_names: tuple[str, ...]
    patient_names: tuple[str, ...]

    def split_of(self, patient: int) -> str:
        """Name of the split that a patient belongs to."""

    def patient_of(self, index: int, count: int) -> int:
        """Which patient sample ``index`` of ``count`` shows."""

    def load_patient(self, patient: int, seed: int) -> Patient:
        """Makes or loads a patient."""

    def draw(self, patient: Patient, number: int, seed: int, index: int) -> DrawnScene:
        """Draws sample ``index`` of the patient with this number."""
