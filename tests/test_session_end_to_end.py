"""The whole session over real DDS, as a user starts it: launch file, four nodes, bag, report, replay.

A network with random weights drives it: what is checked is plumbing (sizes, encodings, stamps, counts), never what the
network says.
"""

import json
import os
import random
import re
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")

import rclpy  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from synthex_msgs.msg import CmDetection, Exposure, Landmark2DArray  # noqa: E402
from synthex_perception.network.compact_transunet import build_network  # noqa: E402
from synthex_perception.network.config import CompactTransUNetConfig  # noqa: E402
from synthex_perception.network.weights import WeightsMetadata, save_weights  # noqa: E402
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS  # noqa: E402
from synthex_sim.patient.phantom import make_phantom  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
FRAMES = 12
#: Topics that are listened to beside the recorder: one message for each frame, or for each frame that was answered.
HEARD = {"/carm/image_raw": Image, "/carm/exposure": Exposure, "/carm/ground_truth/mask": Image,
         "/perception/mask": Image, "/perception/landmarks": Landmark2DArray, "/perception/cm": CmDetection}


def some_domain() -> int:
    return random.randint(10, 90)


def launch(folder: Path, file: str, *arguments: str, domain: int | None = None, timeout: float = 150.0
           ) -> subprocess.CompletedProcess:
    ros = {"ROS_DOMAIN_ID": str(domain or some_domain()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return subprocess.run([sys.executable, str(REPOSITORY / "tools" / "launch"), "synthex_bringup", file, *arguments],
                          cwd=folder, env=os.environ | ros, capture_output=True, text=True, timeout=timeout)


class Listener:
    """Hears what the nodes of a session publish, apart from the recorder and its bag; used as a context manager.

    Attributes:
        messages: by topic, in the order of receipt.
    """

    def __init__(self, domain: int) -> None:
        self.messages = defaultdict(list)
        self._context, self._domain = Context(), domain

    def __enter__(self):
        rclpy.init(context=self._context, domain_id=self._domain)
        self._node = rclpy.create_node("listener", context=self._context)
        for topic, kind in HEARD.items():
            self._node.create_subscription(kind, topic, self.messages[topic].append, QoSProfile(depth=1000))
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def __exit__(self, *_) -> None:
        self._executor.shutdown()
        self._thread.join(timeout=5)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A coarse phantom written as a CT and a label map, random weights, and of each one that is not as it must be."""
    folder = tmp_path_factory.mktemp("session")
    phantom = make_phantom(3, 5.0)
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ phantom.affine
    nibabel.save(nibabel.Nifti1Image(phantom.hu, ras), folder / "ct.nii.gz")
    nibabel.save(nibabel.Nifti1Image(phantom.labels, ras), folder / "labels.nii.gz")
    with_nan = phantom.hu.astype(np.float32)
    with_nan[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(with_nan, ras), folder / "nan.nii.gz")
    elsewhere = ras.copy()
    elsewhere[0, 3] += 600.0
    nibabel.save(nibabel.Nifti1Image(phantom.labels, elsewhere), folder / "shifted.nii.gz")
    sizes = CompactTransUNetConfig()
    metadata = WeightsMetadata(sizes, "session", LABEL_NAMES, SESSION_LANDMARKS, 1.68)
    save_weights(folder / "random.safetensors", build_network(sizes), metadata)
    save_weights(folder / "narrow.safetensors", build_network(CompactTransUNetConfig(width=8)), metadata)
    return folder


@pytest.fixture(scope="module")
def session(folder):
    """The run folder of a finished session, its figures, and what was heard of it."""
    run, domain = folder / "runs" / "first", some_domain()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        with Listener(domain) as listener:
            finished = launch(
                folder, "session.launch.yaml", f"patient:={folder / 'ct.nii.gz'}",
                f"labels:={folder / 'labels.nii.gz'}", f"weights:={folder / 'random.safetensors'}",
                f"frames:={FRAMES}", "rate_hz:=2.0", f"run_dir:={run}", domain=domain)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    figures = json.loads((run / "session.json").read_text())
    return SimpleNamespace(run=run, figures=figures, heard=listener.messages, printed=finished.stdout)


@pytest.fixture(scope="module")
def bag(session):
    with AnyReader([session.run / "bag"]) as reader:
        yield {topic: [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(connections)]
               for topic, connections in ((t, info.connections) for t, info in reader.topics.items())}


def stamp(message) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def stamps(messages) -> set:
    return {stamp(m) for m in messages}


def test_the_session_ends_by_itself_and_leaves_bag_report_and_figures(session):
    run, figures = session.run, session.figures
    assert figures["frames_recorded"] == FRAMES
    assert figures["detections"]["fraction"] >= 0.95
    assert figures["hip"]["frames"] > 0 and figures["cm"]["frames"] > 0
    assert all(figures["latency_ms"][stage]["count"] > 0 for stage in figures["latency_ms"])
    assert "not a medical device" in figures["disclaimer"]
    page = (run / "report.html").read_text()
    assert "not a medical device" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert (run.parent / "latest").is_symlink() and (run.parent / "latest").resolve() == run.resolve()


def test_the_viewer_says_where_it_is_and_its_recording_lies_beside_the_report(session):
    assert re.search(r"viewer: http://127\.0\.0\.1:\d+/\?url=", session.printed) and "ssh -N -L " in session.printed
    assert (session.run / "session.rrd").stat().st_size > 500_000
    assert 'href="session.rrd"' in (session.run / "report.html").read_text()


def test_the_bag_holds_what_was_published_from_its_first_frame_to_its_last(session, bag):
    """Against what a subscriber of its own heard.

    Frames before the session began are no part of it, nor those before the subscriber had found every publisher.
    """
    images = sorted(stamps(bag["/carm/image_raw"]))
    assert len(images) == FRAMES
    listening = max(min(stamps(session.heard[topic])) for topic in HEARD)
    assert sum(image >= listening for image in images) >= FRAMES - 2
    for topic in HEARD:
        heard = sorted(stamp(m) for m in session.heard[topic] if listening <= stamp(m) <= images[-1])
        recorded = sorted(map(stamp, bag[topic]))
        assert [one for one in recorded if one >= listening] == [one for one in heard if one >= images[0]], topic
        assert session.figures["messages"][topic] == len(recorded), topic
    first, last = (bag["/carm/exposure"][k] for k in (0, -1))
    assert session.figures["frames_published"] == last.frame_counter - first.frame_counter + 1 == FRAMES
    assert session.figures["frames_skipped"] == last.frames_skipped - first.frames_skipped
    assert session.figures["detections"]["count"] == len(bag["/perception/cm"])
    assert {topic: len(messages) for topic, messages in bag.items()} == {
        topic: count for topic, count in session.figures["messages"].items() if count or topic in bag}


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
    shown = [(np.frombuffer(message.data, np.uint8) == 7).any() for message in bag["/carm/ground_truth/mask"]]
    assert all(shown)


def test_replay_feeds_the_recorded_images_to_perception_again(session, folder):
    replay = launch(folder, "replay.launch.yaml", f"bag:={session.run / 'bag'}",
                    f"weights:={folder / 'random.safetensors'}", "rate:=1.0")
    assert replay.returncode == 0, replay.stdout[-3000:] + replay.stderr[-3000:]
    ((images, detections),) = re.findall(r"replayed (\d+) images, (\d+) detections", replay.stdout)
    # at the speed of the recording perception keeps up; one image may be lost to a machine that is busy elsewhere
    assert int(images) == FRAMES and int(detections) >= FRAMES - 1


@pytest.mark.parametrize(("argument", "value", "reason"), [
    ("patint", "phantom:3", "unknown launch argument 'patint'"),
    ("patient", "nowhere.nii.gz", "nowhere.nii.gz' does not exist"),
    ("patient", "{folder}/nan.nii.gz", "nan.nii.gz has 1 voxels that are NaN"),
    ("labels", "{folder}/shifted.nii.gz", "CT and label map overlap nowhere"),
    ("weights", "{folder}/narrow.safetensors", "tensor stem.0.weight has shape (8, 1, 5, 5)"),
    ("run_dir", "/proc/run", "cannot write to run folder /proc/run"),
], ids=["argument", "no CT", "NaN in the CT", "labels of another place", "shape of the weights", "run folder"])
def test_bad_input_is_named_once_ends_the_session_and_leaves_no_run(argument, value, reason, folder):
    before = sorted((folder / "runs").glob("*"))
    given = {"patient": f"{folder}/ct.nii.gz", "weights": f"{folder}/random.safetensors",
             "run_dir": f"{folder}/runs/refused", argument: value.format(folder=folder)}
    finished = launch(folder, "session.launch.yaml", *(f"{k}:={v}" for k, v in given.items()), timeout=90)
    output = finished.stdout + finished.stderr
    assert finished.returncode != 0, output[-3000:]
    # from whom it came, and in the launcher's last words: one and the same message, nothing else that looks like one
    errors = [line for line in output.splitlines() if "error: " in line]
    messages = {line.partition("error: ")[2] for line in errors}
    assert len(messages) == 1, messages
    (message,) = messages
    assert reason in message and output.rstrip().endswith(message), output[-3000:]
    assert "Traceback" not in output
    assert sorted((folder / "runs").glob("*")) == before
