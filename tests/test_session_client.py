"""The operator's side over real DDS: class Session, inspection without ros2cli, and a controller that must stop."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")

import rclpy  # noqa: E402
from geometry_msgs.msg import Point, PointStamped, PoseWithCovarianceStamped  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from cm_kinematics.nodes.conversions import pose_message, stamp_message, stamp_ns, to_millimetres  # noqa: E402
from synthex_bringup.nodes.session_client import Session, SessionError  # noqa: E402
from synthex_msgs.msg import NavigationStatus  # noqa: E402
from synthex_msgs.srv import Acquire, SetView  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def own_domain():
    """Everything in this file is in one domain of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(random.randint(10, 90)))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield


# -- a real session ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """An empty room with the manipulator in it, looked at by a network with random weights, in a namespace."""
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "tools" / "launch"), "synthex_bringup", "session.launch.yaml",
         "patient:=none", "weights:=random:0", "record:=false", "viewer:=false", "namespace:=room"],
        cwd=tmp_path_factory.mktemp("room"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield "room"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) in (0, 130), process.stdout.read()


@pytest.fixture(scope="module")
def session(room):
    with Session(room, timeout_s=60.0) as session:
        session.next_shot(60.0)
        yield session


def test_a_shot_brings_image_answers_and_status_of_one_moment(session):
    shot = session.acquire(kvp=70.0, mas=1.0)
    assert (shot.kvp, shot.mas) == (70.0, 1.0) and shot.image.dtype == np.uint16
    assert shot.image.shape == shot.mask.shape == (256, 256) and shot.image.max() > 0.5 * shot.open_field
    assert shot.state == "lost" and "plan holds no landmarks" in shot.reason and shot.pelvis is None
    assert session.acquire().stamp_ns > shot.stamp_ns


def test_an_image_that_perception_passed_by_is_taken_again_but_not_for_ever():
    """Of two images in a row only the second is answered; of three none, as later ones come each time."""
    client = Session.__new__(Session)
    client._changed, client._shots, client._acquire, client._timeout_s = threading.Condition(), {}, None, 0.1
    taken: list[int] = []

    def call(answered_by: list[int]) -> Acquire.Response:
        taken.append(10 * len(taken) + 10)
        answer = Acquire.Response(success=True)
        answer.image.header.stamp = stamp_message(taken[-1])
        client._shots[answered_by[len(taken) - 1]] = f"shot {taken[-1]}"
        return answer

    client._call = lambda *_: call([15, 20])
    assert client.acquire() == "shot 20" and taken == [10, 20]
    taken.clear()
    client._shots.clear()
    client._call = lambda *_: call([15, 25, 35])
    with pytest.raises(SessionError, match="perception passed by 3 images"):
        client.acquire()


def test_refusals_are_errors_with_their_reason(session):
    with pytest.raises(SessionError, match="30..150 kV"):
        session.acquire(kvp=500.0)
    with pytest.raises(SessionError, match="unknown view 'skyline'"):
        session.set_view("skyline")
    with pytest.raises(SessionError, match="outside its limits"):
        session.set_view(orbital=170.0)


def test_the_manipulator_goes_where_it_is_told_and_holds(session):
    session.hold()
    session.move(20.0, 5.0, 0.5)
    assert session.manipulator() == pytest.approx([20.0, 5.0, 0.5], abs=0.1)
    session.servo(22.0, 5.0, 0.5)
    time.sleep(0.6)
    held = session.manipulator()
    time.sleep(0.3)
    assert session.manipulator() == pytest.approx(held, abs=0.01)


def test_the_inlet_example_prints_what_navigation_says(session, room):
    source = (REPOSITORY / "examples" / "inlet_view.py").read_text().replace("Session()", f"Session('{room}', 30.0)")
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("navigation is lost")


def test_what_happens_while_it_records_lies_in_the_folder(session, tmp_path):
    with session.record(tmp_path / "run") as folder:
        stamps = [session.acquire().stamp_ns for _ in range(3)]
    figures = json.loads((folder / "session.json").read_text())
    assert figures["frames_recorded"] >= 3 and (folder / "report.html").exists()
    with AnyReader([folder / "bag"]) as bag:
        images = [c for c in bag.connections if c.topic == "/room/carm/image_raw"]
        recorded = {stamp_ns(bag.deserialize(data, c.msgtype).header.stamp) for c, _, data in bag.messages(images)}
    assert set(stamps) <= recorded


def test_a_folder_that_cannot_be_recorded_to_is_named(session, tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(SessionError, match="is not empty"), session.record(tmp_path):
        raise AssertionError("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_without_a_plan_there_is_no_target(session, monkeypatch):
    monkeypatch.setattr(session, "_timeout_s", 0.3)
    with pytest.raises(SessionError, match="navigation/target is silent: has the patient a plan"):
        session.target()


def test_without_a_session_it_says_so():
    with pytest.raises(SessionError, match="no session runs here: .*acquire is not there after 0.5 s"):
        Session("nowhere", timeout_s=0.5)


def inspect(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "synthex_bringup.nodes.inspection", *arguments], capture_output=True,
                          text=True, timeout=60)


def test_topics_and_services_of_a_session_are_listed(session):
    listed = inspect("topics")
    assert listed.returncode == 0, listed.stderr
    lines = {line.split("  ")[0]: line for line in listed.stdout.splitlines()}
    assert "[synthex_msgs/msg/NavigationStatus]  1 -> " in lines["/room/navigation/status"]
    assert lines["/room/carm/acquire"].endswith("[synthex_msgs/srv/Acquire]  service")
    assert "/rosout" not in lines and not any("parameter" in name for name in lines)


def test_messages_of_a_topic_are_shown_as_yaml_with_large_arrays_in_words(session):
    shown = inspect("echo", "navigation/status", "--count", "2")
    assert shown.returncode == 0, shown.stderr
    first, second = (yaml.safe_load(part) for part in shown.stdout.split("---\n")[:2])
    assert first["state"] == second["state"] == "lost" and first["header"]["frame_id"] == "carm_source_optical"
    image = yaml.safe_load(inspect("echo", "/room/carm/image_raw").stdout.split("---")[0])
    assert image["encoding"] == "mono16" and image["data"].startswith("131072 numbers from ")


def test_a_service_is_called_with_yaml_and_its_refusal_is_the_exit_code(session):
    done = inspect("call", "carm/set_view", "{joints: {name: [orbital], position: [0]}}")
    assert done.returncode == 0 and yaml.safe_load(done.stdout)["success"] is True, done.stderr
    refused = inspect("call", "carm/set_view", "{view: skyline}")
    assert refused.returncode == 1 and "unknown view 'skyline'" in yaml.safe_load(refused.stdout)["message"]


@pytest.mark.parametrize(("arguments", "reason"), [
    (("echo", "carm/image"), "topic 'carm/image' is not there; there are:"),
    (("call", "carm/set_views"), "service 'carm/set_views' is not there"),
    (("call", "carm/set_view", "{veiw: ap}"), "there is no field 'veiw'; there are view, joints"),
    (("call", "carm/acquire", "{kvp: much}"), "field 'kvp' is double: 'much' does not fit"),
    (("call", "carm/acquire", "{kvp: ["), "the request is not YAML"),
])
def test_what_is_not_there_is_named(session, arguments, reason):
    failed = inspect(*arguments)
    assert failed.returncode == 1 and reason in failed.stderr and "Traceback" not in failed.stderr


# -- a controller -----------------------------------------------------------------------------------------------------
class Navigation:
    """A C-arm's services and a navigation that sees the tip move with the real cm_node's insertion."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("navigation", namespace="bench", context=self.context)
        self.status = self.node.create_publisher(NavigationStatus, "navigation/status", 5)
        self.tip = self.node.create_publisher(PoseWithCovarianceStamped, "navigation/cm_tip", 5)
        self.pelvis = self.node.create_publisher(PoseWithCovarianceStamped, "navigation/pelvis_pose", 5)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.target = self.node.create_publisher(PointStamped, "navigation/target", latched)
        self.target.publish(PointStamped(point=Point(x=0.0, y=0.1, z=0.012)))
        self.services = [self.node.create_service(kind, name, lambda request, response: response)
                         for kind, name in ((Acquire, "carm/acquire"), (SetView, "carm/set_view"))]
        self.node.create_subscription(JointState, "cm/measured_js", self._on_joints, 5)
        self.insertions: list[tuple[float, float]] = []
        self.speaks, self.state, self.stamped_at = True, "tracking", None
        self.node.create_timer(0.05, self._tick)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass

    def _on_joints(self, message: JointState) -> None:
        self.insertions.append((time.monotonic(), float(to_millimetres(message.position[0]))))

    def _tick(self) -> None:
        if not self.speaks or not self.insertions:
            return
        now = self.node.get_clock().now().nanoseconds
        header = Header(stamp=stamp_message(self.stamped_at or now), frame_id="carm_source_optical")
        pose = np.eye(4)  # y, the way from base to tip, is the camera's y
        pose[:3, 3] = [0.0, self.insertions[-1][1], 700.0]
        message = PoseWithCovarianceStamped(header=header)
        message.pose.pose = pose_message(pose)
        self.tip.publish(message)
        # the patient's z is the camera's y: the target is 12 mm along it
        pelvis = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 800.0], [0, 0, 0, 1.0]])
        seen = PoseWithCovarianceStamped(header=header)
        seen.pose.pose = pose_message(pelvis)
        self.pelvis.publish(seen)
        reason = "" if self.state == "tracking" else "x"
        self.status.publish(NavigationStatus(header=header, state=self.state, reason=reason))

    def moved_after(self, moment: float) -> float:
        """mm that the device was inserted after a moment of ``time.monotonic``."""
        late = [insertion for at, insertion in self.insertions if at >= moment]
        return max(late) - min(late)

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join(timeout=5)
        rclpy.try_shutdown(context=self.context)


@pytest.fixture(scope="module")
def drive():
    """The example's function."""
    spec = importlib.util.spec_from_file_location("drive_tip", REPOSITORY / "examples" / "drive_tip.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.drive


@pytest.fixture
def bench(tmp_path):
    """(session, navigation) with a real cm_node at 10 mm insertion."""
    command = [sys.executable, "-m", "cm_kinematics.nodes.cm_node", "--ros-args", "-r", "__ns:=/bench", "-p",
               f"device_file:={REPOSITORY / 'config/cm/notched_27.yaml'}", "-p", "script:=false", "-p", "rate:=50.0"]
    process = subprocess.Popen(command, env=os.environ.copy(), stderr=subprocess.PIPE, text=True)
    navigation = Navigation()
    try:
        with Session("bench", timeout_s=30.0) as session:
            session.move(10.0, 0.0, 0.0)
            session.tip()
            yield session, navigation
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)
        navigation.close()


def test_the_controller_brings_the_tip_to_its_target(bench, drive):
    session, navigation = bench
    assert drive(session, session.target) == "there"
    time.sleep(0.3)
    assert session.manipulator()[0] == pytest.approx(12.0, abs=0.6)


@pytest.mark.parametrize(("fault", "reason"), [
    ("killed", "navigation is silent"), ("lost", "x"), ("stale", "old")])
def test_the_controller_stands_within_a_fifth_of_a_second(bench, drive, fault, reason):
    session, navigation = bench
    told = []
    thread = threading.Thread(target=lambda: told.append(drive(session, lambda: np.array([0.0, 50.0, 700.0]))))
    begun = time.monotonic()
    thread.start()
    time.sleep(0.6)
    assert navigation.moved_after(begun) > 0.3, "it never moved"
    if fault == "killed":
        navigation.speaks = False
    elif fault == "lost":
        navigation.state = "lost"
    else:
        navigation.stamped_at = navigation.node.get_clock().now().nanoseconds
    must_stand_at = time.monotonic() + (1.0 if fault == "stale" else 0.0) + 0.2
    thread.join(timeout=5)
    time.sleep(0.6)
    assert len(told) == 1 and reason in told[0]
    assert navigation.moved_after(must_stand_at) < 0.05


# -- no session -------------------------------------------------------------------------------------------------------
def test_inspection_without_a_session_says_so(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "91")
    failed = inspect("topics")
    assert failed.returncode == 1 and "no session runs here (ROS_DOMAIN_ID=91" in failed.stderr
