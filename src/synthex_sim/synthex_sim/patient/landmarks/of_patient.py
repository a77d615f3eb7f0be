"""The landmarks of one patient: those that somebody marked, and for the rest those found in the label map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.landmarks.find import PelvicLandmarks, find_landmarks
from synthex_sim.patient.landmarks.slicer import read_landmarks

#: Marked farther than this from what was found, one of the two is wrong: a side, a name, or the scan.
_APART_MM = 15.0
_NOTHING_MARKED: Mapping[str, np.ndarray] = {}


@dataclass(frozen=True, eq=False)
class PatientLandmarks:
    """What is known of a patient's landmarks.

    Attributes:
        points: name -> (3,) LPS mm; marked ones have whatever names they were given.
        found: what the label map showed; None without one, or where it lies as no patient can.
        notes: sentences on what is missing or looks wrong.
    """

    points: Mapping[str, np.ndarray]
    found: PelvicLandmarks | None
    notes: tuple[str, ...]


def landmarks_of_patient(
    labels: np.ndarray | None, affine: np.ndarray | None, marked: Mapping[str, np.ndarray] = _NOTHING_MARKED
) -> PatientLandmarks:
    """Finds what nobody marked.

    Args:
        labels: (I, J, K) integers, ids of ``anatomy``, on the grid they were drawn on; None without a label map.
        affine: (4, 4) voxel index -> LPS mm; None without a label map.
        marked: name -> (3,) LPS mm; these count.
    """
    if labels is None or affine is None:
        return PatientLandmarks(dict(marked), None, ())
    try:
        found = find_landmarks(labels, affine)
    except ValueError as error:
        return PatientLandmarks(dict(marked), None, (f"no landmarks were looked for in the label map: {error}",))
    notes = (*_missing(found, marked), *_contradictions(found, marked))
    return PatientLandmarks(found.points | marked, found, notes)


def read_marked(path: str) -> dict[str, np.ndarray]:
    """The hip landmarks, and other points of a plan, in a file of 3D Slicer.

    Args:
        path: as of ``slicer.read_landmarks``; empty for no file.

    Returns:
        name -> (3,) LPS mm; empty for no file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no landmarks, or none by the name of a hip landmark.
    """
    if not path:
        return {}
    points = read_landmarks(path)
    if not any(name in anatomy.HIP_LANDMARKS for name in points):
        raise ValueError(
            f"landmarks {path}: none of its points ({', '.join(points)}) is named as a hip landmark; "
            f"they are {', '.join(anatomy.HIP_LANDMARKS)}"
        )
    return points


def _missing(found: PelvicLandmarks, marked: Mapping[str, np.ndarray]) -> Iterator[str]:
    """A sentence for every reason for which landmarks are missing."""
    names_of: dict[str, list[str]] = {}
    for name, reason in found.refused.items():
        if name not in marked:
            names_of.setdefault(reason, []).append(name)
    for reason, names in names_of.items():
        yield f"landmarks not found in the label map: {', '.join(names)}: {reason}"


def _contradictions(found: PelvicLandmarks, marked: Mapping[str, np.ndarray]) -> Iterator[str]:
    for name, point in marked.items():
        if name in found.points:
            apart = float(np.linalg.norm(point - found.points[name]))
            if apart > _APART_MM:
                yield f"{name} was marked {apart:.0f} mm from where the label map shows it: is it of this CT and side?"
