"""A patient from a CT and, where there is one, a label map: checks, one grid, one set of label ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.hounsfield import LOWEST_HU, check_hounsfield
from synthex_sim.patient.label_scheme import OWN_IDS, LabelScheme, apply_scheme
from synthex_sim.patient.label_sides import name_sides
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.resample import isotropic, labels_onto, overlap
from synthex_sim.patient.volume import Volume, same_grid

#: Less of the smaller grid within the other is no label map of this CT.
_LEAST_OVERLAP = 0.5
_WHOLE_OVERLAP = 0.95
#: In a label map that fits, at least so much of each bone is brighter than soft tissue.
_BONE_HU = 100
_LEAST_BONE = 0.35


@dataclass(frozen=True, eq=False)
class LoadedPatient:
    """A patient and what whoever loads it should be told.

    Attributes:
        patient: the patient; None in an empty room.
        notes: sentences on what was done to the files and what looks wrong; may be empty.
    """

    patient: Patient | None
    notes: tuple[str, ...]


def patient_from_volumes(
    ct: Volume, labels: Volume | None = None, scheme: LabelScheme | None = None, spacing_mm: float | None = None
) -> LoadedPatient:
    """Makes a patient.

    Args:
        ct: in Hounsfield units.
        labels: label map, on the CT's grid or another one that overlaps it.
        scheme: what its ids mean; None for the project's own ids.
        spacing_mm: resample the CT to cubes of this edge; None to keep its voxels.

    Raises:
        ValueError: no Hounsfield units, labels that do not overlap or cannot be understood.
    """
    check = check_hounsfield(ct)
    if check.unfit:
        raise ValueError(f"the CT {check.unfit}")
    if spacing_mm is not None:
        ct = isotropic(ct, spacing_mm)
    notes = [*ct.notes, *check.warnings]
    hu = np.ascontiguousarray(np.clip(np.rint(ct.values), LOWEST_HU, 32767).astype(np.int16))
    renamed = None
    if labels is not None:
        notes += labels.notes
        renamed = _labels_of(ct, labels, scheme, notes)
        notes += _misfits(hu, renamed)
    return LoadedPatient(Patient(name="ct", hu=hu, affine=ct.affine, labels=renamed), tuple(notes))


def _labels_of(ct: Volume, labels: Volume, scheme: LabelScheme | None, notes: list[str]) -> np.ndarray:
    """(I, J, K) uint8 of ``anatomy`` on the CT's grid."""
    aligned = same_grid(ct, labels)
    share = 1.0 if aligned else overlap(ct, labels)
    if share < _LEAST_OVERLAP:
        where = "nowhere" if share == 0 else f"in {100 * share:.0f} % of the smaller one's volume only"
        raise ValueError(
            f"CT and label map overlap {where}: their affines disagree, or the label map is of another scan; use the "
            "label map that was made from this CT, or register it first"
        )
    renamed = name_sides(apply_scheme(labels.values, scheme), labels.affine, scheme or OWN_IDS)
    if aligned:
        return np.ascontiguousarray(renamed)
    renamed = labels_onto(renamed, labels.affine, ct)
    if not renamed.any():
        raise ValueError("none of the label map's structures lies within the CT")
    notes.append("the label map has another grid than the CT; it was resampled to the nearest labels")
    if share < _WHOLE_OVERLAP:
        notes.append(f"CT and label map overlap in {100 * share:.0f} % of the smaller one's volume only")
    return np.ascontiguousarray(renamed)


def _misfits(hu: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    """Structures that hardly lie on bone: a label map of another scan, shifted or mirrored."""
    counts = np.bincount(labels.ravel(), minlength=anatomy.MANIPULATOR)
    bright = np.bincount(labels[hu > _BONE_HU], minlength=anatomy.MANIPULATOR)
    for label in anatomy.BONE_LABELS:
        if counts[label] and bright[label] < _LEAST_BONE * counts[label]:
            yield (f"only {100 * bright[label] / counts[label]:.0f} % of {anatomy.LABEL_NAMES[label]} is brighter than "
                   f"{_BONE_HU} HU: does the label map belong to this CT?")
