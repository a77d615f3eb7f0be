"""Patients whose voxel axes are sheared, brought onto a grid with right angles: photons fly through boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from synthex_sim.patient.patient import Patient

#: Less dense than anything: every decomposition takes it for nothing.
_OUTSIDE_HU = -32768


def has_right_angles(affine: np.ndarray) -> bool:
    """Whether the axes of a (4, 4) affine stand at right angles to each other."""
    axes = affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-12)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=1e-5))


def with_right_angles(patient: Patient) -> Patient:
    """The patient itself, or where its axes are sheared (a tilted gantry) the nearest voxels on a straight grid.

    The first axis keeps its direction and the spacings stay; the new grid holds all of the old one, and nothing where
    that has no voxels.
    """
    if has_right_angles(patient.affine):
        return patient
    turned, lengths = np.linalg.qr(patient.affine[:3, :3])
    axes = turned * np.sign(np.diag(lengths)) * patient.spacing_mm
    shape = np.array(patient.hu.shape)
    corners = np.array([[(c >> a) & 1 for a in range(3)] for c in range(8)]) * shape - 0.5
    reached = np.linalg.solve(axes, patient.affine[:3, :3] @ corners.T)
    low = np.ceil(reached.min(axis=1) - 0.5).astype(int)
    size = tuple(int(n) for n in np.floor(reached.max(axis=1) + 0.5).astype(int) - low + 1)
    affine = patient.affine.copy()
    affine[:3, :3] = axes
    affine[:3, 3] += axes @ low
    old_from_new = np.linalg.inv(patient.affine) @ affine
    hu, labels = (
        None if values is None else ndimage.affine_transform(
            values, old_from_new[:3, :3], old_from_new[:3, 3], output_shape=size, order=0, cval=outside
        )
        for values, outside in ((patient.hu, _OUTSIDE_HU), (patient.labels, 0))
    )
    return replace(patient, hu=hu, labels=labels, affine=affine)
