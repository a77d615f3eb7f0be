"""replay_node as a process: perception gets over DDS what the bag holds, and the replay ends by itself."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from bringup_fabricate import FabricatedFrame, write_session

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")
from bringup_ros import SmallSession, end_node, start_node  # noqa: E402
from cm_kinematics.nodes.conversions import stamp_ns  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402


def _frames() -> list[FabricatedFrame]:
    rng = np.random.default_rng(4)
    return [
        FabricatedFrame(at_ms=150.0 * i, image=rng.integers(0, 65536, (64, 64), dtype=np.uint16), counter=i + 1)
        for i in range(8)
    ]


class Perception(SmallSession):
    """Answers every image with its stamp, or none at all."""

    def __init__(self, answers: bool) -> None:
        super().__init__()
        self.images: dict[int, tuple[float, np.ndarray]] = {}
        self.infos: set[int] = set()
        self.clock: list[int] = []
        self._answers = answers

    def __enter__(self):
        super().__enter__()
        self.advertise("perception/cm")
        self.node.create_subscription(Image, "carm/image_raw", self._take, QoSProfile(depth=20))
        self.node.create_subscription(Clock, "/clock", lambda m: self.clock.append(stamp_ns(m.clock)), 100)
        self.node.create_subscription(
            CameraInfo, "carm/camera_info", lambda m: self.infos.add(stamp_ns(m.header.stamp)), QoSProfile(depth=20)
        )
        return self

    def _take(self, message: Image) -> None:
        stamp = stamp_ns(message.header.stamp)
        pixels = np.frombuffer(message.data, "<u2").reshape(message.height, message.width)
        self.images[stamp] = (time.monotonic(), pixels)
        if self._answers:
            self.publish("perception/cm", self.cm(stamp))


def test_replay_gives_perception_the_recorded_pixels_stamps_and_timing(tmp_path):
    frames = _frames()
    write_session(tmp_path / "run", frames)
    with Perception(answers=True) as perception:
        code, out, err = end_node(start_node("replay_node", {"bag": "run", "rate": 1.5}, tmp_path))
    assert (code, err) == (0, ""), out
    assert "replayed 8 images, 8 detections" in out and "not a medical device" in out
    assert list(perception.images) == [frame.stamp_ns for frame in frames]
    assert perception.infos == perception.images.keys()
    assert all(np.array_equal(perception.images[frame.stamp_ns][1], frame.image) for frame in frames)
    times = [moment for moment, _ in perception.images.values()]
    assert times[-1] - times[0] == pytest.approx(7 * 0.150 / 1.5, abs=0.2)
    assert perception.clock == sorted(perception.clock) and len(perception.clock) > 10
    # on the recording's own time: from the receipt of its first message to that of its last
    assert perception.clock[-1] - perception.clock[0] == pytest.approx(7 * 150e6, abs=200e6)
    assert 0 <= perception.clock[-1] - frames[-1].stamp_ns < 1e9


def test_replay_without_answers_fails_and_says_so(tmp_path):
    write_session(tmp_path / "run", _frames())
    with Perception(answers=False):
        parameters = {"bag": "run/bag", "rate": 10.0, "answer_timeout_s": 0.5}
        code, out, err = end_node(start_node("replay_node", parameters, tmp_path))
    assert code == 1 and "replayed 8 images, 0 detections" in out
    assert err.count("\n") == 1 and "no perception/cm came back" in err


def test_replay_without_perception_waits_and_then_names_what_is_missing(tmp_path):
    write_session(tmp_path / "run", _frames())
    code, _, err = end_node(start_node("replay_node", {"bag": "run", "startup_timeout_s": 1.0}, tmp_path))
    assert code == 1 and "nobody subscribes to carm/image_raw; start perception_node" in err and err.count("\n") == 1


def test_replay_does_not_mix_with_a_live_camera(tmp_path):
    write_session(tmp_path / "run", _frames())
    with SmallSession() as camera:
        camera.advertise("carm/image_raw")
        code, _, err = end_node(start_node("replay_node", {"bag": "run"}, tmp_path))
    assert code == 1 and "carm/image_raw is published by" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "parameter bag is required"),
        ({"bag": "nowhere"}, "nowhere does not exist"),
        ({"bag": "empty"}, "is no bag"),
        ({"bag": "torn"}, "damaged or cut off"),
        ({"bag": "run", "topics": "[cm/measured_js]"}, "nothing to show perception"),
        ({"bag": "run", "rate": 0.0}, "rate must be between"),
    ],
)
def test_a_bad_bag_or_parameter_is_one_line_on_stderr(tmp_path, parameters, expected):
    (tmp_path / "empty").mkdir()
    write_session(tmp_path / "run", _frames()[:1])
    write_session(tmp_path / "torn", _frames()[:1])
    os.truncate(tmp_path / "torn/bag/bag.mcap", 4000)
    code, _, err = end_node(start_node("replay_node", parameters, tmp_path))
    assert code == 1 and err.count("\n") == 1 and expected in err, err
