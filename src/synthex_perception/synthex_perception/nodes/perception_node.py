"""perception_node: looks at each X-ray image and says where the manipulator and the anatomy are.

It takes the image and its camera_info and nothing else - no topic under ``ground_truth`` ever. Inference runs in a
worker thread: an image that arrives while another waits takes its place, and the one that was dropped is counted.
Every answer carries the header of its image, so latency can be read off any recording.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from functools import partial
from pathlib import Path

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from cm_kinematics.nodes.conversions import stamp_ns
from cm_kinematics.nodes.diagnostics import Diagnostics, Latency, Level, Status
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, declare
from cm_kinematics.nodes.spin import run_node
from synthex_msgs.msg import CmDetection, LabelInfo, Landmark2DArray
from synthex_perception.inference.overlay import draw_overlay
from synthex_perception.inference.postprocess import PostprocessConfig
from synthex_perception.inference.predictor import Predictor
from synthex_perception.inference.tube_profile import DeviceSize
from synthex_perception.nodes.perception_messages import (
    cm_message,
    label_info_message,
    landmarks_message,
    manipulator_depths,
)
from synthex_perception.nodes.stamp_sets import StampSets
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS
from synthex_sim.nodes.image_messages import from_image_msg, to_image_msg
from synthex_sim.nodes.newest_wins import NewestWins

#: Instead of a file: the session's network with random weights of that seed, for tests of everything around it.
RANDOM_WEIGHTS_PREFIX = "random:"

_DEVICE = DeviceSize()

TABLE = (
    Parameter("weights", str, REQUIRED, f"weights file (.safetensors), or {RANDOM_WEIGHTS_PREFIX}SEED for an untrained "
              "network that only exercises the topics", read_only=True),
    Parameter("landmark_threshold", float, 0.6, "likeness of a heatmap to its template below which a landmark is not "
              "marked visible", range=(0.0, 1.0)),
    Parameter("cm_min_pixels", int, 40, "least size of the manipulator's mask; smaller ones are dropped", "px",
              range=(1, 65536)),
    Parameter("cm_outer_diameter_mm", float, _DEVICE.outer_diameter_mm, "of the manipulator on which the weights were "
              "trained; its width in the image tells its distance", "mm", range=(0.1, 100.0), read_only=True),
    Parameter("cm_inner_diameter_mm", float, _DEVICE.inner_diameter_mm, "of its bore", "mm", range=(0.0, 100.0),
              read_only=True),
    Parameter("cm_body_length_mm", float, _DEVICE.body_length_mm, "of its notched body, from base to tip", "mm",
              range=(1.0, 500.0), read_only=True),
    Parameter("threads", int, 1, "threads of torch and OpenCV; 1 is fastest beside a renderer on two cores; 0: their "
              "choice", range=(0, 64), read_only=True),
    Parameter("overlay", bool, True, "whether perception/overlay is drawn and published"),
    Parameter("autostart", bool, False, "configure and activate at the start", read_only=True),
)

_IMAGE, _CAMERA_INFO = "carm/image_raw", "carm/camera_info"

_RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class PerceptionNode(LifecycleNode):
    """Parameters in, ``Predictor`` called, messages out.

    Args:
        parameter_overrides: as rclpy's; for tests and for nodes made inside another program.

    Raises:
        ValueError: a parameter is wrong, or (with autostart) the weights cannot be used.
        OSError: (with autostart) the weights file cannot be read.
    """

    def __init__(self, parameter_overrides: list[RosParameter] | None = None) -> None:
        super().__init__("perception_node", parameter_overrides=parameter_overrides)
        p = self._values = declare(self, TABLE)
        self._device = DeviceSize(p["cm_outer_diameter_mm"], p["cm_inner_diameter_mm"], p["cm_body_length_mm"])
        self._failure: Exception | None = None
        self._predictor: Predictor | None = None
        self._worker: NewestWins | None = None
        self._active = False
        self._lock = threading.Lock()
        self._reset_counts()
        if self._values["autostart"]:
            for trigger in (self.trigger_configure, self.trigger_activate):
                if trigger() != TransitionCallbackReturn.SUCCESS:
                    raise self._failure or RuntimeError("perception_node did not start")

    # -- lifecycle ------------------------------------------------------------------------------------------------
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads and warms up the network, makes the interface."""
        try:
            self._predictor, self._source = _load(self._values["weights"], self._values["threads"])
            self._make_interface()
        except Exception as error:  # noqa: BLE001 - rclpy would turn it into a bare ERROR without a word
            self._failure = error
            # With autostart the error ends the process, which prints it once (spin.py).
            if not self._values["autostart"]:
                self.get_logger().error(f"{type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f"looking with {self._source}; research and simulation only, not a medical device")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts to look at images."""
        self._reset_counts()
        self._active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops looking; the network stays loaded, an image that waits is dropped."""
        self._active = False
        with self._lock:
            self._waiting = None
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops for good."""
        self.close()
        return super().on_shutdown(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the network and its topics."""
        self.close()
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        for publisher in self._outputs:
            self.destroy_publisher(publisher)
        self._diagnostics.destroy()
        self._predictor = None
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Ends the worker thread."""
        self._active = False
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _make_interface(self) -> None:
        self._mask = self.create_publisher(Image, "perception/mask", _RELIABLE)
        self._label_info = self.create_publisher(LabelInfo, "perception/label_info", _LATCHED)
        self._landmarks = self.create_publisher(Landmark2DArray, "perception/landmarks", _RELIABLE)
        self._cm = self.create_publisher(CmDetection, "perception/cm", _RELIABLE)
        self._overlay = self.create_publisher(Image, "perception/overlay", _RELIABLE)
        self._outputs = [self._mask, self._label_info, self._landmarks, self._cm, self._overlay]
        self._sets = StampSets((_IMAGE, _CAMERA_INFO))
        self._worker = NewestWins("inference", self._on_worker_error)
        self._inputs = [
            self.create_subscription(kind, topic, partial(self._take, topic), _RELIABLE)
            for topic, kind in ((_IMAGE, Image), (_CAMERA_INFO, CameraInfo))
        ]
        self._published_threshold: float | None = None
        self._publish_label_info()
        self._diagnostics = Diagnostics(self, hardware_id=self._source)
        self._diagnostics.add("inference", self._report)

    def _reset_counts(self) -> None:
        self._received = self._answered = self._skipped = self._failed = 0
        self._waiting: tuple[Image, CameraInfo, float] | None = None
        self._predict_time, self._latency = Latency(), Latency()

    # -- images in ------------------------------------------------------------------------------------------------
    def _take(self, topic: str, message: Image | CameraInfo) -> None:
        complete = self._sets.add(topic, stamp_ns(message.header.stamp), message)
        if complete is None or not self._active:
            return
        image, info = complete[_IMAGE], complete[_CAMERA_INFO]
        if (image.height, image.width) != (info.height, info.width):
            self._failed += 1
            self.get_logger().warning(
                f"image of {image.height} x {image.width} but camera_info of {info.height} x {info.width} with the "
                "same stamp; ignored", throttle_duration_sec=5.0)
            return
        with self._lock:
            self._received += 1
            self._skipped += self._waiting is not None
            self._waiting = (image, info, time.perf_counter())
        self._worker.offer(self._look)

    # -- answers out (worker thread) ------------------------------------------------------------------------------
    def _look(self) -> None:
        with self._lock:
            if self._waiting is None:
                return
            (message, info, arrived), self._waiting = self._waiting, None
        started = time.perf_counter()
        image = from_image_msg(message)
        if message.encoding != "mono16":
            raise ValueError(f"carm/image_raw must be mono16, got {message.encoding}")
        self._predictor.config = PostprocessConfig(
            self._values["landmark_threshold"], self._values["cm_min_pixels"], device=self._device
        )
        found = self._predictor.predict(image)
        self._predict_time.add(time.perf_counter() - started)
        header = message.header
        self._publish_label_info()
        self._mask.publish(to_image_msg(found.mask, header, "mono8"))
        depths = manipulator_depths(found, info.k, self._device.outer_diameter_mm)
        self._landmarks.publish(landmarks_message(found, header, depths))
        self._cm.publish(cm_message(found, header, depths))
        self._answered += 1
        self._latency.add(time.perf_counter() - arrived)
        if self._values["overlay"]:
            drawn = draw_overlay(image, found.mask, found.landmarks, found.landmark_names, found.visible)
            self._overlay.publish(to_image_msg(drawn, header, "rgb8"))

    def _publish_label_info(self) -> None:
        """Latched; published again when the threshold has been changed."""
        threshold = self._values["landmark_threshold"]
        if threshold == self._published_threshold:
            return
        self._published_threshold = threshold
        metadata = self._predictor.metadata
        header = Header(stamp=self.get_clock().now().to_msg())
        self._label_info.publish(
            label_info_message(header, metadata.label_names, metadata.landmark_names, threshold, self._source)
        )

    def _on_worker_error(self, error: Exception) -> None:
        if not self.context.ok():  # Ctrl-C took the context away while the network looked
            return
        self._failed += 1
        self.get_logger().error(f"an image could not be looked at: {error}", throttle_duration_sec=1.0)

    def _report(self) -> Status:
        values = {
            "received": self._received, "answered": self._answered, "skipped": self._skipped, "failed": self._failed,
            "without_partner": self._sets.forgotten,
            **self._predict_time.values("predict"), **self._latency.values("latency"),
        }
        if self._failed:
            return Status(Level.ERROR, "images could not be looked at", values)
        if self._skipped > 0.05 * max(1, self._received):
            return Status(Level.WARN, "images are skipped", values)
        return Status(Level.OK, "looking" if self._active else "not active", values)


def _load(weights: str, threads: int) -> tuple[Predictor, str]:
    """(predictor, name and digest of its weights)."""
    if weights.startswith(RANDOM_WEIGHTS_PREFIX):
        seed = weights.removeprefix(RANDOM_WEIGHTS_PREFIX)
        if not seed.isdecimal():
            raise ValueError(f"weights '{weights}': after '{RANDOM_WEIGHTS_PREFIX}' comes a seed, e.g. random:0")
        return Predictor.random(int(seed), threads=threads or None), f"random weights (seed {seed})"
    predictor = Predictor.from_file(
        weights, threads=threads or None, label_names=LABEL_NAMES, landmark_names=SESSION_LANDMARKS
    )
    digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    return predictor, f"{Path(weights).name} sha256:{digest[:16]}"


def main() -> int:
    """Entry point of the executable ``perception_node``."""
    return run_node(PerceptionNode, "perception_node")


if __name__ == "__main__":
    sys.exit(main())
