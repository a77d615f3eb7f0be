"""Control angles -> joint angles: the low-dimensional shape of the manipulator (Gao et al. 2023).

k control angles (k = 5) sit at knots X_i = (n - 1) i / (k + 1), i = 1..k (26 i / 6 for n = 27 hinges). A natural cubic
spline S runs through them; outside the outer knots its end slope continues in a straight line. Hinge j takes S(j).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

CONTROL_COUNT = 5


def joint_angles(control_angles_deg: ArrayLike, joint_count: int = 27, shift: int = 0) -> np.ndarray:
    """Joint angles of the spline through the control angles.

    Args:
        control_angles_deg: (..., k) control angles in degrees, k >= 2.
        joint_count: number of hinges n.
        shift: hinge j takes S(j - shift). 0 is what the authors build ground truth with, 1 what their optimiser does.

    Returns:
        (..., n) float64, **radians**, hinge 1 first.

    Raises:
        ValueError: fewer than two control angles or hinges.
    """
    control = np.asarray(control_angles_deg, dtype=np.float64)
    if control.ndim == 0 or control.shape[-1] < 2:
        raise ValueError(f"control angles must have shape (..., k) with k >= 2, got {control.shape}")
    if joint_count < 2:
        raise ValueError(f"a spline needs at least two joints, got {joint_count}")
    return np.deg2rad(control @ spline_matrix(control.shape[-1], joint_count, shift).T)


@lru_cache(maxsize=16)
def spline_matrix(control_count: int = CONTROL_COUNT, joint_count: int = 27, shift: int = 0) -> np.ndarray:
    """(n, k) float64, read-only: the spline as a linear map, joint angles = matrix @ control angles (same unit)."""
    knots = (joint_count - 1) * np.arange(1, control_count + 1) / (control_count + 1)
    spline = CubicSpline(knots, np.eye(control_count), bc_type="natural")
    at = np.arange(1, joint_count + 1) - float(shift)
    inside = np.clip(at, knots[0], knots[-1])
    # The slope at the clipped position is the end slope for joints outside the knots; inside, the term vanishes.
    matrix = spline(inside) + spline(inside, 1) * (at - inside)[:, None]
    matrix.setflags(write=False)
    return matrix
