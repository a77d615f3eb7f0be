"""The C-arm's motion under commands from several threads: one command at a time, watched until it has arrived."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from synthex_sim.carm.carm import CArmJoints
from synthex_sim.carm.positioner import Positioner

_LOOK_EVERY_S = 0.03


class ArmMotion:
    """Commands to a positioner.

    Args:
        positioner: what moves; its time begins now.
        now_ns: the time of the clock that both go by, nanoseconds.
    """

    def __init__(self, positioner: Positioner, now_ns: Callable[[], int]) -> None:
        self._positioner = positioner
        self._now_ns = now_ns
        self._start_ns = now_ns()
        self._commanded = threading.Lock()

    def joints(self, time_ns: int | None = None) -> CArmJoints:
        """Where the arm is at a time of the clock, by default now."""
        return self._positioner.joints(self._now_s() if time_ns is None else self._seconds(time_ns))

    @contextmanager
    def command(self) -> Iterator[None]:
        """Within it, nobody else's command is carried out.

        Raises:
            ValueError: another command is being carried out.
        """
        if not self._commanded.acquire(blocking=False):
            raise ValueError("the C-arm is carrying out another motion; wait for its end or cancel it")
        try:
            yield
        finally:
            self._commanded.release()

    def check(self, start: CArmJoints, target: CArmJoints, duration_s: float | None = None) -> None:
        """Raises ValueError where ``go`` from there to the target would."""
        self._positioner.check(start, target, duration_s)

    def go(
        self,
        target: CArmJoints,
        duration_s: float | None = None,
        *,
        go_on: Callable[[], bool],
        on_the_way: Callable[[CArmJoints, float], None] = lambda joints, progress: None,
    ) -> bool:
        """Moves and waits for the end; to be called within ``command``.

        Args:
            duration_s: how long it takes; by default as long as the slowest joint needs.
            go_on: asked again and again; once it says False the arm holds where it is.
            on_the_way: told the joints and the progress 0..1 meanwhile.

        Returns:
            Whether the arm arrived.

        Raises:
            ValueError: the target or the duration is refused; the arm then keeps doing what it did.
        """
        self._positioner.move(target, self._now_s(), duration_s)
        while self._positioner.is_moving(now := self._now_s()):
            if not go_on():
                self._positioner.stop(now)
                return False
            on_the_way(self._positioner.joints(now), self._positioner.progress(now))
            time.sleep(_LOOK_EVERY_S)
        return True

    def _seconds(self, time_ns: int) -> float:
        return (time_ns - self._start_ns) * 1e-9

    def _now_s(self) -> float:
        return self._seconds(self._now_ns())
