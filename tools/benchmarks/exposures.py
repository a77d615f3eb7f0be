"""Whole exposures of ours: every physics, with and without the manipulator, on every projector that is here."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import phantom
from contestants import Absent, Contestant, Entry, python_of
from geometry import VIEWS, cios_shot
from plan import Plan
from timing import measure
from volume_files import VolumeFiles

PHYSICS = ("naive", "heuristic", "realistic")
PROJECTORS = ("cpu", "cuda")


def entries() -> list[Entry]:
    """All combinations, as contestants."""
    return [
        Entry(
            f"{physics}_{'tool' if tool else 'plain'}_{projector}", "ours:Exposures",
            f"{physics}, {'with' if tool else 'without'} tool, {projector}", "",
            {"physics": physics, "tool": tool, "projector": projector})
        for projector in PROJECTORS for physics in PHYSICS for tool in (False, True)
    ]


def run(plan: Plan, cores: int, work: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Times them all.

    Returns:
        costs: one row a combination and picture size.
        absent: combination -> why it is not among them.
    """
    hu, labels, affine = phantom.torso(plan.exposure_side)
    volume = VolumeFiles.write(work / "volume", hu, labels, affine)
    costs: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        running = []
        for entry in entries():
            try:
                contestant = stack.enter_context(Contestant(entry, python_of(entry, Path()), cores))
                contestant.ask("load", folder=str(volume.folder))
                running.append(contestant)
            except Absent as error:
                absent[entry.key] = str(error)
        for pixels in plan.exposure_pixels:
            costs += _one_size(plan, pixels, running, absent, work)
    return costs, absent


def _one_size(
    plan: Plan, pixels: int, running: list[Contestant], absent: dict[str, str], work: Path
) -> list[dict[str, Any]]:
    """Rows of one picture size; whoever breaks down is taken out of ``running`` and named in ``absent``."""
    print(f"[bench] exposures of {pixels}^2 pixels", flush=True)
    shots = {name: cios_shot(pixels, np.zeros(3), *angles) for name, angles in VIEWS.items()}
    for contestant in list(running):
        try:
            contestant.ask("image", shot=shots["ap"].to_json(), out=str(work / "warm.npy"))
        except Absent as error:
            absent[contestant.entry.key] = str(error)
            running.remove(contestant)
    measured, broken = measure(running, shots, plan.least_rounds, plan.most_rounds, plan.seconds)
    absent |= broken
    running[:] = [contestant for contestant in running if contestant.entry.key not in broken]
    size = {"side": plan.exposure_side, "pixels": pixels}
    return [{**c.entry.options, **size, **measured[c.entry.key].to_json()} for c in running]
