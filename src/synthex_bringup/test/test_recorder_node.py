"""recorder_node as a process, recording a session over real DDS."""

from __future__ import annotations

import json
import os
import resource
import signal
import time

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from synthex_bringup.recording.bag_reader import SessionBag, image_array
from synthex_bringup.recording.topics import IMAGE

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")
from bringup_ros import FRAME_TOPICS, SmallSession, end_node, start_node  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from synthex_msgs.msg import LabelInfo  # noqa: E402

RNG = np.random.default_rng(5)


@pytest.fixture
def session():
    with SmallSession() as running:
        running.advertise(*FRAME_TOPICS, "cm/measured_js", "perception/label_info")
        yield running


def _pixels(size: int = 64) -> np.ndarray:
    return RNG.integers(0, 65536, (size, size), dtype=np.uint16)


def _wait_for_recorder(session: SmallSession) -> None:
    session.wait(lambda: all(session.listeners(topic) for topic in (*FRAME_TOPICS, "cm/measured_js")))
    time.sleep(0.5)  # matched on this side; let the recorder's side follow


def _warm_up(session: SmallSession) -> None:
    """Every node speaks once; this frame is answered and is the last one before the recording.

    Topics overtake each other: what opens the recording is published only when the frame has long arrived.
    """
    session.frame(1, _pixels())
    time.sleep(0.5)
    session.publish("perception/label_info", LabelInfo(source="random weights sha256:00"))
    session.publish("cm/measured_js", JointState(name=["insertion"], position=[0.0]))


def test_the_bag_holds_exactly_what_was_published_and_the_report_agrees(session, tmp_path):
    process = start_node(
        "recorder_node", {"run_dir": "runs/one", "frames": 12, "patient": "phantom:3", "seed": 3}, tmp_path
    )
    _wait_for_recorder(session)
    _warm_up(session)
    time.sleep(0.3)
    frames = {}
    for k in range(12):
        pixels = _pixels()
        frames[session.frame(k + 2, pixels, answer=k != 4, skipped=k // 6)] = pixels
        time.sleep(0.05)
    code, out, err = end_node(process)
    assert (code, err) == (0, ""), out

    with SessionBag(tmp_path / "runs/one", (IMAGE,)) as bag:
        recorded = {m.stamp_ns: image_array(bag.decode(m)) for m in bag.messages((IMAGE,))}
        counts = bag.counts
    assert recorded.keys() == frames.keys()
    assert all(np.array_equal(recorded[stamp], frames[stamp]) for stamp in frames)
    for topic in FRAME_TOPICS:
        # what the first frame, from before the beginning, published is not in the bag; everything else is
        assert counts[f"/{topic}"] == len(session.published[topic]) - 1, topic
    assert counts["/perception/label_info"] == 1

    figures = json.loads((tmp_path / "runs/one/session.json").read_text())
    assert figures["frames_published"] == figures["frames_recorded"] == 12
    assert (figures["frames_skipped"], figures["frames_due"]) == (1, 13)
    assert figures["detections"]["count"] == 11
    assert figures["cm"]["dice"] == 1.0 and figures["messages_lost"] == {}
    assert figures["ros"]["rmw"].startswith("rmw_") and figures["ros"]["source"] in ("wheels", "system")
    assert (figures["patient"], figures["seed"], figures["ended"]) == ("phantom:3", 3, "frames")
    assert 0 < figures["latency_ms"]["end_to_end"]["p50"] < 1000
    assert figures["weights"] == "random weights sha256:00"
    assert (tmp_path / "runs/one/report.html").stat().st_size > 10_000
    assert os.readlink(tmp_path / "runs/latest") == "one"
    assert "perception_node (perception/cm) is there" in out and "not a medical device" in out


def test_a_session_that_is_to_stay_goes_on_after_its_report_until_it_is_ended(session, tmp_path):
    process = start_node("recorder_node", {"run_dir": "runs/kept", "frames": 2, "stay": True}, tmp_path)
    _wait_for_recorder(session)
    _warm_up(session)
    time.sleep(0.3)
    for k in range(2):
        session.frame(k + 2, _pixels())
        time.sleep(0.05)
    session.wait((tmp_path / "runs/kept/report.html").exists)
    time.sleep(0.5)
    assert process.poll() is None
    session.frame(4, _pixels())
    process.send_signal(signal.SIGINT)
    code, out, err = end_node(process, 5.0)
    assert (code, err) == (0, "") and "no longer recorded; Ctrl-C ends it" in out
    assert json.loads((tmp_path / "runs/kept/session.json").read_text())["frames_recorded"] == 2


def test_ctrl_c_closes_the_bag_and_reports_within_four_seconds(session, tmp_path):
    process = start_node("recorder_node", {"run_dir": "runs/two"}, tmp_path)
    _wait_for_recorder(session)
    _warm_up(session)
    time.sleep(0.3)
    for k in range(5):
        session.frame(k + 2, _pixels())
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)  # the terminal's and the launcher's
    begun = time.monotonic()
    code, out, err = end_node(process)
    assert (code, err) == (0, ""), out
    assert time.monotonic() - begun < 4
    figures = json.loads((tmp_path / "runs/two/session.json").read_text())
    assert figures["ended"] == "interrupted" and figures["frames_recorded"] == 5
    assert (tmp_path / "runs/two/report.html").exists()


def test_a_node_that_never_speaks_is_named_and_nothing_is_left_behind(session, tmp_path):
    process = start_node("recorder_node", {"run_dir": "runs/three", "startup_timeout_s": 6.0}, tmp_path)
    _wait_for_recorder(session)
    session.frame(1, _pixels(), answer=False)
    code, out, err = end_node(process)
    assert code == 1
    assert err.count("\n") == 1 and err.startswith("recorder_node: error: ")
    assert "cm_node (cm/measured_js) runs but published nothing" in err
    assert "perception_node (perception/cm) runs but published nothing" in err
    assert "carm_node" not in err
    assert not (tmp_path / "runs").exists()


def test_images_that_stop_end_the_session_with_an_error_and_keep_what_there_is(session, tmp_path):
    process = start_node("recorder_node", {"run_dir": "runs/four", "frames": 100, "silence_timeout_s": 1.5}, tmp_path)
    _wait_for_recorder(session)
    _warm_up(session)
    time.sleep(0.3)
    session.frame(2, _pixels())
    code, _, err = end_node(process)
    assert code == 1 and "carm_node (carm/image_raw) sent no image for 1.5 s" in err
    assert json.loads((tmp_path / "runs/four/session.json").read_text())["frames_recorded"] == 1


def test_a_disk_that_fills_ends_with_one_line_and_a_readable_bag(session, tmp_path):
    """A file-size limit makes write(2) itself fail half-way through a record, as a full disk does."""
    limit = 3 * 2**20

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    parameters = {"run_dir": "runs/five", "reserve_mb": 1.0}
    process = start_node("recorder_node", parameters, tmp_path, preexec_fn=limited)
    _wait_for_recorder(session)
    _warm_up(session)
    time.sleep(0.3)
    sent = 0
    while process.poll() is None and sent < 100:
        session.frame(sent + 2, _pixels(256))
        sent += 1
        time.sleep(0.03)
    code, out, err = end_node(process)
    assert code == 1
    assert err.count("\n") == 1 and "Traceback" not in err + out
    assert "writing the bag failed: File too large" in err and "are lost" in err
    with Reader(tmp_path / "runs/five/bag") as reader:
        images = sum(c.msgcount for c in reader.connections if c.topic == "/carm/image_raw")
    assert 10 < images < sent
    figures = json.loads((tmp_path / "runs/five/session.json").read_text())
    assert figures["frames_recorded"] == images
    assert figures["messages_lost"]["/carm/image_raw"] > 0


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"run_dir": "taken"}, "exists and is not empty"),
        ({"run_dir": "a_file/run"}, "cannot write to run folder"),
        ({"run_dir": "new", "frames": -1}, "frames must be between"),
        ({"run_dir": "new", "framess": 5}, "unknown parameter framess"),
        ({"run_dir": "/proc/run"}, "cannot write to run folder"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_leaves_nothing(tmp_path, parameters, expected):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/report.html").write_text("somebody's")
    (tmp_path / "a_file").write_text("")
    code, out, err = end_node(start_node("recorder_node", parameters, tmp_path))
    assert code == 1 and err.count("\n") == 1 and expected in err, err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_file", "taken"]
    assert (tmp_path / "taken/report.html").read_text() == "somebody's"
