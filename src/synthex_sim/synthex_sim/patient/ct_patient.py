"""A patient from a CT and, where there is one, a label map: checks, one grid, one set of label ids, landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.hounsfield import LOWEST_HU, check_hounsfield
from synthex_sim.patient.label_map import LabelMap, label_map
from synthex_sim.patient.label_scheme import LabelScheme
from synthex_sim.patient.landmarks.find import PelvicLandmarks
from synthex_sim.patient.landmarks.of_patient import landmarks_of_patient
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.resample import isotropic, labels_onto, overlap
from synthex_sim.patient.volume import Volume, same_grid

#: Less of the smaller grid within the other is no label map of this CT.
_LEAST_OVERLAP = 0.5
_WHOLE_OVERLAP = 0.95
#: In a label map that fits, at least so much of each bone is brighter than soft tissue.
_BONE_HU = 100
_LEAST_BONE = 0.35
#: One that is not this CT's has bone on less of all bones: where bodies lie one on the other by chance, some 10 %.
#: Less than so many cm^3 of bone tell nothing.
_ANOTHERS_BONE, _TELLING_CM3 = 0.15, 100.0
#: So far outside of the CT no landmark of it is marked.
_OUTSIDE_MM = 100.0


@dataclass(frozen=True, eq=False)
class LoadedPatient:
    """A patient and what whoever loads it should be told.

    Attributes:
        patient: the patient; None in an empty room.
        notes: sentences on what was done to the files and what looks wrong; may be empty.
        found: the landmarks of a CT that its label map shows, with how good they are; None without a label map, or
            where it could not be searched.
    """

    patient: Patient | None
    notes: tuple[str, ...]
    found: PelvicLandmarks | None = None


def patient_from_volumes(
    ct: Volume,
    labels: Volume | None = None,
    scheme: LabelScheme | None = None,
    spacing_mm: float | None = None,
    marked: Mapping[str, np.ndarray] | None = None,
) -> LoadedPatient:
    """Makes a patient, with the landmarks that were marked, and for the rest those that its label map shows.

    Args:
        ct: in Hounsfield units.
        labels: label map, on the CT's grid or another one that overlaps it.
        scheme: what its ids mean; None for the project's own ids.
        spacing_mm: resample the CT to cubes of this edge; None to keep its voxels.
        marked: name -> (3,) LPS mm of landmarks that somebody marked.

    Raises:
        ValueError: no Hounsfield units, labels that do not overlap, lie on no bone or cannot be understood, or
            landmarks far outside.
    """
    check = check_hounsfield(ct)
    if check.unfit:
        raise ValueError(f"the CT {check.unfit}")
    if spacing_mm is not None:
        ct = isotropic(ct, spacing_mm)
    notes = [*ct.notes, *check.warnings]
    hu = np.ascontiguousarray(np.clip(np.rint(ct.values), LOWEST_HU, 32767).astype(np.int16))
    _check_marked(ct, marked or {})
    drawn = named = None
    if labels is not None:
        notes += labels.notes
        drawn, named = _labels_of(ct, labels, scheme, notes)
        _check_bone(hu, named.labels, abs(np.linalg.det(ct.affine[:3, :3])) * 1e-3)
        notes += _misfits(hu, named.labels)
    # On the grid that the label map was drawn on, as a plan finds them (source.planned_landmarks): the same points.
    landmarks = landmarks_of_patient(
        None if drawn is None else drawn.labels, None if labels is None else labels.affine, marked or {}
    )
    patient = Patient("ct", hu, ct.affine, None if named is None else named.labels, landmarks.points,
                      {} if named is None else named.structures)
    return LoadedPatient(patient, (*notes, *landmarks.notes), landmarks.found)


def _check_marked(ct: Volume, marked: Mapping[str, np.ndarray]) -> None:
    inverse = np.linalg.inv(ct.affine)
    for name, point in marked.items():
        index = inverse[:3, :3] @ point + inverse[:3, 3]
        outside = np.maximum(np.maximum(-index, index - np.array(ct.shape) + 1), 0) * ct.spacing_mm
        if outside.max() > _OUTSIDE_MM:
            raise ValueError(f"landmark {name} lies {outside.max():.0f} mm outside of the CT: is its file of this CT?")


def _labels_of(
    ct: Volume, labels: Volume, scheme: LabelScheme | None, notes: list[str]
) -> tuple[LabelMap, LabelMap]:
    """The label map on its own grid and on the CT's."""
    aligned = same_grid(ct, labels)
    share = 1.0 if aligned else overlap(ct, labels)
    if share < _LEAST_OVERLAP:
        where = "nowhere" if share == 0 else f"in {100 * share:.0f} % of the smaller one's volume only"
        raise ValueError(
            f"CT and label map overlap {where}: their affines disagree, or the label map is of another scan; use the "
            "label map that was made from this CT, or register it first"
        )
    named = label_map(labels.values, labels.affine, scheme)
    if aligned:
        named = LabelMap(np.ascontiguousarray(named.labels), named.structures)
        return named, named
    moved = labels_onto(named.labels, labels.affine, ct)
    if not moved.any():
        raise ValueError("none of the label map's structures lies within the CT")
    notes.append("the label map has another grid than the CT; it was resampled to the nearest labels")
    if share < _WHOLE_OVERLAP:
        notes.append(f"CT and label map overlap in {100 * share:.0f} % of the smaller one's volume only")
    return named, LabelMap(np.ascontiguousarray(moved), named.structures)


def _check_bone(hu: np.ndarray, labels: np.ndarray, voxel_cm3: float) -> None:
    """Refuses a label map whose bones are not where this CT has bone; a CT without bone tells nothing.

    Raises:
        ValueError: it is that of another scan, or lies elsewhere.
    """
    bone, bright = np.isin(labels, anatomy.BONE_LABELS), hu > _BONE_HU
    if bone.sum() * voxel_cm3 < _TELLING_CM3 or bright.sum() < 0.5 * bone.sum():
        return
    share = bright[bone].mean()
    if share < _ANOTHERS_BONE:
        raise ValueError(
            f"only {100 * share:.0f} % of the label map's bones lie where the CT is brighter than {_BONE_HU} HU, and "
            "the CT has bone elsewhere: the label map is of another scan, shifted or flipped; use the one that was "
            "made from this CT, or register it first"
        )


def _misfits(hu: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    """Structures that hardly lie on bone: a label map of another scan, shifted or mirrored."""
    counts = np.bincount(labels.ravel(), minlength=anatomy.MANIPULATOR)
    bright = np.bincount(labels[hu > _BONE_HU], minlength=anatomy.MANIPULATOR)
    for label in anatomy.BONE_LABELS:
        if counts[label] and bright[label] < _LEAST_BONE * counts[label]:
            yield (f"only {100 * bright[label] / counts[label]:.0f} % of {anatomy.LABEL_NAMES[label]} is brighter than "
                   f"{_BONE_HU} HU: does the label map belong to this CT?")
