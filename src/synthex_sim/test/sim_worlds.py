"""Small worlds for the tests: volumes made of boxes and balls, and where to aim at them."""

from pathlib import Path

import numpy as np

from synthex_sim.carm.placement import supine_pose
from synthex_sim.patient.patient import Patient

CONFIG = Path(__file__).resolve().parents[3] / "config"
AIM = np.array([0.0, 0.0, 1120.0])


def water_box(size: int = 60, spacing: float = 4.0, **landmarks) -> Patient:
    """A cube of water, side ``size * spacing`` mm, centred on the LPS origin, in a margin of air."""
    hu = np.full((size + 10,) * 3, -1000, np.int16)
    hu[5:-5, 5:-5, 5:-5] = 0
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (size + 9) / 2
    return Patient("box", hu, affine, None, landmarks)


def paint_ball(patient: Patient, center_mm, radius_mm: float, hu: int, label: int = 0) -> Patient:
    """Adds a ball with partial-volume edges (the value is mixed by the covered share of a voxel)."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in patient.hu.shape], indexing="ij"), axis=-1)
    points = grid @ patient.affine[:3, :3].T + patient.affine[:3, 3]
    distance = np.linalg.norm(points - np.asarray(center_mm), axis=-1)
    share = np.clip((radius_mm - distance) / patient.spacing_mm.mean() + 0.5, 0, 1)
    mixed = np.rint(patient.hu * (1 - share) + hu * share).astype(np.int16)
    labels = np.zeros(patient.hu.shape, np.uint8) if patient.labels is None else patient.labels.copy()
    labels[distance <= radius_mm] = label
    return Patient(patient.name, mixed, patient.affine, labels, patient.landmarks)


def on_table(patient: Patient) -> np.ndarray:
    """The patient's LPS origin at the place where C-arms aim in these tests."""
    return supine_pose((0, 0, 0), AIM)
