"""Patients that are made rather than read, kept on disk, so that each is made once.

A file is named by a digest of all that made it: what the caller says (which kind, seed, options, voxels, digests of the
files that it was made of), the source code of this package and the versions of the libraries that compute. A change of
any of them asks for another file, so an old patient never comes back; and nothing here names a user's file. Files lie
in ``patients`` of the project's cache folder (``SYNTHEX_CACHE_DIR``, else ``synthex-ros`` in the user's caches) and are
written whole; the ones used longest ago go when all together exceed ``SYNTHEX_PATIENT_CACHE_MB`` (4096 if it is not
set; 0: nothing is kept). Of processes that ask for the same patient one makes it and the others wait for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from synthex_sim.file_lock import locked
from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.patient import Patient

_LOG = logging.getLogger(__name__)
_LIMIT_MB = 4096
_ENDING = ".patient"
_STALE_S = 3600.0  # what a killed process left half written
_LIBRARIES = ("numpy", "scipy", "numba", "scikit-image", "h5py")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)


def _digest_of_code() -> str:
    package = Path(__file__).resolve().parent
    root = package.parent
    digest = hashlib.sha256()
    for path in [*sorted(package.rglob("*.py")), root / "anatomy.py", root / "random_streams.py"]:
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    versions = [_version(name) for name in _LIBRARIES]
    digest.update(repr((versions, platform.python_version_tuple()[:2], platform.machine())).encode())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # installed by other means than as a Python package
        return ""


#: Taken when the code is loaded, not when the first patient is asked for: the files may have changed by then.
_CODE = _digest_of_code()


def kept_patient(made_of: Sequence[object], make: Callable[[], LoadedPatient]) -> LoadedPatient:
    """The patient that ``make`` makes, to the last bit, from disk where it has been made before.

    A file that cannot be read is made anew with a warning; a folder that cannot be written to costs time only.

    Args:
        made_of: all that the patient depends on besides code: plain values whose ``repr`` tells them apart. Of files
            their content's digest, never their path.
        make: makes it; ``found`` of what it gives is not kept.

    Raises:
        ValueError: ``SYNTHEX_PATIENT_CACHE_MB`` is not a number from 0 up.
        Exception: whatever ``make`` raises; nothing is kept then.
    """
    limit = _limit_bytes()
    if limit == 0:
        return make()
    path = _folder() / (_key(made_of) + _ENDING)
    with suppress(*_DAMAGED):
        return _read(path)
    with ExitStack() as while_making:
        with suppress(OSError):  # then two may make it at the same time, which costs time only
            path.parent.mkdir(parents=True, exist_ok=True)
            while_making.enter_context(locked(path.with_suffix(".lock")))
        loaded = _read_or_warn(path)  # the process that this one waited for may have made it
        if loaded is None:
            loaded = make()
            _keep(path, loaded, limit)
        return loaded


def _limit_bytes() -> int:
    text = os.environ.get("SYNTHEX_PATIENT_CACHE_MB", str(_LIMIT_MB))
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise ValueError(f"SYNTHEX_PATIENT_CACHE_MB must be a number of megabytes, 0 to keep nothing; got '{text}'")
    return int(limit * 1e6)


def _folder() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(os.environ.get("SYNTHEX_CACHE_DIR") or os.path.join(caches, "synthex-ros")) / "patients"


def _key(made_of: Sequence[object]) -> str:
    return hashlib.sha256(repr((_CODE, *made_of)).encode()).hexdigest()[:40]


def _read_or_warn(path: Path) -> LoadedPatient | None:
    """The patient in a file; None where there is none, or none that is whole."""
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except _DAMAGED as error:
        _LOG.warning("the kept patient %s is damaged (%s); it is made anew", path, error)
        return None


def _read(path: Path) -> LoadedPatient:
    """The patient in a file.

    Raises:
        one of ``_DAMAGED``: there is no such file, or it is not whole.
    """
    with zipfile.ZipFile(path) as archive:  # which checks the sum of every part
        about = json.loads(archive.read("about.json"))
        hu, labels = (_array(archive.read(name), about["shape"], kind) if name in about["arrays"] else None
                      for name, kind in _PARTS)  # fmt: skip
    patient = Patient(about["name"], hu, np.array(about["affine"]), labels, about["landmarks"],
                      {int(label): name for label, name in about["structures"].items()})  # fmt: skip
    with suppress(OSError):
        os.utime(path)  # used just now
    return LoadedPatient(patient, tuple(about["notes"]))


_PARTS = (("hu", np.int16), ("labels", np.uint8))


def _array(content: bytes, shape: list[int], kind: type) -> np.ndarray:
    return np.frombuffer(content, dtype=np.dtype(kind).newbyteorder("<")).reshape(shape).astype(kind)


def _keep(path: Path, loaded: LoadedPatient, limit: int) -> None:
    """Writes a file whole, then makes room."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            _write(file, loaded)
        temporary.chmod(0o644)  # others may share the folder
        temporary.replace(path)
        _make_room(path.parent, limit)
    except OSError as error:
        _LOG.warning("the patient cannot be kept in %s (%s)", path.parent, error)
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _write(file, loaded: LoadedPatient) -> None:
    patient = loaded.patient
    about = {
        "name": patient.name,
        "shape": list(patient.hu.shape),
        "arrays": ["hu"] if patient.labels is None else ["hu", "labels"],
        "affine": patient.affine.tolist(),
        "structures": {str(label): name for label, name in patient.structures.items()},
        "landmarks": {name: point.tolist() for name, point in patient.landmarks.items()},
        "notes": list(loaded.notes),
    }
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("about.json", json.dumps(about))
        archive.writestr("hu", np.ascontiguousarray(patient.hu, dtype="<i2").data)
        if patient.labels is not None:
            labels = np.ascontiguousarray(patient.labels).data
            archive.writestr("labels", labels, zipfile.ZIP_DEFLATED, compresslevel=1)


def _make_room(folder: Path, limit: int) -> None:
    """Deletes what was used longest ago until the rest is within the limit, and what killed processes left."""
    kept = []
    for path in folder.iterdir():
        with suppress(OSError):  # another process may be faster
            state = path.stat()
            if path.suffix == _ENDING:
                kept.append((state.st_mtime, state.st_size, path))
            elif path.suffix in (".tmp", ".lock") and time.time() - state.st_mtime > _STALE_S:
                path.unlink()
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if total <= limit:
            break
        with suppress(OSError):
            path.unlink()
        total -= size
