"""navigation_node: from detections in an image to where pelvis and manipulator are in the C-arm's frame.

It takes what perception says, the image's camera_info and the plan (the landmarks that were marked in the patient's CT,
or found in its label map), and nothing under ``ground_truth``. Every answer carries the header of its image. The status
is also repeated 20 times a second, so that a controller notices within a few of those that this node is gone, and turns
to ``lost`` when no image has been answered for a while: silence must never look like knowledge.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseWithCovarianceStamped
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from cm_kinematics.geometry import load_geometry
from cm_kinematics.nodes.conversions import stamp_ns
from cm_kinematics.nodes.diagnostics import Diagnostics, Latency, Level, Status
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, declare
from cm_kinematics.nodes.spin import run_node
from synthex_msgs.msg import CmDetection, Landmark2DArray, NavigationStatus
from synthex_perception.navigation.cm_position import CmPositionModel, see_manipulator
from synthex_perception.navigation.navigator import Navigation, NavigationLimits, NavigationState, Navigator
from synthex_perception.navigation.planned_target import planned_target
from synthex_perception.nodes.navigation_messages import (
    manipulator_poses,
    pelvis_message,
    seen_end,
    status_message,
    target_message,
)
from synthex_perception.nodes.stamp_sets import StampSets
from synthex_sim.anatomy import HIP_LANDMARKS
from synthex_sim.patient.source import planned_landmarks

_MODEL = CmPositionModel()

TABLE = (
    Parameter("plan", str, "", "patient whose planned landmarks are known: phantom:SEED, or a CT with one of the next; "
              "anything else has none", read_only=True),
    Parameter("labels", str, "", "path of the CT's label map, in which landmarks are found", read_only=True),
    Parameter("label_scheme", str, "", "label scheme of that map: a name in label_scheme_folder or a file; empty: the "
              "project's own ids", read_only=True),
    Parameter("label_scheme_folder", str, "", "folder with the shipped label schemes", read_only=True),
    Parameter("landmarks", str, "", "path of landmarks that were marked on the CT in 3D Slicer (.mrk.json, .fcsv); "
              "they count before those found", read_only=True),
    Parameter("cm_device_file", str, REQUIRED, "manipulator, one of config/cm/*.yaml", read_only=True),
    Parameter("stale_s", float, 1.0, "without an answered image for so long, the status is lost", "s",
              range=(0.05, 60.0)),
    Parameter("rotation_limit_deg", float, 5.0, "standard deviation of the pelvis' turn above which the status is "
              "uncertain", "deg", range=(0.01, 90.0), read_only=True),
    Parameter("lateral_limit_mm", float, 8.0, "the same for pelvis and tip across the beam", "mm", range=(0.01, 500.0),
              read_only=True),
    Parameter("residual_limit_px", float, 6.0, "the same for the landmarks' distance from where the pose puts them",
              "px", range=(0.01, 100.0), read_only=True),
    Parameter("target", str, "", "planned landmark that the procedure aims at, e.g. FH-l; empty for none",
              read_only=True),
    Parameter("tip_sd_px", float, _MODEL.tip_sd_px, "standard deviation of a tip that perception finds in 256 px", "px",
              range=(0.1, 50.0), read_only=True),
    Parameter("base_along_sd_px", float, _MODEL.base_along_sd_px, "the same of a base, along the manipulator", "px",
              range=(0.1, 50.0), read_only=True),
    Parameter("base_across_sd_px", float, _MODEL.base_across_sd_px, "the same of a base, across the manipulator", "px",
              range=(0.1, 50.0), read_only=True),
    Parameter("depth_sd", float, _MODEL.depth_sd, "relative standard deviation of a depth that perception measures",
              range=(0.0, 1.0), read_only=True),
    Parameter("area_sd", float, _MODEL.area_sd, "the same of the manipulator's mask, which gives the depth where "
              "perception does not", range=(0.0, 1.0), read_only=True),
    Parameter("out_of_plane_sd_deg", float, _MODEL.out_of_plane_sd_deg, "spread of the angle between device and image "
              "plane, for a depth from the mask", "deg", range=(0.0, 60.0), read_only=True),
)

#: How often the status is repeated between images.
STATUS_HZ = 20.0

_RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_INPUTS = {"perception/landmarks": Landmark2DArray, "perception/cm": CmDetection, "carm/camera_info": CameraInfo}


class NavigationNode(Node):
    """Parameters in, ``Navigator`` called, messages out.

    Args:
        parameter_overrides: as rclpy's.

    Raises:
        ValueError, OSError: a parameter or file is wrong.
    """

    def __init__(self, parameter_overrides: list[RosParameter] | None = None) -> None:
        super().__init__("navigation_node", parameter_overrides=parameter_overrides)
        p = self._values = declare(self, TABLE)
        plan = planned_landmarks(p["plan"], p["labels"], p["label_scheme"], p["label_scheme_folder"], p["landmarks"])
        self._navigator = Navigator(
            plan,
            load_geometry(p["cm_device_file"]),
            NavigationLimits(p["rotation_limit_deg"], p["lateral_limit_mm"], p["residual_limit_px"]),
            CmPositionModel(p["tip_sd_px"], p["base_along_sd_px"], p["base_across_sd_px"], p["depth_sd"], p["area_sd"],
                            p["out_of_plane_sd_deg"]),
        )
        self._publish_target(planned_target(plan, self._target_in(plan)))
        self._pelvis = self.create_publisher(PoseWithCovarianceStamped, "navigation/pelvis_pose", _RELIABLE)
        self._tip = self.create_publisher(PoseWithCovarianceStamped, "navigation/cm_tip", _RELIABLE)
        self._base = self.create_publisher(PoseWithCovarianceStamped, "navigation/cm_base", _RELIABLE)
        self._status = self.create_publisher(NavigationStatus, "navigation/status", _RELIABLE)
        self._sets = StampSets(tuple(_INPUTS))
        for topic, kind in _INPUTS.items():
            self.create_subscription(kind, topic, partial(self._take, topic), _RELIABLE)
        # of the wall clock: a paused simulation gives no images either
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._answered_ns = self._steady.now().nanoseconds
        self._told = Navigation(NavigationState.LOST, "no image has been answered yet", None, None)
        self._is_stale = False
        self._header = Header()
        self._age = Latency()
        self.create_timer(1.0 / STATUS_HZ, self._repeat, clock=self._steady)
        self._diagnostics = Diagnostics(self)
        self._diagnostics.add("navigation", self._report)
        known = f"{len(plan)} planned landmarks" if plan else "no planned landmarks: the pelvis will stay unknown"
        self.get_logger().info(f"navigating with {known}; research and simulation only, not a medical device")

    def _target_in(self, plan: Mapping[str, np.ndarray]) -> str:
        """The target's name; empty if this patient's CT does not show it, so that a default suits every CT."""
        target = self._values["target"]
        if not plan or target in plan or target not in HIP_LANDMARKS:
            return target
        self.get_logger().warning(f"the plan has no target: {target} is not among the landmarks ({', '.join(plan)})")
        return ""

    def _publish_target(self, target_mm: np.ndarray | None) -> None:
        """Latched, once: the plan does not change while the node runs."""
        self._target = self.create_publisher(PointStamped, "navigation/target", _LATCHED)
        if target_mm is not None:
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id="ct_lps")
            self._target.publish(target_message(target_mm, header))

    def _take(self, topic: str, message: Any) -> None:
        complete = self._sets.add(topic, stamp_ns(message.header.stamp), message)
        if complete is not None:
            self._answer(*(complete[name] for name in _INPUTS))

    def _answer(self, landmarks: Landmark2DArray, cm: CmDetection, info: CameraInfo) -> None:
        header = landmarks.header
        intrinsics = np.array(info.k).reshape(3, 3)
        seen = {point.name: np.array([point.x, point.y]) for point in landmarks.landmarks if point.visible}
        tool, missing = see_manipulator(cm.mask_pixels if cm.detected else 0, seen_end(cm.base), seen_end(cm.tip))
        told = self._told = self._navigator.navigate(seen, tool, intrinsics, missing)
        if told.pelvis is not None:
            self._pelvis.publish(pelvis_message(told.pelvis, header))
        if told.manipulator is not None:
            base, tip = manipulator_poses(told.manipulator, header)
            self._base.publish(base)
            self._tip.publish(tip)
        self._header, self._answered_ns, self._is_stale = header, self._steady.now().nanoseconds, False
        self._status.publish(status_message(told, header))
        self._age.add((self.get_clock().now().nanoseconds - stamp_ns(header.stamp)) * 1e-9)

    def _repeat(self) -> None:
        silent_s = (self._steady.now().nanoseconds - self._answered_ns) * 1e-9
        if silent_s > self._values["stale_s"] and not self._is_stale:
            # whatever it was: what an image told some time ago, even of one thing, is no knowledge of now
            self._is_stale = True
            reason = f"no image has been answered for {self._values['stale_s']:g} s"
            self._told = Navigation(NavigationState.LOST, reason, None, None)
        self._status.publish(status_message(self._told, self._header))

    def _report(self) -> Status:
        level = Level.OK if self._told.state == NavigationState.TRACKING else Level.WARN
        values = {"state": self._told.state.value, "incomplete": self._sets.forgotten,
                  **self._age.values("scene_to_answer")}
        return Status(level, self._told.reason or "tracking", values)


def main() -> int:
    """Entry point of the executable ``navigation_node``."""
    return run_node(NavigationNode, "navigation_node")


if __name__ == "__main__":
    sys.exit(main())
