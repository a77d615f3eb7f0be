"""replay_node as a process: perception gets over DDS what the bag holds, and the replay ends by itself."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from bringup_fabricate import FabricatedFrame, write_session

from synthex_bringup.recording.details import RecordingDetails

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")
from bringup_ros import SmallSession, end_node, start_node  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from cm_kinematics.nodes.conversions import stamp_ns  # noqa: E402
from synthex_msgs.msg import NavigationStatus  # noqa: E402


def _frames() -> list[FabricatedFrame]:
    rng = np.random.default_rng(4)
    return [
        FabricatedFrame(at_ms=150.0 * i, image=rng.integers(0, 65536, (64, 64), dtype=np.uint16), counter=i + 1)
        for i in range(8)
    ]


class Perception(SmallSession):
    """Answers every image with its stamp, or none at all; if it navigates, says of every second one that it tracks."""

    def __init__(self, answers: bool, navigates: bool = False) -> None:
        super().__init__()
        self.images: dict[int, tuple[float, np.ndarray]] = {}
        self.shown: list[int] = []
        self.infos: set[int] = set()
        self.clock: list[int] = []
        self._answers, self._navigates = answers, navigates

    def __enter__(self):
        super().__enter__()
        self.advertise("perception/cm")
        if self._navigates:
            self._status = self.node.create_publisher(NavigationStatus, "navigation/status", 10)
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
        self.shown.append(stamp)
        if self._answers:
            self.publish("perception/cm", self.cm(stamp))
        if self._navigates:
            state = "tracking" if len(self.images) % 2 else "lost"
            for said in (state, "lost"):  # repeated, and stale in the end
                self._status.publish(NavigationStatus(header=self.header(stamp), state=said))


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


def test_a_paused_end_shows_a_standing_time_and_the_last_image_until_ctrl_c(tmp_path):
    frames = _frames()
    write_session(tmp_path / "run", frames)
    with Perception(answers=True) as perception:
        process = start_node("replay_node", {"bag": "run", "rate": 10.0, "pause_at_end": True}, tmp_path)
        try:
            perception.wait(lambda: len(perception.shown) >= 8 + 2)
            perception.clock.clear()
            late: list[int] = []
            perception.node.create_subscription(
                Image, "carm/image_raw", lambda m: late.append(stamp_ns(m.header.stamp)), QoSProfile(depth=5)
            )
            perception.wait(lambda: len(perception.clock) > 40 and late)
        finally:
            process.send_signal(signal.SIGINT)
            code, out, err = end_node(process)
    assert (code, err) == (0, ""), out
    assert "replayed 8 images, 8 detections" in out and "paused at the end: /clock stands still" in out
    assert len(set(perception.clock)) == 1 and 0 <= perception.clock[0] - frames[-1].stamp_ns < 1e9
    assert set(late) == set(perception.shown[8:]) == {frames[-1].stamp_ns}


def test_a_replay_that_nobody_answered_does_not_pause(tmp_path):
    write_session(tmp_path / "run", _frames())
    parameters = {"bag": "run", "rate": 10.0, "answer_timeout_s": 0.5, "pause_at_end": True}
    with Perception(answers=False):
        code, out, _ = end_node(start_node("replay_node", parameters, tmp_path))
    assert code == 1 and "paused" not in out


def test_navigation_is_awaited_and_its_first_word_on_each_image_is_counted(tmp_path):
    write_session(tmp_path / "run", _frames())
    parameters = {"bag": "run", "rate": 10.0, "navigation": True}
    with Perception(answers=True, navigates=True):
        code, out, err = end_node(start_node("replay_node", parameters, tmp_path))
    assert (code, err) == (0, ""), out
    assert "replayed 8 images, 8 detections; navigation: 4 lost, 4 tracking" in out
    with Perception(answers=True):
        code, _, err = end_node(start_node("replay_node", parameters | {"startup_timeout_s": 4.0}, tmp_path))
    assert code == 1 and "nobody publishes navigation/status; start navigation_node" in err and err.count("\n") == 1


def test_a_plan_is_that_of_whom_the_recording_shows_or_is_refused(tmp_path):
    write_session(tmp_path / "run", _frames())
    RecordingDetails(patient="phantom:12").write(tmp_path / "run")
    parameters = {"bag": "run", "rate": 10.0, "navigation": True}
    code, _, err = end_node(start_node("replay_node", parameters | {"plan": "phantom:7"}, tmp_path))
    assert code == 1 and err.count("\n") == 1
    assert "plan phantom:7 is not of whom the recording shows (phantom:12)" in err
    with Perception(answers=True, navigates=True):
        code, out, _ = end_node(start_node("replay_node", parameters, tmp_path))
    assert code == 0 and "that of the recording is plan:=phantom:12" in out


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
