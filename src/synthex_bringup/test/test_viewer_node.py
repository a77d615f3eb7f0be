"""viewer_node as a process: what it is told over DDS lies in the run folder's recording, registered by stamp."""

import signal
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("synthex_msgs", reason="needs the built workspace")
rerun_cli = pytest.importorskip("rerun_cli", reason="needs rerun-sdk")

from bringup_ros import FRAME_TOPICS, SmallSession, end_node, start_node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_msgs.msg import String  # noqa: E402

CM = Path(__file__).resolve().parents[3] / "config" / "cm" / "notched_27.yaml"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def printed(file: Path) -> str:
    """The recording's chunks in words, by rerun's own reader."""
    program = Path(rerun_cli.__file__).parent / "rerun"
    return subprocess.run([program, "rrd", "print", "-v", str(file)], capture_output=True, text=True, check=True,
                          timeout=60).stdout


def rows(text: str, component: str) -> int:
    """How often a component, ``entity@Archetype:name``, was set."""
    chunks = [line for line in text.splitlines() if line.startswith("Chunk(") and f"/{component}" in line]
    return sum(int(line.split(" with ")[1].split()[0]) for line in chunks)


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_what_is_said_while_a_run_is_recorded_lies_in_its_folder(tmp_path):
    with SmallSession() as session:
        session.advertise(*FRAME_TOPICS)
        folder = session.node.create_publisher(String, "recorder/run_folder", LATCHED)
        parameters = {"cm_device_file": CM, "web_port": free(), "data_port": free()}
        node = start_node("viewer_node", parameters, tmp_path)
        try:
            session.wait(lambda: session.listeners("perception/cm") > 0, 30.0)
            session.frame(1, np.full((64, 64), 900, np.uint16))  # of no run
            folder.publish(String(data=str(tmp_path)))
            session.wait(lambda: (tmp_path / "session.rrd").exists())
            for number in range(2, 5):
                session.frame(number, np.full((64, 64), 900, np.uint16))
                session.spin(0.2)
            session.frame(5, np.full((64, 64), 900, np.uint16), answer=False)
            session.spin(4.0)  # longer than perception may be silent
            folder.publish(String(data=""))
            session.spin(2.0)  # it comes another way than the frames
            session.frame(6, np.full((64, 64), 900, np.uint16))
            session.spin(0.5)
        finally:
            node.send_signal(signal.SIGINT)
        code, out, err = end_node(node)
    assert code == 0, err
    assert f"viewer: http://127.0.0.1:{parameters['web_port']}/" in out and "not a medical device" in out
    assert f"-L {parameters['data_port']}:127.0.0.1:{parameters['data_port']}" in out
    text = printed(tmp_path / "session.rrd")
    assert rows(text, "xray/image@Image:buffer") == 4  # three that were answered, one that was not
    masks = [rows(text, f"xray/{whose}/mask@SegmentationImage:buffer") for whose in ("network", "truth")]
    assert masks == [3, 4] and rows(text, "xray/network@Clear") == 1
    assert rows(text, "dice/manipulator@Scalars") == 3 and rows(text, "latency_ms/image@Scalars") == 4
    assert rows(text, "world/carm/detector/image@Mesh3D:albedo_texture_buffer") == 4


@pytest.mark.parametrize(("parameters", "reason"), [
    ({}, "cm_device_file"), ({"cm_device_file": "/no/such.yaml"}, "/no/such.yaml"),
    ({"cm_device_file": CM, "web_port": 99999}, "web_port"),
])
def test_a_wrong_configuration_is_one_line_and_a_non_zero_exit(parameters, reason, tmp_path):
    code, _, err = end_node(start_node("viewer_node", parameters, tmp_path))
    assert code == 1 and reason in err and len(err.strip().splitlines()) == 1
