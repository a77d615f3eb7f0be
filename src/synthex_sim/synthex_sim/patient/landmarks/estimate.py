"""What a landmark's algorithm gives back: a place with its spread, or a reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Estimate:
    """A landmark's place.

    Attributes:
        point: (3,) LPS mm.
        spread_mm: standard deviation of the places on the surface that fit the definition equally well within
            ``TOLERANCE_MM``; of the sphere's centre for FH.
    """

    point: np.ndarray
    spread_mm: float


class LandmarkNotFound(ValueError):
    """The message says what is missing."""


#: Points of an edge count by exp(-fall / this): about how far the smooth surface of a label map may be off.
TOLERANCE_MM = 0.4
#: A point that lies d from the place where the landmark is expected is taken for d^2 / (2 * this) lower than it is.
CHARGE_MM = 60.0


def extreme(
    points: np.ndarray,
    height: np.ndarray,
    expected: np.ndarray | None = None,
    charge_mm: float = CHARGE_MM,
    tolerance_mm: float = TOLERANCE_MM,
) -> tuple[np.ndarray, float]:
    """The middle of the highest places of an edge.

    The highest point alone jumps along a flat top with every change of a voxel. So places that are as high up to the
    tolerance are averaged, and 10 mm from the place that was expected cost 0.8 mm of height: where the edge is
    curved its top decides, and where it is straight the expectation decides which part of it is meant.

    Args:
        points: (N, D) mm, evenly spread.
        height: (N,) mm.
        expected: (D,) mm, or None if nothing is.
        charge_mm: how little the expectation weighs.
        tolerance_mm: how much lower the averaged places may be.

    Returns:
        (D,) the middle, and the standard deviation of what counts, in mm.
    """
    if expected is not None:
        height = height - ((points - expected) ** 2).sum(axis=1) / (2 * charge_mm)
    weight = np.exp((height - height.max()) / tolerance_mm)
    weight /= weight.sum()
    middle = weight @ points
    return middle, float(np.sqrt(weight @ ((points - middle) ** 2).sum(axis=1)))
