"""Scene: what the beam passes through. A patient and tools, each with its own pose and material."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from cm_kinematics.solid import TubePieces

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
    """

    pieces: TubePieces
    pose: np.ndarray
    base: np.ndarray
    tip: np.ndarray
    material: Material

    @property
    def base_world(self) -> np.ndarray:
        """(3,) world millimetres."""
        return self.pose[:3, :3] @ self.base + self.pose[:3, 3]

    @property
    def tip_world(self) -> np.ndarray:
        """(3,) world millimetres."""
        return self.pose[:3, :3] @ self.tip + self.pose[:3, 3]


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything in the beam.

    Attributes:
        patient: the patient, or None for an empty room.
        patient_pose: (4, 4) patient LPS -> world, rigid, millimetres.
        tools: the tools.
    """

    patient: Patient | None
    patient_pose: np.ndarray = field(default_factory=lambda: np.eye(4))
    tools: tuple[Tool, ...] = ()
