"""Where a patient comes from: ``phantom:SEED`` or the path of a CT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from synthex_sim.patient.nifti import load_nifti_patient
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import make_phantom

_NIFTI_SUFFIXES = (".nii", ".nii.gz")
#: Voxels of a phantom of which only the landmarks are wanted: they do not depend on it.
_COARSE_MM = 6.0


def load_patient(source: str, labels: str = "", label_scheme: str = "", scheme_folder: str = "") -> Patient | None:
    """Makes or loads the patient that a user named.

    Args:
        source: ``phantom:SEED``, ``none`` for an empty room, or the path of a NIfTI CT.
        labels: path of a label map for a CT, or empty.
        label_scheme: path of a label scheme, or the name of one in ``scheme_folder``, or empty.
        scheme_folder: the folder with the shipped schemes.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the source cannot be understood or its file is unfit; the message says why.
    """
    if label_scheme and not labels:
        raise ValueError(f"label scheme '{label_scheme}' goes with a label map, and none is given")
    if labels and (source == "none" or source.startswith("phantom:")):
        raise ValueError(f"patient '{source}' has no use for the label map {labels}; label maps go with a CT")
    if source == "none":
        return None
    if source.startswith("phantom:"):
        return make_phantom(_phantom_seed(source))
    if not Path(source).exists():
        raise FileNotFoundError(f"patient {source} does not exist; give a NIfTI CT, phantom:SEED or none")
    if not source.endswith(_NIFTI_SUFFIXES):
        raise ValueError(f"patient {source}: CTs are read from NIfTI files ({', '.join(_NIFTI_SUFFIXES)})")
    return load_nifti_patient(source, labels or None, _scheme_path(label_scheme, scheme_folder))


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


def _scheme_path(name: str, folder: str) -> Path | None:
    if not name:
        return None
    candidates = [Path(name), Path(folder) / f"{name}.yaml"]
    for path in candidates:
        if path.is_file():
            return path
    known = sorted(p.stem for p in Path(folder).glob("*.yaml"))
    raise FileNotFoundError(f"label scheme '{name}' is neither a file nor one of {', '.join(known)}")
