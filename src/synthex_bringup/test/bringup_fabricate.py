"""Small sessions whose every figure is known, written as bags by the project's own writer, without ROS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys.store import Typestore

from synthex_bringup.recording.bag_writer import BagSummary, BagWriter
from synthex_bringup.recording.message_types import register_folder, standard_types
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS

MESSAGES = Path(__file__).resolve().parents[2] / "synthex_msgs" / "msg"
START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
NOWHERE = (float("nan"), float("nan"))

SDD_M, SAD_M, SPACING_M = 1.2, 0.6, 0.0005
OPEN_FIELD = 50_000


def session_types() -> Typestore:
    """A store with the standard messages and this project's."""
    types = standard_types()
    register_folder(types, "synthex_msgs", MESSAGES)
    return types


def latched_qos() -> Qos:
    """What a latched publisher offers."""
    for_ever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL,
        for_ever,
        for_ever,
        QosLiveliness.AUTOMATIC,
        for_ever,
        False,
    )


@dataclass
class FabricatedFrame:
    """One frame: times in milliseconds after the session's start, masks (rows, columns) uint8, points in pixels.

    True points may lie outside the image; those not named have no place (NaN), as a CT's landmarks.
    """

    at_ms: float
    image: np.ndarray
    image_after_ms: float = 50.0
    answer_after_ms: float | None = 80.0
    render_s: float = 0.04
    counter: int = 1
    skipped: int = 0
    true_mask: np.ndarray | None = None
    mask: np.ndarray | None = None
    true_points: dict[str, tuple[float, float]] = field(default_factory=dict)
    points: dict[str, tuple[float, float]] = field(default_factory=dict)
    true_cm: bool | None = None
    cm: bool = False

    @property
    def stamp_ns(self) -> int:
        return START_NS + round(self.at_ms * MS)


class Messages:
    """Makes the session's messages in a typestore and serialises them."""

    def __init__(self) -> None:
        self.types = session_types()

    def make(self, type_: str, **values):
        return self.types.types[type_](**values)

    def bytes(self, message, name: str) -> bytes:
        return bytes(self.types.serialize_cdr(message, name))

    def header(self, stamp_ns: int, frame_id: str = "carm_source_optical"):
        stamp = self.make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def image(self, stamp_ns: int, pixels: np.ndarray) -> bytes:
        encoding = {"uint8": "mono8", "uint16": "mono16"}[pixels.dtype.name]
        message = self.make(
            "sensor_msgs/msg/Image",
            header=self.header(stamp_ns),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.shape[1] * pixels.itemsize,
            data=np.frombuffer(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(), dtype=np.uint8),
        )
        return self.bytes(message, "sensor_msgs/msg/Image")

    def camera_info(self, stamp_ns: int, shape: tuple[int, int]) -> bytes:
        roi = self.make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        message = self.make(
            "sensor_msgs/msg/CameraInfo",
            header=self.header(stamp_ns),
            height=shape[0],
            width=shape[1],
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.eye(3).ravel(),
            r=np.eye(3).ravel(),
            p=np.eye(3, 4).ravel(),
            binning_x=0,
            binning_y=0,
            roi=roi,
        )
        return self.bytes(message, "sensor_msgs/msg/CameraInfo")

    def exposure(self, frame: FabricatedFrame) -> bytes:
        message = self.make(
            "synthex_msgs/msg/Exposure",
            header=self.header(frame.stamp_ns),
            kvp=80.0,
            mas=0.5,
            spectrum="SpekPy 12 deg W, 4 mm Al",
            collimation=np.zeros(4),
            renderer="realistic",
            projector="cpu",
            scatter="kernel",
            grid=True,
            noise=True,
            blur=True,
            heel_effect=False,
            lag=False,
            gain="auto",
            seed=7,
            source_to_detector=SDD_M,
            source_to_isocenter=SAD_M,
            pixel_spacing=SPACING_M,
            height=frame.image.shape[0],
            width=frame.image.shape[1],
            k=np.eye(3).ravel(),
            world_to_camera=np.eye(4).ravel(),
            open_field=OPEN_FIELD,
            saturation=65535,
            kev_per_count=12.5,
            frame_counter=frame.counter,
            frames_skipped=frame.skipped,
            render_seconds=frame.render_s,
        )
        return self.bytes(message, "synthex_msgs/msg/Exposure")

    def landmark(self, name: str, xy: tuple[float, float] | None, shape: tuple[int, int] | None = None):
        """A point; with the shape of an image, it is visible only inside."""
        x, y = xy if xy is not None else NOWHERE
        inside = shape is None or (-0.5 < x < shape[1] - 0.5 and -0.5 < y < shape[0] - 0.5)
        return self.make(
            "synthex_msgs/msg/Landmark2D",
            name=name,
            class_id=SESSION_LANDMARKS.index(name),
            x=x,
            y=y,
            depth=float("nan"),
            confidence=1.0 if xy is not None else 0.0,
            visible=xy is not None and inside,
        )

    def landmarks(
        self, stamp_ns: int, points: dict[str, tuple[float, float]], shape: tuple[int, int] | None = None
    ) -> bytes:
        message = self.make(
            "synthex_msgs/msg/Landmark2DArray",
            header=self.header(stamp_ns),
            landmarks=[self.landmark(name, points.get(name), shape) for name in SESSION_LANDMARKS],
        )
        return self.bytes(message, "synthex_msgs/msg/Landmark2DArray")

    def cm(self, stamp_ns: int, detected: bool, points: dict[str, tuple[float, float]]) -> bytes:
        message = self.make(
            "synthex_msgs/msg/CmDetection",
            header=self.header(stamp_ns),
            detected=detected,
            mask_pixels=0,
            confidence=1.0,
            base=self.landmark("CM-base", points.get("CM-base")),
            tip=self.landmark("CM-tip", points.get("CM-tip")),
        )
        return self.bytes(message, "synthex_msgs/msg/CmDetection")

    def label_info(self, source: str) -> bytes:
        message = self.make(
            "synthex_msgs/msg/LabelInfo",
            header=self.header(START_NS),
            class_map=[
                self.make("synthex_msgs/msg/LabelClass", class_id=i, class_name=name)
                for i, name in enumerate(LABEL_NAMES)
            ],
            landmark_names=list(SESSION_LANDMARKS),
            threshold=0.5,
            source=source,
        )
        return self.bytes(message, "synthex_msgs/msg/LabelInfo")

    def joints(self, stamp_ns: int) -> bytes:
        message = self.make(
            "sensor_msgs/msg/JointState",
            header=self.header(stamp_ns, "cm_base"),
            name=["insertion", "roll", "tendon"],
            position=np.zeros(3),
            velocity=np.zeros(0),
            effort=np.zeros(0),
        )
        return self.bytes(message, "sensor_msgs/msg/JointState")


def write_session(run: Path, frames: list[FabricatedFrame], weights: str = "test-net sha256:abc") -> BagSummary:
    """Write ``run/bag`` with these frames, each message at the time of receipt that its frame gives it."""
    make = Messages()
    entries: list[tuple[int, str, str, bytes, tuple]] = [
        (
            START_NS,
            "/carm/ground_truth/label_info",
            "synthex_msgs/msg/LabelInfo",
            make.label_info("ground truth"),
            (latched_qos(),),
        ),
        (START_NS, "/perception/label_info", "synthex_msgs/msg/LabelInfo", make.label_info(weights), (latched_qos(),)),
        (START_NS, "/cm/measured_js", "sensor_msgs/msg/JointState", make.joints(START_NS), ()),
    ]
    for frame in frames:
        stamp = frame.stamp_ns
        seen = stamp + round(frame.image_after_ms * MS)
        entries += [
            (seen, "/carm/image_raw", "sensor_msgs/msg/Image", make.image(stamp, frame.image), ()),
            (seen, "/carm/camera_info", "sensor_msgs/msg/CameraInfo", make.camera_info(stamp, frame.image.shape), ()),
            (seen, "/carm/exposure", "synthex_msgs/msg/Exposure", make.exposure(frame), ()),
        ]
        if frame.true_mask is not None:
            points = frame.true_points
            entries += [
                (seen, "/carm/ground_truth/mask", "sensor_msgs/msg/Image", make.image(stamp, frame.true_mask), ()),
                (
                    seen,
                    "/carm/ground_truth/landmarks",
                    "synthex_msgs/msg/Landmark2DArray",
                    make.landmarks(stamp, points, frame.image.shape),
                    (),
                ),
                (
                    seen,
                    "/carm/ground_truth/cm",
                    "synthex_msgs/msg/CmDetection",
                    make.cm(stamp, bool(frame.true_cm), points),
                    (),
                ),
            ]
        if frame.answer_after_ms is not None:
            answered = seen + round(frame.answer_after_ms * MS)
            mask = frame.mask if frame.mask is not None else np.zeros(frame.image.shape, np.uint8)
            entries += [
                (answered - 2 * MS, "/perception/mask", "sensor_msgs/msg/Image", make.image(stamp, mask), ()),
                (
                    answered - MS,
                    "/perception/landmarks",
                    "synthex_msgs/msg/Landmark2DArray",
                    make.landmarks(stamp, frame.points),
                    (),
                ),
                (
                    answered,
                    "/perception/cm",
                    "synthex_msgs/msg/CmDetection",
                    make.cm(stamp, frame.cm, frame.points),
                    (),
                ),
            ]
    run.mkdir(parents=True, exist_ok=True)
    writer = BagWriter(run / "bag", types=make.types, reserve_bytes=0, queue_bytes=2**30)
    for received, topic, type_, data, qos in sorted(entries, key=lambda entry: entry[0]):
        assert writer.put(topic, type_, received, data, qos)
    return writer.close()
