"""Bone surfaces as markers: every triangle in metres, named, numbered and coloured as the structure is everywhere."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from cm_kinematics.nodes import markers  # noqa: E402
from synthex_sim import anatomy  # noqa: E402
from synthex_sim.display import LABEL_COLORS_RGB  # noqa: E402
from synthex_sim.nodes.surface_messages import bones_message  # noqa: E402
from synthex_sim.patient.surface import BoneSurface  # noqa: E402

VERTICES = np.array([[0.0, 0, 0], [100, 0, 0], [0, 200, 0], [0, 0, 300]])
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)


@pytest.fixture(scope="module")
def message() -> MarkerArray:
    surfaces = [BoneSurface(label, VERTICES + label, TRIANGLES) for label in (anatomy.LEFT_FEMUR, anatomy.BACKGROUND)]
    made = bones_message(surfaces, Time(sec=7))
    return deserialize_message(serialize_message(made), MarkerArray)  # as a subscriber gets it


def rgb(marker: Marker) -> tuple[int, int, int]:
    return tuple(round(255 * value) for value in (marker.color.r, marker.color.g, marker.color.b))


def test_each_structure_is_a_marker_in_the_patients_frame(message):
    assert [(m.ns, m.id) for m in message.markers] == [("left_femur", anatomy.LEFT_FEMUR), ("bone", 0)]
    for marker in message.markers:
        assert (marker.type, marker.action) == (Marker.TRIANGLE_LIST, Marker.ADD)
        assert (marker.header.frame_id, marker.header.stamp.sec, marker.frame_locked) == ("ct_lps", 7, True)
        assert (marker.scale.x, marker.scale.y, marker.scale.z, marker.pose.orientation.w) == (1, 1, 1, 1)


def test_its_points_are_the_corners_of_all_triangles_in_metres(message):
    points = np.array([[p.x, p.y, p.z] for p in message.markers[0].points])
    np.testing.assert_allclose(points, (VERTICES + anatomy.LEFT_FEMUR)[TRIANGLES].reshape(-1, 3) / 1000, atol=1e-12)


def test_a_structure_has_its_colour_and_the_manipulator_is_seen_through_it(message):
    femur, rest = message.markers
    assert rgb(femur) == LABEL_COLORS_RGB[anatomy.LEFT_FEMUR]
    assert rgb(rest) not in LABEL_COLORS_RGB
    assert 0 < femur.color.a < 1


def test_the_manipulator_has_the_same_colour_as_in_pictures():
    assert markers.COLOR_RGB == LABEL_COLORS_RGB[anatomy.MANIPULATOR]
