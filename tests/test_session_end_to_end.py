"""The whole session over real DDS, as a user starts it: launch file, four nodes, bag, report, replay.

A network with random weights drives it: what is checked is plumbing (sizes, encodings, stamps, counts), never what the
network says.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")

from rosbags.highlevel import AnyReader  # noqa: E402
from synthex_perception.inference.predictor import Predictor  # noqa: E402
from synthex_perception.network.weights import save_weights  # noqa: E402
from synthex_sim.patient.phantom import make_phantom  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
FRAMES = 12


def launch(folder: Path, file: str, *arguments: str, timeout: float = 150.0) -> subprocess.CompletedProcess:
    environment = os.environ | {"ROS_DOMAIN_ID": str(random.randint(10, 90)), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return subprocess.run([sys.executable, str(REPOSITORY / "tools" / "launch"), "synthex_bringup", file, *arguments],
                          cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A coarse phantom written as a CT and a label map, and random weights."""
    folder = tmp_path_factory.mktemp("session")
    phantom = make_phantom(3, 5.0)
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ phantom.affine
    nibabel.save(nibabel.Nifti1Image(phantom.hu, ras), folder / "ct.nii.gz")
    nibabel.save(nibabel.Nifti1Image(phantom.labels, ras), folder / "labels.nii.gz")
    predictor = Predictor.random(0)
    save_weights(folder / "random.safetensors", predictor._network, predictor.metadata)
    return folder


@pytest.fixture(scope="module")
def session(folder):
    """The finished launch and its run folder."""
    run = folder / "run"
    finished = launch(
        folder, "session.launch.yaml", f"patient:={folder / 'ct.nii.gz'}", f"labels:={folder / 'labels.nii.gz'}",
        f"weights:={folder / 'random.safetensors'}", f"frames:={FRAMES}", "rate_hz:=2.0", f"run_dir:={run}")
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    return finished, run


@pytest.fixture(scope="module")
def bag(session):
    with AnyReader([session[1] / "bag"]) as reader:
        yield {topic: [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(connections)]
               for topic, connections in ((t, info.connections) for t, info in reader.topics.items())}


def stamps(messages) -> set:
    return {(m.header.stamp.sec, m.header.stamp.nanosec) for m in messages}


def test_the_session_ends_by_itself_and_leaves_bag_report_and_figures(session):
    _, run = session
    figures = json.loads((run / "session.json").read_text())
    assert figures["frames_recorded"] >= FRAMES
    assert figures["detections"]["fraction"] >= 0.95
    assert figures["hip"]["frames"] > 0 and figures["cm"]["frames"] > 0
    assert all(figures["latency_ms"][stage]["count"] > 0 for stage in figures["latency_ms"])
    assert "not a medical device" in figures["disclaimer"]
    page = (run / "report.html").read_text()
    assert "not a medical device" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert (run.parent / "run").is_dir()


def test_the_bags_counts_equal_what_was_published(session, bag):
    figures = json.loads((session[1] / "session.json").read_text())
    counters = [m.frame_counter for m in bag["/carm/exposure"]]
    assert counters == list(range(counters[0], counters[0] + len(counters)))
    assert len(bag["/carm/image_raw"]) == len(counters) == figures["frames_published"]
    assert {t: len(m) for t, m in bag.items()} == {
        t: n for t, n in figures["messages"].items() if n or t in bag}


def test_everything_that_derives_from_an_image_has_its_stamp_and_frame(bag):
    images = stamps(bag["/carm/image_raw"])
    for topic in ("/carm/camera_info", "/carm/exposure", "/carm/ground_truth/mask", "/carm/ground_truth/landmarks",
                  "/carm/ground_truth/cm", "/carm/joint_states", "/carm/measured_cp"):
        # the recording may begin, and end, in the middle of a frame's messages
        assert len(stamps(bag[topic]) ^ images) <= 2, topic
    for topic in ("/perception/mask", "/perception/landmarks", "/perception/cm"):
        assert stamps(bag[topic]) <= images and len(bag[topic]) >= 0.95 * len(images), topic
        assert {m.header.frame_id for m in bag[topic]} == {"carm_source_optical"}


def test_sizes_encodings_and_names_are_as_documented(bag):
    encodings = {"/carm/image_raw": "mono16", "/carm/ground_truth/mask": "mono8", "/perception/mask": "mono8",
                 "/perception/overlay": "rgb8"}
    for topic, encoding in encodings.items():
        assert {(m.height, m.width, m.encoding) for m in bag[topic]} == {(256, 256, encoding)}, topic
    names = [m.name for m in bag["/perception/landmarks"][0].landmarks]
    assert names == [m.name for m in bag["/carm/ground_truth/landmarks"][0].landmarks]
    assert names == list(bag["/perception/label_info"][0].landmark_names) and len(names) == 16
    assert bag["/cm/measured_js"][0].name == ["insertion", "roll", "tendon"]


def test_the_manipulator_moves_and_is_where_the_images_show_it(bag):
    tips = np.array([[m.tip.x, m.tip.y] for m in bag["/carm/ground_truth/cm"] if m.detected])
    assert len(tips) and np.ptp(tips, axis=0).max() > 1.0
    for message in bag["/carm/ground_truth/mask"]:
        assert (np.frombuffer(message.data, np.uint8) == 7).any()


def test_replay_feeds_the_recorded_images_to_perception_again(session, folder):
    _, run = session
    replay = launch(folder, "replay.launch.yaml", f"bag:={run / 'bag'}", f"weights:={folder / 'random.safetensors'}",
                    "rate:=1.0")
    assert replay.returncode == 0, replay.stdout[-3000:] + replay.stderr[-3000:]
    assert "replayed" in replay.stdout + replay.stderr


@pytest.mark.parametrize(("arguments", "reason"), [
    (["patint:=phantom:3"], "patint"),
    (["patient:=nowhere.nii.gz"], "does not exist"),
    (["weights:=nowhere.safetensors"], "nowhere.safetensors"),
    (["run_dir:=/proc/run"], "/proc/run"),
])
def test_bad_input_is_named_and_ends_the_session_with_a_non_zero_exit(arguments, reason, folder):
    names = {a.split(":=")[0] for a in arguments}
    given = [a for a in (f"patient:={folder / 'ct.nii.gz'}", f"weights:={folder / 'random.safetensors'}",
                         f"run_dir:={folder / 'refused'}") if a.split(":=")[0] not in names]
    finished = launch(folder, "session.launch.yaml", *given, *arguments, timeout=90)
    output = finished.stdout + finished.stderr
    assert finished.returncode != 0 and reason in output, output[-3000:]
    assert "Traceback" not in output
    lines = Counter(line for line in output.splitlines() if "error:" in line)
    assert lines
