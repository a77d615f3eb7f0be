"""The positioner in time: where the C-arm's joints are at an instant, whether it is still or moving."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields

import numpy as np

from synthex_sim.carm.carm import CArm, CArmJoints

#: Speeds of a motorised C-arm moved with care; every joint of one motion arrives at the same time.
SPEED_MM_S = 60.0
SPEED_DEG_S = 15.0

_SPEEDS = np.array([SPEED_MM_S if f.name.endswith("_mm") else SPEED_DEG_S for f in fields(CArmJoints)])


@dataclass(frozen=True, eq=False)
class _Motion:
    """A straight motion in joint space; replaced as a whole, so that another thread never sees half of a command."""

    start: np.ndarray
    target: np.ndarray
    begin_s: float
    end_s: float

    def progress(self, time_s: float) -> float:
        if self.end_s <= self.begin_s:
            return 1.0
        return float(np.clip((time_s - self.begin_s) / (self.end_s - self.begin_s), 0.0, 1.0))

    def at(self, time_s: float) -> np.ndarray:
        return self.start + (self.target - self.start) * self.progress(time_s)


class Positioner:
    """Joints as a function of time. One thread at a time may command it; any number may ask where it is.

    Args:
        carm: gives the limits.
        start: joints at the beginning.
        script: joints at a time in seconds since the beginning, followed until the first command; or None.
    """

    def __init__(
        self, carm: CArm, start: CArmJoints, script: Callable[[float], CArmJoints] | None = None
    ) -> None:
        carm.check_limits(start)
        self._carm = carm
        here = np.array(astuple(start))
        self._motion = _Motion(here, here, 0.0, 0.0)
        self._script = script

    def joints(self, time_s: float) -> CArmJoints:
        """Where the arm is at ``time_s``."""
        script = self._script
        return script(time_s) if script is not None else CArmJoints(*self._motion.at(time_s).tolist())

    def is_moving(self, time_s: float) -> bool:
        """Whether a commanded motion is under way."""
        return self._script is None and time_s < self._motion.end_s

    def progress(self, time_s: float) -> float:
        """0..1 of the last commanded motion."""
        return self._motion.progress(time_s)

    def move(self, target: CArmJoints, time_s: float, duration_s: float | None = None) -> float:
        """Starts a straight motion in joint space; ends the script.

        Args:
            duration_s: how long it takes; by default as long as the slowest joint needs.

        Returns:
            The duration in seconds.

        Raises:
            ValueError: the target is outside the limits, or the duration not finite or shorter than the slowest joint
                needs; the arm then keeps doing what it did.
        """
        start = self.joints(time_s)
        self.check(start, target, duration_s)
        here, there = np.array(astuple(start)), np.array(astuple(target))
        needed = _least_duration(start, target)
        self._motion = _Motion(here, there, time_s, time_s + (needed if duration_s is None else duration_s))
        self._script = None
        return self._motion.end_s - time_s

    def check(self, start: CArmJoints, target: CArmJoints, duration_s: float | None = None) -> None:
        """Raises ValueError where ``move`` from there to the target would."""
        self._carm.check_limits(target)
        if duration_s is None:
            return
        if not 0.0 < duration_s < math.inf:
            raise ValueError(f"the duration of a motion must be positive and finite, got {duration_s} s")
        if duration_s < (needed := _least_duration(start, target)) * (1.0 - 1e-9):
            raise ValueError(f"the arm needs at least {needed:.1f} s for this motion, got {duration_s:g} s")

    def stop(self, time_s: float) -> None:
        """Holds the arm where it is."""
        here = np.array(astuple(self.joints(time_s)))
        self._motion = _Motion(here, here, time_s, time_s)
        self._script = None


def _least_duration(start: CArmJoints, target: CArmJoints) -> float:
    """Seconds that the slowest joint needs."""
    return float((np.abs(np.array(astuple(target)) - np.array(astuple(start))) / _SPEEDS).max())


def orbit_script(
    carm: CArm, target: np.ndarray, source_to_target_mm: float, orbital_deg: list[float], angular_deg: list[float],
    period_s: float,
) -> Callable[[float], CArmJoints]:
    """A slow tour of views around a point, repeated: smooth between way points given at equal times.

    Args:
        target: (3,) world mm, kept on the central ray.
        orbital_deg, angular_deg: way points; the tour ends at the first again.
        period_s: duration of one tour.

    Raises:
        ValueError: lists of different length, or a way point outside the device's limits.
    """
    if len(orbital_deg) != len(angular_deg) or not orbital_deg:
        raise ValueError("the script needs as many orbital as angular way points, at least one")
    if not period_s > 0:
        raise ValueError(f"the script's period must be positive, got {period_s} s")
    points = np.stack([orbital_deg, angular_deg], axis=1).astype(np.float64)
    for orbital, angular in points:
        carm.aim(target, source_to_target_mm, orbital, angular)

    def joints(time_s: float) -> CArmJoints:
        phase = (time_s / period_s) % 1.0 * len(points)
        index = int(phase)
        s = phase - index
        ease = s * s * (3.0 - 2.0 * s)
        orbital, angular = points[index] * (1 - ease) + points[(index + 1) % len(points)] * ease
        return carm.aim(target, source_to_target_mm, float(orbital), float(angular))

    return joints
