"""A contestant in a process of its own: reads requests as JSON lines, answers each with one.

    python worker.py peers.rtk:Rtk '{}'

Wall and CPU time are taken around the rendering alone. CPU time is that of all threads of the process.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from geometry import Shot
from volume_files import VolumeFiles


class Worker:
    """One contestant and what it is pointed at."""

    def __init__(self, place: str, options: dict[str, Any]) -> None:
        module, name = place.split(":")
        self._contestant = getattr(importlib.import_module(module), name)(**options)

    def load(self, folder: str) -> dict[str, Any]:
        """Takes a volume in."""
        self._contestant.load(VolumeFiles(Path(folder)))
        return {}

    def image(self, shot: dict, out: str) -> dict[str, Any]:
        """Renders and keeps the picture as a .npy file."""
        self._contestant.aim(Shot.from_json(shot))
        np.save(out, np.asarray(self._contestant.render(), dtype=np.float32))
        return {}

    def time(self, shot: dict) -> dict[str, Any]:
        """Seconds that one frame takes; the camera is made before."""
        self._contestant.aim(Shot.from_json(shot))
        if hasattr(self._contestant, "cost"):
            wall, cpu = self._contestant.cost()
            return {"wall_s": wall, "cpu_s": cpu}
        wall, cpu = time.perf_counter(), time.process_time()
        self._contestant.render()
        return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}

    def peak_memory(self) -> dict[str, Any]:
        """MiB that the process has held at most, those it has started included."""
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"peak_mib": max(own.ru_maxrss, children.ru_maxrss) / 1024}


def main() -> None:
    """Answers until the input ends. What a library prints goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], json.loads(sys.argv[2]))
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
