"""Who renders, and a hold on each one's process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Absent(Exception):
    """A contestant that cannot take part here; the message says why."""


@dataclass(frozen=True)
class Entry:
    """A contestant that may be started.

    Attributes:
        key: short name in files and on the command line.
        place: module and class, ``peers.rtk:Rtk``.
        name, method: what the table calls it.
        options: arguments of the class.
        slow: only asked for 360 x 360.
    """

    key: str
    place: str
    name: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)
    slow: bool = False


OURS = Entry("ours", "ours:LineIntegrals", "SyntheX (ours)", "Joseph, numba")
PEERS = (
    Entry("rtk", "peers.rtk:Rtk", "RTK", "Joseph, C++"),
    Entry("plastimatch", "peers.plastimatch:Plastimatch", "plastimatch", "Siddon, C++"),
    Entry("nanodrr", "peers.nanodrr:Nanodrr", "nanodrr", "trilinear, PyTorch", slow=True),
    Entry("diffdrr", "peers.diffdrr:DiffDrr", "DiffDRR", "trilinear, PyTorch", slow=True),
)
#: Side by side where there is a GPU; pictures come back to the CPU one by one.
ON_GPU = (
    Entry("ours_cuda", "ours:LineIntegrals", "SyntheX (ours), GPU", "CUDA", {"projector": "cuda"}),
    Entry("nanodrr_cuda", "peers.nanodrr:Nanodrr", "nanodrr, GPU", "trilinear, Triton", {"device": "cuda"}),
)
ALL = (OURS, *PEERS, *ON_GPU)


class Contestant:
    """A running contestant; ``with`` ends it."""

    def __init__(self, entry: Entry, python: Path | str, cores: int) -> None:
        """Starts its process on the first ``cores`` processor cores that this one may use.

        Raises:
            Absent: it does not start.
        """
        self.entry = entry
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), entry.place, json.dumps(entry.options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=HERE,
            env=_environment(entry, len(allowed)), preexec_fn=lambda: os.sched_setaffinity(0, allowed))
        self._answer()

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Has it do something, see ``worker.Worker``, and waits for the answer.

        Raises:
            Absent: it broke down over it.
        """
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are in the error stream
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().strip().splitlines() or [f"exit status {self._process.returncode}"]
        # where things lie on this machine is nobody's business
        raise Absent(re.sub(r"/\S*/", "", words[-1]))


def _environment(entry: Entry, threads: int) -> dict[str, str]:
    """As many threads for all; threads that wait do not spin, which would count as CPU time of the wrong frame."""
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "MKL_NUM_THREADS")
    result = os.environ | dict.fromkeys(names, str(threads))
    result |= {"OMP_WAIT_POLICY": "passive", "PYTHONDONTWRITEBYTECODE": "1"}
    if entry.place.startswith("peers."):
        result.pop("PYTHONPATH", None)  # the workspace's packages are none of theirs
    return result


def python_of(entry: Entry, peers: Path) -> str:
    """The interpreter that a contestant runs in."""
    return str(peers / "bin" / "python") if entry.place.startswith("peers.") else sys.executable
