"""Scene: what the beam passes through. A patient, further volumes and tools, each with its own pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cm_kinematics.solid import TubePieces
from synthex_sim.carm.view_checks import checked_rigid
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.materials import Material


@dataclass(frozen=True, eq=False)
class Tool:
    """A tool in the scene; it replaces the tissue that it displaces.

    Attributes:
        pieces: the solid in the tool's own frame, millimetres.
        pose: (4, 4) tool frame -> world, rigid, millimetres.
        base: (3,) where its labelled part begins, on the centreline, tool frame millimetres.
        tip: (3,) where it ends.
        material: what it is made of.

    Raises:
        ValueError: the pose is not rigid.
    """

    pieces: TubePieces
    pose: np.ndarray
    base: np.ndarray
    tip: np.ndarray
    material: Material

    def __post_init__(self) -> None:
        object.__setattr__(self, "pose", checked_rigid(self.pose, "the tool's pose"))

    @property
    def base_world(self) -> np.ndarray:
        """(3,) world millimetres."""
        return self.pose[:3, :3] @ self.base + self.pose[:3, 3]

    @property
    def tip_world(self) -> np.ndarray:
        """(3,) world millimetres."""
        return self.pose[:3, :3] @ self.tip + self.pose[:3, 3]


@dataclass(frozen=True, eq=False)
class Overlay:
    """A further volume, such as a femur with a pose of its own.

    Where it is not empty it replaces what lies below, tissue and labels.

    Attributes:
        volume: voxels, labels and landmarks; air (up to ``decomposition.EMPTY_UP_TO_HU``) means empty.
        pose: (4, 4) the volume's LPS -> world, rigid, millimetres.

    Raises:
        ValueError: the pose is not rigid.
    """

    volume: Patient
    pose: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "pose", checked_rigid(self.pose, "the overlay's pose"))


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything in the beam. What comes later replaces what came before: patient, overlays in order, tools in order.

    Attributes:
        patient: the patient, or None for an empty room.
        patient_pose: (4, 4) patient LPS -> world, rigid, millimetres.
        tools: the tools.
        overlays: further volumes.

    Raises:
        ValueError: the patient's pose is not rigid.
    """

    patient: Patient | None
    patient_pose: np.ndarray = field(default_factory=lambda: np.eye(4))
    tools: tuple[Tool, ...] = ()
    overlays: tuple[Overlay, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "patient_pose", checked_rigid(self.patient_pose, "the patient's pose"))

    @property
    def volumes(self) -> tuple[tuple[Patient, np.ndarray], ...]:
        """(volume, pose) of all volumes, bottom first."""
        bottom = () if self.patient is None else ((self.patient, self.patient_pose),)
        return bottom + tuple((overlay.volume, overlay.pose) for overlay in self.overlays)
