"""The boundary between the library (millimetres, 4 x 4 matrices) and ROS messages (metres, quaternions, stamps)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, Vector3
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import JointState

MM_PER_M = 1000.0
NS_PER_S = 1_000_000_000


# -- lengths ----------------------------------------------------------------------------------------------------------
def to_metres(length_mm: ArrayLike) -> np.ndarray | float:
    """Millimetres (any shape) in metres."""
    return np.asarray(length_mm, dtype=np.float64)[()] / MM_PER_M


def to_millimetres(length_m: ArrayLike) -> np.ndarray | float:
    """Metres (any shape) in millimetres; the inverse of ``to_metres``."""
    return np.asarray(length_m, dtype=np.float64)[()] * MM_PER_M


def rigid_to_metres(transform_mm: ArrayLike) -> np.ndarray:
    """(..., 4, 4) rigid transforms with their translation in metres instead of millimetres."""
    transform = np.array(transform_mm, dtype=np.float64)
    transform[..., :3, 3] = to_metres(transform[..., :3, 3])
    return transform


def rigid_to_millimetres(transform_m: ArrayLike) -> np.ndarray:
    """(..., 4, 4) rigid transforms with their translation in millimetres instead of metres."""
    transform = np.array(transform_m, dtype=np.float64)
    transform[..., :3, 3] = to_millimetres(transform[..., :3, 3])
    return transform


# -- points and poses -------------------------------------------------------------------------------------------------
def point_message(point_mm: ArrayLike) -> Point:
    """(3,) millimetres as a Point in metres."""
    x, y, z = (float(value) for value in to_metres(point_mm))
    return Point(x=x, y=y, z=z)


def point_mm(message: Point) -> np.ndarray:
    """A Point in metres as (3,) float64 millimetres."""
    return to_millimetres([message.x, message.y, message.z])


def pose_messages(transforms_mm: ArrayLike) -> list[Pose]:
    """(n, 4, 4) rigid transforms (child frame -> parent frame, mm) as Poses of the child in the parent, metres."""
    transforms = np.asarray(transforms_mm, dtype=np.float64)
    translations = to_metres(transforms[:, :3, 3])
    quaternions = Rotation.from_matrix(transforms[:, :3, :3]).as_quat(canonical=True)
    return [Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=i, y=j, z=k, w=w))
            for (x, y, z), (i, j, k, w) in zip(translations.tolist(), quaternions.tolist(), strict=True)]


def pose_message(transform_mm: ArrayLike) -> Pose:
    """One (4, 4) rigid transform (child -> parent, mm) as a Pose in metres."""
    return pose_messages(np.asarray(transform_mm)[None])[0]


def pose_mm(message: Pose) -> np.ndarray:
    """A Pose in metres as a (4, 4) float64 rigid transform in millimetres.

    Raises:
        ValueError: the quaternion is zero or a number is not finite.
    """
    orientation = message.orientation
    quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
    transform = np.eye(4)
    transform[:3, 3] = point_mm(message.position)
    if not np.isfinite(quaternion).all() or not np.isfinite(transform).all():
        raise ValueError("the pose holds a number that is not finite")
    if np.linalg.norm(quaternion) < 1e-6:
        raise ValueError("the pose's quaternion is zero; an identity rotation is (0, 0, 0, 1)")
    transform[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    return transform


def transform_message(transform_mm: ArrayLike) -> Transform:
    """One (4, 4) rigid transform (child -> parent, mm) as a Transform in metres."""
    pose = pose_message(transform_mm)
    return Transform(translation=Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z),
                     rotation=pose.orientation)


def transform_mm(message: Transform) -> np.ndarray:
    """A Transform in metres as a (4, 4) float64 rigid transform in millimetres.

    Raises:
        ValueError: as ``pose_mm``.
    """
    translation = message.translation
    position = Point(x=translation.x, y=translation.y, z=translation.z)
    return pose_mm(Pose(position=position, orientation=message.rotation))


# -- time -------------------------------------------------------------------------------------------------------------
def stamp_ns(stamp: TimeMessage) -> int:
    """A stamp as integer nanoseconds (a float cannot hold today's nanoseconds)."""
    return stamp.sec * NS_PER_S + stamp.nanosec


def stamp_message(nanoseconds: int) -> TimeMessage:
    """Integer nanoseconds as a stamp; the inverse of ``stamp_ns``."""
    seconds, rest = divmod(int(nanoseconds), NS_PER_S)
    return TimeMessage(sec=seconds, nanosec=rest)


# -- joint states -----------------------------------------------------------------------------------------------------
def joint_state_message(stamp: TimeMessage, names: Sequence[str], position: ArrayLike, velocity: ArrayLike = (),
                        effort: ArrayLike = (), frame_id: str = "") -> JointState:
    """A JointState; values are SI (m, rad, m/s, rad/s, N), in the order of the names.

    Raises:
        ValueError: position, or a velocity or effort that is given, has another length than names.
    """
    message = JointState(name=list(names))
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    for field, values in (("position", position), ("velocity", velocity), ("effort", effort)):
        numbers = np.asarray(values, dtype=np.float64).tolist()
        if len(numbers) != len(names) and (numbers or field == "position"):
            raise ValueError(f"{field} has {len(numbers)} values for {len(names)} joints")
        setattr(message, field, numbers)
    return message


def joint_positions(message: JointState, names: Sequence[str]) -> np.ndarray:
    """The positions of exactly the named joints, in the order of ``names``, whatever the message's order.

    Returns:
        (len(names),) float64, SI.

    Raises:
        ValueError: a joint is missing, unknown or named twice, a position is missing or not finite.
    """
    if len(message.position) != len(message.name):
        raise ValueError(f"{len(message.name)} names but {len(message.position)} positions")
    if sorted(message.name) != sorted(names):
        raise ValueError(f"names must be {', '.join(names)} in any order, got {', '.join(message.name) or 'none'}")
    by_name = dict(zip(message.name, message.position, strict=True))
    positions = np.array([by_name[name] for name in names], dtype=np.float64)
    for name, value in zip(names, positions, strict=True):
        if not np.isfinite(value):
            raise ValueError(f"position of {name} must be finite, got {value}")
    return positions
