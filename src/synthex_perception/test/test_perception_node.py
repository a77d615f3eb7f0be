"""perception_node over real DDS, in its own process, with random weights: topics, sizes, encodings, stamps."""

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
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from perception_scenes import make_sample  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from cm_kinematics.nodes.conversions import stamp_message, stamp_ns  # noqa: E402
from synthex_msgs.msg import CmDetection, LabelInfo, Landmark2DArray  # noqa: E402
from synthex_perception.nodes.stamp_sets import StampSets  # noqa: E402
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS  # noqa: E402
from synthex_sim.nodes.image_messages import from_image_msg, to_image_msg  # noqa: E402

#: Of this run alone, should another run on this machine have drawn the same domain.
NAMESPACE = f"/perception_{os.getpid()}"
#: Each is taken once: in one domain, nodes of the same name would answer for each other.
DOMAINS = iter(random.sample(range(10, 91), 81))
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SIZE = 256


class Device:
    """Publishes what a C-arm would and keeps everything that perception answers."""

    TOPICS = (("perception/mask", Image, 20), ("perception/label_info", LabelInfo, LATCHED),
              ("perception/landmarks", Landmark2DArray, 20), ("perception/cm", CmDetection, 20),
              ("perception/overlay", Image, 20))

    def __init__(self, domain_id: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.node = rclpy.create_node("device", namespace=NAMESPACE, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.got = {topic: [] for topic, _, _ in self.TOPICS}
        self.diagnostics = {}
        for topic, kind, qos in self.TOPICS:
            self.node.create_subscription(kind, topic, lambda message, t=topic: self.got[t].append(message), qos)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.image = self.node.create_publisher(Image, "carm/image_raw", 10)
        self.camera_info = self.node.create_publisher(CameraInfo, "carm/camera_info", 10)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith("perception_node"):
                self.diagnostics = {entry.key: entry.value for entry in status.values}

    def expose(self, number: int, info: bool = True, size: int = SIZE) -> Header:
        header = Header(stamp=stamp_message(1_700_000_000_000_000_000 + number * 333_000_007),
                        frame_id="carm_source_optical")
        counts = make_sample(size, number).image
        if info:
            self.camera_info.publish(CameraInfo(header=header, height=size, width=size))
        self.image.publish(to_image_msg(counts, header, "mono16"))
        return header

    def spin_until(self, condition, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            counts = {topic: len(messages) for topic, messages in self.got.items()}
            assert time.monotonic() < end, f"waited {seconds} s in vain; counts: {counts}"
            self.executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)


def start(domain: int, *parameters: str, autostart: bool = True) -> subprocess.Popen:
    arguments = [f"autostart:={'true' if autostart else 'false'}", *parameters]
    command = [sys.executable, "-m", "synthex_perception.nodes.perception_node", "--ros-args"]
    command += ["-r", f"__ns:={NAMESPACE}"]
    for argument in arguments:
        command += ["-p", argument]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def session():
    """(device, process) of a node with random weights that looks at what the device publishes."""
    domain = next(DOMAINS)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    process = start(domain, "weights:=random:0")
    device = Device(domain)
    try:
        device.spin_until(lambda: device.got["perception/label_info"] and device.image.get_subscription_count()
                          and device.camera_info.get_subscription_count(), 60.0)
        yield device, process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            output = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            output = process.communicate()
        device.executor.shutdown()
        rclpy.shutdown(context=device.context)
        assert process.returncode == 0, output


def test_every_answer_has_the_size_encoding_and_header_of_its_image(session):
    device, _ = session
    header = device.expose(1)
    device.spin_until(lambda: device.got["perception/overlay"])
    for topic in ("perception/mask", "perception/landmarks", "perception/cm", "perception/overlay"):
        assert device.got[topic][-1].header == header, topic
    mask, overlay = device.got["perception/mask"][-1], device.got["perception/overlay"][-1]
    assert (mask.encoding, mask.height, mask.width) == ("mono8", SIZE, SIZE)
    assert (overlay.encoding, overlay.height, overlay.width) == ("rgb8", SIZE, SIZE)
    assert from_image_msg(mask).max() < len(LABEL_NAMES)
    landmarks = device.got["perception/landmarks"][-1].landmarks
    assert [point.name for point in landmarks] == list(SESSION_LANDMARKS)
    assert [point.class_id for point in landmarks] == list(range(16))
    cm = device.got["perception/cm"][-1]
    assert (cm.base.name, cm.tip.name) == ("CM-base", "CM-tip")
    assert cm.detected == (cm.mask_pixels > 0) == (np.count_nonzero(from_image_msg(mask) == 7) > 0)
    assert np.isnan(cm.tip.depth)


def test_label_info_is_latched_and_names_labels_landmarks_and_weights(session):
    info = session[0].got["perception/label_info"][-1]
    assert [c.class_name for c in info.class_map] == list(LABEL_NAMES)
    assert [c.class_id for c in info.class_map] == list(range(8))
    assert list(info.landmark_names) == list(SESSION_LANDMARKS)
    assert "random" in info.source


def test_a_larger_image_is_answered_at_its_own_size(session):
    device, _ = session
    header = device.expose(2, size=384)
    device.spin_until(lambda: device.got["perception/mask"][-1].header == header)
    assert (device.got["perception/mask"][-1].height, device.got["perception/mask"][-1].width) == (384, 384)


def test_an_image_waits_for_the_camera_info_of_its_own_stamp(session):
    device, _ = session
    answered = len(device.got["perception/mask"])
    header = device.expose(3, info=False)
    device.camera_info.publish(CameraInfo(header=Header(stamp=stamp_message(stamp_ns(header.stamp) + 1)),
                                          height=SIZE, width=SIZE))
    device.spin_for(1.0)
    assert len(device.got["perception/mask"]) == answered
    device.camera_info.publish(CameraInfo(header=header, height=SIZE, width=SIZE))
    device.spin_until(lambda: len(device.got["perception/mask"]) > answered)
    assert device.got["perception/mask"][-1].header == header


def test_the_newest_image_wins_and_skipped_ones_are_counted(session):
    device, _ = session
    answered = len(device.got["perception/mask"])
    headers = [device.expose(10 + k) for k in range(12)]
    device.spin_until(lambda: device.got["perception/mask"][-1].header == headers[-1])
    count = len(device.got["perception/mask"]) - answered
    assert count < 12
    device.spin_until(lambda: int(device.diagnostics.get("received", 0)) == int(device.diagnostics.get("answered", 0))
                      + int(device.diagnostics.get("skipped", 0)) and int(device.diagnostics["skipped"]) == 12 - count)
    assert float(device.diagnostics["predict_p50_ms"]) > 0.0


def test_perception_subscribes_to_the_image_and_its_camera_info_and_to_nothing_else(session):
    """Asked of the ROS graph, not of the code: nothing under ground_truth ever reaches the node."""
    device, _ = session
    subscribed = device.node.get_subscriber_names_and_types_by_node("perception_node", NAMESPACE)
    topics = {name for name, _ in subscribed} - {"/parameter_events", "/clock"}
    assert topics == {f"{NAMESPACE}/carm/image_raw", f"{NAMESPACE}/carm/camera_info"}


def test_without_autostart_the_lifecycle_brings_it_up():
    domain = next(DOMAINS)
    process = start(domain, "weights:=random:0", autostart=False)
    device = Device(domain)
    try:
        client = device.node.create_client(ChangeState, f"{NAMESPACE}/perception_node/change_state")
        device.spin_until(client.service_is_ready, 60.0)
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            request = ChangeState.Request(transition=Transition(id=transition))
            future = client.call_async(request)
            device.spin_until(future.done, 30.0)
            assert future.result().success
        device.spin_until(lambda: device.image.get_subscription_count() and device.camera_info.get_subscription_count())
        header = device.expose(1)
        device.spin_until(lambda: device.got["perception/mask"])
        assert device.got["perception/mask"][-1].header == header
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        device.executor.shutdown()
        rclpy.shutdown(context=device.context)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [(["weights:=nowhere.safetensors"], "no weights file"), ([], "weights is required"),
     (["weights:=random:x"], "comes a seed"), (["weights:=random:0", "landmark_treshold:=0.5"], "landmark_treshold"),
     (["weights:=random:0", "landmark_threshold:=1.5"], "landmark_threshold"),
     (["weights:=random:0", "cm_inner_diameter_mm:=6.5"], "inner diameter < outer diameter")],
)
def test_a_wrong_configuration_is_one_line_and_a_non_zero_exit(parameters, reason):
    process = start(next(DOMAINS), *parameters)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    lines = [line for line in errors.splitlines() if "error" in line.lower()]
    assert len(lines) == 1 and reason in lines[0], errors
    assert "Traceback" not in errors


def test_a_weights_file_that_is_none_is_one_line_and_a_non_zero_exit(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"certainly not a safetensors file")
    process = start(next(DOMAINS), f"weights:={path}")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "not a safetensors file" in errors and "Traceback" not in errors


# -- the small parts ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("dtype", "shape", "encoding"),
    [(np.uint8, (5, 7), "mono8"), (np.uint16, (5, 7), "mono16"), (np.uint8, (5, 7, 3), "rgb8"),
     (np.float32, (5, 7), "32FC1")],
)
def test_images_survive_the_message(dtype, shape, encoding):
    image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    message = to_image_msg(image[:, ::-1], Header(frame_id="x"), encoding)
    assert (message.height, message.width, message.step) == (5, 7, image[0].nbytes)
    assert np.array_equal(from_image_msg(message), image[:, ::-1])


def test_rows_with_padding_and_other_byte_order_are_read():
    message = Image(height=2, width=2, encoding="mono16", is_bigendian=1, step=6)
    message.data = bytes([0, 1, 0, 2, 9, 9, 1, 0, 0, 4, 9, 9])
    assert from_image_msg(message).tolist() == [[1, 2], [256, 4]]


@pytest.mark.parametrize(
    ("encoding", "image"), [("mono16", np.zeros((2, 2), np.uint8)), ("bgr8", np.zeros((2, 2, 3), np.uint8))]
)
def test_an_image_that_does_not_fit_its_encoding_is_refused(encoding, image):
    with pytest.raises(ValueError, match="encoding"):
        to_image_msg(image, Header(), encoding)


def test_a_message_whose_data_do_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        from_image_msg(Image(height=4, width=4, encoding="mono16", step=8, data=bytes(10)))


def test_sets_need_equal_stamps_and_forget_what_stays_incomplete():
    sets = StampSets(("image", "info", "mask"), capacity=2)
    assert sets.add("image", 1, "i1") is None
    assert sets.add("info", 2, "c2") is None and sets.add("info", 1, "c1") is None
    assert sets.add("mask", 1, "m1") == {"image": "i1", "info": "c1", "mask": "m1"}
    assert sets.add("image", 2, "i2") is None
    assert sets.add("mask", 2, "m2") == {"info": "c2", "image": "i2", "mask": "m2"}
    for stamp in (3, 4, 5):
        sets.add("image", stamp, "i")
    assert sets.forgotten == 1
    assert sets.add("info", 3, "late") is None
