"""carm_node: the simulated C-arm. Publishes what the device would, and what only a simulator knows under ground_truth.

Frames are made in a worker thread; a frame that is due while another is in the making is skipped, counted and told in
the exposure and in diagnostics. Services answer meanwhile.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import Any

import numpy as np
from cm_kinematics.geometry import load_geometry
from cm_kinematics.nodes.conversions import pose_message, pose_mm, stamp_message
from cm_kinematics.nodes.diagnostics import Diagnostics, Latency, Level, Status
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, declare
from cm_kinematics.nodes.spin import run_node
from cm_kinematics.nodes.transforms import TransformPublisher
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from synthex_msgs.action import Sweep
from synthex_msgs.msg import CmDetection, CmShape, Exposure, LabelInfo, Landmark2DArray
from synthex_msgs.srv import Acquire, SetView
from visualization_msgs.msg import MarkerArray

from synthex_sim.carm.beam import volume_corners, why_missed
from synthex_sim.carm.carm import CArm, CArmJoints
from synthex_sim.carm.positioner import Positioner, orbit_script
from synthex_sim.carm.standard_views import standard_joints
from synthex_sim.carm.view import View
from synthex_sim.nodes import carm_messages
from synthex_sim.nodes.arm_motion import ArmMotion
from synthex_sim.nodes.image_messages import to_image_msg
from synthex_sim.nodes.newest_wins import NewestWins
from synthex_sim.nodes.surface_messages import bones_message
from synthex_sim.operating_room import OperatingRoom
from synthex_sim.patient.source import load_patient
from synthex_sim.patient.surface import bone_surfaces
from synthex_sim.xray import radiograph
from synthex_sim.xray.collimation import Rectangle, field_masks
from synthex_sim.xray.heel import beam_profile
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.physics import GAIN, SCATTER, Physics
from synthex_sim.xray.renderer import PATIENT_ALONE, RENDERERS
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import PROJECTORS, XraySimulator

TABLE = (
    Parameter("patient", str, "phantom:7", "phantom:SEED, path of a NIfTI CT, or none", read_only=True),
    Parameter("labels", str, "", "path of a label map for the CT, on its grid", read_only=True),
    Parameter("label_scheme", str, "", "label scheme of that map: a name in label_scheme_folder or a file; empty: the "
              "project's own ids", read_only=True),
    Parameter("label_scheme_folder", str, "", "folder with the shipped label schemes", read_only=True),
    Parameter("device_file", str, REQUIRED, "C-arm profile, one of config/carm/*.yaml", read_only=True),
    Parameter("cm_device_file", str, REQUIRED, "manipulator, one of config/cm/*.yaml", read_only=True),
    Parameter("renderer", str, "realistic", "X-ray physics", choices=tuple(RENDERERS), read_only=True),
    Parameter("projector", str, "cpu", "where rays are cast", choices=tuple(PROJECTORS), read_only=True),
    Parameter("image_size", int, 256, "rows of the images; the columns follow from the detector", "px", range=(32, 4096), read_only=True),
    Parameter("rate_hz", float, 3.0, "frames due per second", "Hz", range=(0.1, 60.0), read_only=True),
    Parameter("seed", int, 1, "seed of the noise", range=(0, 2**53), read_only=True),
    Parameter("kvp", float, 0.0, "tube voltage; 0: the device profile's", "kV", range=(0.0, radiograph.KVP_RANGE[1])),
    Parameter("mas", float, 0.0, "tube current-time product of a frame; 0: the profile's", "mA s", range=(0.0, radiograph.MAX_MAS)),
    Parameter("collimation_mm", list[float], [0.0, 0.0, 0.0, 0.0], "blades on the detector: left, right, top, bottom from the "
              "central ray, as seen in the picture; zeros: the whole field", "mm", length=4),
    Parameter("scatter", str, "kernel", "scattered radiation: none, by superposed kernels, or by photon transport (a minute "
              "an image)", choices=SCATTER),
    Parameter("monte_carlo_photons", int, Physics.monte_carlo_photons, "photons followed for one image with scatter by "
              "photon transport; noise falls with the root, time grows with the number", range=(1, 10**9)),
    Parameter("grid", bool, True, "the device's anti-scatter grid, if it has one"),
    Parameter("noise", bool, True, "quantum and readout noise"),
    Parameter("blur", bool, True, "the scintillator's spread of light"),
    Parameter("heel_effect", bool, False, "the anode's shadow, which devices flat-field away"),
    Parameter("lag", bool, False, "ghosts of earlier frames"),
    Parameter("gain", str, "auto", "auto: the open field has 60000 counts; fixed: the device's own", choices=GAIN),
    Parameter("manipulator", bool, True, "whether the manipulator on cm/shape is in the beam"),
    Parameter("manipulator_wait_s", float, 5.0, "no frames without the manipulator for so long after activation: it may "
              "still be starting", "s", range=(0.0, 600.0), read_only=True),
    Parameter("ground_truth", bool, True, "whether carm/ground_truth is published", read_only=True),
    Parameter("table_height_mm", float, 1000.0, "table top over the floor", "mm", range=(500.0, 1500.0), read_only=True),
    Parameter("reference_height_mm", float, 120.0, "patient's reference point over the table top", "mm",
              range=(0.0, 400.0), read_only=True),
    Parameter("aim_offset_mm", list[float], [0.0, 0.0, 0.0], "aim from the reference point, table frame", "mm",
              length=3, read_only=True),
    Parameter("source_to_aim_mm", float, 780.0, "from the source to the aim", "mm", range=(200.0, 1000.0),
              read_only=True),
    Parameter("script", bool, True, "tour slowly around the aim until the first command", read_only=True),
    Parameter("script_orbital_deg", list[float], [0.0], "way points of the tour, orbital joint", "deg", read_only=True),
    Parameter("script_angular_deg", list[float], [0.0], "way points of the tour, angular joint", "deg", read_only=True),
    Parameter("script_period_s", float, 60.0, "duration of one tour", "s", range=(1.0, 3600.0), read_only=True),
    Parameter("autostart", bool, False, "configure and activate at once", read_only=True),
)

_RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_ANSWER_TIMEOUT_S = 10.0
#: Photons followed in a second where two slow cores are shared with others (a third of what they do alone).
_PHOTONS_PER_S = 1e5

#: What an exposure is answered with and published as.
_Frame = tuple[Image, CameraInfo, Exposure]


def _check(values: Mapping[str, Any]) -> None:
    """Refuses what no exposure can be made with, so that no frame has to fail for it."""
    if values["kvp"]:
        radiograph.Exposure(values["kvp"], 1.0)
    blades = _collimator(values)
    if values["renderer"] in PATIENT_ALONE and (values["manipulator"] or blades is not None):
        raise ValueError(
            f"the renderer '{values['renderer']}' takes a patient alone: set manipulator to false and collimation_mm to "
            "zeros"
        )
    if blades is not None or values["heel_effect"]:
        _check_device(_device(values["device_file"]), blades, values["heel_effect"])


def _device(path: str) -> CArm:
    try:
        return CArm.from_yaml(path)
    except OSError as error:
        raise ValueError(f"C-arm profile {path}: {error.strerror or error}") from error


def _check_device(carm: CArm, blades: Rectangle | None, heel_effect: bool) -> None:
    view = carm.view(carm.rest)
    if blades is not None:
        field_masks(blades, [view])
    if heel_effect:
        beam_profile(view, carm.tube)


def _collimator(values: Mapping[str, Any]) -> Rectangle | None:
    blades = values["collimation_mm"]
    return Rectangle(*blades) if any(blades) else None


class CArmNode(LifecycleNode):
    """Parameters in, ``OperatingRoom`` and ``XraySimulator`` called, messages out.

    Raises:
        ValueError, OSError: parameters or files are wrong (with ``autostart``; else configuring fails with the reason
            in the log).
    """

    def __init__(self, parameter_overrides: list[RosParameter] | None = None) -> None:
        super().__init__("carm_node", parameter_overrides=parameter_overrides)
        self._settings = declare(self, TABLE, _check)
        self._failure: Exception | None = None
        self._worker: NewestWins | None = None
        self._shape: tuple[np.ndarray, np.ndarray] | None = None
        self._active = False
        # Made once and for all: rclpy's executor fails when an action server is destroyed while it waits.
        self._sweep = ActionServer(
            self, Sweep, "carm/sweep", self._on_sweep, callback_group=ReentrantCallbackGroup(),
            goal_callback=lambda _: GoalResponse.ACCEPT if self._active else GoalResponse.REJECT,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        if self._settings["autostart"]:
            for trigger in (self.trigger_configure, self.trigger_activate):
                if trigger() != TransitionCallbackReturn.SUCCESS:
                    raise self._failure or RuntimeError("carm_node did not start")

    # -- lifecycle ------------------------------------------------------------------------------------------------
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the patient, prepares the renderer, makes the interface."""
        try:
            self._load()
            self._make_interface()
        except Exception as error:  # noqa: BLE001 - rclpy would turn it into a bare ERROR without a word
            self._failure = error
            # With autostart the error ends the process, which prints it once (spin.py).
            if not self._settings["autostart"]:
                self.get_logger().error(f"{type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts the exposures."""
        self._published = self._skipped = 0
        self._patience_ends_s = time.monotonic() + self._settings["manipulator_wait_s"]
        self._active = True
        self._timer = self.create_timer(1.0 / self._settings["rate_hz"], self._on_timer)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops the exposures and a commanded motion; everything stays loaded."""
        self._stop_exposures()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops for good."""
        self._stop_exposures()
        self.close()
        return super().on_shutdown(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees patient and renderer."""
        self.close()
        for entity in self._entities:
            self.destroy_publisher(entity)
        for service in self._services_made:
            self.destroy_service(service)
        self.destroy_subscription(self._shape_subscription)
        self._transforms.destroy()
        self._diagnostics.destroy()
        self._room = self._simulator = None
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Ends the worker thread."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _stop_exposures(self) -> None:
        if self._active:
            self._active = False
            self.destroy_timer(self._timer)

    def _load(self) -> None:
        p = self._settings
        carm = CArm.from_yaml(p["device_file"])
        geometry = load_geometry(p["cm_device_file"])
        patient = load_patient(p["patient"], p["labels"], p["label_scheme"], p["label_scheme_folder"])
        self._room = OperatingRoom(
            carm, patient, geometry, p["table_height_mm"], p["reference_height_mm"], carm.image_shape(p["image_size"])
        )
        self._simulator = XraySimulator(carm, p["renderer"], p["projector"])
        self._lag, self._lag_ns = Lag(carm.detector.lag), None
        aim = self._room.aim_point(p["aim_offset_mm"])
        script = orbit_script(
            carm, aim, p["source_to_aim_mm"], p["script_orbital_deg"], p["script_angular_deg"], p["script_period_s"]
        )
        self._start_ns = self.get_clock().now().nanoseconds
        self._arm = ArmMotion(Positioner(carm, script(0.0), script if p["script"] else None), self._now_s)
        self._aim = aim
        self._warm_up(self._room.view(script(0.0)))
        where = "an empty room" if patient is None else f"{patient.name}, {' x '.join(map(str, patient.hu.shape))} voxels"
        self.get_logger().info(f"{carm.name} over {where}; research and simulation only, not a medical device")

    def _warm_up(self, view: View) -> None:
        """The first exposure compiles the ray casters and splits the volume: done here, not while the session waits.

        The tool's too, hence a straight one in the middle, unless images are to show none.
        """
        shape = (None, None)
        if self._settings["manipulator"]:
            shaft = np.eye(4)
            shaft[2, 3] = self._settings["reference_height_mm"]
            shape = shaft, np.zeros(self._room.manipulator.joint_count)
        physics = replace(self._physics(), monte_carlo_photons=1000)
        self._simulator.acquire(self._room.scene(*shape), view, self._exposure(), physics)

    def _make_interface(self) -> None:
        publish = self.create_publisher
        self._image = publish(Image, "carm/image_raw", _RELIABLE)
        self._camera_info = publish(CameraInfo, "carm/camera_info", _RELIABLE)
        self._exposure_out = publish(Exposure, "carm/exposure", _RELIABLE)
        self._joint_states = publish(JointState, "carm/joint_states", _RELIABLE)
        self._measured_cp = publish(PoseStamped, "carm/measured_cp", _RELIABLE)
        self._entities = [self._image, self._camera_info, self._exposure_out, self._joint_states, self._measured_cp]
        if self._settings["ground_truth"]:
            self._true_mask = publish(Image, "carm/ground_truth/mask", _RELIABLE)
            self._true_landmarks = publish(Landmark2DArray, "carm/ground_truth/landmarks", _RELIABLE)
            self._true_cm = publish(CmDetection, "carm/ground_truth/cm", _RELIABLE)
            self._true_labels = publish(LabelInfo, "carm/ground_truth/label_info", _LATCHED)
            self._true_bones = publish(MarkerArray, "carm/ground_truth/bones", _LATCHED)
            stamp = self.get_clock().now().to_msg()
            self._true_labels.publish(carm_messages.label_info_message(stamp))
            if self._room.patient is not None:
                self._true_bones.publish(bones_message(bone_surfaces(self._room.patient), stamp))
            self._entities += [self._true_mask, self._true_landmarks, self._true_cm, self._true_labels,
                               self._true_bones]
        self._shape_subscription = self.create_subscription(CmShape, "cm/shape", self._on_shape, 1)
        waiting = ReentrantCallbackGroup()
        self._services_made = [
            self.create_service(Acquire, "carm/acquire", self._on_acquire, callback_group=waiting),
            self.create_service(SetView, "carm/set_view", self._on_set_view, callback_group=waiting),
        ]
        self._worker = NewestWins("exposures", self._on_worker_error)
        self._render_time = Latency()
        self._transforms = TransformPublisher(self)
        self._send_static_transforms()
        self._diagnostics = Diagnostics(self, hardware_id=self._room.carm.name)
        self._diagnostics.add("exposures", self._report)

    # -- frames ---------------------------------------------------------------------------------------------------
    def _on_shape(self, message: CmShape) -> None:
        if message.header.frame_id != "table" or len(message.joint_angles) != self._room.manipulator.joint_count:
            self.get_logger().warning(
                f"cm/shape of '{message.device}' in frame '{message.header.frame_id}' with {len(message.joint_angles)} "
                "joints does not fit this session's manipulator; ignored", throttle_duration_sec=5.0)
            return
        self._shape = (pose_mm(message.segments[0]), np.asarray(message.joint_angles))

    def _on_timer(self) -> None:
        if self._settings["manipulator"] and self._shape is None:
            if time.monotonic() < self._patience_ends_s:
                return
            self.get_logger().warning("images show no manipulator: nobody publishes cm/shape", once=True)
        # asked twice: between the scene's sampling and the offer somebody may have asked for an image, which goes first
        if not (self._worker.is_idle and self._worker.offer_if_idle(self._frame(self._exposure(), fluoroscopy=True))):
            self._skipped += 1

    def _frame(self, settings: radiograph.Exposure, fluoroscopy: bool = False) -> Callable[[], _Frame]:
        """Samples the scene's state now; the job that comes back renders and publishes it. Single shots have no lag."""
        started = time.perf_counter()
        now_ns = self.get_clock().now().nanoseconds
        joints = self._arm.joints(self._seconds(now_ns))
        shape = self._shape if self._settings["manipulator"] else None
        physics, lag = self._physics(), fluoroscopy and self._settings["lag"]
        return lambda: self._expose(now_ns, joints, shape, settings, physics, lag, started)

    def _expose(self, now_ns: int, joints: CArmJoints, shape: Any, settings: radiograph.Exposure, physics: Physics,
                lag: bool, started: float) -> _Frame:
        view = self._room.view(joints)
        scene = self._room.scene(*(shape or (None, None)))
        self._warn_of_empty_images(scene, view)
        number = self._published + 1
        seed = self._settings["seed"]
        memory = {"lag": self._lag, "interval_s": self._since_last_frame_s(now_ns)} if lag else {}
        image, annotation = self._simulator.acquire(scene, view, settings, physics, seed, number, **memory)
        if lag:  # only now: a frame that failed leaves no ghost, and the next one's interval is that since the last
            self._lag_ns = now_ns
        header = Header(stamp=stamp_message(now_ns), frame_id=carm_messages.OPTICAL_FRAME)
        exposure = carm_messages.exposure_message(view, self._room.carm, image, header, self._settings["renderer"],
                                                  self._settings["projector"], seed)
        exposure.frame_counter = self._published = number
        exposure.frames_skipped = self._skipped
        exposure.render_seconds = time.perf_counter() - started
        self._render_time.add(exposure.render_seconds)
        info = carm_messages.camera_info_message(view, header)
        message = to_image_msg(image.counts, header, "mono16")
        self._publish_pose(joints, header.stamp)
        if self._settings["ground_truth"]:
            self._true_mask.publish(to_image_msg(annotation.mask, header, "mono8"))
            self._true_landmarks.publish(carm_messages.landmarks_message(annotation, header))
            self._true_cm.publish(carm_messages.cm_message(annotation, header))
        self._exposure_out.publish(exposure)
        self._camera_info.publish(info)
        self._image.publish(message)
        return message, info, exposure

    def _warn_of_empty_images(self, scene: Scene, view: View) -> None:
        """An operator may move the arm away from the patient; the log says why the picture is bright all over."""
        if scene.patient is not None:
            corners = volume_corners(scene.patient_pose @ scene.patient.affine, scene.patient.hu.shape)
            if reason := why_missed(view, corners):
                self.get_logger().warning(f"nothing of the patient is in the image: {reason}", throttle_duration_sec=5.0)

    def _since_last_frame_s(self, now_ns: int) -> float:
        """Seconds since the frame before that had lag; a clock that went back counts as an hour, after which none is left."""
        before = self._lag_ns
        return (now_ns - before) * 1e-9 if before is not None and now_ns > before else 3600.0

    def _exposure(self, kvp: float = 0.0, mas: float = 0.0) -> radiograph.Exposure:
        p = self._settings
        carm = self._room.carm
        return radiograph.Exposure(kvp or p["kvp"] or carm.tube.kvp, mas or p["mas"] or carm.mas, _collimator(p))

    def _physics(self) -> Physics:
        names = ("scatter", "grid", "noise", "blur", "heel_effect", "gain", "monte_carlo_photons")
        return Physics(**{name: self._settings[name] for name in names})

    def _answer_timeout_s(self) -> float:
        """How long a single shot may take: photon transport, with the frame before it that may be under way, is slow."""
        photons = self._settings["monte_carlo_photons"] if self._settings["scatter"] == "monte_carlo" else 0
        return _ANSWER_TIMEOUT_S + 2.0 * photons / _PHOTONS_PER_S

    def _publish_pose(self, joints: CArmJoints, stamp: Any) -> None:
        carm = self._room.carm
        self._joint_states.publish(carm_messages.joints_message(joints, stamp))
        base, isocenter, source = carm.base_pose(joints), carm.isocenter_pose(joints), carm.source_pose(joints)
        measured = PoseStamped(header=Header(stamp=stamp, frame_id="world"), pose=pose_message(source))
        self._measured_cp.publish(measured)
        self._transforms.send(
            stamp,
            ("world", "carm_base", base),
            ("carm_base", "carm_isocenter", np.linalg.inv(base) @ isocenter),
            ("carm_isocenter", carm_messages.OPTICAL_FRAME, np.linalg.inv(isocenter) @ source),
        )

    def _send_static_transforms(self) -> None:
        detector = np.eye(4)
        detector[2, 3] = self._room.carm.source_to_detector_mm
        self._transforms.send_static(
            self.get_clock().now().to_msg(),
            ("world", "table", self._room.table_pose),
            ("table", "ct_lps", self._room.patient_in_table),
            (carm_messages.OPTICAL_FRAME, "carm_detector", detector),
        )

    def _seconds(self, now_ns: int) -> float:
        return (now_ns - self._start_ns) * 1e-9

    def _now_s(self) -> float:
        return self._seconds(self.get_clock().now().nanoseconds)

    def _on_worker_error(self, error: Exception) -> None:
        if not self.context.ok():  # Ctrl-C took the context away while a frame was in the making
            return
        self._skipped += 1
        self.get_logger().error(f"a frame could not be made: {error}", throttle_duration_sec=1.0)

    def _report(self) -> Status:
        if not self._active:
            return Status(Level.OK, "not active")
        values = {"published": self._published, "skipped": self._skipped, **self._render_time.values("render")}
        late = self._skipped > 0.05 * (self._published + self._skipped)
        return Status(Level.WARN if late else Level.OK, "frames are skipped" if late else "exposing", values)

    # -- commands -------------------------------------------------------------------------------------------------
    def _on_acquire(self, request: Acquire.Request, response: Acquire.Response) -> Acquire.Response:
        if not self._active:
            response.message = "carm_node is not active"
            return response
        answer: Future[_Frame] = Future()
        patience_s = self._answer_timeout_s()
        try:
            expose = self._frame(self._exposure(request.kvp, request.mas))
            self._worker.offer(lambda: _resolve(answer, expose), dropped=answer.cancel)
            response.image, response.camera_info, response.exposure = answer.result(patience_s)
            response.success = True
        except CancelledError:
            response.message = "a newer request took this one's place, or carm_node was shut down"
        except TimeoutError:
            response.message = f"no image within {patience_s:g} s; see the diagnostics of carm_node"
        except Exception as error:  # noqa: BLE001 - whatever it was, the one who asked must hear of it
            response.message = str(error) or type(error).__name__
        return response

    def _on_set_view(self, request: SetView.Request, response: SetView.Response) -> SetView.Response:
        try:
            if not self._active:
                raise ValueError("carm_node is not active")
            with self._arm.command():
                target = self._named_view(request.view, request.joints, self._arm.joints())
                response.success = self._arm.go(target, go_on=lambda: self._active)
            if not response.success:
                response.message = "carm_node was deactivated on the way"
        except ValueError as error:
            response.message = str(error)
        if self._active:
            response.joints = carm_messages.joints_message(self._arm.joints(), self.get_clock().now().to_msg())
        return response

    def _named_view(self, name: str, joints: JointState, present: CArmJoints) -> CArmJoints:
        if not name:
            return carm_messages.joints_from_message(joints, present)
        if joints.name:
            raise ValueError(f"give a view or joints, not both; got '{name}' and {', '.join(joints.name)}")
        return standard_joints(self._room.carm, name, self._aim, self._settings["source_to_aim_mm"])

    def _on_sweep(self, goal: Any) -> Sweep.Result:
        result, before = Sweep.Result(), self._published

        def go_on() -> bool:
            return self._active and not goal.is_cancel_requested

        def feedback(joints: CArmJoints, progress: float) -> None:
            message = carm_messages.joints_message(joints, self.get_clock().now().to_msg())
            goal.publish_feedback(Sweep.Feedback(progress=progress, joints=message))

        try:
            with self._arm.command():
                start = carm_messages.joints_from_message(goal.request.start, self._arm.joints())
                end = carm_messages.joints_from_message(goal.request.end, start)
                self._arm.check(start, end, goal.request.duration)
                result.success = self._arm.go(start, go_on=go_on) and self._arm.go(
                    end, goal.request.duration, go_on=go_on, on_the_way=feedback)
        except ValueError as error:
            result.message = str(error)
        if result.success:
            goal.succeed()
        elif goal.is_cancel_requested:
            result.message = "cancelled"
            goal.canceled()
        else:
            result.message = result.message or "carm_node was deactivated on the way"
            goal.abort()
        result.frames_published = self._published - before
        return result


def _resolve(answer: Future, make: Callable[[], _Frame]) -> None:
    """Runs a job for somebody who waits for its result or its error."""
    if answer.set_running_or_notify_cancel():
        try:
            answer.set_result(make())
        except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
            answer.set_exception(error)


def main() -> int:
    """Entry point of the executable ``carm_node``."""
    return run_node(CArmNode, "carm_node", threads=4)


if __name__ == "__main__":
    sys.exit(main())
