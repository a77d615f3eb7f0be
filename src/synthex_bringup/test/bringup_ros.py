"""Nodes under test as real processes, and the session around them over real DDS, on a domain of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header

from synthex_msgs.msg import CmDetection, Exposure, LabelInfo, Landmark2D, Landmark2DArray

#: Fixed for one test process, so that sessions of a parallel run do not hear each other.
DOMAIN = 10 + os.getpid() % 80


def start_node(module: str, parameters: dict, cwd: Path, **popen) -> subprocess.Popen:
    """``python -m synthex_bringup.nodes.<module>`` with parameters, its output in pipes."""
    arguments = [f for name, value in parameters.items() for f in ("-p", f"{name}:={value}")]
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(DOMAIN),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", f"synthex_bringup.nodes.{module}"]
    return subprocess.Popen(
        [*command, "--ros-args", *arguments] if arguments else command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **popen,
    )


def end_node(process: subprocess.Popen, timeout_s: float = 20.0) -> tuple[int, str, str]:
    """Wait for a node; (exit code, stdout, stderr). One that does not end is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the node did not end within {timeout_s:g} s:\n{out}\n{err}") from None
    return process.returncode, out, err


class SmallSession:
    """A C-arm, a manipulator and a perception reduced to their topics: 64 x 64 images, everything reliable.

    Used as a context manager; remembers what it published.
    """

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self.published: dict[str, list] = {}
        self._context = Context()

    def __enter__(self) -> SmallSession:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self.node = rclpy.create_node("small_session", context=self._context)
        self._publishers = {}
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._executor.shutdown()
        self._thread.join(timeout=5)
        self.node.destroy_node()  # or its publishers stay until they are collected, and the next test meets them
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def advertise(self, *topics: str) -> None:
        """Make publishers for these topics."""
        types = {
            "carm/image_raw": Image,
            "carm/camera_info": CameraInfo,
            "carm/exposure": Exposure,
            "carm/ground_truth/mask": Image,
            "carm/ground_truth/landmarks": Landmark2DArray,
            "carm/ground_truth/cm": CmDetection,
            "carm/ground_truth/label_info": LabelInfo,
            "cm/measured_js": JointState,
            "perception/mask": Image,
            "perception/landmarks": Landmark2DArray,
            "perception/cm": CmDetection,
            "perception/label_info": LabelInfo,
        }
        for topic in topics:
            qos = QoSProfile(depth=50)
            if topic.endswith("label_info"):
                qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self._publishers[topic] = self.node.create_publisher(types[topic], topic, qos)

    def publish(self, topic: str, message) -> None:
        self._publishers[topic].publish(message)
        self.published.setdefault(topic, []).append(message)

    def listeners(self, topic: str) -> int:
        return self._publishers[topic].get_subscription_count()

    def wait(self, condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, "the other side never appeared"
            time.sleep(0.02)

    def spin(self, seconds: float) -> None:
        """Let time pass; what arrives is handled by the thread."""
        time.sleep(seconds)

    # -- messages -------------------------------------------------------------------------------------------------
    def header(self, stamp_ns: int) -> Header:
        return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id="carm_source_optical")

    def image(self, stamp_ns: int, pixels: np.ndarray) -> Image:
        data = array("B")
        data.frombytes(np.ascontiguousarray(pixels).tobytes())
        return Image(
            header=self.header(stamp_ns),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding="mono16" if pixels.dtype == np.uint16 else "mono8",
            step=pixels.shape[1] * pixels.itemsize,
            data=data,
        )

    def exposure(self, stamp_ns: int, counter: int, skipped: int = 0) -> Exposure:
        return Exposure(
            header=self.header(stamp_ns),
            kvp=80.0,
            mas=0.5,
            renderer="realistic",
            projector="cpu",
            seed=7,
            source_to_detector=1.2,
            source_to_isocenter=0.6,
            pixel_spacing=0.0005,
            height=self.size,
            width=self.size,
            k=[-2400.0, 0.0, (self.size - 1) / 2, 0.0, 2400.0, (self.size - 1) / 2, 0.0, 0.0, 1.0],
            world_to_camera=np.eye(4).ravel().tolist(),
            open_field=50000,
            frame_counter=counter,
            frames_skipped=skipped,
            render_seconds=0.01,
        )

    def cm(self, stamp_ns: int, detected: bool = True) -> CmDetection:
        point = Landmark2D(name="CM-tip", x=3.0, y=4.0, visible=detected, confidence=1.0)
        return CmDetection(header=self.header(stamp_ns), detected=detected, base=point, tip=point)

    def landmarks(self, stamp_ns: int) -> Landmark2DArray:
        return Landmark2DArray(
            header=self.header(stamp_ns), landmarks=[Landmark2D(name="FH-l", x=1.5, y=2.5, visible=True)]
        )

    def frame(self, counter: int, pixels: np.ndarray, *, answer: bool = True, skipped: int = 0) -> int:
        """Publish one whole frame with its ground truth and, if wanted, its answer; the stamp."""
        stamp_ns = time.time_ns()
        mask = np.zeros((self.size, self.size), np.uint8)
        mask[8:16, 8:16] = 7
        self.publish("carm/camera_info", CameraInfo(header=self.header(stamp_ns), height=self.size, width=self.size))
        self.publish("carm/exposure", self.exposure(stamp_ns, counter, skipped))
        self.publish("carm/image_raw", self.image(stamp_ns, pixels))
        self.publish("carm/ground_truth/mask", self.image(stamp_ns, mask))
        self.publish("carm/ground_truth/landmarks", self.landmarks(stamp_ns))
        self.publish("carm/ground_truth/cm", self.cm(stamp_ns))
        if answer:
            self.publish("perception/mask", self.image(stamp_ns, mask))
            self.publish("perception/landmarks", self.landmarks(stamp_ns))
            self.publish("perception/cm", self.cm(stamp_ns))
        return stamp_ns


FRAME_TOPICS = (
    "carm/image_raw",
    "carm/camera_info",
    "carm/exposure",
    "carm/ground_truth/mask",
    "carm/ground_truth/landmarks",
    "carm/ground_truth/cm",
    "perception/mask",
    "perception/landmarks",
    "perception/cm",
)
