"""Bone surfaces as markers for viewers: one list of triangles for each structure."""

from __future__ import annotations

from collections.abc import Iterable

from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from cm_kinematics.nodes.conversions import to_metres
from synthex_sim import anatomy
from synthex_sim.display import LABEL_COLORS_RGB
from synthex_sim.patient.surface import BoneSurface

#: Frame of the surfaces: the patient's own, which tf ties to the table.
BONES_FRAME = "ct_lps"
#: Half transparent: the manipulator is inside.
_OPACITY = 0.5
_UNNAMED_RGB = (225, 215, 195)


def bones_message(surfaces: Iterable[BoneSurface], stamp: TimeMessage) -> MarkerArray:
    """One marker for each surface, named (``ns``) and numbered (``id``) as the structure; points in metres, LPS."""
    return MarkerArray(markers=[_marker(surface, stamp) for surface in surfaces])


def _marker(surface: BoneSurface, stamp: TimeMessage) -> Marker:
    marker = Marker(ns=surface.name, id=surface.label, type=Marker.TRIANGLE_LIST, action=Marker.ADD,
                    frame_locked=True, color=_color(surface.label))
    marker.header.stamp = stamp
    marker.header.frame_id = BONES_FRAME
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    # A vertex belongs to six triangles on average: one Point for all of them takes a sixth of the time.
    points = [Point(x=x, y=y, z=z) for x, y, z in to_metres(surface.vertices).tolist()]
    marker.points = [points[i] for i in surface.triangles.ravel().tolist()]
    return marker


def _color(label: int) -> ColorRGBA:
    rgb = _UNNAMED_RGB if label == anatomy.BACKGROUND else LABEL_COLORS_RGB[label]
    red, green, blue = (value / 255 for value in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=_OPACITY)
