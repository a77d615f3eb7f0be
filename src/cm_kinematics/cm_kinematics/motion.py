"""Slow scripted motion: what the manipulator does while nobody commands it.

Each actuator follows, within its range [low, high] with middle m and half width h,

    x(t) = (1 - r(t)) x_0 + r(t) (m + h sum_k w_k sin(2 pi t / T_k + p_k)),   sum_k w_k = 1

so it never leaves the range; r is a smoothstep from 0 to 1 over the first seconds, so the motion starts at x_0 at rest.
The phases p_k come from the seed. The periods T_k have no small common multiple, so the shape does not visibly repeat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

#: Seconds; rows insertion, roll, tendon. Slow enough for the device's default rate limits and for 3 images a second.
_PERIODS_S = np.array([[47.0, 29.0, 19.0], [53.0, 31.0, 17.0], [37.0, 23.0, 13.0]])
_WEIGHTS = np.array([0.5, 0.3, 0.2])
_START_S = 6.0
#: Second word of the Philox key: the purpose SESSION_MOTION of the project's random streams, fixed for good.
_SESSION_MOTION = 9


class ScriptedMotion:
    """A deterministic function of time; the same seed, ranges and start give the same motion on every machine.

    Args:
        seed: 0 <= seed < 2**64.
        low, high: (3,) range that the motion stays in: insertion mm, roll rad, tendon mm.
        start: (3,) where it begins, within [low, high] or not: it is approached smoothly from there.

    Raises:
        ValueError: wrong shapes, not finite, low above high, or a seed that does not fit.
    """

    def __init__(self, seed: int, low: ArrayLike, high: ArrayLike, start: ArrayLike) -> None:
        self._low, self._high, self._start = (np.array(values, dtype=np.float64) for values in (low, high, start))
        for name, values in (("low", self._low), ("high", self._high), ("start", self._start)):
            if values.shape != (3,) or not np.isfinite(values).all():
                raise ValueError(f"{name} must be 3 finite numbers (insertion mm, roll rad, tendon mm), got {values}")
        if (self._low > self._high).any():
            raise ValueError(f"the motion's range is upside down: low {self._low}, high {self._high}")
        if not 0 <= int(seed) < 2**64:
            raise ValueError(f"seed must be an integer in [0, 2**64), got {seed}")
        generator = np.random.Generator(np.random.Philox(key=np.array([int(seed), _SESSION_MOTION], dtype=np.uint64)))
        self._phases = generator.uniform(0.0, 2 * np.pi, size=(3, 3))

    def __call__(self, t_s: float) -> np.ndarray:
        """(3,) float64 at t seconds: insertion mm, roll rad, tendon mm. Before t = 0 it rests at the start."""
        waves = np.sin(2 * np.pi * t_s / _PERIODS_S + self._phases) @ _WEIGHTS
        target = (self._low + self._high) / 2 + (self._high - self._low) / 2 * waves
        ramp = min(max(t_s / _START_S, 0.0), 1.0)
        ramp = ramp * ramp * (3 - 2 * ramp)
        return (1 - ramp) * self._start + ramp * target
