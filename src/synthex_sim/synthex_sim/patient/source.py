"""Where a patient comes from: ``phantom:SEED`` and others that are made here, or the path of a CT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from synthex_sim.patient import totalsegmentator
from synthex_sim.patient.bone_by_brightness import with_bone
from synthex_sim.patient.ct_patient import LoadedPatient, patient_from_volumes
from synthex_sim.patient.label_map import label_map
from synthex_sim.patient.label_scheme import LabelScheme, load_scheme
from synthex_sim.patient.landmarks.of_patient import landmarks_of_patient, read_marked
from synthex_sim.patient.made_patient import DRESSED, load_made
from synthex_sim.patient.made_patient import PREFIXES as MADE
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import cached_phantom
from synthex_sim.patient.phantom_name import PHANTOM, parse_phantom
from synthex_sim.patient.thorax.source import PREFIX as THORAX
from synthex_sim.patient.thorax.source import parse_thorax, thorax_patient
from synthex_sim.patient.volume import Volume
from synthex_sim.patient.volume_file import FORMATS, read_volume, split_series

#: Voxels of a phantom of which only the landmarks are wanted: they do not depend on it.
_COARSE_MM = 6.0
#: Of phantoms where nobody asks for other voxels.
_SPACING_MM = 1.5
#: In place of a label map: none, not even bone by its brightness.
NO_LABELS = "none"


def load_patient(
    source: str, labels: str = "", label_scheme: str = "", scheme_folder: str = "", landmarks: str = ""
) -> Patient | None:
    """Makes or loads the patient that a user named, without a word on what looks odd (``load_checked_patient``).

    Args:
        source: ``phantom:SEED``, ``thorax:SEED`` (``thorax:SEED?lesions=no``), ``none`` for an empty room,
            ``dressed:PATH`` for a label map without a CT, ``shape_model:FOLDER`` for a sample of a shape model (both
            with ``?seed=3``, see ``made_patient``), or the path of a CT: a file, a folder or an archive in one of
            ``volume_file.FORMATS``; ``path#2`` is the second DICOM series there.
        labels: path of a label map for a CT, in the same formats; ``totalsegmentator`` or ``totalsegmentator:fast`` to
            have it made by that program; empty for bone by its brightness; ``none`` for no labels at all.
        label_scheme: path of a label scheme, or the name of one in ``scheme_folder``, or empty.
        scheme_folder: the folder with the shipped schemes.
        landmarks: path of landmarks that were marked on a CT in 3D Slicer, or empty; others are found in its label map.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the source cannot be understood or its file is unfit; the message says why.
    """
    return load_checked_patient(source, labels, label_scheme, scheme_folder, landmarks=landmarks).patient


def load_checked_patient(
    source: str,
    labels: str = "",
    label_scheme: str = "",
    scheme_folder: str = "",
    spacing_mm: float | None = None,
    landmarks: str = "",
) -> LoadedPatient:
    """Makes or loads a patient, with notes on what was done to its files and what looks odd.

    Args:
        source: as of ``load_patient``.
        labels, label_scheme, scheme_folder: as of ``load_patient``.
        spacing_mm: resample a CT to cubes of this edge, or make a phantom of such; None to keep the CT's voxels, and
            for 1.5 mm.
        landmarks: as of ``load_patient``.

    Raises:
        FileNotFoundError, ValueError: as of ``load_patient``.
    """
    check_files(source, labels, label_scheme, landmarks)
    if source == "none":
        return LoadedPatient(None, ())
    if source.startswith(PHANTOM):
        return LoadedPatient(_phantom(source, _SPACING_MM if spacing_mm is None else spacing_mm), ())
    if source.startswith(THORAX):
        return LoadedPatient(thorax_patient(source, _SPACING_MM if spacing_mm is None else spacing_mm), ())
    if source.startswith(MADE):
        return load_made(source, scheme_of(labels, label_scheme, scheme_folder), spacing_mm)
    check_exists(source)
    scheme = scheme_of(labels, label_scheme, scheme_folder)
    marked = read_marked(landmarks)
    ct = read_volume(source)
    loaded = patient_from_volumes(ct, labels_for(ct, labels), scheme, spacing_mm, marked)
    return loaded if labels else with_bone(loaded)


def planned_landmarks(
    source: str, labels: str = "", label_scheme: str = "", scheme_folder: str = "", landmarks: str = ""
) -> Mapping[str, np.ndarray]:
    """The 3D landmarks that a plan on this patient's CT holds, without making the CT, or reading it where it can.

    Args:
        source: as of ``load_patient``. Of a CT the landmarks are those that were marked and those that its label map
            shows, the same that ``load_patient`` gives it.
        labels, label_scheme, scheme_folder, landmarks: as of ``load_patient``.

    Returns:
        name -> (3,) patient LPS millimetres; empty where there are none.

    Raises:
        FileNotFoundError, ValueError: as of ``load_patient``.
    """
    check_files(source, labels, label_scheme, landmarks)
    if source.startswith(PHANTOM):
        return _phantom(source, _COARSE_MM).landmarks
    if source.startswith(THORAX):
        parse_thorax(source)
        return {}
    if source.startswith(MADE):
        return load_made(source, scheme_of(labels, label_scheme, scheme_folder)).patient.landmarks
    marked = read_marked(landmarks)
    if labels in ("", NO_LABELS):
        return marked
    scheme = scheme_of(labels, label_scheme, scheme_folder)
    volume = labels_for(read_volume(source) if labels in totalsegmentator.REQUESTS else None, labels)
    named = label_map(volume.values, volume.affine, scheme)
    return landmarks_of_patient(named.labels, volume.affine, marked).points


def check_exists(source: str) -> None:
    """Refuses the path of a CT where nothing is.

    Raises:
        FileNotFoundError: there is no such file or folder, or no path at all.
    """
    if not source or not split_series(source)[0].exists():
        known = f"a CT ({FORMATS}), phantom:SEED, thorax:SEED or none"
        raise FileNotFoundError(f"patient '{source}' does not exist; give {known}")


def check_files(source: str, labels: str, label_scheme: str, landmarks: str) -> None:
    """Refuses files that do not go with a source.

    Raises:
        ValueError: a scheme without a label map; a label map or landmarks of something that is no CT.
    """
    if label_scheme and labels in ("", NO_LABELS) and not source.startswith(DRESSED):
        raise ValueError(f"label scheme '{label_scheme}' goes with a label map, and none is given")
    if source in ("", "none") or source.startswith((PHANTOM, THORAX, *MADE)):
        if labels:
            raise ValueError(f"patient '{source}' has no use for the label map {labels}; label maps go with a CT")
        if landmarks:
            raise ValueError(f"patient '{source}' has no use for the landmarks {landmarks}; they go with a CT")


def labels_for(ct: Volume | None, labels: str) -> Volume | None:
    """The label map that a user named, or has made of the CT; None where there is none.

    Raises:
        FileNotFoundError, ValueError: as of ``load_patient``.
    """
    if labels in ("", NO_LABELS):
        return None
    if labels in totalsegmentator.REQUESTS:
        return totalsegmentator.segment(ct, labels)
    return read_volume(labels, "label map")


def scheme_of(labels: str, name: str, folder: str) -> LabelScheme | None:
    """The scheme that a user named, or the one that goes with a program's label map; None for the project's own ids.

    Raises:
        FileNotFoundError, ValueError: as of ``load_patient``.
    """
    path = find_scheme(name or (totalsegmentator.SCHEME if labels in totalsegmentator.REQUESTS else ""), folder)
    return None if path is None else load_scheme(path)


def _phantom(source: str, spacing_mm: float) -> Patient:
    name = parse_phantom(source)
    return cached_phantom(name.seed, spacing_mm, name.implants, name.table)


def find_scheme(name: str, folder: str) -> Path | None:
    """The path of a label scheme that a user named; None for no name.

    Args:
        name: a path, or the name of a scheme in the folder.
        folder: with the shipped schemes.

    Raises:
        FileNotFoundError: it is neither.
    """
    if not name:
        return None
    candidates = [Path(name), Path(folder) / f"{name}.yaml"]
    for path in candidates:
        if path.is_file():
            return path
    known = sorted(p.stem for p in Path(folder).glob("*.yaml"))
    raise FileNotFoundError(f"label scheme '{name}' is neither a file nor one of {', '.join(known)}")
