"""What a frame costs: all contestants take turns, so that whatever else the machine does hits all alike."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from statistics import fmean, median

from contestants import Absent, Contestant
from geometry import Shot


@dataclass(frozen=True)
class Cost:
    """One contestant on one size of volume and picture; milliseconds, means over the views.

    Attributes:
        wall_ms: median wall time of a frame.
        best_wall_ms: the fastest one.
        cpu_ms: median CPU time of a frame, all threads.
        rounds: how many frames of each view.
        cpu_ms_by_view: median CPU time view by view.
    """

    wall_ms: float
    best_wall_ms: float
    cpu_ms: float
    rounds: int
    cpu_ms_by_view: dict[str, float]

    def to_json(self) -> dict:
        """Numbers with three digits after the point."""
        document = asdict(self)
        document["cpu_ms_by_view"] = {view: round(ms, 3) for view, ms in self.cpu_ms_by_view.items()}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in document.items()}


def measure(
    contestants: list[Contestant], shots: dict[str, Shot], least_rounds: int, most_rounds: int, seconds: float
) -> tuple[dict[str, Cost], dict[str, str]]:
    """Times all contestants in turns: round by round, view by view, one after the other.

    Args:
        contestants: with the volume loaded, each warmed up.
        shots: the views.
        least_rounds, most_rounds, seconds: goes on for at least so many rounds, then until so much time is spent; four
            times as long at most.

    Returns:
        costs: by the contestants' keys.
        broken: key -> what one said that broke down on the way.
    """
    times: dict[str, dict[str, list[tuple[float, float]]]] = {
        c.entry.key: {view: [] for view in shots} for c in contestants
    }
    broken: dict[str, str] = {}
    began = time.monotonic()
    for done in range(most_rounds):
        spent = time.monotonic() - began
        if not contestants or (done >= least_rounds and spent > seconds) or spent > 4 * seconds:
            break
        for view, shot in shots.items():
            for contestant in contestants:
                if contestant.entry.key in broken:
                    continue
                try:
                    answer = contestant.ask("time", shot=shot.to_json())
                except Absent as error:
                    broken[contestant.entry.key] = str(error)
                    continue
                times[contestant.entry.key][view].append((answer["wall_s"], answer["cpu_s"]))
    return {key: _cost(by_view) for key, by_view in times.items() if key not in broken}, broken


def _cost(by_view: dict[str, list[tuple[float, float]]]) -> Cost:
    walls = [[1e3 * wall for wall, _ in frames] for frames in by_view.values()]
    cpu = {view: median(1e3 * used for _, used in frames) for view, frames in by_view.items()}
    return Cost(
        wall_ms=fmean(median(w) for w in walls),
        best_wall_ms=fmean(min(w) for w in walls),
        cpu_ms=fmean(cpu.values()),
        rounds=len(walls[0]),
        cpu_ms_by_view=cpu,
    )
