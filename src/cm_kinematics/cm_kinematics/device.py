"""The simulated manipulator's actuators: commands through rate limits and a first-order lag, with CRTK's states.

A pure machine without clock or middleware: whoever owns it tells it how much time went by. The setpoint runs towards
the target at no more than the rate limit; the measured value m follows the setpoint s with m' = (s - m) / lag. To hold
its place means: target and setpoint become the measured value, so the device stands still at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from cm_kinematics.actuation import Actuation

#: Longest inner step in seconds: a twentieth of the default lag.
_INNER_STEP_S = 0.005
#: A move has arrived when the measured values are this close to the goal: mm, rad, mm.
_ARRIVED = np.array([0.02, 5e-4, 0.005])


class OperatingState(StrEnum):
    """CRTK operating states that this device can be in (it simulates no FAULT)."""

    DISABLED = "DISABLED"
    ENABLED = "ENABLED"
    PAUSED = "PAUSED"


class Mode(StrEnum):
    """What moves the device."""

    SCRIPT = "script"
    HOLD = "hold"
    SERVO = "servo"
    MOVE = "move"


class CommandRejected(ValueError):
    """A command that the device does not follow; the message says why and what would be accepted."""


class CmDevice:
    """The actuators of one manipulator.

    Vectors are (3,) float64 in the order of ``ACTUATORS``: insertion mm, roll rad, tendon mm. The device starts at rest
    and DISABLED. Positions are absolute, so it counts as homed until told to ``unhome``.

    Args:
        actuation: limits, speeds, lag, watchdog.
        start: (3,) values to begin with, within the limits.
        script: seconds -> (3,) target, followed while ENABLED until the first command; None for no scripted motion.

    Raises:
        ValueError: start is out of the limits.
    """

    def __init__(self, actuation: Actuation, start: ArrayLike, script: Callable[[float], np.ndarray] | None = None):
        self._actuation = actuation
        self._script = script
        self._script_s = 0.0
        self._silence_s = 0.0
        self._measured = actuation.checked(start)
        self._setpoint = self._measured.copy()
        self._target = self._measured.copy()
        self._velocity = np.zeros(3)
        self._speed = actuation.max_speed
        self._mode = Mode.HOLD if script is None else Mode.SCRIPT
        self._state = OperatingState.DISABLED
        self._homed = True

    # -- what it says ---------------------------------------------------------------------------------------------
    @property
    def measured(self) -> np.ndarray:
        """(3,) where the actuators are."""
        return self._measured.copy()

    @property
    def velocity(self) -> np.ndarray:
        """(3,) their velocity over the last inner step, mm/s, rad/s, mm/s."""
        return self._velocity.copy()

    @property
    def setpoint(self) -> np.ndarray:
        """(3,) what they are following now, behind the rate limits."""
        return self._setpoint.copy()

    @property
    def state(self) -> OperatingState:
        """CRTK operating state."""
        return self._state

    @property
    def mode(self) -> Mode:
        """What moves it, if it is ENABLED."""
        return self._mode

    @property
    def is_homed(self) -> bool:
        """Whether its position is known; commands are refused while it is not."""
        return self._homed

    @property
    def is_busy(self) -> bool:
        """Whether a move is under way."""
        return self._mode is Mode.MOVE

    # -- what it takes --------------------------------------------------------------------------------------------
    def state_command(self, command: str) -> None:
        """CRTK state command: enable, disable, pause, resume, home, unhome.

        Raises:
            CommandRejected: unknown, or not possible in the present state.
        """
        commands = {"enable": self._enable, "disable": self._disable, "pause": self._pause, "resume": self._resume,
                    "home": self._home, "unhome": self._unhome}
        if command not in commands:
            raise CommandRejected(f"unknown state command {command!r}; known: {', '.join(commands)}")
        commands[command]()

    def servo(self, target: ArrayLike) -> None:
        """Follow a stream of targets at the rate limits; the stream must not fall silent for ``watchdog_s``.

        Raises:
            CommandRejected: not ENABLED or not homed, or a bad target, on which the device holds its place.
        """
        self._target = self._accepted(target)
        self._speed = self._actuation.max_speed
        self._silence_s = 0.0
        self._mode = Mode.SERVO

    def move(self, goal: ArrayLike) -> None:
        """Go to a goal at ``move_speed_fraction`` of the rate limits, all actuators arriving together.

        Raises:
            CommandRejected: as ``servo``.
        """
        self._target = self._accepted(goal)
        way = np.abs(self._target - self._setpoint)
        slow = self._actuation.max_speed * self._actuation.move_speed_fraction
        duration_s = float(np.max(way / slow))
        self._speed = way / duration_s if duration_s > 0 else slow
        self._mode = Mode.MOVE

    def hold(self) -> None:
        """Stop where it is and end servo, move or scripted motion; a device that is not ENABLED stands anyway."""
        if self._state is OperatingState.ENABLED:
            self._mode = Mode.HOLD
            self._stop()

    def step(self, dt_s: float) -> None:
        """Let time pass.

        Args:
            dt_s: seconds since the last step, >= 0.

        Raises:
            ValueError: dt_s is negative or not finite.
        """
        if not (math.isfinite(dt_s) and dt_s >= 0):
            raise ValueError(f"time can only advance by a finite, non-negative number of seconds, got {dt_s}")
        if self._state is not OperatingState.ENABLED or dt_s == 0:
            return
        count = math.ceil(dt_s / _INNER_STEP_S)
        for _ in range(count):
            self._inner_step(dt_s / count)

    # -- how it does it -------------------------------------------------------------------------------------------
    def _inner_step(self, dt_s: float) -> None:
        if self._mode is Mode.SERVO:
            self._silence_s += dt_s
            if self._silence_s > self._actuation.watchdog_s:
                self.hold()
        if self._mode is Mode.SCRIPT:
            self._script_s += dt_s
            self._target = np.clip(self._script(self._script_s), self._actuation.lower, self._actuation.upper)
        reach = self._speed * dt_s
        self._setpoint = self._setpoint + np.clip(self._target - self._setpoint, -reach, reach)
        before = self._measured
        self._measured = before + (self._setpoint - before) * -math.expm1(-dt_s / self._actuation.lag_s)
        self._velocity = (self._measured - before) / dt_s
        if self._mode is Mode.MOVE and (np.abs(self._measured - self._target) < _ARRIVED).all():
            self._mode = Mode.HOLD

    def _accepted(self, target: ArrayLike) -> np.ndarray:
        if self._state is not OperatingState.ENABLED:
            raise CommandRejected(f"the device is {self._state.value}; enable it first (state_command enable)")
        if not self._homed:
            raise CommandRejected("the device is not homed; home it first (state_command home)")
        try:
            return self._actuation.checked(target)
        except ValueError as error:
            self.hold()
            raise CommandRejected(str(error)) from error

    def _stop(self) -> None:
        self._target = self._measured.copy()
        self._setpoint = self._measured.copy()
        self._velocity = np.zeros(3)

    def _leave_enabled(self, state: OperatingState) -> None:
        # Scripted motion goes on after pause or enable; a command of a controller does not.
        if self._mode is not Mode.SCRIPT:
            self._mode = Mode.HOLD
        self._stop()
        self._state = state

    def _enable(self) -> None:
        if self._state is OperatingState.PAUSED:
            raise CommandRejected("the device is PAUSED; resume or disable it")
        self._state = OperatingState.ENABLED

    def _disable(self) -> None:
        self._leave_enabled(OperatingState.DISABLED)

    def _pause(self) -> None:
        if self._state is not OperatingState.ENABLED:
            raise CommandRejected(f"only an ENABLED device can pause, this one is {self._state.value}")
        self._leave_enabled(OperatingState.PAUSED)

    def _resume(self) -> None:
        if self._state is not OperatingState.PAUSED:
            raise CommandRejected(f"only a PAUSED device can resume, this one is {self._state.value}")
        self._state = OperatingState.ENABLED

    def _home(self) -> None:
        if self._state is not OperatingState.ENABLED:
            raise CommandRejected(f"only an ENABLED device can be homed, this one is {self._state.value}")
        self._homed = True

    def _unhome(self) -> None:
        self._homed = False
        self._mode = Mode.HOLD
        self._stop()
