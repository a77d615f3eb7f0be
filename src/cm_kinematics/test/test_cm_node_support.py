"""What all nodes share: the parameter table, the conversions at the boundary, tf, diagnostics and the main function."""

import os
import random
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")

from geometry_msgs.msg import Pose  # noqa: E402
from rclpy.executors import ExternalShutdownException, ShutdownException  # noqa: E402
from rclpy.parameter import Parameter as RosParameter  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from cm_kinematics.nodes import conversions  # noqa: E402
from cm_kinematics.nodes.diagnostics import Diagnostics, Latency, Level, Status  # noqa: E402
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, ParameterError, declare, markdown  # noqa: E402
from cm_kinematics.nodes.spin import ManyThreadsExecutor  # noqa: E402
from cm_kinematics.nodes.transforms import TransformPublisher  # noqa: E402

TABLE = (
    Parameter("file", str, REQUIRED, "what to load", read_only=True),
    Parameter("rate", float, 20.0, "how often", "Hz", range=(1.0, 100.0)),
    Parameter("count", int, 3, "how many", range=(1, 9)),
    Parameter("physics", str, "naive", "how to render", choices=("naive", "realistic")),
    Parameter("entry.position_mm", list[float], [1.0, 2.0, 3.0], "where", "mm", length=3),
    Parameter("low", float, 0.0, "lower end"),
    Parameter("high", float, 1.0, "upper end"),
)


def ordered(values) -> None:
    if values["low"] >= values["high"]:
        raise ValueError(f"low {values['low']} must be below high {values['high']}")


@pytest.fixture(scope="module")
def context():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=random.randint(10, 90))
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def make_node(context):
    nodes = []

    def make(**overrides):
        parameters = [RosParameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
        nodes.append(rclpy.create_node("probe", context=context, parameter_overrides=parameters))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


# -- parameters ------------------------------------------------------------------------------------------------------
def test_defaults_and_overrides_arrive_in_the_tables_types(make_node):
    values = declare(make_node(file="a.yaml", rate=5, entry__position_mm=[4, 5, 6]), TABLE)
    assert dict(values) == {"file": "a.yaml", "rate": 5.0, "count": 3, "physics": "naive",
                            "entry.position_mm": (4.0, 5.0, 6.0), "low": 0.0, "high": 1.0}
    assert isinstance(values["rate"], float)


@pytest.mark.parametrize(("overrides", "words"), [
    ({}, "file is required"),
    ({"file": "a", "rates": 3.0}, "unknown parameter rates"),
    ({"file": "a", "entry__z": 3.0}, r"unknown parameter entry\.z"),
    ({"file": "a", "rate": 1000.0}, "rate must be between 1 and 100 Hz, got 1000"),
    ({"file": "a", "rate": float("nan")}, "rate must be finite"),
    ({"file": "a", "rate": True}, "rate must be a number"),
    ({"file": "a", "count": 2.5}, "count must be an integer"),
    ({"file": 3}, "file must be a text"),
    ({"file": "a", "physics": "magic"}, "physics must be one of naive, realistic"),
    ({"file": "a", "entry__position_mm": [1.0, 2.0]}, "must have 3 entries, got 2"),
    ({"file": "a", "entry__position_mm": "1 2 3"}, "must be list of float"),
    ({"file": "a", "low": 2.0}, "low 2.0 must be below high 1.0"),
])
def test_a_wrong_parameter_is_refused_with_its_name_and_reason(make_node, overrides, words):
    with pytest.raises(ParameterError, match=words):
        declare(make_node(**overrides), TABLE, ordered)


@pytest.mark.parametrize(("name", "value", "reason"), [
    ("rate", 500.0, "range"), ("physics", "magic", "one of naive"), ("file", "b", "read-only"),
    ("low", 5.0, "must be below"), ("rate", float("nan"), "finite|range"), ("rate", "fast", "type")])
def test_a_running_node_refuses_a_wrong_change_with_a_reason_and_keeps_its_value(make_node, name, value, reason):
    node = make_node(file="a")
    values = declare(node, TABLE, ordered)
    before = values[name]
    result = node.set_parameters([RosParameter(name, value=value)])[0]
    assert not result.successful
    assert re.search(reason, result.reason)
    assert values[name] == before


def test_a_good_change_is_seen_by_the_reader(make_node):
    node = make_node(file="a")
    values = declare(node, TABLE, ordered)
    assert node.set_parameters([RosParameter("rate", value=50.0)])[0].successful
    assert values["rate"] == 50.0


def test_descriptors_carry_unit_range_and_read_only(make_node):
    node = make_node(file="a")
    declare(node, TABLE)
    rate, file = node.describe_parameters(["rate", "file"])
    assert rate.description == "how often [Hz]"
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (1.0, 100.0)
    assert file.read_only and not rate.read_only


def test_a_table_with_a_wrong_default_is_a_mistake_found_at_import():
    with pytest.raises(ParameterError, match="between 1 and 2"):
        Parameter("rate", float, 5.0, "how often", range=(1.0, 2.0))
    with pytest.raises(TypeError, match="none of"):
        Parameter("rate", complex, 5.0, "how often")


def test_the_markdown_table_has_a_row_for_each_parameter():
    lines = markdown(TABLE).splitlines()
    assert len(lines) == 2 + len(TABLE)
    assert lines[2] == "| `file` | str | *required* |  |  | no | what to load |"
    assert lines[3] == "| `rate` | float | `20.0` | Hz | 1 to 100 | yes | how often |"
    assert "`[1.0, 2.0, 3.0]`" in lines[6] and "3 entries" in lines[6]
    assert len({line.count("|") for line in lines}) == 1
    seed = Parameter("seed", int, 0, "of the noise", range=(0, 2**53))
    assert "| 0 to 9007199254740992 |" in markdown([seed])
    assert "| 0.1 to 60 |" in markdown([Parameter("rate", float, 3.0, "frames", range=(0.1, 60.0))])


# -- conversions -----------------------------------------------------------------------------------------------------
def test_poses_survive_the_way_through_metres_and_quaternions():
    from scipy.spatial.transform import Rotation

    transforms = np.tile(np.eye(4), (20, 1, 1))
    transforms[:, :3, :3] = Rotation.random(20, rng=np.random.default_rng(0)).as_matrix()
    transforms[:, :3, 3] = np.random.default_rng(1).uniform(-900, 900, (20, 3))
    for transform, message in zip(transforms, conversions.pose_messages(transforms), strict=True):
        np.testing.assert_allclose(conversions.pose_mm(message), transform, atol=1e-9)


def test_a_known_pose_has_the_known_message():
    transform = np.array([[0, -1, 0, 1000], [1, 0, 0, 250], [0, 0, 1, -5], [0, 0, 0, 1.0]])
    pose = conversions.pose_message(transform)
    assert (pose.position.x, pose.position.y, pose.position.z) == (1.0, 0.25, -0.005)
    q = pose.orientation
    np.testing.assert_allclose([q.x, q.y, q.z, q.w], [0, 0, np.sqrt(0.5), np.sqrt(0.5)], atol=1e-12)
    tf = conversions.transform_message(transform)
    assert (tf.translation.x, tf.translation.y, tf.translation.z) == (1.0, 0.25, -0.005) and tf.rotation == q


def test_rigid_transforms_scale_their_translation_only():
    transform = np.eye(4)
    transform[:3, 3] = [1, 2, 3]
    metres = conversions.rigid_to_metres(transform)
    np.testing.assert_allclose(metres[:3, 3], [0.001, 0.002, 0.003])
    np.testing.assert_array_equal(metres[:3, :3], np.eye(3))
    np.testing.assert_array_equal(transform[:3, 3], [1, 2, 3])


def test_a_pose_without_a_rotation_or_with_nan_is_refused():
    pose = Pose()
    pose.orientation.w = 0.0
    with pytest.raises(ValueError, match="quaternion is zero"):
        conversions.pose_mm(pose)
    pose.orientation.w, pose.position.x = 1.0, float("nan")
    with pytest.raises(ValueError, match="not finite"):
        conversions.pose_mm(pose)


def test_stamps_are_exact_to_the_nanosecond():
    nanoseconds = 1_795_425_593_657_115_073
    assert conversions.stamp_ns(conversions.stamp_message(nanoseconds)) == nanoseconds


def test_joint_positions_are_taken_by_name_not_by_order():
    message = JointState(name=["tendon", "insertion", "roll"], position=[3.0, 1.0, 2.0])
    np.testing.assert_array_equal(conversions.joint_positions(message, ("insertion", "roll", "tendon")), [1, 2, 3])


@pytest.mark.parametrize(("names", "position", "words"), [
    (["a"], [1.0], "names must be"), (["a", "a"], [1.0, 2.0], "names must be"), (["a", "c"], [1.0, 2.0], "names must"),
    (["a", "b"], [1.0], "2 names but 1 positions"), (["a", "b"], [1.0, float("nan")], "position of b must be finite"),
    ([], [], "got none")])
def test_a_wrong_joint_state_is_refused(names, position, words):
    with pytest.raises(ValueError, match=words):
        conversions.joint_positions(JointState(name=names, position=position), ("a", "b"))


def test_a_joint_state_must_have_a_value_for_each_name():
    stamp = conversions.stamp_message(5)
    assert list(conversions.joint_state_message(stamp, ["a", "b"], [1, 2]).position) == [1.0, 2.0]
    with pytest.raises(ValueError, match="velocity has 1 values for 2 joints"):
        conversions.joint_state_message(stamp, ["a", "b"], [1, 2], velocity=[1])


# -- tf and diagnostics ----------------------------------------------------------------------------------------------
class Recorder:
    """Stands where a node stands and keeps what is published; tf2_msgs is not installed everywhere."""

    def __init__(self):
        self.sent = {}
        self.destroyed = []

    def create_publisher(self, kind, topic, qos):
        return SimpleNamespace(publish=self.sent.setdefault(topic, []).append, topic=topic)

    def destroy_publisher(self, publisher):
        self.destroyed.append(publisher.topic)


def test_static_transforms_go_out_as_the_whole_set():
    node = Recorder()
    publisher = TransformPublisher(node, SimpleNamespace)
    stamp = conversions.stamp_message(7)
    moved = np.eye(4)
    moved[:3, 3] = [1000, 0, 0]
    publisher.send_static(stamp, ("world", "table", np.eye(4)))
    publisher.send_static(stamp, ("table", "ct_lps", moved))
    publisher.send(stamp, ("table", "cm_base", moved))
    last = node.sent["/tf_static"][-1].transforms
    assert [(t.header.frame_id, t.child_frame_id) for t in last] == [("world", "table"), ("table", "ct_lps")]
    assert node.sent["/tf"][0].transforms[0].transform.translation.x == 1.0
    assert node.sent["/tf"][0].transforms[0].header.stamp == stamp


def test_without_tf2_msgs_nothing_is_published():
    node = Recorder()
    publisher = TransformPublisher(node, None)
    publisher.send(conversions.stamp_message(7), ("table", "cm_base", np.eye(4)))
    publisher.destroy()
    assert node.sent == {} and node.destroyed == []


def test_a_destroyed_transform_publisher_leaves_no_publisher():
    node = Recorder()
    TransformPublisher(node, SimpleNamespace).destroy()
    assert sorted(node.destroyed) == sorted(node.sent) == ["/tf", "/tf_static"]


def test_latency_percentiles_are_those_of_the_last_window():
    latency = Latency(window=100)
    assert latency.values() == {}
    for milliseconds in (*[9000] * 50, *range(1, 101)):
        latency.add(milliseconds / 1000)
    assert latency.values("render") == pytest.approx({"render_p50_ms": 50.5, "render_p95_ms": 95.05})


def test_diagnostics_name_node_and_task(make_node):
    node = make_node()
    diagnostics = Diagnostics(node, hardware_id="notched_27")
    diagnostics.add("device", lambda: Status(Level.WARN, "slow", {"p95_ms": 12.34567891, "frames": 3}))
    sent = []
    diagnostics._publisher = SimpleNamespace(publish=sent.append)
    diagnostics.publish()
    status = sent[0].status[0]
    assert (status.name, status.level) == ("probe: device", b"\x01")
    assert (status.message, status.hardware_id) == ("slow", "notched_27")
    assert [(v.key, v.value) for v in status.values] == [("p95_ms", "12.3457"), ("frames", "3")]


def test_destroyed_diagnostics_leave_neither_publisher_nor_timer(make_node):
    node = make_node()
    before = {entity.handle for entity in (*node.publishers, *node.timers)}
    diagnostics = Diagnostics(node)
    assert {entity.handle for entity in (*node.publishers, *node.timers)} != before
    diagnostics.destroy()
    assert {entity.handle for entity in (*node.publishers, *node.timers)} == before
    # A node that is configured anew makes new ones.
    Diagnostics(node).destroy()


# -- the main function -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("arguments", "words"), [
    ([], "parameter device_file is required"),
    (["-p", "device_file:=nowhere.yaml"], "nowhere.yaml: no such file or directory"),
    (["-p", "device_file:={device}", "-p", "speed:=3.0"], "unknown parameter speed"),
    (["-p", "device_file:={device}", "-p", "start_tendon_mm:=9.0"], "tendon must be between"),
    (["-p", "device_file:={device}", "-p", "entry_hinge:=[1.0, 0.0, 0.0]"], "must not be parallel"),
    (["--params-file", "nowhere.yaml"], "nowhere.yaml"),
])
def test_a_bad_configuration_ends_a_node_with_one_line_and_exit_code_1(device_file, arguments, words):
    command = [sys.executable, "-m", "cm_kinematics.nodes.cm_node", "--ros-args"]
    command += [argument.format(device=device_file) for argument in arguments]
    environment = os.environ | {"ROS_DOMAIN_ID": str(random.randint(10, 90)),
                                "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("cm_node: error: ")]
    assert len(lines) == 1 and words in lines[0]


def test_publishers_come_and_go_while_many_threads_spin():
    """As when a node is deactivated and activated again; rclpy's own executor ends after some dozens of rounds."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=random.randint(10, 90))
    node = rclpy.create_node("coming_and_going", context=context)
    executor = ManyThreadsExecutor(num_threads=4, context=context)
    executor.add_node(node)
    node.create_timer(0.001, lambda: None)
    spinning = threading.Thread(target=_spin, args=(executor,), daemon=True)
    spinning.start()
    try:
        for _ in range(300):
            publishers = [node.create_publisher(String, f"topic_{number}", 1) for number in range(5)]
            time.sleep(0.001)
            for publisher in publishers:
                node.destroy_publisher(publisher)
        assert spinning.is_alive()
    finally:
        executor.shutdown()
        spinning.join(timeout=5.0)
        node.destroy_node()
        rclpy.shutdown(context=context)


def _spin(executor):
    with suppress(ExternalShutdownException, ShutdownException):
        executor.spin()
