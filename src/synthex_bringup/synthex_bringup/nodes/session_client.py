"""Session: a running session in plain Python - shots as arrays, commands as calls.

    with Session() as session:
        session.set_view("inlet")
        shot = session.acquire()
        print(shot.tip_mm, shot.state, shot.reason)

Lengths are millimetres, angles degrees; positions are in the C-arm's frame ``carm_source_optical``. Research and
simulation only, not a medical device.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import PointStamped, PoseWithCovarianceStamped
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState

from cm_kinematics.actuation import ACTUATORS
from cm_kinematics.nodes.conversions import joint_positions, joint_state_message, point_mm, pose_mm, stamp_ns
from synthex_msgs.msg import CmDetection, Exposure, Landmark2DArray, NavigationStatus
from synthex_msgs.srv import Acquire, SetView
from synthex_sim.nodes.image_messages import from_image_msg

from ..recording.files import default_run_folder
from .client_recorder import ClientRecorder, RecorderError

#: The status is repeated 20 times a second: three of them missing, and navigation counts as gone.
NAVIGATION_SILENT_S = 0.15
#: Older than this, what an image told is no longer acted on, whatever the status says.
NAVIGATION_OLD_S = 1.0

_ALWAYS = {
    "carm/image_raw": Image, "carm/camera_info": CameraInfo, "carm/exposure": Exposure, "perception/mask": Image,
    "perception/landmarks": Landmark2DArray, "perception/cm": CmDetection, "navigation/status": NavigationStatus,
}
_IF_KNOWN = {
    "navigation/pelvis_pose": PoseWithCovarianceStamped, "navigation/cm_tip": PoseWithCovarianceStamped,
    "navigation/cm_base": PoseWithCovarianceStamped,
}
_KEPT = 20
_NOT_ANSWERED = "no image was answered by perception and navigation: do perception_node and navigation_node run?"
#: Insertion, roll and tendon from mm, degrees, mm to the wire's m, rad, m.
_TO_SI = np.array([1e-3, np.pi / 180.0, 1e-3])
_QOS = QoSProfile(depth=20)


class SessionError(RuntimeError):
    """The session does not run, does not answer, or refused a command; the message says which and why."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One X-ray image and all that was told of it.

    Attributes:
        stamp_ns: when the scene was sampled, nanoseconds since the epoch.
        image: (R, C) uint16, raw detector counts, bone dark.
        intrinsics: (3, 3) pixels; the first focal length is negative (seen from the detector).
        kvp, mas, open_field: of the exposure: kV, mA s, counts of an unattenuated pixel.
        mask: (R, C) uint8, labels as in ``synthex_sim.anatomy``.
        landmarks: name -> (2,) pixel (column, row) of those seen confidently.
        tip_px, base_px: (2,) pixels of the manipulator's ends, None where it was not found.
        tip_mm, base_mm: (3,) in the C-arm's frame, None where unknown.
        tip_covariance: (3, 3) mm^2.
        pelvis: (4, 4) patient LPS mm -> C-arm's frame mm, None where unknown.
        pelvis_covariance: (6, 6) of (x, y, z, rx, ry, rz), mm and rad.
        state, reason: navigation's ``tracking``, ``uncertain`` or ``lost``, and why.
    """

    stamp_ns: int
    image: np.ndarray
    intrinsics: np.ndarray
    kvp: float
    mas: float
    open_field: int
    mask: np.ndarray
    landmarks: dict[str, np.ndarray]
    tip_px: np.ndarray | None
    base_px: np.ndarray | None
    tip_mm: np.ndarray | None
    base_mm: np.ndarray | None
    tip_covariance: np.ndarray | None
    pelvis: np.ndarray | None
    pelvis_covariance: np.ndarray | None
    state: str
    reason: str


class Session:
    """A connection to a running session; a context manager.

    Args:
        namespace: the session's, as given to its launch.
        timeout_s: how long to wait for the session's nodes to be there, and for an answer of them.

    Raises:
        SessionError: the session's nodes are not there in time.
    """

    def __init__(self, namespace: str = "", timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._parts: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._shots: OrderedDict[int, Shot] = OrderedDict()
        self._heartbeat: tuple[float, NavigationStatus] | None = None
        self._tip: PoseWithCovarianceStamped | None = None
        self._pelvis: PoseWithCovarianceStamped | None = None
        self._target: PointStamped | None = None
        self._joints: np.ndarray | None = None
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("session_client", namespace=namespace, context=self._context)
        for topic, kind in {**_ALWAYS, **_IF_KNOWN}.items():
            self._node.create_subscription(kind, topic, partial(self._take, topic), _QOS)
        self._node.create_subscription(JointState, "cm/measured_js", self._on_joints, _QOS)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(PointStamped, "navigation/target", self._on_target, latched)
        self._servo = self._node.create_publisher(JointState, "cm/servo_jp", 1)
        self._move = self._node.create_publisher(JointState, "cm/move_jp", 1)
        self._acquire = self._node.create_client(Acquire, "carm/acquire")
        self._set_view = self._node.create_client(SetView, "carm/set_view")
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="session", daemon=True)
        self._thread.start()
        try:
            self._await_nodes()
        except SessionError:
            self.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; the session goes on."""
        self._executor.shutdown()
        self._thread.join(timeout=3.0)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    # -- the C-arm ------------------------------------------------------------------------------------------------
    def set_view(self, view: str = "", **joints: float) -> None:
        """Moves the C-arm and waits until it is there.

        Args:
            view: ap, inlet, outlet, lateral, ...; or empty to name joints.
            joints: mm or degrees, e.g. ``orbital=20, lift=50``.

        Raises:
            SessionError: refused, or no answer in time.
        """
        request = SetView.Request(view=view)
        for name, value in joints.items():
            scale = np.pi / 180.0 if name in ("orbital", "angular", "wig_wag") else 1e-3
            request.joints.name.append(name)
            request.joints.position.append(float(value) * scale)
        answer = self._call(self._set_view, request, self._timeout_s + 60.0)
        if not answer.success:
            raise SessionError(f"the C-arm refused: {answer.message}")

    def acquire(self, kvp: float = 0.0, mas: float = 0.0, exposures: int = 3) -> Shot:
        """Takes one image now and waits for all that is told of it.

        Perception looks at the newest image only: on a busy machine it passes one by when the next is there already.
        Then another is taken.

        Args:
            kvp, mas: kV and mA s; 0 keeps the present setting.
            exposures: how many images are taken at most.

        Raises:
            SessionError: refused, passed by each time, or perception or navigation did not answer in time.
        """
        for _ in range(exposures):
            answer = self._call(self._acquire, Acquire.Request(kvp=float(kvp), mas=float(mas)), self._timeout_s)
            if not answer.success:
                raise SessionError(f"no image: {answer.message}")
            stamp = stamp_ns(answer.image.header.stamp)
            self._wait(lambda: max(self._shots, default=0) >= stamp, self._timeout_s, _NOT_ANSWERED)  # noqa: B023
            with self._changed:
                if stamp in self._shots:
                    return self._shots[stamp]
        raise SessionError(f"perception passed by {exposures} images for later ones: is the machine too busy?")

    # -- what is seen ---------------------------------------------------------------------------------------------
    def next_shot(self, timeout_s: float | None = None) -> Shot:
        """Waits for the next image that all is told of.

        Raises:
            SessionError: none in time.
        """
        with self._changed:
            before = max(self._shots, default=0)
        newest = lambda: self._shots[max(self._shots)] if max(self._shots, default=0) > before else None  # noqa: E731
        return self._wait(newest, self._timeout_s if timeout_s is None else timeout_s, _NOT_ANSWERED)

    def navigation(self) -> tuple[str, str]:
        """(state, reason) now; ``lost`` also if navigation is silent for 0.15 s or its image older than a second."""
        with self._changed:
            heartbeat = self._heartbeat
        if heartbeat is None or time.monotonic() - heartbeat[0] > NAVIGATION_SILENT_S:
            return "lost", "navigation is silent"
        status = heartbeat[1]
        age_s = (self._node.get_clock().now().nanoseconds - stamp_ns(status.header.stamp)) * 1e-9
        if status.state != "lost" and age_s > NAVIGATION_OLD_S:
            return "lost", f"the last image that was answered is {age_s:.1f} s old"
        return status.state, status.reason

    def tip(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the tip was seen last: (3,) mm in the C-arm's frame, and the (3,) unit vector from base to tip.

        Raises:
            SessionError: it has not been seen in time.
        """
        message = self._wait(
            lambda: self._tip, self._timeout_s, "navigation/cm_tip is silent: is the manipulator seen?")
        pose = pose_mm(message.pose.pose)
        return pose[:3, 3], pose[:3, 1]

    def target(self) -> np.ndarray:
        """The planned target where the pelvis was seen last: (3,) mm in the C-arm's frame.

        Raises:
            SessionError: the plan has no target, or the pelvis has not been seen in time.
        """
        target = self._wait(
            lambda: self._target, self._timeout_s, "navigation/target is silent: has the patient a plan?")
        pelvis = self._wait(
            lambda: self._pelvis, self._timeout_s, "navigation/pelvis_pose is silent: is the pelvis seen?")
        pose = pose_mm(pelvis.pose.pose)
        return pose[:3, :3] @ point_mm(target.point) + pose[:3, 3]

    # -- recording ------------------------------------------------------------------------------------------------
    @contextmanager
    def record(self, folder: str | Path = "") -> Iterator[Path]:
        """Records everything while the ``with`` block runs; then bag, session.json and report.html lie in the folder.

        Args:
            folder: new or empty; default ``runs/<UTC time>-session``.

        Yields:
            The folder.

        Raises:
            SessionError: it cannot be recorded (folder, disk, a node that is silent); the message says why.
        """
        try:
            recorder = ClientRecorder(self._node.get_namespace(), Path(folder or default_run_folder()))
            try:
                recorder.wait_until_begun(self._timeout_s + 20.0)
                yield recorder.folder
            finally:
                recorder.end()
        except RecorderError as error:
            raise SessionError(str(error)) from error

    # -- the manipulator ------------------------------------------------------------------------------------------
    def manipulator(self) -> np.ndarray:
        """(3,) insertion mm, roll degrees, tendon mm as measured.

        Raises:
            SessionError: cm_node has not spoken in time.
        """
        self._wait(lambda: self._joints is not None, self._timeout_s, "cm/measured_js is silent: does cm_node run?")
        return self._joints.copy()

    def servo(self, insertion_mm: float, roll_deg: float, tendon_mm: float) -> None:
        """Sends one set point. The device follows a stream of them and holds still 0.2 s after the last."""
        self._command(self._servo, (insertion_mm, roll_deg, tendon_mm))

    def hold(self) -> None:
        """Stops the manipulator where it is."""
        self.servo(*self.manipulator())

    def move(self, insertion_mm: float, roll_deg: float, tendon_mm: float, tolerance: float = 0.05) -> None:
        """Moves the manipulator and waits until it is there.

        Args:
            tolerance: mm and degrees.

        Raises:
            SessionError: it is not there in time (refused, or held by another command).
        """
        target = np.array([insertion_mm, roll_deg, tendon_mm])
        self.manipulator()
        self._command(self._move, target)
        self._wait(lambda: np.abs(self._joints - target).max() <= tolerance, self._timeout_s + 60.0,
                   "the manipulator did not get there; see cm_node's messages")

    def _command(self, publisher: Any, target: Any) -> None:
        stamp = self._node.get_clock().now().to_msg()
        publisher.publish(joint_state_message(stamp, ACTUATORS, np.asarray(target, dtype=np.float64) * _TO_SI))

    # -- beneath --------------------------------------------------------------------------------------------------
    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _await_nodes(self) -> None:
        end = time.monotonic() + self._timeout_s
        for client in (self._acquire, self._set_view):
            if not client.wait_for_service(timeout_sec=max(0.0, end - time.monotonic())):
                raise SessionError(
                    f"no session runs here: {client.srv_name} is not there after {self._timeout_s:g} s; start one with "
                    "`make session FRAMES=0`, or check the namespace and ROS_DOMAIN_ID"
                )
        while self._servo.get_subscription_count() == 0 or self._move.get_subscription_count() == 0:
            if time.monotonic() > end:
                raise SessionError("the session has no cm_node: nobody listens to cm/servo_jp")
            time.sleep(0.02)

    def _call(self, client: Any, request: Any, timeout_s: float) -> Any:
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(timeout_s):
            raise SessionError(f"{client.srv_name} did not answer within {timeout_s:g} s")
        return future.result()

    def _on_target(self, message: PointStamped) -> None:
        with self._changed:
            self._target = message
            self._changed.notify_all()

    def _on_joints(self, message: JointState) -> None:
        with self._changed:
            self._joints = joint_positions(message, ACTUATORS) / _TO_SI
            self._changed.notify_all()

    def _take(self, topic: str, message: Any) -> None:
        stamp = stamp_ns(message.header.stamp)
        with self._changed:
            if topic == "navigation/status":
                self._heartbeat = (time.monotonic(), message)
            if topic == "navigation/cm_tip":
                self._tip = message
                self._changed.notify_all()
            if topic == "navigation/pelvis_pose":
                self._pelvis = message
                self._changed.notify_all()
            parts = self._parts.get(stamp)
            if parts is None:
                if self._parts and stamp < next(reversed(self._parts)) and len(self._parts) >= _KEPT:
                    return  # of an image long gone
                parts = self._parts[stamp] = {}
                while len(self._parts) > _KEPT:
                    self._parts.popitem(last=False)
            parts.setdefault(topic, message)  # the first status is the image's own, later ones repeat it
            if stamp not in self._shots and _complete(parts):
                self._shots[stamp] = _shot(stamp, parts)
                while len(self._shots) > _KEPT:
                    self._shots.popitem(last=False)
                self._changed.notify_all()

    def _wait(self, result: Callable[[], Any], timeout_s: float, otherwise: str) -> Any:
        """The first true result, looked at whenever something has arrived."""
        with self._changed:
            found = self._changed.wait_for(result, timeout_s)
        if not found:
            raise SessionError(f"after {timeout_s:g} s: {otherwise}")
        return found


def _complete(parts: dict[str, Any]) -> bool:
    if not parts.keys() >= _ALWAYS.keys():
        return False
    status = parts["navigation/status"]
    return (not status.pelvis_known or "navigation/pelvis_pose" in parts) and (
        not status.manipulator_known or ("navigation/cm_tip" in parts and "navigation/cm_base" in parts))


def _shot(stamp: int, parts: dict[str, Any]) -> Shot:
    exposure, cm, status = parts["carm/exposure"], parts["perception/cm"], parts["navigation/status"]
    tip, tip_covariance = _pose(parts.get("navigation/cm_tip"))
    base, _ = _pose(parts.get("navigation/cm_base"))
    pelvis, pelvis_covariance = _pose(parts.get("navigation/pelvis_pose"))
    return Shot(
        stamp_ns=stamp,
        image=from_image_msg(parts["carm/image_raw"]),
        intrinsics=np.array(parts["carm/camera_info"].k).reshape(3, 3),
        kvp=exposure.kvp, mas=exposure.mas, open_field=exposure.open_field,
        mask=from_image_msg(parts["perception/mask"]),
        landmarks={p.name: np.array([p.x, p.y]) for p in parts["perception/landmarks"].landmarks if p.visible},
        tip_px=_pixel(cm, cm.tip), base_px=_pixel(cm, cm.base),
        tip_mm=None if tip is None else tip[:3, 3],
        base_mm=None if base is None else base[:3, 3],
        tip_covariance=None if tip_covariance is None else tip_covariance[:3, :3],
        pelvis=pelvis, pelvis_covariance=pelvis_covariance,
        state=status.state, reason=status.reason,
    )


def _pixel(cm: CmDetection, point: Any) -> np.ndarray | None:
    return np.array([point.x, point.y]) if cm.detected and point.visible else None


def _pose(message: PoseWithCovarianceStamped | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    if message is None:
        return None, None
    millimetres = np.diag([1e3] * 3 + [1.0] * 3)
    return pose_mm(message.pose.pose), millimetres @ np.array(message.pose.covariance).reshape(6, 6) @ millimetres
