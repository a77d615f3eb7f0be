"""Lag: charge that a flat panel holds back and gives off into later frames.

Traps of kind n take the fraction A_n of every frame's signal x and release it with the time constant tau_n. The time
between two frames is dt, the charge held Q_n (a linear, charge-conserving model; Hsieh et al. 2000 and Starman et al.
2011 write the same impulse response as a sum of exponentials)::

    y = (1 - sum_n A_n) x + sum_n Q_n (1 - exp(-dt / tau_n))
    Q_n <- Q_n exp(-dt / tau_n) + A_n x
"""

from __future__ import annotations

import math
from typing import Any

from synthex_sim.carm.detector_settings import LagComponent


class Lag:
    """What one panel still remembers. Held by whoever takes a series of frames; single shots have none."""

    def __init__(self, components: tuple[LagComponent, ...]) -> None:
        """A panel without memory yet.

        Args:
            components: from the device profile; none gives a panel without lag.
        """
        self.components = components
        self._held: list[Any] | None = None

    def reset(self) -> None:
        """Forgets everything, as after a long pause."""
        self._held = None

    def read(self, signal: Any, interval_s: float) -> Any:
        """The next frame as read out.

        Args:
            signal: (R, C) float array, numpy or cupy: what this exposure alone leaves in the pixels.
            interval_s: time since the last frame; of no effect on the first.

        Returns:
            (R, C) of the same type.

        Raises:
            ValueError: another shape than the frames before, or a time that is not positive.
        """
        if not 0.0 < interval_s < math.inf:
            raise ValueError(f"the time between two frames must be positive and finite, got {interval_s} s")
        if self._held is not None and self._held and self._held[0].shape != signal.shape:
            raise ValueError(
                f"lag: this panel gave frames of {self._held[0].shape} pixels, now {signal.shape}; reset it first"
            )
        out = signal * (1.0 - sum(component.fraction for component in self.components))
        if self._held is None:
            self._held = [signal * component.fraction for component in self.components]
            return out
        for component, held in zip(self.components, self._held, strict=True):
            kept = math.exp(-interval_s / component.time_constant_s)
            out += held * (1.0 - kept)
            held *= kept
            held += signal * component.fraction
        return out
