"""Where a patient comes from: ``phantom:SEED`` or the path of a CT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from synthex_sim.patient.ct_patient import LoadedPatient, patient_from_volumes
from synthex_sim.patient.label_scheme import load_scheme
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import make_phantom
from synthex_sim.patient.volume_file import FORMATS, read_volume, split_series

#: Voxels of a phantom of which only the landmarks are wanted: they do not depend on it.
_COARSE_MM = 6.0


def load_patient(source: str, labels: str = "", label_scheme: str = "", scheme_folder: str = "") -> Patient | None:
    """Makes or loads the patient that a user named, without a word on what looks odd (``load_checked_patient``).

    Args:
        source: ``phantom:SEED``, ``none`` for an empty room, or the path of a CT: a file, a folder or an archive in one
            of ``volume_file.FORMATS``; ``path#2`` is the second DICOM series there.
        labels: path of a label map for a CT, in the same formats, or empty.
        label_scheme: path of a label scheme, or the name of one in ``scheme_folder``, or empty.
        scheme_folder: the folder with the shipped schemes.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the source cannot be understood or its file is unfit; the message says why.
    """
    return load_checked_patient(source, labels, label_scheme, scheme_folder).patient


def load_checked_patient(
    source: str, labels: str = "", label_scheme: str = "", scheme_folder: str = "", spacing_mm: float | None = None
) -> LoadedPatient:
    """Makes or loads a patient, with notes on what was done to its files and what looks odd.

    Args:
        source: as of ``load_patient``.
        labels, label_scheme, scheme_folder: as of ``load_patient``.
        spacing_mm: resample a CT to cubes of this edge; None to keep its voxels.

    Raises:
        FileNotFoundError, ValueError: as of ``load_patient``.
    """
    if label_scheme and not labels:
        raise ValueError(f"label scheme '{label_scheme}' goes with a label map, and none is given")
    if labels and (source == "none" or source.startswith("phantom:")):
        raise ValueError(f"patient '{source}' has no use for the label map {labels}; label maps go with a CT")
    if source == "none":
        return LoadedPatient(None, ())
    if source.startswith("phantom:"):
        return LoadedPatient(make_phantom(_phantom_seed(source)), ())
    if not split_series(source)[0].exists():
        raise FileNotFoundError(f"patient {source} does not exist; give a CT ({FORMATS}), phantom:SEED or none")
    path = find_scheme(label_scheme, scheme_folder)
    scheme = None if path is None else load_scheme(path)
    ct = read_volume(source)
    return patient_from_volumes(ct, read_volume(labels, "label map") if labels else None, scheme, spacing_mm)


def planned_landmarks(source: str) -> Mapping[str, np.ndarray]:
    """The 3D landmarks that a plan on this patient's CT holds, without making the CT where that is not needed.

    Args:
        source: as of ``load_patient``. The landmarks of a CT from a file are not known.

    Returns:
        name -> (3,) patient LPS millimetres; empty where there are none.

    Raises:
        ValueError: a phantom that is not named by a whole number.
    """
    if not source.startswith("phantom:"):
        return {}
    return make_phantom(_phantom_seed(source), _COARSE_MM).landmarks


def _phantom_seed(source: str) -> int:
    seed = source.removeprefix("phantom:")
    if not seed.isdecimal():
        raise ValueError(f"patient '{source}': a phantom is named by a whole number, for example phantom:7")
    return int(seed)


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
