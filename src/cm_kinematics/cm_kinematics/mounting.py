"""Where the shaft stands: the entry pose of the device, and what insertion and roll do to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def entry_pose(position_mm: ArrayLike, direction: ArrayLike, hinge: ArrayLike) -> np.ndarray:
    """The shaft frame at zero insertion and roll.

    Args:
        position_mm: (3,) the shaft's proximal end.
        direction: (3,) of insertion, any length: the frame's y axis.
        hinge: (3,) the hinges' direction, any length; its part across ``direction`` becomes the z axis. The device
            bends in the plane normal to it.

    Returns:
        (4, 4) float64 rigid: shaft frame -> the frame in which the arguments are given, mm.

    Raises:
        ValueError: a number is not finite, a direction is zero, or the two are parallel.
    """
    position, y, z = (np.array(vector, dtype=np.float64) for vector in (position_mm, direction, hinge))
    for name, vector in (("position", position), ("direction", y), ("hinge", z)):
        if vector.shape != (3,) or not np.isfinite(vector).all():
            raise ValueError(f"entry {name} must be 3 finite numbers, got {vector}")
    if np.linalg.norm(y) == 0 or np.linalg.norm(z) == 0:
        raise ValueError("entry direction and hinge must not be zero vectors")
    y /= np.linalg.norm(y)
    z = z / np.linalg.norm(z) - y * (y @ z) / np.linalg.norm(z)
    if np.linalg.norm(z) < 1e-6:
        raise ValueError("entry hinge must not be parallel to the direction of insertion")
    z /= np.linalg.norm(z)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([np.cross(y, z), y, z], axis=1)
    pose[:3, 3] = position
    return pose


def base_pose(entry: ArrayLike, insertion_mm: float, roll_rad: float) -> np.ndarray:
    """The shaft frame (``cm_base``) after insertion and roll: E Trans(0, insertion, 0) Ry(roll).

    Args:
        entry: (4, 4) from ``entry_pose``.
        insertion_mm: travel along the shaft's y.
        roll_rad: right-handed turn about the shaft's y.

    Returns:
        (4, 4) float64 rigid, mm: ``cm_base`` -> the entry's parent frame.
    """
    cos, sin = np.cos(roll_rad), np.sin(roll_rad)
    motion = np.array([[cos, 0, sin, 0], [0, 1, 0, insertion_mm], [-sin, 0, cos, 0], [0, 0, 0, 1]], dtype=np.float64)
    return np.asarray(entry, dtype=np.float64) @ motion
