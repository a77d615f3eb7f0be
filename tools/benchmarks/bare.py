"""The bare line integral: ours and the peers on the very same volume and views, compared and timed in one run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import peers_environment
import phantom
from agreement import compare
from contestants import ALL, OURS, Absent, Contestant, python_of
from geometry import VIEWS, Shot, cios_shot
from plan import Cell, Plan
from reference import fine_line_integrals
from timing import measure
from volume_files import VolumeFiles

#: About how many pixels on a side the fine reference is computed for.
_REFERENCE_PIXELS = 72


class BareRun:
    """Who takes part, who does not, and what was found."""

    def __init__(self, plan: Plan, cores: int, work: Path) -> None:
        self.plan, self._cores, self._work = plan, cores, work
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.scene: dict[str, Any] = {"phantom": phantom.NAME, "side_mm": phantom.SIDE_MM}
        self.agreement: list[dict[str, Any]] = []
        self.costs: list[dict[str, Any]] = []
        self.peak_memory_mib: dict[str, int] = {}
        self._running: list[Contestant] = []

    def run(self) -> None:
        """Everything, volume by volume.

        Raises:
            Absent: ours does not run; without a peer it goes on.
        """
        with ExitStack() as stack:
            self._start(stack)
            for side, cut_to_body in self.plan.volumes:
                volume = self._volume(side, cut_to_body)
                self._each(self._running, lambda contestant, at=str(volume.folder): contestant.ask("load", folder=at))
                for cell in (c for c in self.plan.all_take_part if (c.side, c.cut_to_body) == (side, cut_to_body)):
                    self._cell(cell, volume, everyone=True)
                if not self.peak_memory_mib:
                    answers = self._each(self._running, lambda contestant: contestant.ask("peak_memory"))
                    self.peak_memory_mib = {key: round(answer["peak_mib"]) for key, answer in answers.items()}
                for cell in (c for c in self.plan.fast_only if (c.side, c.cut_to_body) == (side, cut_to_body)):
                    self._cell(cell, volume, everyone=False)

    def _start(self, stack: ExitStack) -> None:
        for entry in ALL:
            try:
                if entry.place.startswith("peers."):
                    self.versions[entry.key] = peers_environment.make_ready(entry.key.partition("_")[0])
                contestant = Contestant(entry, python_of(entry, peers_environment.folder()), self._cores)
            except Absent as error:
                self._lose(entry.key, str(error))
                continue
            self._running.append(stack.enter_context(contestant))

    def _volume(self, side: int, cut_to_body: bool) -> VolumeFiles:
        print(f"[bench] {phantom.NAME} of {side} voxels on a side{', cut to the body' * cut_to_body}", flush=True)
        hu, labels, affine = phantom.torso(side)
        if cut_to_body:
            hu, labels, affine = phantom.without_air(hu, labels, affine)
        else:
            self.scene[f"body_share_of_voxels_{side}"] = round(float((hu > phantom.AIR_UP_TO_HU).mean()), 3)
        return VolumeFiles.write(self._work / "volume", hu, labels, affine)

    def _each(self, contestants: list[Contestant], do: Any) -> dict[str, Any]:
        """What each one answers; one that breaks down is out from then on."""
        answers = {}
        for contestant in list(contestants):
            try:
                answers[contestant.entry.key] = do(contestant)
            except Absent as error:
                self._lose(contestant.entry.key, str(error))
        return answers

    def _lose(self, key: str, reason: str) -> None:
        if key == OURS.key:
            raise Absent(reason)
        print(f"[bench] goes on without {key}: {reason}", flush=True)
        self.absent[key] = reason
        self._running = [c for c in self._running if c.entry.key != key]

    def _cell(self, cell: Cell, volume: VolumeFiles, everyone: bool) -> None:
        print(f"[bench] {cell.pixels}^2 pixels", flush=True)
        shots = {name: cios_shot(cell.pixels, np.zeros(3), *angles) for name, angles in VIEWS.items()}
        taking_part = [c for c in self._running if everyone or not c.entry.slow]
        for view, shot in shots.items():
            self._look(cell, view, shot, volume, taking_part, everyone)
        taking_part = [c for c in taking_part if c in self._running]
        plan = self.plan
        costs, broken = measure(taking_part, shots, plan.least_rounds, plan.most_rounds, plan.seconds)
        for key, reason in broken.items():
            self._lose(key, reason)
        for key, cost in costs.items():
            self.costs.append({"contestant": key, **asdict(cell), **cost.to_json()})

    def _look(
        self, cell: Cell, view: str, shot: Shot, volume: VolumeFiles, taking_part: list[Contestant], judge: bool
    ) -> None:
        """Everyone's picture: it warms them up, and tells whether they compute the same."""

        def picture(contestant: Contestant) -> np.ndarray:
            out = self._work / f"{contestant.entry.key}.npy"
            contestant.ask("image", shot=shot.to_json(), out=str(out))
            return np.load(out)

        pictures = self._each(taking_part, picture)
        if not judge:
            return
        at, fine = fine_line_integrals(volume.density, volume.affine, shot, max(shot.shape[0] // _REFERENCE_PIXELS, 1))
        self.scene[f"filled_share_of_pixels_{view}"] = round(float((fine > 0.05 * fine.max()).mean()), 3)
        ours = pictures[OURS.key]
        for key, image in pictures.items():
            row = {**asdict(cell), "view": view, "contestant": key}
            self.agreement.append(row | {"against": "fine"} | compare(image[at], fine).to_json())
            if key != OURS.key:
                self.agreement.append(row | {"against": "ours"} | compare(image, ours).to_json())
