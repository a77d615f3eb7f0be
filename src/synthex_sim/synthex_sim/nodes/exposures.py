"""Exposures: the scene's state sampled at one moment, rendered in a worker thread and published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Header

from cm_kinematics.nodes.conversions import stamp_message
from synthex_msgs.msg import Exposure
from synthex_sim.carm.beam import volume_corners, why_missed
from synthex_sim.carm.carm import CArmJoints
from synthex_sim.carm.view import View
from synthex_sim.nodes import carm_messages
from synthex_sim.nodes.arm_motion import ArmMotion
from synthex_sim.nodes.carm_parameters import exposure_from, physics_from
from synthex_sim.nodes.frame_counts import FrameCounts
from synthex_sim.nodes.frame_publisher import Frame, FramePublisher
from synthex_sim.nodes.newest_wins import NewestWins
from synthex_sim.operating_room import OperatingRoom
from synthex_sim.xray import radiograph
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

#: The manipulator's pose, (4, 4) shaft frame -> table in mm, and its (n,) joint angles in radians.
Shape = tuple[np.ndarray, np.ndarray]
_NO_SHAPE = (None, None)


@dataclass(frozen=True, eq=False)
class _Sample:
    """The scene's state and the settings at one moment.

    Attributes:
        now_ns: the moment, of the node's clock.
        started_s: the moment, of ``time.perf_counter``.
        shape: the manipulator's; None: it is not in the beam.
        lag: whether ghosts of earlier frames are seen.
    """

    now_ns: int
    started_s: float
    joints: CArmJoints
    shape: Shape | None
    exposure: radiograph.Exposure
    physics: Physics
    lag: bool


class Exposures:
    """Makes frames one at a time, in a thread of its own: those that are due, and single shots, which go first.

    Args:
        node: gives the clock and the log.
        settings: the node's parameters, live.
        room, simulator: what is seen, and how.
        arm: where the C-arm is.
        shape: asked for the manipulator's shape; None while nobody knows it.
        publisher: gets the frames.
        counts: kept up to date.
    """

    def __init__(
        self, node: Node, settings: Mapping[str, Any], room: OperatingRoom, simulator: XraySimulator, arm: ArmMotion,
        shape: Callable[[], Shape | None], publisher: FramePublisher, counts: FrameCounts,
    ) -> None:
        self._node = node
        self._settings = settings
        self._room, self._simulator = room, simulator
        self._arm, self._shape = arm, shape
        self._publisher, self._counts = publisher, counts
        self._lag, self._lag_ns = Lag(room.carm.detector.lag), None
        self._worker = NewestWins("exposures", self._on_error)

    def live_frame(self) -> None:
        """One frame of the fluoroscopy now; skipped while another frame is in the making."""
        # asked twice: between the scene's sampling and the offer somebody may have asked for an image, which goes first
        if not (self._worker.is_idle and self._worker.offer_if_idle(self.sample(live=True))):
            self._counts.skipped += 1

    def single_shot(self, kvp: float = 0.0, mas: float = 0.0) -> Future[Frame]:
        """One frame now, in place of one that still waits.

        Args:
            kvp, mas: tube voltage in kV and current-time product in mA s; 0: as the parameters say.

        Returns:
            The frame to come; cancelled if a newer request takes this one's place or ``close`` is called.

        Raises:
            ValueError: no generator makes such an exposure.
        """
        answer: Future[Frame] = Future()
        expose = self.sample(kvp, mas)
        self._worker.offer(lambda: _resolve(answer, expose), dropped=answer.cancel)
        return answer

    def sample(self, kvp: float = 0.0, mas: float = 0.0, *, live: bool = False) -> Callable[[], Frame]:
        """Samples the scene's state now; the job that comes back renders and publishes it. Single shots have no lag."""
        settings = self._settings
        exposure = exposure_from(settings, self._room.carm, kvp, mas)
        started_s = time.perf_counter()
        now_ns = self._node.get_clock().now().nanoseconds
        joints = self._arm.joints(now_ns)
        shape = self._shape() if settings["manipulator"] else None
        sample = _Sample(now_ns, started_s, joints, shape, exposure, physics_from(settings),
                         live and settings["lag"])
        return lambda: self._expose(sample)

    def close(self) -> None:
        """Lets the frame under way finish and ends the thread."""
        self._worker.close()

    # -- worker thread --------------------------------------------------------------------------------------------
    def _expose(self, sample: _Sample) -> Frame:
        view = self._room.view(sample.joints)
        scene = self._room.scene(*(sample.shape or _NO_SHAPE))
        self._warn_of_empty_images(scene, view)
        number = self._counts.published + 1
        memory = {"lag": self._lag, "interval_s": self._since_last_frame_s(sample.now_ns)} if sample.lag else {}
        image, annotation = self._simulator.acquire(
            scene, view, sample.exposure, sample.physics, self._settings["seed"], number, **memory
        )
        if sample.lag:  # only now: a frame that failed leaves no ghost, and the next one's interval is since the last
            self._lag_ns = sample.now_ns
        exposure = self._message(view, image, sample.now_ns)
        exposure.frame_counter = self._counts.published = number
        exposure.frames_skipped = self._counts.skipped
        exposure.render_seconds = time.perf_counter() - sample.started_s
        self._counts.render_time.add(exposure.render_seconds)
        return self._publisher.publish(sample.joints, view, image, annotation, exposure)

    def _message(self, view: View, image: radiograph.Radiograph, now_ns: int) -> Exposure:
        settings = self._settings
        header = Header(stamp=stamp_message(now_ns), frame_id=carm_messages.OPTICAL_FRAME)
        return carm_messages.exposure_message(
            view, self._room.carm, image, header, settings["renderer"], settings["projector"], settings["seed"]
        )

    def _warn_of_empty_images(self, scene: Scene, view: View) -> None:
        """An operator may move the arm away from the patient; the log says why the picture is bright all over."""
        if scene.patient is not None:
            corners = volume_corners(scene.patient_pose @ scene.patient.affine, scene.patient.hu.shape)
            if reason := why_missed(view, corners):
                self._node.get_logger().warning(
                    f"nothing of the patient is in the image: {reason}", throttle_duration_sec=5.0)

    def _since_last_frame_s(self, now_ns: int) -> float:
        """Seconds since the frame before that had lag.

        A clock that went back counts as an hour, after which no ghost is left.
        """
        before = self._lag_ns
        return (now_ns - before) * 1e-9 if before is not None and now_ns > before else 3600.0

    def _on_error(self, error: Exception) -> None:
        if not self._node.context.ok():  # Ctrl-C took the context away while a frame was in the making
            return
        self._counts.skipped += 1
        self._node.get_logger().error(f"a frame could not be made: {error}", throttle_duration_sec=1.0)


def warm_up(simulator: XraySimulator, room: OperatingRoom, view: View, settings: Mapping[str, Any]) -> None:
    """The first exposure compiles the ray casters and splits the volume: done here, not while the session waits.

    The tool's too, hence a straight one in the middle, unless images are to show none.
    """
    shape = _NO_SHAPE
    if settings["manipulator"]:
        shaft = np.eye(4)
        shaft[2, 3] = room.reference_height_mm
        shape = shaft, np.zeros(room.manipulator.joint_count)
    physics = replace(physics_from(settings), monte_carlo_photons=1000)
    simulator.acquire(room.scene(*shape), view, exposure_from(settings, room.carm), physics)


def _resolve(answer: Future, make: Callable[[], Frame]) -> None:
    """Runs a job for somebody who waits for its result or its error."""
    if answer.set_running_or_notify_cancel():
        try:
            answer.set_result(make())
        except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
            answer.set_exception(error)
