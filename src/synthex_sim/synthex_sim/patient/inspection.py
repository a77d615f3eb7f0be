"""What a CT that a user brings was understood as, in words and in a picture, before a session uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.ct_patient import LoadedPatient, patient_from_volumes
from synthex_sim.patient.hounsfield import check_hounsfield
from synthex_sim.patient.label_scheme import load_scheme
from synthex_sim.patient.landmarks.find import find_landmarks
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.planes import CT_WINDOW_HU, Picture
from synthex_sim.patient.source import find_scheme, load_checked_patient
from synthex_sim.patient.volume import Volume
from synthex_sim.patient.volume_file import read_volume

_DIRECTIONS = ("RL", "AP", "IS")  # towards -x, +x; -y, +y; -z, +z


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found.

    Attributes:
        lines: of text, for people.
        picture: what to draw.
        usable: whether a session takes it as a patient.
    """

    lines: tuple[str, ...]
    picture: Picture
    usable: bool


@dataclass(frozen=True)
class Request:
    """What to look at.

    Attributes:
        source: as of ``source.load_patient``.
        labels, label_scheme, scheme_folder: as there.
        series: number of the DICOM series, or None.
        spacing_mm: resample to cubes, or None.
    """

    source: str
    labels: str = ""
    label_scheme: str = ""
    scheme_folder: str = ""
    series: int | None = None
    spacing_mm: float | None = None


def inspect_source(request: Request) -> Inspection:
    """Reads a CT (or any other volume, or a phantom) and says what it is.

    A volume that holds no Hounsfield units is described and drawn, too, and said to be of no use as a patient.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file cannot be read, or labels do not go with the CT.
    """
    if request.source == "none":
        raise ValueError("'none' is an empty room, in which there is nothing to look at; name a CT or phantom:SEED")
    if request.source.startswith("phantom:"):
        loaded = load_checked_patient(request.source, request.labels, request.label_scheme, request.scheme_folder)
        return _of_patient(loaded, [f"{request.source}"])
    volume = read_volume(request.source, series=request.series)
    lines = [*_describe_volume(volume), *_describe_numbers(volume)]
    if check_hounsfield(volume).unfit:
        low, high = (float(n) for n in np.percentile(volume.values, (1, 99.5)))
        center = volume.corners().mean(axis=0)
        picture = Picture(volume.values, volume.affine, (low, max(high, low + 1)), center, None, {}, _title(volume))
        return Inspection((*lines, *(f"note: {note}" for note in volume.notes)), picture, usable=False)
    labels = read_volume(request.labels, "label map") if request.labels else None
    if labels is not None:
        lines += ["label map: " + line for line in _describe_volume(labels)]
    scheme = find_scheme(request.label_scheme, request.scheme_folder)
    loaded = patient_from_volumes(volume, labels, None if scheme is None else load_scheme(scheme), request.spacing_mm)
    return _of_patient(loaded, lines)


def _of_patient(loaded: LoadedPatient, lines: list[str]) -> Inspection:
    patient = loaded.patient
    landmarks, words = _landmarks(patient)
    lines = [*lines, *_describe_structures(patient), *words, *(f"note: {note}" for note in loaded.notes)]
    title = f"{' x '.join(map(str, patient.hu.shape))} voxels of {_millimetres(patient.spacing_mm)}"
    picture = Picture(patient.hu, patient.affine, CT_WINDOW_HU, patient.reference_point(), patient.labels,
                      landmarks, title)
    return Inspection(tuple(lines), picture, usable=True)


def _describe_volume(volume: Volume) -> list[str]:
    axes = volume.affine[:3, :3] / volume.spacing_mm
    names = [_DIRECTIONS[abs(axis).argmax()][int(axis[abs(axis).argmax()] > 0)] for axis in axes.T]
    off = max(abs(float(axes[:, a] @ axes[:, b])) for a, b in ((0, 1), (0, 2), (1, 2)))
    oblique = max(float(np.degrees(np.arccos(min(1.0, abs(axis).max())))) for axis in axes.T)
    corners = volume.corners()
    words = f"axes point to {', '.join(names)}"
    words += f", up to {oblique:.1f} degrees oblique" if oblique > 0.05 else ""
    words += ", sheared" if off > 1e-3 else ""
    return [
        f"{volume.source}, {' x '.join(map(str, volume.shape))} voxels of {_millimetres(volume.spacing_mm)}, {words}",
        "LPS mm: " + ", ".join(f"{name} {low:.0f} to {high:.0f}" for name, low, high in zip(
            "xyz", corners.min(axis=0), corners.max(axis=0), strict=True)),
    ]


def _describe_numbers(volume: Volume) -> list[str]:
    check = check_hounsfield(volume)
    kind = "whole numbers" if volume.values.dtype == np.int16 else "real numbers"
    spread = f"{kind} from {volume.values.min():g} to {volume.values.max():g}"
    if check.unfit:
        return [spread, f"of no use as a patient: it {check.unfit}"]
    peaks = ", ".join(f"{name} at {at:.0f}" for name, at in (("air", check.air), ("soft tissue", check.tissue))
                      if at is not None)
    return [f"{spread}; peaks: {peaks or 'none'}"]


def _describe_structures(patient: Patient) -> list[str]:
    return ["no label map"] if patient.labels is None else [_describe_labels(patient.labels, patient.affine)]


def _landmarks(patient: Patient) -> tuple[Mapping[str, np.ndarray], list[str]]:
    """A patient's landmarks, those of a CT as found in its label map, and what to say of them."""
    if patient.landmarks:
        return patient.landmarks, [f"landmarks: {', '.join(patient.landmarks)}"]
    if patient.labels is None:
        return {}, []
    try:
        found = find_landmarks(patient.labels, patient.affine)
    except ValueError as error:
        return {}, [f"note: no landmarks were looked for: {error}"]
    words = [f"{name} (+-{found.quality_mm[name]:.1f} mm)" for name in found.points]
    lines = [f"landmarks found in the label map: {', '.join(words) or 'none'}"]
    reasons = {reason: [name for name in found.refused if found.refused[name] == reason]
               for reason in found.refused.values()}
    return found.points, lines + [f"not found: {', '.join(names)}: {reason}" for reason, names in reasons.items()]


def _describe_labels(labels: np.ndarray, affine: np.ndarray) -> str:
    counts = np.bincount(labels.ravel(), minlength=anatomy.MANIPULATOR)
    volume_cm3 = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    found = [f"{anatomy.LABEL_NAMES[n].replace('_', ' ')} {counts[n] * volume_cm3:.0f} cm3" for n in anatomy.BONE_LABELS
             if counts[n]]
    return "structures: " + ", ".join(found)


def _title(volume: Volume) -> str:
    return f"{volume.source}, {' x '.join(map(str, volume.shape))} voxels of {_millimetres(volume.spacing_mm)}"


def _millimetres(spacing_mm: np.ndarray) -> str:
    return " x ".join(f"{float(n):.4g}" for n in spacing_mm) + " mm"
