"""cm_node: the simulated continuum manipulator as a device on topics, named as CRTK names them.

Topics are relative to the session's namespace. Lengths in metres, angles in radians on the wire. ``cm/shape`` is given
in the table frame, so that it alone says where the whole device is (its first segment is ``cm_base``, the shaft after
insertion and roll); ``cm/measured_cp`` is the tip in ``cm_base``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from visualization_msgs.msg import MarkerArray

from cm_kinematics.actuation import ACTUATORS, Actuation, load_actuation
from cm_kinematics.device import CmDevice, CommandRejected
from cm_kinematics.geometry import CmGeometry, load_geometry
from cm_kinematics.kinematics import base_point, joint_angles_from_tendon, segment_poses, tip_offset, tip_pose
from cm_kinematics.motion import ScriptedMotion
from cm_kinematics.mounting import base_pose, entry_pose
from cm_kinematics.nodes.conversions import (
    joint_positions,
    joint_state_message,
    point_message,
    pose_message,
    pose_messages,
    stamp_message,
    to_metres,
)
from cm_kinematics.nodes.diagnostics import Diagnostics, Latency, Level, Status
from cm_kinematics.nodes.markers import cm_markers
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, ParameterValues, declare
from cm_kinematics.nodes.spin import run_node
from cm_kinematics.nodes.transforms import TransformPublisher
from synthex_msgs.msg import CmShape, StringStamped
from synthex_msgs.msg import OperatingState as OperatingStateMessage

TABLE = (
    Parameter("device_file", str, REQUIRED, "device description, one of config/cm/*.yaml", read_only=True),
    Parameter("rate", float, 20.0, "how often the device moves and publishes", "Hz", range=(1.0, 200.0),
              read_only=True),
    Parameter("entry_position_mm", list[float], [0.0, 0.0, 0.0],
              "shaft's proximal end at zero insertion, in the table frame", "mm", length=3, read_only=True),
    Parameter("entry_direction", list[float], [1.0, 0.0, 0.0],
              "direction of insertion in the table frame, any length", length=3, read_only=True),
    Parameter("entry_hinge", list[float], [0.0, 0.0, 1.0],
              "direction of the hinges at zero roll, normal to the plane of bending", length=3, read_only=True),
    Parameter("enable_at_start", bool, True, "enable the device when the node starts", read_only=True),
    Parameter("start_insertion_mm", float, 20.0, "insertion at the start", "mm", read_only=True),
    Parameter("start_roll_deg", float, 0.0, "roll at the start", "deg", read_only=True),
    Parameter("start_tendon_mm", float, 0.0, "tendon displacement at the start", "mm", read_only=True),
    Parameter("script", bool, True, "move slowly by itself until the first command", read_only=True),
    Parameter("script_seed", int, 0, "seed of the scripted motion's phases", range=(0, 2**53), read_only=True),
    Parameter("script_insertion_mm", list[float], [10.0, 30.0], "range of the scripted insertion", "mm", length=2,
              read_only=True),
    Parameter("script_roll_deg", list[float], [-30.0, 30.0], "range of the scripted roll", "deg", length=2,
              read_only=True),
    Parameter("script_tendon_mm", list[float], [-2.5, 2.5], "range of the scripted tendon displacement", "mm", length=2,
              read_only=True),
)

#: Insertion, roll and tendon from mm, rad, mm to the wire's m, rad, m.
_TO_SI = np.array([1e-3, 1.0, 1e-3])
#: Longest step the device takes at once: after a stall or a jump of the clock it moves on from where it is.
_LONGEST_STEP_S = 0.5
#: Frame of the entry pose and of cm/shape, parent of cm_base in tf. Whoever takes cm/shape counts on it.
_TABLE_FRAME = "table"
_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
#: Markers are for people: no more often than an eye needs.
_MARKERS_HZ = 5.0


class CmNode(Node):
    """Parameters in, ``CmDevice`` and kinematics called, messages out.

    Args:
        parameter_overrides: as rclpy's; for tests and for nodes made inside another program.

    Raises:
        ValueError: parameters or the device file are wrong.
        OSError: the device file cannot be read.
    """

    def __init__(self, parameter_overrides: list[RosParameter] | None = None) -> None:
        super().__init__("cm_node", parameter_overrides=parameter_overrides)
        parameters = declare(self, TABLE)
        self._geometry: CmGeometry = load_geometry(parameters["device_file"])
        actuation = load_actuation(parameters["device_file"])
        self._entry = entry_pose(parameters["entry_position_mm"], parameters["entry_direction"],
                                 parameters["entry_hinge"])
        self._device = CmDevice(actuation, *_start_and_script(parameters, actuation))
        self._hinge_names = [f"hinge_{i:02d}" for i in range(1, self._geometry.joint_count + 1)]
        self._arc_length = to_metres(self._geometry.segment_origins_mm).tolist()
        self._accepted = 0
        self._rejected = 0
        self._rejected_before = 0
        self._last_rejection = ""
        self._work = Latency()
        self._seen: tuple[TimeMessage, np.ndarray] | None = None
        self._make_interface()
        self._state_sent: tuple[str, bool, bool] | None = None
        if parameters["enable_at_start"]:
            self._device.state_command("enable")
        self._last_ns = self.get_clock().now().nanoseconds
        self._timer = self.create_timer(1.0 / parameters["rate"], self._tick)
        self._markers_timer = self.create_timer(1.0 / min(parameters["rate"], _MARKERS_HZ), self._show)
        self._publish_state(self.get_clock().now().to_msg())
        plan = "scripted motion until commanded" if parameters["script"] else "waiting for commands"
        self.get_logger().info(f"{self._geometry.name}: {self._device.state.value}, {plan}")

    def _make_interface(self) -> None:
        self._measured_js = self.create_publisher(JointState, "cm/measured_js", 10)
        self._joint_states = self.create_publisher(JointState, "cm/joint_states", 10)
        self._shape = self.create_publisher(CmShape, "cm/shape", 5)
        self._measured_cp = self.create_publisher(PoseStamped, "cm/measured_cp", 10)
        self._state = self.create_publisher(OperatingStateMessage, "cm/operating_state", _LATCHED)
        self._markers = self.create_publisher(MarkerArray, "cm/markers", _NEWEST)
        self.create_subscription(JointState, "cm/servo_jp", self._on_servo, 1)
        self.create_subscription(JointState, "cm/move_jp", self._on_move, 1)
        self.create_subscription(StringStamped, "cm/state_command", self._on_state_command, 10)
        self._transforms = TransformPublisher(self)
        self._diagnostics = Diagnostics(self, hardware_id=self._geometry.name)
        self._diagnostics.add("device", self._report)

    # -- commands ---------------------------------------------------------------------------------------------------
    def _on_servo(self, message: JointState) -> None:
        self._follow("servo_jp", lambda: self._device.servo(self._target(message)))

    def _on_move(self, message: JointState) -> None:
        self._follow("move_jp", lambda: self._device.move(self._target(message)))

    def _on_state_command(self, message: StringStamped) -> None:
        self._follow("state_command", lambda: self._device.state_command(message.string))

    def _target(self, message: JointState) -> np.ndarray:
        try:
            return joint_positions(message, ACTUATORS) / _TO_SI
        except ValueError as error:
            self._device.hold()
            raise CommandRejected(str(error)) from error

    def _follow(self, topic: str, command: Any) -> None:
        # Time first: the command holds from its arrival, not from the last tick.
        self._advance()
        try:
            command()
            self._accepted += 1
        except CommandRejected as error:
            self._rejected += 1
            self._last_rejection = f"{topic}: {error}"
            self.get_logger().warning(f"rejected {self._last_rejection}", throttle_duration_sec=1.0)
        self._publish_state(self.get_clock().now().to_msg())

    # -- time -------------------------------------------------------------------------------------------------------
    def _advance(self) -> int:
        """Let the device live until now; returns now in nanoseconds of the node's clock."""
        now_ns = self.get_clock().now().nanoseconds
        # A clock set back (replay, simulated time) makes no motion backwards.
        elapsed = min(max((now_ns - self._last_ns) * 1e-9, 0.0), _LONGEST_STEP_S)
        self._last_ns = now_ns
        self._device.step(elapsed)
        return now_ns

    def _tick(self) -> None:
        started = time.perf_counter()
        stamp = stamp_message(self._advance())
        measured = self._device.measured
        angles = joint_angles_from_tendon(self._geometry, measured[2])
        base = base_pose(self._entry, measured[0], measured[1])
        segments = base @ segment_poses(self._geometry, angles)
        tip = tip_pose(self._geometry, angles)
        self._measured_js.publish(joint_state_message(stamp, ACTUATORS, measured * _TO_SI,
                                                      self._device.velocity * _TO_SI))
        self._joint_states.publish(joint_state_message(stamp, self._hinge_names, angles))
        self._shape.publish(self._shape_message(stamp, angles, segments))
        self._measured_cp.publish(_pose_stamped(stamp, "cm_base", tip))
        self._transforms.send(stamp, (_TABLE_FRAME, "cm_base", base), ("cm_base", "cm_tip", tip))
        self._publish_state(stamp)
        self._seen = stamp, segments
        self._work.add(time.perf_counter() - started)

    def _show(self) -> None:
        """Publish where the device was at the last tick as markers, if anybody looks."""
        if self._seen is not None and self._markers.get_subscription_count():
            stamp, segments = self._seen
            self._markers.publish(cm_markers(self._geometry, segments, _TABLE_FRAME, stamp))

    # -- messages ---------------------------------------------------------------------------------------------------
    def _shape_message(self, stamp: TimeMessage, angles: np.ndarray, poses: np.ndarray) -> CmShape:
        start = poses[0] @ np.append(base_point(self._geometry), 1.0)
        end = poses[-1] @ np.append(tip_offset(self._geometry), 1.0)
        message = CmShape(device=self._geometry.name, segments=pose_messages(poses), arc_length=self._arc_length,
                          joint_angles=angles.tolist(), base=point_message(start[:3]), tip=point_message(end[:3]))
        message.header.stamp = stamp
        message.header.frame_id = _TABLE_FRAME
        return message

    def _publish_state(self, stamp: TimeMessage) -> None:
        """Publish the operating state if it is not the one last published (the topic is latched)."""
        state = (self._device.state.value, self._device.is_homed, self._device.is_busy)
        if state == self._state_sent:
            return
        self._state_sent = state
        message = OperatingStateMessage(state=state[0], is_homed=state[1], is_busy=state[2])
        message.header.stamp = stamp
        self._state.publish(message)

    def _report(self) -> Status:
        recently = self._rejected - self._rejected_before
        self._rejected_before = self._rejected
        values = {"state": self._device.state.value, "mode": self._device.mode.value,
                  "commands_accepted": self._accepted, "commands_rejected": self._rejected,
                  "last_rejection": self._last_rejection, **self._work.values("tick")}
        if recently:
            return Status(Level.WARN, f"{recently} commands rejected, last {self._last_rejection}", values)
        return Status(Level.OK, f"{self._device.state.value}, {self._device.mode.value}", values)


def _start_and_script(parameters: ParameterValues | Mapping[str, Any],
                      actuation: Actuation) -> tuple[np.ndarray, ScriptedMotion | None]:
    start = actuation.checked([parameters["start_insertion_mm"], np.deg2rad(parameters["start_roll_deg"]),
                               parameters["start_tendon_mm"]])
    if not parameters["script"]:
        return start, None
    low, high = np.transpose([parameters["script_insertion_mm"], np.deg2rad(parameters["script_roll_deg"]),
                              parameters["script_tendon_mm"]])
    for end in (low, high):
        actuation.checked(end)
    return start, ScriptedMotion(parameters["script_seed"], low, high, start)


def _pose_stamped(stamp: TimeMessage, frame_id: str, transform_mm: np.ndarray) -> PoseStamped:
    message = PoseStamped(pose=pose_message(transform_mm))
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    return message


def main() -> int:
    """Entry point of the executable ``cm_node``."""
    return run_node(CmNode, "cm_node")


if __name__ == "__main__":
    sys.exit(main())
