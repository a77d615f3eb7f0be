"""Phantoms kept on disk, so that each is built once.

A file is named by a digest of all that made it: seed, voxels, implants, table, the source code of this package and the
versions of the libraries that compute. A change of any of them asks for another file, so an old phantom never comes
back. Files lie in ``phantoms`` of the project's cache folder (``SYNTHEX_CACHE_DIR``, else ``synthex-ros`` in the user's
caches) and are written whole; the ones used longest ago go when all together exceed ``SYNTHEX_PHANTOM_CACHE_MB``
(4096 if it is not set; 0: nothing is kept).
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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numba
import numpy as np
import scipy

from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom.build import make_phantom

_LOG = logging.getLogger(__name__)
_LIMIT_MB = 4096
_ENDING = ".phantom"
_STALE_S = 3600.0  # what a killed process left half written


def _digest_of_code() -> str:
    package = Path(__file__).resolve().parent
    root = package.parents[1]
    others = [package.parent / "patient.py", root / "anatomy.py", root / "random_streams.py"]
    digest = hashlib.sha256()
    for path in [*sorted(package.glob("*.py")), *others]:
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes())
    digest.update(repr((np.__version__, scipy.__version__, numba.__version__, platform.machine())).encode())
    return digest.hexdigest()


#: Taken when the code is loaded, not when the first phantom is asked for: the files may have changed by then.
_CODE = _digest_of_code()


def cached_phantom(seed: int, spacing_mm: float = 1.5, implants: Sequence[str] = (), table: bool = False) -> Patient:
    """The phantom of ``make_phantom`` with these arguments, to the last bit, from disk where it has been built before.

    A file that cannot be read is built anew with a warning; a folder that cannot be written to costs time only.

    Raises:
        ValueError: as of ``make_phantom``, or ``SYNTHEX_PHANTOM_CACHE_MB`` is not a number from 0 up.
    """
    limit = _limit_bytes()
    if limit == 0:
        return make_phantom(seed, spacing_mm, implants, table)
    path = _folder() / (_key(seed, spacing_mm, implants, table) + _ENDING)
    patient = _read(path)
    if patient is None:
        patient = make_phantom(seed, spacing_mm, implants, table)
        _keep(path, patient, limit)
    return patient


def _limit_bytes() -> int:
    text = os.environ.get("SYNTHEX_PHANTOM_CACHE_MB", str(_LIMIT_MB))
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise ValueError(f"SYNTHEX_PHANTOM_CACHE_MB must be a number of megabytes, 0 to keep nothing; got '{text}'")
    return int(limit * 1e6)


def _folder() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(os.environ.get("SYNTHEX_CACHE_DIR") or os.path.join(caches, "synthex-ros")) / "phantoms"


def _key(seed: int, spacing_mm: float, implants: Sequence[str], table: bool) -> str:
    made_of = (_CODE, int(seed), float(spacing_mm), tuple(implants), bool(table))
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:40]


def _read(path: Path) -> Patient | None:
    """The patient in a file; None where there is none, or none that is whole."""
    try:
        with zipfile.ZipFile(path) as archive:  # which checks the sum of every part
            about = json.loads(archive.read("about.json"))
            hu, labels = (_array(archive.read(name), about["shape"], kind) for name, kind in _PARTS)
        patient = Patient(about["name"], hu, np.array(about["affine"]), labels, about["landmarks"],
                          {int(label): name for label, name in about["structures"].items()})  # fmt: skip
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        _LOG.warning("the kept phantom %s is damaged (%s); it is built anew", path, error)
        return None
    with suppress(OSError):
        os.utime(path)  # used just now
    return patient


_PARTS = (("hu", np.int16), ("labels", np.uint8))


def _array(content: bytes, shape: list[int], kind: type) -> np.ndarray:
    return np.frombuffer(content, dtype=np.dtype(kind).newbyteorder("<")).reshape(shape).astype(kind)


def _keep(path: Path, patient: Patient, limit: int) -> None:
    """Writes a file whole, then makes room."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            _write(file, patient)
        temporary.chmod(0o644)  # others may share the folder
        temporary.replace(path)
        _make_room(path.parent, limit)
    except OSError as error:
        _LOG.warning("the phantom cannot be kept in %s (%s)", path.parent, error)
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _write(file, patient: Patient) -> None:
    about = {
        "name": patient.name,
        "shape": list(patient.hu.shape),
        "affine": patient.affine.tolist(),
        "structures": {str(label): name for label, name in patient.structures.items()},
        "landmarks": {name: point.tolist() for name, point in patient.landmarks.items()},
    }
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("about.json", json.dumps(about))
        archive.writestr("hu", np.ascontiguousarray(patient.hu, dtype="<i2").data)
        labels = np.ascontiguousarray(patient.labels).data
        archive.writestr("labels", labels, zipfile.ZIP_DEFLATED, compresslevel=1)


def _make_room(folder: Path, limit: int) -> None:
    """Deletes what was used longest ago until the rest is within the limit, and what was left half written."""
    kept = []
    for path in folder.iterdir():
        with suppress(OSError):  # another process may be faster
            state = path.stat()
            if path.suffix == _ENDING:
                kept.append((state.st_mtime, state.st_size, path))
            elif path.suffix == ".tmp" and time.time() - state.st_mtime > _STALE_S:
                path.unlink()
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if total <= limit:
            break
        with suppress(OSError):
            path.unlink()
        total -= size
