"""Markers: they lie where the device is, and are made only for somebody who looks."""

import random
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

from cm_kinematics.kinematics import segment_poses, tip_point  # noqa: E402
from cm_kinematics.mounting import entry_pose  # noqa: E402
from cm_kinematics.nodes import cm_node  # noqa: E402
from cm_kinematics.nodes.conversions import point_mm  # noqa: E402
from cm_kinematics.nodes.markers import cm_markers  # noqa: E402


@pytest.fixture(scope="module")
def mounted() -> np.ndarray:
    """Shaft frame -> table, mm: along table x from 100 mm on, bending towards +y."""
    return entry_pose((100.0, 20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))


@pytest.fixture(scope="module")
def bent(geometry, mounted) -> dict[str, Marker]:
    angles = np.full(geometry.joint_count, 0.03)
    message = cm_markers(geometry, mounted @ segment_poses(geometry, angles), "table", Time(sec=3))
    return {marker.ns: marker for marker in message.markers}


def points_mm(marker: Marker) -> np.ndarray:
    return np.array([point_mm(point) for point in marker.points])


def test_the_shaft_goes_straight_from_the_drive_to_where_the_notches_begin(bent):
    assert bent["shaft"].type == Marker.LINE_STRIP
    np.testing.assert_allclose(points_mm(bent["shaft"]), [[-50, 20, 30], [135, 20, 30]], atol=1e-9)


def test_the_body_goes_on_from_there_through_all_hinges_to_the_tip(geometry, mounted, bent):
    body = points_mm(bent["body"])
    assert bent["body"].type == Marker.LINE_STRIP and len(body) == geometry.joint_count + 2
    np.testing.assert_allclose(body[0], points_mm(bent["shaft"])[1], atol=1e-9)
    lengths = np.linalg.norm(np.diff(body, axis=0), axis=1)
    np.testing.assert_allclose(lengths[1:-1], geometry.hinge_pitches_mm, atol=1e-9)
    assert lengths.sum() == pytest.approx(geometry.length_mm - geometry.flexible_start_mm)
    tip = mounted @ np.append(tip_point(geometry, np.full(geometry.joint_count, 0.03)), 1.0)
    np.testing.assert_allclose(body[-1], tip[:3], atol=1e-9)
    assert body[-1, 1] > 25.0  # bent to the side that was asked for


def test_the_ball_is_at_the_tip_and_all_is_as_thick_as_the_tube(bent):
    tip = bent["tip"]
    assert tip.type == Marker.SPHERE and (tip.scale.x, tip.scale.y, tip.scale.z) == (0.006, 0.006, 0.006)
    np.testing.assert_allclose(point_mm(tip.pose.position), points_mm(bent["body"])[-1], atol=1e-9)
    assert bent["shaft"].scale.x == bent["body"].scale.x == 0.006


def test_viewers_know_where_and_when_and_forget_what_is_old(bent):
    for marker in bent.values():
        assert (marker.header.frame_id, marker.header.stamp.sec, marker.action) == ("table", 3, Marker.ADD)
        assert marker.pose.orientation.w == 1.0 and marker.color.a == 1.0
        assert 0 < marker.lifetime.sec <= 3
    assert len({(marker.ns, marker.id) for marker in bent.values()}) == 3


def test_nothing_is_made_unless_somebody_looks_and_then_five_times_a_second(device_file, monkeypatch):
    made = []
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setattr(cm_node, "cm_markers", lambda *args: made.append(time.monotonic()) or cm_markers(*args))
    rclpy.init(domain_id=random.randint(10, 90))
    executor = SingleThreadedExecutor()
    node = cm_node.CmNode([Parameter("device_file", value=str(device_file)), Parameter("rate", value=50.0)])
    executor.add_node(node)

    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.02)

    try:
        spin(0.6)
        assert made == []
        got = []
        node.create_subscription(MarkerArray, "cm/markers", got.append, 1)
        spin(1.6)
        assert len(got) >= 4 and np.diff(made).mean() > 0.17
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
