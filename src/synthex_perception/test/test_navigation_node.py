"""navigation_node over real DDS, in its own process: poses with their image's stamp, and lost when nobody speaks."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")

from geometry_msgs.msg import PointStamped, PoseWithCovarianceStamped  # noqa: E402
from pelvis_views import K, pose_of, project  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from cm_kinematics.nodes.conversions import pose_mm, stamp_message, stamp_ns  # noqa: E402
from synthex_msgs.msg import CmDetection, Landmark2D, Landmark2DArray, NavigationStatus  # noqa: E402
from synthex_sim.anatomy import HIP_LANDMARKS  # noqa: E402
from synthex_sim.patient.source import planned_landmarks  # noqa: E402

NAMESPACE = f"/navigation_{os.getpid()}"
DEVICE = Path(__file__).resolve().parents[3] / "config" / "cm" / "notched_27.yaml"
TOPICS = (("navigation/pelvis_pose", PoseWithCovarianceStamped), ("navigation/cm_tip", PoseWithCovarianceStamped),
          ("navigation/cm_base", PoseWithCovarianceStamped), ("navigation/status", NavigationStatus))
FRAME = "carm_source_optical"


def command(*parameters: str) -> list[str]:
    given = [f"cm_device_file:={DEVICE}", "plan:=phantom:7", "stale_s:=0.4", "target:=FH-l", *parameters]
    flags = [part for parameter in given for part in ("-p", parameter)]
    return [sys.executable, "-m", "synthex_perception.nodes.navigation_node", "--ros-args", "-r", f"__ns:={NAMESPACE}",
            *flags]


class Perception:
    """Publishes what perception would, and keeps what navigation answers."""

    def __init__(self, domain_id: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node("perception", namespace=NAMESPACE, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.got = {topic: [] for topic, _ in TOPICS}
        for topic, kind in TOPICS:
            self.node.create_subscription(kind, topic, self.got[topic].append, 10)
        self.target: list[PointStamped] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(PointStamped, "navigation/target", self.target.append, latched)
        self.out = [self.node.create_publisher(kind, topic, 10) for topic, kind in (
            ("perception/landmarks", Landmark2DArray), ("perception/cm", CmDetection),
            ("carm/camera_info", CameraInfo))]

    def frame(self, number: int, pixels: dict[str, np.ndarray], tool: bool = True, base: bool = True) -> int:
        header = Header(stamp=stamp_message(1_700_000_000_000_000_000 + number * 333_000_007), frame_id=FRAME)
        points = [Landmark2D(name=name, x=float(x), y=float(y), visible=True) for name, (x, y) in pixels.items()]
        cm = CmDetection(header=header, detected=tool, mask_pixels=240 if tool else 0)
        cm.base = Landmark2D(name="CM-base", x=150.0, y=120.0, depth=0.70, visible=tool and base)
        cm.tip = Landmark2D(name="CM-tip", x=120.0, y=110.0, depth=0.71, visible=tool)
        messages = (Landmark2DArray(header=header, landmarks=points), cm,
                    CameraInfo(header=header, k=K.ravel().tolist(), height=256, width=256))
        for publisher, message in zip(self.out, messages, strict=True):
            publisher.publish(message)
        return stamp_ns(header.stamp)

    def spin_until(self, condition, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            counts = {topic: len(messages) for topic, messages in self.got.items()}
            assert time.monotonic() < end, f"waited {seconds} s in vain; got {counts}"
            self.executor.spin_once(timeout_sec=0.02)

    def answer(self, number: int, pixels: dict[str, np.ndarray], **parts: bool) -> NavigationStatus:
        """The status that this frame gets."""
        stamp = self.frame(number, pixels, **parts)

        def of_frame():
            return [m for m in self.got["navigation/status"] if stamp_ns(m.header.stamp) == stamp]

        self.spin_until(of_frame)
        return of_frame()[0]


@pytest.fixture(scope="module")
def perception():
    domain = random.randint(10, 90)
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    process = subprocess.Popen(command(), env=environment, stderr=subprocess.PIPE, text=True)
    client = Perception(domain)
    try:
        client.spin_until(lambda: process.poll() is not None or all(p.get_subscription_count() for p in client.out))
        end = time.monotonic() + 0.5  # matched on this side; let the other follow
        client.spin_until(lambda: time.monotonic() > end)
        yield client
    finally:
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=10)[1]
        client.executor.shutdown()
        rclpy.try_shutdown(context=client.context)
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def plan():
    return planned_landmarks("phantom:7")


def seen(plan, pose):
    return dict(zip(plan, project(pose, np.array(list(plan.values()))), strict=True))


def test_landmarks_of_an_image_give_the_pelvis_pose_with_its_stamp_and_frame(perception, plan):
    pose = pose_of((0.1, -0.05, 0.02))
    status = perception.answer(1, seen(plan, pose))
    assert (status.state, status.reason, status.landmarks_used) == ("tracking", "", len(HIP_LANDMARKS))
    perception.spin_until(lambda: perception.got["navigation/pelvis_pose"] and perception.got["navigation/cm_tip"])
    message = perception.got["navigation/pelvis_pose"][-1]
    assert message.header == status.header and message.header.frame_id == FRAME
    found = pose_mm(message.pose.pose)
    turn = np.rad2deg(np.arccos(np.clip((np.trace(found[:3, :3].T @ pose[:3, :3]) - 1) / 2, -1, 1)))
    assert turn < 0.1 and np.linalg.norm(found[:3, 3] - pose[:3, 3]) < 0.5
    tip, base = perception.got["navigation/cm_tip"][-1], perception.got["navigation/cm_base"][-1]
    assert tip.header == base.header == status.header
    along = pose_mm(tip.pose.pose)[:3, 3] - pose_mm(base.pose.pose)[:3, 3]
    np.testing.assert_allclose(along / np.linalg.norm(along), pose_mm(tip.pose.pose)[:3, 1], atol=1e-9)
    covariance = np.array(tip.pose.covariance).reshape(6, 6)
    assert tip.pose.pose.position.z == pytest.approx(0.71) and base.pose.pose.position.z == pytest.approx(0.70)
    assert 0.005 < np.sqrt(covariance[2, 2]) < 0.03 and (np.linalg.eigvalsh(covariance) > 0).all()
    # the turn about the beam comes from pixels, the one out of the image plane from depths
    about_beam, out_of_plane, about_itself = np.sqrt(np.linalg.eigvalsh(covariance[3:, 3:]))
    assert about_beam < 0.2 < 0.3 < out_of_plane < 1.0 < about_itself


def test_what_is_missing_is_said_and_nothing_is_published_for_it(perception, plan):
    perception.got["navigation/cm_tip"].clear()
    status = perception.answer(2, seen(plan, pose_of()), tool=False)
    assert status.state == "lost" and "manipulator: not found" in status.reason and status.landmarks_used == 14
    status = perception.answer(20, seen(plan, pose_of()), base=False)
    assert status.state == "lost" and "its tip is seen, but not where its notched body ends" in status.reason
    assert not perception.got["navigation/cm_tip"] and not status.manipulator_known and status.pelvis_known
    few = dict(list(seen(plan, pose_of()).items())[:3])
    status = perception.answer(3, few)
    assert status.state == "lost" and "3 landmarks are seen" in status.reason and status.landmarks_used == 0


def test_the_status_is_repeated_and_turns_to_lost_when_images_stop(perception, plan):
    tracked = perception.answer(4, seen(plan, pose_of()))
    perception.got["navigation/status"].clear()
    begun = time.monotonic()
    perception.spin_until(lambda: any(m.state == "lost" for m in perception.got["navigation/status"]), 3.0)
    assert 0.3 < time.monotonic() - begun < 1.0  # stale_s is 0.4
    said = perception.got["navigation/status"]
    assert len(said) >= 5 and {m.state for m in said[:-1]} == {"tracking"}
    assert all(m.header == tracked.header for m in said)  # of the last image: its age can be read off it
    assert said[-1].reason == "no image has been answered for 0.4 s" and said[-1].landmarks_used == 0
    assert perception.answer(5, seen(plan, pose_of())).state == "tracking"


def test_what_one_image_told_while_lost_is_no_knowledge_a_while_later(perception, plan):
    status = perception.answer(30, seen(plan, pose_of()), tool=False)
    assert status.state == "lost" and status.pelvis_known
    perception.got["navigation/status"].clear()
    perception.spin_until(lambda: any(not m.pelvis_known for m in perception.got["navigation/status"]), 3.0)
    last = perception.got["navigation/status"][-1]
    assert (last.state, last.reason) == ("lost", "no image has been answered for 0.4 s")
    assert last.header == status.header


def test_the_planned_target_is_latched_in_the_patients_frame(perception, plan):
    perception.spin_until(lambda: perception.target)
    message = perception.target[-1]
    assert message.header.frame_id == "ct_lps"
    at = np.array([message.point.x, message.point.y, message.point.z])
    np.testing.assert_allclose(at * 1e3, plan["FH-l"], atol=1e-6)


@pytest.mark.parametrize(("parameter", "reason"), [
    ("target:=FH", "target 'FH' is no planned landmark; there are FH-l"),
    ("plan:=phantom:seven", "phantom:7"),
    ("cm_device_file:=/no/such.yaml", "/no/such.yaml: no such file or directory"),
    ("stale:=1.0", "unknown parameter stale"),
])
def test_a_wrong_configuration_is_one_clear_line_and_a_non_zero_exit(parameter, reason):
    run = subprocess.run(command(parameter), capture_output=True, text=True, timeout=60,
                         env=os.environ | {"ROS_DOMAIN_ID": str(random.randint(10, 90))})
    errors = [line for line in run.stderr.splitlines() if "navigation_node: error:" in line]
    assert run.returncode == 1 and len(errors) == 1 and reason in errors[0], run.stderr
    assert "Traceback" not in run.stderr
