"""viewer_node: shows a session live in the browser, on this machine only, and keeps what it shows in the run folder.

Images are shown together with what perception said of them, so that no overlay lies on another image; where perception
is silent for three seconds they are shown alone. Whatever the viewer does, the session goes on without it.
"""

from __future__ import annotations

import getpass
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from cm_kinematics.geometry import load_geometry
from cm_kinematics.nodes.conversions import point_mm, pose_mm, rigid_to_millimetres, stamp_ns, transform_mm
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, declare
from cm_kinematics.nodes.spin import run_node
from synthex_msgs.msg import CmDetection, CmShape, Exposure, Landmark2DArray, NavigationStatus
from synthex_sim.carm.view import rigid_inverse
from synthex_sim.display import log_display

from .. import DISCLAIMER
from ..recording.bag_reader import image_array
from ..recording.files import VIEW
from ..recording.terminal import Terminal
from ..recording.topics import (
    ANSWERS,
    BONES,
    CM,
    CM_TIP,
    EXPOSURE,
    IMAGE,
    LANDMARKS,
    MASK,
    NAVIGATION,
    RUN_FOLDER,
    SHAPE,
    TARGET,
    TRUE_CM,
    TRUE_LANDMARKS,
    TRUE_MASK,
)
from ..viewer.carm_shape import carm_shape
from ..viewer.frame_figures import figures_of, frame_of, overlay_of
from ..viewer.frame_sets import FrameSets
from ..viewer.layout import LATENCY, session_layout
from ..viewer.picture import PLACES, SessionPicture
from ..viewer.recordings import Recordings
from ..viewer.server import ViewerError, ViewerServer, settings_folder

NAME = "viewer_node"

PARAMETERS = (
    Parameter("cm_device_file", str, REQUIRED, "manipulator, one of config/cm/*.yaml", read_only=True),
    Parameter("live", bool, True, "whether to serve the browser; without, only the run folder's recording is made",
              read_only=True),
    Parameter("web_port", int, 9090, "port of the page; another is taken where it is in use", range=(0, 65535),
              read_only=True),
    Parameter("data_port", int, 9876, "port from which the page takes the data; another where it is in use",
              range=(0, 65535), read_only=True),
    Parameter("memory_mb", int, 512, "what is kept for a browser that opens late; the oldest goes first", "MB",
              range=(16, 65536), read_only=True),
    Parameter("shape_rate_hz", float, 5.0, "how often the manipulator is drawn", "Hz", range=(0.1, 50.0),
              read_only=True),
)

_IMAGE_PARTS = {IMAGE: Image, EXPOSURE: Exposure}
_PER_IMAGE = {**_IMAGE_PARTS, MASK: Image, LANDMARKS: Landmark2DArray, CM: CmDetection, TRUE_MASK: Image,
              TRUE_LANDMARKS: Landmark2DArray, TRUE_CM: CmDetection}
_EVENTS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ViewerNode(Node):
    """Messages in, ``SessionPicture`` called.

    Raises:
        ValueError, OSError: a parameter or file is wrong, or the viewer cannot be served.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__(NAME, **node_options)
        self._values: Mapping[str, Any] = declare(self, PARAMETERS)
        self._geometry = load_geometry(self._values["cm_device_file"])
        self._server: ViewerServer | None = None
        self._terminal = Terminal(NAME)
        if self._values["live"]:
            self._server = self._serve()
        self._recordings = Recordings(session_layout(), self._server.address.data_url if self._server else None)
        self._picture = SessionPicture(self._recordings, self._geometry)
        self._frames = FrameSets(_IMAGE_PARTS, ANSWERS, (TRUE_MASK, TRUE_LANDMARKS, TRUE_CM))
        self._status = NavigationStatus(state="lost", reason="navigation has not spoken yet")
        self._navigated_ns = 0
        self._counted = (0, 0)
        self._source_in_world = np.eye(4)
        self._next_shape_s = 0.0
        self._subscribe()
        self.create_timer(0.5, self._on_silence)
        if self._server is not None:
            self._say_where()

    def _serve(self) -> ViewerServer:
        p = self._values
        try:
            return ViewerServer(p["web_port"], p["data_port"], p["memory_mb"], settings_folder())
        except ViewerError as error:
            raise ValueError(str(error)) from error

    def _say_where(self) -> None:
        address = self._server.address
        self._terminal.say(f"viewer: {address.page_url}")
        self._terminal.say(f"        from another machine: {address.tunnel(getpass.getuser(), socket.gethostname())} "
                           "there, then the same address")
        self._terminal.say(f"        {DISCLAIMER}")

    def _subscribe(self) -> None:
        for topic, kind in _PER_IMAGE.items():
            self.create_subscription(kind, topic, _with_receipt(partial(self._on_part, topic)), _EVENTS)
        self.create_subscription(NavigationStatus, NAVIGATION, _with_receipt(self._on_status), _EVENTS)
        self.create_subscription(PoseWithCovarianceStamped, CM_TIP, self._on_tip, _EVENTS)
        self.create_subscription(CmShape, SHAPE, self._on_shape, QoSProfile(depth=1), raw=True)
        self.create_subscription(MarkerArray, BONES, self._on_bones, _LATCHED)
        self.create_subscription(PointStamped, TARGET, self._on_target, _LATCHED)
        self.create_subscription(TFMessage, "/tf_static", self._on_static_transforms, QoSProfile(
            depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self.create_subscription(String, RUN_FOLDER, self._on_run_folder, _LATCHED)

    # -- images ---------------------------------------------------------------------------------------------------
    def _on_part(self, topic: str, message: Any, received_ns: int) -> None:
        complete = self._frames.add(topic, stamp_ns(message.header.stamp), (message, received_ns), time.monotonic())
        if complete is not None:
            self._show(*complete)

    def _on_silence(self) -> None:
        """Perception does not answer: images alone are better than an image that stands still."""
        alone = self._frames.unanswered(time.monotonic())
        if alone is not None:
            self._show(*alone)

    def _show(self, stamp: int, parts: Mapping[str, tuple[Any, int]]) -> None:
        messages = {topic: message for topic, (message, _) in parts.items()}
        frame = frame_of(stamp, parts)
        exposure, scale = frame.exposure.message, frame.scale
        image = log_display(image_array(messages[IMAGE]))
        self._picture.xray(stamp, image, overlay_of(messages, MASK, LANDMARKS, CM),
                           overlay_of(messages, TRUE_MASK, TRUE_LANDMARKS, TRUE_CM))
        self._source_in_world = rigid_inverse(rigid_to_millimetres(np.reshape(exposure.world_to_camera, (4, 4))))
        shape = carm_shape(np.reshape(exposure.k, (3, 3)), image.shape, scale.source_to_detector_mm,
                           scale.source_to_isocenter_mm)
        self._picture.carm(stamp, self._source_in_world, shape, image)
        self._picture.figures(stamp, figures_of(frame))
        self._counted = (frame.exposure.frame_counter, frame.exposure.frames_skipped)

    # -- navigation and manipulator -------------------------------------------------------------------------------
    def _on_status(self, message: NavigationStatus, received_ns: int) -> None:
        stamp = stamp_ns(message.header.stamp)
        news = (message.state, message.reason) != (self._status.state, self._status.reason)
        self._status = message
        if stamp > self._navigated_ns:
            self._navigated_ns = stamp
            self._picture.figures(stamp, [(f"{LATENCY}/navigation", (received_ns - stamp) * 1e-6)])
            if not message.manipulator_known:
                self._picture.seen_tip(stamp, None)
        elif not news:
            return
        self._picture.status(max(stamp, self._navigated_ns) or received_ns, _status_text(message, *self._counted))

    def _on_tip(self, message: PoseWithCovarianceStamped) -> None:
        tip = point_mm(message.pose.pose.position)
        in_world = self._source_in_world[:3, :3] @ tip + self._source_in_world[:3, 3]
        self._picture.seen_tip(stamp_ns(message.header.stamp), in_world)

    def _on_shape(self, data: bytes) -> None:
        now_s = time.monotonic()
        if now_s < self._next_shape_s:
            return
        self._next_shape_s = now_s + 1.0 / self._values["shape_rate_hz"]
        shape = deserialize_message(data, CmShape)
        if len(shape.joint_angles) == self._geometry.joint_count:
            self._picture.manipulator(stamp_ns(shape.header.stamp), pose_mm(shape.segments[0]), shape.joint_angles)

    # -- what stands still ----------------------------------------------------------------------------------------
    def _on_bones(self, message: MarkerArray) -> None:
        for marker in message.markers:
            corners = np.array([(p.x, p.y, p.z) for p in marker.points], dtype=np.float32)
            if len(corners) and marker.header.frame_id == "ct_lps":
                color = tuple(round(255 * value) for value in (marker.color.r, marker.color.g, marker.color.b))
                self._picture.bones(marker.ns, corners, color)

    def _on_target(self, message: PointStamped) -> None:
        if message.header.frame_id == "ct_lps":
            self._picture.target(np.array([message.point.x, message.point.y, message.point.z]))

    def _on_static_transforms(self, message: TFMessage) -> None:
        for one in message.transforms:
            if one.child_frame_id in PLACES:
                self._picture.place(one.child_frame_id, transform_mm(one.transform))

    # -- the run folder -------------------------------------------------------------------------------------------
    def _on_run_folder(self, message: String) -> None:
        """A folder while a run is recorded, empty when its recording has ended."""
        if not message.data:
            self._recordings.close_file()
            return
        path = Path(message.data) / VIEW
        try:
            self._recordings.open_file(path)
        except OSError as error:
            self._terminal.error(f"no {VIEW} in the run folder: {error.strerror or error}")

    def close(self) -> None:
        """Completes the file, ends the server."""
        self._recordings.close()
        if self._server is not None:
            self._server.close()


def _status_text(message: NavigationStatus, published: int, skipped: int) -> str:
    pelvis = f"pelvis from {message.landmarks_used} landmarks, residual {message.residual:.1f} px"
    known = [what for what, is_known in ((pelvis, message.pelvis_known),
                                         ("manipulator seen", message.manipulator_known)) if is_known]
    lines = [
        f"# {message.state}", message.reason, ", ".join(known), f"frames {published}, skipped {skipped}",
        "room: red, tip as seen; green, target", f"*{DISCLAIMER}*",
    ]
    return "\n\n".join(line for line in lines if line)


def _with_receipt(callback: Callable[[Any, int], None]) -> Callable[[Any, Any], None]:
    """A subscription's callback that gets the receipt in nanoseconds since the epoch, measured before it waited."""

    def on_message(message: Any, info: Any) -> None:
        callback(message, int(info.get("received_timestamp") or time.time_ns()))

    return on_message


def main() -> int:
    """Entry point of the executable ``viewer_node``."""
    return run_node(ViewerNode, NAME)


if __name__ == "__main__":
    sys.exit(main())
