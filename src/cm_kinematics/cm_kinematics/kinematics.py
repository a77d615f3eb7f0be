"""Forward kinematics of the pin chain, and the tendon's geometric model.

Base frame (``cm_base``, the shaft frame): origin at the shaft's proximal end, y along the axis towards the tip, hinges
parallel to z. A **positive joint angle bends towards +x**, i.e. it is a turn by -theta about +z::

    phi_i = theta_1 + ... + theta_i
    p_1 = (0, y_1),   p_{i+1} = p_i + d_i (sin phi_i, cos phi_i)

with hinge positions p, the first hinge's y_1 and pitches d. Segment i's frame sits in hinge i; the shaft's in its
proximal end. Millimetres and radians throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cm_kinematics.geometry import CmGeometry


def segment_poses(geometry: CmGeometry, joint_angles: ArrayLike) -> np.ndarray:
    """Poses of all rigid segments.

    Args:
        joint_angles: (..., n) radians, hinge 1 first.

    Returns:
        (..., n + 1, 4, 4) float64: segment frame -> base frame, mm; entry 0 is the shaft (identity).

    Raises:
        ValueError: the last axis is not the number of hinges, or an angle is not finite.
    """
    angles = _checked(geometry, joint_angles)
    bends = np.concatenate([np.zeros_like(angles[..., :1]), np.cumsum(angles, axis=-1)], axis=-1)
    sin, cos = np.sin(bends), np.cos(bends)
    pitches = np.asarray(geometry.hinge_pitches_mm)
    poses = np.zeros((*bends.shape, 4, 4))
    poses[..., 0, 0] = cos
    poses[..., 0, 1] = sin
    poses[..., 1, 0] = -sin
    poses[..., 1, 1] = cos
    poses[..., 2, 2] = 1.0
    poses[..., 3, 3] = 1.0
    poses[..., 1:, 1, 3] = geometry.first_hinge_mm
    poses[..., 2:, 0, 3] += np.cumsum(pitches * sin[..., 1:-1], axis=-1)
    poses[..., 2:, 1, 3] += np.cumsum(pitches * cos[..., 1:-1], axis=-1)
    return poses


def base_point(geometry: CmGeometry) -> np.ndarray:
    """(3,) mm, base frame: where the notched body begins, on the axis (landmark CM-base); it moves with the shaft."""
    return np.array([0.0, geometry.flexible_start_mm, 0.0])


def tip_offset(geometry: CmGeometry) -> np.ndarray:
    """(3,) mm: the tip in the last segment's frame."""
    return np.array([0.0, geometry.length_mm - geometry.hinges_mm[-1], 0.0])


def tip_pose(geometry: CmGeometry, joint_angles: ArrayLike) -> np.ndarray:
    """(..., 4, 4) mm: tip frame -> base frame; y along the tip's axis, z along the hinges, origin at the ring's end.

    Args and errors as ``segment_poses``.
    """
    pose = segment_poses(geometry, joint_angles)[..., -1, :, :].copy()
    pose[..., :3, 3] += pose[..., :3, :3] @ tip_offset(geometry)
    return pose


def tip_point(geometry: CmGeometry, joint_angles: ArrayLike) -> np.ndarray:
    """(..., 3) mm, base frame: where the notched body ends, on its centreline (landmark CM-tip)."""
    return tip_pose(geometry, joint_angles)[..., :3, 3]


def centreline(geometry: CmGeometry, joint_angles: ArrayLike) -> np.ndarray:
    """(..., n + 2, 3) mm, base frame: CM-base, the n hinges' middles, CM-tip."""
    poses = segment_poses(geometry, joint_angles)
    tip = poses[..., -1, :3, 3] + poses[..., -1, :3, :3] @ tip_offset(geometry)
    base = np.broadcast_to(base_point(geometry), tip.shape)
    return np.concatenate([base[..., None, :], poses[..., 1:, :3, 3], tip[..., None, :]], axis=-2)


def joint_angles_from_tendon(geometry: CmGeometry, tendon_mm: ArrayLike) -> np.ndarray:
    """Joint angles that a tendon displacement causes.

    Assumption (geometry only: no friction, no stretch, no load, equal hinges): the tendon on the +x side at offset a,
    pulled by q > 0, shortens by a phi_n, and every hinge takes the same part: theta_j = q / (a n). Nearly constant
    curvature, because the pitches are nearly equal. q < 0 is a pull on the other side's tendon.

    Args:
        tendon_mm: (...) displacement q.

    Returns:
        (..., n) radians, positive towards +x.
    """
    bend = np.asarray(tendon_mm, dtype=np.float64) / geometry.tendon_offset_mm
    return np.repeat(bend[..., None] / geometry.joint_count, geometry.joint_count, axis=-1)


def tendon_from_joint_angles(geometry: CmGeometry, joint_angles: ArrayLike) -> np.ndarray:
    """(...) mm: tendon displacement a phi_n of a shape; the inverse of ``joint_angles_from_tendon``."""
    return geometry.tendon_offset_mm * _checked(geometry, joint_angles).sum(axis=-1)


def _checked(geometry: CmGeometry, joint_angles: ArrayLike) -> np.ndarray:
    angles = np.asarray(joint_angles, dtype=np.float64)
    if angles.ndim == 0 or angles.shape[-1] != geometry.joint_count:
        raise ValueError(f"joint angles must have shape (..., {geometry.joint_count}) for {geometry.name}, "
                         f"got {angles.shape}")
    if not np.isfinite(angles).all():
        raise ValueError("joint angles must be finite, they hold NaN or infinity")
    return angles
