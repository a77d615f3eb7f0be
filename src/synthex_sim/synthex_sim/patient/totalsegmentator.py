"""Label maps from TotalSegmentator, where it is installed: its program is run on a CT, as a person would run it.

TotalSegmentator (Wasserthal et al., Radiology: Artificial Intelligence 2023, doi 10.1148/ryai.230024) is a program of
its own, under Apache-2.0; the weights of its task "total", which it fetches itself when it first runs, are open for any
use, those of some other tasks need a licence and are not used here. It sends anonymous usage statistics to its makers
unless that is switched off in its settings.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from synthex_sim.file_lock import locked
from synthex_sim.patient.nifti import read_nifti
from synthex_sim.patient.resample import isotropic
from synthex_sim.patient.volume import Volume

#: What stands for a label map's path to have it made: the full network (1.5 mm) and the fast one (3 mm).
REQUESTS = ("totalsegmentator", "totalsegmentator:fast")
#: Name in ``config/labels`` of the scheme of what is made.
SCHEME = "totalsegmentator_v2"
_PROGRAM = "TotalSegmentator"
_VERSION = 2
#: Until it says which: it loads torch first.
_VERSION_S = 120.0
_RIGHT_ANGLES = 1e-4
_INSTALL = ("install it in an environment of its own (pip install TotalSegmentator) and put its program on the PATH; "
            "its code is under Apache-2.0, the weights of its task 'total', fetched by itself, are free for any use")


def segment(ct: Volume, request: str) -> Volume:
    """The label map that TotalSegmentator's task "total" makes of a CT: minutes on a GPU, long on a CPU.

    It is made once and kept in the user's cache by what the CT holds: a session's nodes ask for it at the same time.

    Args:
        ct: in Hounsfield units; a sheared one is resampled first, as the program takes axes at right angles only.
        request: one of ``REQUESTS``.

    Returns:
        ids of the scheme ``SCHEME``, on the CT's grid unless that is sheared.

    Raises:
        FileNotFoundError: the program is not installed; the message says how to do it.
        ValueError: another version, or it failed; the message holds its last words.
    """
    made = _cache() / f"{_key(ct, request)}.nii.gz"
    made.parent.mkdir(parents=True, exist_ok=True)
    with locked(made.with_suffix(".lock")):
        if not made.is_file():
            _make(ct, request, made)
    found = read_nifti(made, "label map of TotalSegmentator:")
    return Volume(found.values, found.affine, _PROGRAM, (f"label map by {_PROGRAM}, a network: look at it",))


def _make(ct: Volume, request: str, made: Path) -> None:
    program = _checked_program()
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        scan, labels = Path(folder, "ct.nii.gz"), Path(folder, "labels.nii.gz")
        _write(_straight(ct), scan)
        fast = ["--fast"] if request == REQUESTS[1] else []
        _run([program, "-i", str(scan), "-o", str(labels), "--ml", "--task", "total", *fast])
        if not labels.is_file():
            raise ValueError(f"{_PROGRAM} ended without an error and without a label map; try it by hand on the CT")
        read_nifti(labels, "label map of TotalSegmentator:")  # nothing that cannot be read is kept
        labels.replace(made)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthex" / "totalsegmentator"


def _key(ct: Volume, request: str) -> str:
    digest = hashlib.sha256(repr((request, ct.shape, ct.affine.round(4).tolist())).encode())
    digest.update(np.ascontiguousarray(ct.values).data)
    return digest.hexdigest()[:32]


def _checked_program() -> str:
    """Path of the program, of a version whose ids are known."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise FileNotFoundError(f"{_PROGRAM} is not installed here; {_INSTALL}")
    words = _run([program, "--version"], _VERSION_S)
    version = re.search(r"(\d+)\.\d+", words)
    if version is None or int(version[1]) != _VERSION:
        raise ValueError(f"{_PROGRAM} says it is version '{words.strip()[-40:]}', the ids of version {_VERSION} are "
                         f"known; {_INSTALL}")
    return program


def _run(command: list[str], timeout_s: float | None = None) -> str:
    """What a program writes; an interrupted call ends it."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"'{' '.join(command)}' did not answer within {timeout_s:g} s; try it by hand") from error
    except OSError as error:
        raise ValueError(f"{_PROGRAM} cannot be run: {error}") from error
    if done.returncode:
        last = " / ".join(done.stdout.strip().splitlines()[-3:])
        raise ValueError(f"{_PROGRAM} failed (exit code {done.returncode}): {last or 'it said nothing'}")
    return done.stdout


def _straight(ct: Volume) -> Volume:
    axes = ct.affine[:3, :3] / ct.spacing_mm
    if np.abs(axes.T @ axes - np.eye(3)).max() < _RIGHT_ANGLES:
        return ct
    return isotropic(ct, float(ct.spacing_mm.min()))


def _write(ct: Volume, path: Path) -> None:
    """Voxels and affine alone: nothing of the files' headers leaves."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ct.affine
    image = nibabel.Nifti1Image(np.rint(ct.values).astype(np.int16), ras)
    image.set_sform(ras, code=1)
    image.set_qform(ras, code=1)
    nibabel.save(image, path)
