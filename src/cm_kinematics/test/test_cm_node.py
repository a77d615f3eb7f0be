"""cm_node over real DDS, in its own process, driven as a CRTK client would drive it."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from cm_kinematics.nodes.conversions import pose_mm, stamp_ns  # noqa: E402
from synthex_msgs.msg import CmShape, OperatingState, StringStamped  # noqa: E402

NAMES = ["insertion", "roll", "tendon"]
#: Of this run alone, should another run on this machine have drawn the same domain.
NAMESPACE = f"/room_{os.getpid()}"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Client:
    """Sends commands and keeps the last message of every topic."""

    TOPICS = (("cm/measured_js", JointState, 10), ("cm/joint_states", JointState, 10), ("cm/shape", CmShape, 10),
              ("cm/measured_cp", PoseStamped, 10),              ("cm/operating_state", OperatingState, LATCHED))

    def __init__(self, domain_id: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node("client", namespace=NAMESPACE, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.last = {}
        for topic, kind, qos in self.TOPICS:
            self.node.create_subscription(kind, topic, lambda message, t=topic: self.last.update({t: message}), qos)
        self.node.create_subscription(DiagnosticArray, "/diagnostics",
                                      lambda message: self.last.update(diagnostics=message.status[0]), 10)
        self.servo = self.node.create_publisher(JointState, "cm/servo_jp", 1)
        self.move = self.node.create_publisher(JointState, "cm/move_jp", 1)
        self.state = self.node.create_publisher(StringStamped, "cm/state_command", 10)

    def spin_until(self, condition, seconds: float = 15.0, each=None) -> None:
        """Handle messages until the condition holds; ``each`` is called about 30 times a second meanwhile."""
        end, due = time.monotonic() + seconds, 0.0
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s in vain; last messages: {self.last}"
            if each is not None and time.monotonic() >= due:
                each()
                due = time.monotonic() + 1 / 30
            self.executor.spin_once(timeout_sec=0.02)

    def position(self) -> np.ndarray:
        return np.array(self.last["cm/measured_js"].position)

    def value(self, key: str) -> str:
        return {entry.key: entry.value for entry in self.last["diagnostics"].values}[key]

    def close(self) -> None:
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def start(device_file):
    processes, clients = [], []

    def start_node(*arguments: str) -> tuple[subprocess.Popen, Client]:
        domain_id = random.randint(10, 90)
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain_id), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        command = [sys.executable, "-m", "cm_kinematics.nodes.cm_node", "--ros-args", "-r", f"__ns:={NAMESPACE}",
                   "-p", f"device_file:={device_file}", *arguments]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        clients.append(Client(domain_id))
        client = clients[-1]
        client.spin_until(lambda: "cm/measured_js" in client.last and "cm/operating_state" in client.last)
        client.spin_until(lambda: all(p.get_subscription_count() for p in (client.servo, client.move, client.state)))
        return processes[-1], client

    yield start_node
    for client in clients:
        client.close()
    for process in processes:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        process.stderr.close()


@pytest.fixture(autouse=True)
def local_discovery(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


def test_a_client_enables_it_servoes_it_and_is_refused_what_is_wrong(start):
    _, client = start("-p", "enable_at_start:=false", "-p", "script:=false")
    assert client.last["cm/operating_state"].state == "DISABLED"
    np.testing.assert_allclose(client.position(), [0.020, 0, 0], atol=1e-12)

    client.state.publish(StringStamped(string="enable"))
    client.spin_until(lambda: client.last["cm/operating_state"].state == "ENABLED")

    goal = np.array([0.024, 0.2, 0.001])
    client.spin_until(lambda: np.allclose(client.position(), goal, atol=2e-4),
                      each=lambda: client.servo.publish(JointState(name=NAMES, position=goal.tolist())))

    place = client.position()
    for message in (JointState(name=NAMES, position=[0.03, float("nan"), 0.0]),
                    JointState(name=["a", "b", "c"], position=[0.03, 0.0, 0.0]),
                    JointState(name=NAMES, position=[0.03, 0.0, 0.1])):
        rejected = int(client.value("commands_rejected")) if "diagnostics" in client.last else 0
        client.servo.publish(message)
        client.spin_until(
            lambda n=rejected: "diagnostics" in client.last and int(client.value("commands_rejected")) > n
        )
    assert "tendon must be between" in client.value("last_rejection")
    np.testing.assert_allclose(client.position(), place, atol=3e-4)


def test_move_is_busy_on_the_way_and_arrives_without_a_stream(start):
    _, client = start("-p", "script:=false")
    seen = []
    client.node.create_subscription(OperatingState, "cm/operating_state", lambda m: seen.append(m.is_busy), 10)
    goal = [0.022, -0.1, -0.0005]
    client.spin_until(lambda: True in seen, each=lambda: client.move.publish(JointState(name=NAMES, position=goal)))
    client.spin_until(lambda: not client.last["cm/operating_state"].is_busy)
    client.spin_until(lambda: np.allclose(client.position(), goal, atol=1e-4))


def test_one_tick_is_consistent_and_moves_by_its_script(start):
    process, client = start("-p", "entry_position_mm:=[100, 0, 0]", "-p", "rate:=50")
    first = client.position()
    complete = {"cm/measured_js", "cm/joint_states", "cm/shape", "cm/measured_cp"}
    client.spin_until(lambda: complete <= set(client.last)
                      and len({stamp_ns(client.last[topic].header.stamp) for topic in complete}) == 1)
    insertion, _, tendon = client.position()
    shape = client.last["cm/shape"]
    assert (shape.header.frame_id, shape.device, len(shape.segments)) == ("table", "notched_27", 28)
    assert sum(shape.joint_angles) == pytest.approx(tendon / 2.45e-3, abs=1e-9)
    np.testing.assert_array_equal(client.last["cm/joint_states"].position, shape.joint_angles)
    assert shape.arc_length[0] == 0 and shape.arc_length[27] == pytest.approx(0.06747)
    # The shaft stands 100 mm along table x plus the insertion; the notched body begins 35 mm further.
    base = pose_mm(shape.segments[0])
    np.testing.assert_allclose(base[:3, 3], [100 + 1000 * insertion, 0, 0], atol=1e-6)
    np.testing.assert_allclose([shape.base.x, shape.base.y, shape.base.z], [0.135 + insertion, 0, 0], atol=1e-9)
    # The last segment carries the tip 2.53 mm ahead of its hinge; measured_cp says the same, seen from cm_base.
    tip = pose_mm(shape.segments[-1]) @ [0, 2.53, 0, 1]
    np.testing.assert_allclose(tip[:3] / 1000, [shape.tip.x, shape.tip.y, shape.tip.z], atol=1e-9)
    assert client.last["cm/measured_cp"].header.frame_id == "cm_base"
    measured = pose_mm(client.last["cm/measured_cp"].pose)
    np.testing.assert_allclose((base @ measured)[:3, 3], tip[:3], atol=1e-6)
    client.spin_until(lambda: np.abs(client.position() - first).max() > 1e-4)
    for _ in range(2):  # as a terminal and a launcher do together
        process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    assert "Traceback" not in process.stderr.read()
