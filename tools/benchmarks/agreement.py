"""How well two pictures of line integrals agree. Nothing is fitted: no scale, no shift."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

#: What agreement asks for: correlation at least, mean difference at most.
LEAST_CORRELATION = 0.9995
LARGEST_DIFFERENCE = 0.01


@dataclass(frozen=True)
class Agreement:
    """One comparison.

    Attributes:
        correlation: Pearson's.
        difference: mean of |a - b| over the mean of b.
        bias: mean of a - b over the mean of b.
    """

    correlation: float
    difference: float
    bias: float

    @property
    def good(self) -> bool:
        """Whether both demands are met."""
        return self.correlation > LEAST_CORRELATION and self.difference < LARGEST_DIFFERENCE

    def to_json(self) -> dict:
        """The three numbers and whether they are good."""
        return asdict(self) | {"good": self.good}


def compare(a: np.ndarray, b: np.ndarray) -> Agreement:
    """Agreement of a with b, both (...,) line integrals of the same pixels.

    Raises:
        ValueError: their shapes differ, a value is not finite, or b is nothing but zeros.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"pictures of different size: {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a picture holds values that are not finite")
    mean = b.mean()
    if mean <= 0.0:
        raise ValueError("there is nothing in the picture to compare with")
    correlation = float(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    return Agreement(correlation, float(np.abs(a - b).mean() / mean), float((a - b).mean() / mean))
