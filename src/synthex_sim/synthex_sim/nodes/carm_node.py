"""carm_node: the simulated C-arm. Publishes what the device would, and what only a simulator knows under ground_truth.

Frames are made in a worker thread; a frame that is due while another is in the making is skipped, counted and told in
the exposure and in diagnostics. Services answer meanwhile.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import CancelledError

import numpy as np
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter

from cm_kinematics.geometry import load_geometry
from cm_kinematics.nodes.conversions import pose_mm
from cm_kinematics.nodes.diagnostics import Diagnostics, Level, Status
from cm_kinematics.nodes.parameters import declare
from cm_kinematics.nodes.spin import run_node
from synthex_msgs.action import Sweep
from synthex_msgs.msg import CmShape
from synthex_msgs.srv import Acquire, SetView
from synthex_sim.carm.carm import CArm, CArmJoints
from synthex_sim.carm.positioner import Positioner, orbit_script
from synthex_sim.carm.standard_views import standard_joints
from synthex_sim.nodes.arm_motion import ArmMotion
from synthex_sim.nodes.carm_parameters import TABLE, answer_timeout_s, check_values
from synthex_sim.nodes.exposures import Exposures, Shape, warm_up
from synthex_sim.nodes.frame_counts import FrameCounts
from synthex_sim.nodes.frame_publisher import FramePublisher
from synthex_sim.nodes.motion_commands import MotionCommands
from synthex_sim.operating_room import OperatingRoom
from synthex_sim.patient.source import load_checked_patient
from synthex_sim.xray.simulator import XraySimulator


class CArmNode(LifecycleNode):
    """Parameters in, ``OperatingRoom`` and ``XraySimulator`` called, messages out.

    Raises:
        ValueError, OSError: parameters or files are wrong (with ``autostart``; else configuring fails with the reason
            in the log).
    """

    def __init__(self, parameter_overrides: list[RosParameter] | None = None) -> None:
        super().__init__("carm_node", parameter_overrides=parameter_overrides)
        self._settings = declare(self, TABLE, check_values)
        self._failure: Exception | None = None
        self._exposures: Exposures | None = None
        self._shape: Shape | None = None
        self._active = False
        # Made once and for all: rclpy's executor fails when an action server is destroyed while it waits.
        self._sweep = ActionServer(
            self, Sweep, "carm/sweep", lambda goal: self._motions.sweep(goal), callback_group=ReentrantCallbackGroup(),
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
        self._counts.restart()
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
        self._publisher.destroy()
        for service in self._services_made:
            self.destroy_service(service)
        self.destroy_subscription(self._shape_subscription)
        self._diagnostics.destroy()
        self._room = self._simulator = None
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Ends the worker thread."""
        if self._exposures is not None:
            self._exposures.close()
            self._exposures = None

    def _stop_exposures(self) -> None:
        if self._active:
            self._active = False
            self.destroy_timer(self._timer)

    # -- wiring ---------------------------------------------------------------------------------------------------
    def _load(self) -> None:
        p = self._settings
        carm = CArm.from_yaml(p["device_file"])
        geometry = load_geometry(p["cm_device_file"])
        loaded = load_checked_patient(
            p["patient"], p["labels"], p["label_scheme"], p["label_scheme_folder"], landmarks=p["landmarks"]
        )
        for note in loaded.notes:
            self.get_logger().warning(f"the patient's files: {note}")
        patient = loaded.patient
        self._room = OperatingRoom(
            carm, patient, geometry, p["table_height_mm"], p["reference_height_mm"], carm.image_shape(p["image_size"])
        )
        self._simulator = XraySimulator(carm, p["renderer"], p["projector"])
        self._counts = FrameCounts()
        start = self._make_arm()
        warm_up(self._simulator, self._room, self._room.view(start), p)
        where = "an empty room"
        if patient is not None:
            where = f"{patient.name}, {' x '.join(map(str, patient.hu.shape))} voxels"
        self.get_logger().info(f"{carm.name} over {where}; research and simulation only, not a medical device")

    def _make_arm(self) -> CArmJoints:
        """The arm and what commands it; returns where it starts."""
        p, carm, clock = self._settings, self._room.carm, self.get_clock()
        aim = self._room.aim_point(p["aim_offset_mm"])
        script = orbit_script(
            carm, aim, p["source_to_aim_mm"], p["script_orbital_deg"], p["script_angular_deg"], p["script_period_s"]
        )
        start = script(0.0)
        self._arm = ArmMotion(Positioner(carm, start, script if p["script"] else None), lambda: clock.now().nanoseconds)
        self._motions = MotionCommands(
            self._arm, lambda name: standard_joints(carm, name, aim, p["source_to_aim_mm"]), lambda: self._active,
            clock, self._counts,
        )
        return start

    def _make_interface(self) -> None:
        self._publisher = FramePublisher(self, self._room, self._settings["ground_truth"])
        self._shape_subscription = self.create_subscription(CmShape, "cm/shape", self._on_shape, 1)
        waiting = ReentrantCallbackGroup()
        self._services_made = [
            self.create_service(Acquire, "carm/acquire", self._on_acquire, callback_group=waiting),
            self.create_service(SetView, "carm/set_view", self._motions.set_view, callback_group=waiting),
        ]
        self._exposures = Exposures(self, self._settings, self._room, self._simulator, self._arm, lambda: self._shape,
                                    self._publisher, self._counts)
        self._diagnostics = Diagnostics(self, hardware_id=self._room.carm.name)
        self._diagnostics.add("exposures", self._report)

    # -- callbacks ------------------------------------------------------------------------------------------------
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
        self._exposures.live_frame()

    def _on_acquire(self, request: Acquire.Request, response: Acquire.Response) -> Acquire.Response:
        if not self._active:
            response.message = "carm_node is not active"
            return response
        patience_s = answer_timeout_s(self._settings)
        try:
            answer = self._exposures.single_shot(request.kvp, request.mas)
            response.image, response.camera_info, response.exposure = answer.result(patience_s)
            response.success = True
        except CancelledError:
            response.message = "a newer request took this one's place, or carm_node was shut down"
        except TimeoutError:
            response.message = f"no image within {patience_s:g} s; see the diagnostics of carm_node"
        except Exception as error:  # noqa: BLE001 - whatever it was, the one who asked must hear of it
            response.message = str(error) or type(error).__name__
        return response

    def _report(self) -> Status:
        return self._counts.report() if self._active else Status(Level.OK, "not active")


def main() -> int:
    """Entry point of the executable ``carm_node``."""
    return run_node(CArmNode, "carm_node", threads=4)


if __name__ == "__main__":
    sys.exit(main())
