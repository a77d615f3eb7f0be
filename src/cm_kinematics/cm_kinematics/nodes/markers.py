"""The manipulator as markers for viewers: a thick line each for shaft and notched body, a ball at the tip."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Duration
from builtin_interfaces.msg import Time as TimeMessage
from numpy.typing import ArrayLike
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from cm_kinematics.geometry import CmGeometry
from cm_kinematics.kinematics import base_point, tip_offset
from cm_kinematics.nodes.conversions import point_message, to_metres

#: The manipulator's colour in overlays and pictures; the shaft is grey.
COLOR_RGB = (255, 150, 30)
_SHAFT_RGB = (150, 150, 150)
#: A viewer forgets a manipulator of which it has not heard for so long: old ones must not look like present ones.
_LIFETIME_S = 2


def cm_markers(geometry: CmGeometry, poses_mm: ArrayLike, frame_id: str, stamp: TimeMessage) -> MarkerArray:
    """Shaft, notched body and tip at one moment.

    Args:
        geometry: of the device.
        poses_mm: (n + 1, 4, 4) segment frame -> ``frame_id``, mm, shaft first.

    Returns:
        three markers in metres with ``ns`` shaft, body and tip: lines as wide as the tube, a ball of its diameter.
    """
    poses = np.asarray(poses_mm, dtype=np.float64)
    behind = np.array([0.0, -geometry.shaft_extension_mm, 0.0])
    start, end = _placed(poses[0], behind), _placed(poses[0], base_point(geometry))
    tip = _placed(poses[-1], tip_offset(geometry))
    shaft = _marker("shaft", Marker.LINE_STRIP, _SHAFT_RGB, geometry, frame_id, stamp)
    shaft.points = [point_message(point) for point in (start, end)]
    body = _marker("body", Marker.LINE_STRIP, COLOR_RGB, geometry, frame_id, stamp)
    body.points = [point_message(point) for point in (end, *poses[1:, :3, 3], tip)]
    ball = _marker("tip", Marker.SPHERE, COLOR_RGB, geometry, frame_id, stamp)
    ball.scale.y = ball.scale.z = ball.scale.x
    ball.pose.position = point_message(tip)
    return MarkerArray(markers=[shaft, body, ball])


def _placed(pose: np.ndarray, point: np.ndarray) -> np.ndarray:
    return pose[:3, :3] @ point + pose[:3, 3]


def _marker(name: str, kind: int, rgb: tuple[int, int, int], geometry: CmGeometry, frame_id: str,
            stamp: TimeMessage) -> Marker:
    red, green, blue = (value / 255 for value in rgb)
    marker = Marker(ns=name, type=kind, action=Marker.ADD, color=ColorRGBA(r=red, g=green, b=blue, a=1.0),
                    lifetime=Duration(sec=_LIFETIME_S))
    marker.header.stamp = stamp
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    marker.scale.x = float(to_metres(geometry.outer_diameter_mm))
    return marker
