"""What a CT that a user brings was understood as, in words and in a picture, before a session uses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.bone_by_brightness import with_bone
from synthex_sim.patient.ct_patient import LoadedPatient, patient_from_volumes
from synthex_sim.patient.hounsfield import check_hounsfield
from synthex_sim.patient.landmarks.of_patient import read_marked
from synthex_sim.patient.made_patient import PREFIXES as MADE
from synthex_sim.patient.patient import FIRST_STRUCTURE, MAX_LABEL, Patient
from synthex_sim.patient.phantom_name import PHANTOM
from synthex_sim.patient.planes import CT_WINDOW_HU, Picture
from synthex_sim.patient.source import check_exists, check_files, labels_for, load_checked_patient, scheme_of
from synthex_sim.patient.thorax.source import PREFIX as THORAX
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
        spacing_mm: as of ``source.load_checked_patient``.
        landmarks: as of ``source.load_patient``.
    """

    source: str
    labels: str = ""
    label_scheme: str = ""
    scheme_folder: str = ""
    series: int | None = None
    spacing_mm: float | None = None
    landmarks: str = ""


def inspect_source(request: Request) -> Inspection:
    """Reads a CT (or any other volume, or a phantom) and says what it is.

    A volume that holds no Hounsfield units is described and drawn, too, and said to be of no use as a patient.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file cannot be read, or labels do not go with the CT.
    """
    if request.source == "none":
        raise ValueError("'none' is an empty room, in which there is nothing to look at; name a CT or phantom:SEED")
    if request.source.startswith((PHANTOM, THORAX, *MADE)):
        if request.series is not None:
            raise ValueError(f"patient '{request.source}' has no series; series numbers go with DICOM")
        loaded = load_checked_patient(request.source, request.labels, request.label_scheme, request.scheme_folder,
                                      request.spacing_mm, request.landmarks)
        return _of_patient(loaded, [f"{request.source}"])
    check_files(request.source, request.labels, request.label_scheme, request.landmarks)
    check_exists(request.source)
    volume = read_volume(request.source, series=request.series)
    lines = [*_describe_volume(volume), *_describe_numbers(volume)]
    if check_hounsfield(volume).unfit:
        low, high = (float(n) for n in np.percentile(volume.values, (1, 99.5)))
        center = volume.corners().mean(axis=0)
        picture = Picture(volume.values, volume.affine, (low, max(high, low + 1)), center, None, {}, _title(volume))
        return Inspection((*lines, *(f"note: {note}" for note in volume.notes)), picture, usable=False)
    scheme = scheme_of(request.labels, request.label_scheme, request.scheme_folder)
    labels = labels_for(volume, request.labels)
    if labels is not None:
        lines += ["label map: " + line for line in _describe_volume(labels)]
    loaded = patient_from_volumes(volume, labels, scheme, request.spacing_mm, read_marked(request.landmarks))
    return _of_patient(loaded if request.labels else with_bone(loaded), lines)


def _of_patient(loaded: LoadedPatient, lines: list[str]) -> Inspection:
    patient = loaded.patient
    notes = (f"note: {note}" for note in loaded.notes)
    lines = [*lines, *_describe_structures(patient), *_describe_landmarks(loaded), *notes]
    title = f"{' x '.join(map(str, patient.hu.shape))} voxels of {_millimetres(patient.spacing_mm)}"
    picture = Picture(patient.hu, patient.affine, CT_WINDOW_HU, patient.reference_point(), patient.labels,
                      patient.landmarks, title, patient.structures)
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
    """Each structure's volume: the six on one line, others on a second one."""
    if patient.labels is None:
        return ["no label map"]
    counts = np.bincount(patient.labels.ravel(), minlength=MAX_LABEL + 1)
    voxel_cm3 = abs(float(np.linalg.det(patient.affine[:3, :3]))) / 1000
    words = {label: f"{name.replace('_', ' ')} {counts[label] * voxel_cm3:.0f} cm3"
             for label, name in patient.label_names.items() if counts[label]}
    six = ", ".join(text for label, text in words.items() if label < FIRST_STRUCTURE)
    others = ", ".join(text for label, text in words.items() if label >= FIRST_STRUCTURE)
    return [f"structures: {six or 'none of the six'}", *([f"others: {others}"] if others else [])]


def _describe_landmarks(loaded: LoadedPatient) -> list[str]:
    """What is known of each landmark: how far off it may be, or that it was marked (or made, as a phantom's are)."""
    found = loaded.found
    words = []
    for name, point in loaded.patient.landmarks.items():
        here = found is not None and np.array_equal(found.points.get(name, ()), point)
        words.append(f"{name} (found, +-{found.quality_mm[name]:.1f} mm)" if here else name)
    return [f"landmarks: {', '.join(words)}"] if words else []


def _title(volume: Volume) -> str:
    return f"{volume.source}, {' x '.join(map(str, volume.shape))} voxels of {_millimetres(volume.spacing_mm)}"


def _millimetres(spacing_mm: np.ndarray) -> str:
    return " x ".join(f"{float(n):.4g}" for n in spacing_mm) + " mm"
