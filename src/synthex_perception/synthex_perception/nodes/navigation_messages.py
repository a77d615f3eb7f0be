"""What navigation knows as messages, each with the header of the image it was seen in; metres."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import Point, PointStamped, PoseWithCovarianceStamped
from std_msgs.msg import Header

from cm_kinematics.nodes.conversions import MM_PER_M, pose_message
from synthex_msgs.msg import Landmark2D, NavigationStatus
from synthex_perception.navigation.cm_position import CmPosition, SeenEnd
from synthex_perception.navigation.navigator import Navigation
from synthex_perception.navigation.pelvis_pose import PelvisPose

#: Variance of an angle of which nothing is known, rad^2: uniform over a full turn.
_UNKNOWN_ANGLE = math.pi**2 / 3


def pelvis_message(pelvis: PelvisPose, header: Header) -> PoseWithCovarianceStamped:
    """The pose of ``ct_lps`` (patient LPS, origin that of the CT) in the image's frame."""
    return _message(pelvis.camera_from_ct, pelvis.covariance, header)


def manipulator_poses(
    position: CmPosition, header: Header
) -> tuple[PoseWithCovarianceStamped, PoseWithCovarianceStamped]:
    """Base and tip in the image's frame; y points from base to tip, the turn about it is unknown and says so."""
    along = position.tip_mm - position.base_mm
    length = max(float(np.linalg.norm(along)), 1e-9)
    y = along / length
    z = np.array([0.0, 0.0, -1.0]) + y[2] * y
    z /= max(np.linalg.norm(z), 1e-9)
    rotation = np.column_stack([np.cross(y, z), y, z])
    # errors of the two ends turn y by y x (tip error - base error) / length
    lever = np.cross(np.eye(3), y).T / length
    turn = lever @ (position.tip_covariance + position.base_covariance) @ lever.T + _UNKNOWN_ANGLE * np.outer(y, y)
    poses = []
    for point, covariance in ((position.base_mm, position.base_covariance), (position.tip_mm, position.tip_covariance)):
        pose, both = np.eye(4), np.zeros((6, 6))
        pose[:3, :3], pose[:3, 3] = rotation, point
        both[:3, :3], both[3:, 3:] = covariance, turn
        poses.append(_message(pose, both, header))
    return poses[0], poses[1]


def target_message(target_mm: np.ndarray, header: Header) -> PointStamped:
    """The planned target in ``ct_lps`` (patient LPS), metres."""
    x, y, z = (target_mm / MM_PER_M).tolist()
    return PointStamped(header=header, point=Point(x=x, y=y, z=z))


def seen_end(point: Landmark2D) -> SeenEnd:
    """Base or tip; a depth of zero is what a message holds that nobody filled in."""
    depth_mm = point.depth * MM_PER_M if point.depth > 0.0 else math.nan
    return SeenEnd(np.array([point.x, point.y]), point.visible, depth_mm)


def status_message(told: Navigation, header: Header) -> NavigationStatus:
    """State and reason, with what the pelvis' pose rests on."""
    message = NavigationStatus(
        header=header, state=told.state.value, reason=told.reason, pelvis_known=told.pelvis is not None,
        manipulator_known=told.manipulator is not None,
    )
    if told.pelvis is not None:
        message.landmarks_used = int(told.pelvis.inliers.sum())
        message.residual = float(told.pelvis.residual_px)
    return message


def _message(pose_mm: np.ndarray, covariance: np.ndarray, header: Header) -> PoseWithCovarianceStamped:
    """Covariance of (x, y, z, rx, ry, rz) in mm and rad -> metres and rad, row by row."""
    metres = np.diag([1 / MM_PER_M] * 3 + [1.0] * 3)
    message = PoseWithCovarianceStamped(header=header)
    message.pose.pose = pose_message(pose_mm)
    message.pose.covariance = (metres @ covariance @ metres).ravel().tolist()
    return message
