"""Where the C-arm is, as joint_states, measured_cp and tf; and on tf what stands still around it."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from cm_kinematics.nodes.conversions import pose_message
from cm_kinematics.nodes.transforms import TransformPublisher
from synthex_sim.carm.carm import CArmJoints
from synthex_sim.nodes import carm_messages
from synthex_sim.nodes.qos import RELIABLE
from synthex_sim.operating_room import OperatingRoom


class PosePublisher:
    """Publishes the poses of one operating room's C-arm; what stands still is sent at once.

    Args:
        node: the publishing node.
        room: gives the C-arm and where table and patient are.
    """

    def __init__(self, node: Node, room: OperatingRoom) -> None:
        self._node = node
        self._carm = room.carm
        self._joint_states = node.create_publisher(JointState, "carm/joint_states", RELIABLE)
        self._measured_cp = node.create_publisher(PoseStamped, "carm/measured_cp", RELIABLE)
        self._transforms = TransformPublisher(node)
        self._send_static(room)

    def publish(self, joints: CArmJoints, stamp: TimeMessage) -> None:
        """The arm's joints and what they make of it."""
        carm = self._carm
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

    def destroy(self) -> None:
        """Takes the publishers from the node, as a lifecycle node does when it cleans up."""
        self._node.destroy_publisher(self._joint_states)
        self._node.destroy_publisher(self._measured_cp)
        self._transforms.destroy()

    def _send_static(self, room: OperatingRoom) -> None:
        detector = np.eye(4)
        detector[2, 3] = self._carm.source_to_detector_mm
        self._transforms.send_static(
            self._node.get_clock().now().to_msg(),
            ("world", "table", room.table_pose),
            ("table", "ct_lps", room.patient_in_table),
            (carm_messages.OPTICAL_FRAME, "carm_detector", detector),
        )
