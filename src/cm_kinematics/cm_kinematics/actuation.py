"""The three actuators: their names, limits, speeds and lag, from a device file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from cm_kinematics.checks import finite, interval, positive
from cm_kinematics.device_file import read_section

#: Order of every actuator vector of this package; units mm, rad, mm. The same names stand in JointState messages.
ACTUATORS: tuple[str, ...] = ("insertion", "roll", "tendon")


@dataclass(frozen=True)
class Actuation:
    """What the actuators can do.

    Attributes:
        insertion_limits_mm: (lowest, highest) travel of the shaft along its axis.
        roll_limits_deg: (lowest, highest) turn of the shaft about its axis.
        tendon_limits_mm: (lowest, highest) tendon displacement, positive bends towards +x.
        insertion_speed_mm_per_s, roll_speed_deg_per_s, tendon_speed_mm_per_s: rate limits.
        lag_s: time constant of the first-order lag with which the device follows its setpoint.
        move_speed_fraction: part of the rate limits that a move uses, in (0, 1].
        watchdog_s: silence of a servo controller after which the device holds its place.

    Raises:
        ValueError: a value is no finite number, not positive or not ordered.
    """

    insertion_limits_mm: tuple[float, float]
    roll_limits_deg: tuple[float, float]
    tendon_limits_mm: tuple[float, float]
    insertion_speed_mm_per_s: float
    roll_speed_deg_per_s: float
    tendon_speed_mm_per_s: float
    lag_s: float
    move_speed_fraction: float
    watchdog_s: float

    def __post_init__(self) -> None:
        for name in ("insertion_limits_mm", "roll_limits_deg", "tendon_limits_mm"):
            object.__setattr__(self, name, interval(name, getattr(self, name)))
        for name in ("insertion_speed_mm_per_s", "roll_speed_deg_per_s", "tendon_speed_mm_per_s", "lag_s",
                     "move_speed_fraction", "watchdog_s"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        if finite("move_speed_fraction", self.move_speed_fraction) > 1:
            raise ValueError(f"move_speed_fraction must be at most 1, got {self.move_speed_fraction}")

    @property
    def lower(self) -> np.ndarray:
        """(3,) float64: lowest values, mm, rad, mm."""
        return self._bounds(0)

    @property
    def upper(self) -> np.ndarray:
        """(3,) float64: highest values, mm, rad, mm."""
        return self._bounds(1)

    @property
    def max_speed(self) -> np.ndarray:
        """(3,) float64: rate limits, mm/s, rad/s, mm/s."""
        return np.array([self.insertion_speed_mm_per_s, np.deg2rad(self.roll_speed_deg_per_s),
                         self.tendon_speed_mm_per_s])

    def checked(self, values: ArrayLike) -> np.ndarray:
        """The (3,) actuator values (mm, rad, mm) as a new array.

        Raises:
            ValueError: wrong shape, not finite, or out of the limits; the message names the actuator.
        """
        values = np.array(values, dtype=np.float64)
        if values.shape != (3,):
            raise ValueError(f"actuator values must be 3 numbers ({', '.join(ACTUATORS)}), got shape {values.shape}")
        for name, unit, value, low, high in zip(ACTUATORS, ("mm", "rad", "mm"), values, self.lower, self.upper,
                                                strict=True):
            # A nanometre of grace: limits travel through metres and radians of messages.
            if not low - 1e-6 <= value <= high + 1e-6:
                raise ValueError(f"{name} must be between {low:g} and {high:g} {unit}, got {value:g}")
        return np.clip(values, self.lower, self.upper)

    def _bounds(self, side: int) -> np.ndarray:
        return np.array([self.insertion_limits_mm[side], np.deg2rad(self.roll_limits_deg[side]),
                         self.tendon_limits_mm[side]])


def load_actuation(path: str | Path) -> Actuation:
    """The actuators of a device file (section ``actuation`` of config/cm/*.yaml).

    Raises:
        OSError: the file cannot be read.
        ValueError: not YAML, a key missing or unknown, or a value out of its bounds; the file is named.
    """
    values = read_section(path, "actuation", Actuation)
    try:
        return Actuation(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
