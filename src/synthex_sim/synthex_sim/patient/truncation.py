"""Cutting a volume off above or below the pelvis, as the end of a CT scan does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthex_sim.patient.patient import Patient


def truncated(patient: Patient, keep_mm: float, below: bool) -> Patient:
    """The patient as scanned over a shorter range.

    Args:
        patient: with the third voxel axis along +z (superior), as CTs in axial slices have it.
        keep_mm: what is kept beyond the reference point, at least one slice.
        below: whether the scan ends below the reference point (else above it).

    Returns:
        A patient with fewer slices, without the landmarks that lay in those that were cut away.

    Raises:
        ValueError: the third axis does not point up.
    """
    axis = patient.affine[:3, 2]
    if axis[2] <= 0 or np.abs(axis[:2]).max() > 1e-6 * axis[2]:
        raise ValueError("truncation needs a volume whose third axis points straight up (superior)")
    reference = (patient.reference_point()[2] - patient.affine[2, 3]) / axis[2]
    slices = max(1, round(keep_mm / axis[2]))
    if below:
        window = slice(max(0, int(reference) - slices), patient.hu.shape[2])
    else:
        window = slice(0, min(patient.hu.shape[2], int(reference) + slices))
    affine = patient.affine.copy()
    affine[:3, 3] += window.start * axis
    low, high = affine[2, 3], affine[2, 3] + (window.stop - window.start - 1) * axis[2]
    return replace(
        patient,
        hu=np.ascontiguousarray(patient.hu[:, :, window]),
        labels=None if patient.labels is None else np.ascontiguousarray(patient.labels[:, :, window]),
        affine=affine,
        landmarks={name: point for name, point in patient.landmarks.items() if low <= point[2] <= high},
    )
