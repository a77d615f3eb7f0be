"""tf without tf2: plain publishers of TFMessage on /tf and /tf_static, active only where tf2_msgs is installed.

tf2_msgs is no wheel on PyPI, so nothing of this project depends on tf: poses travel in messages, tf is for RViz and
other tools of a full ROS 2 installation.
"""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from numpy.typing import ArrayLike
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from cm_kinematics.nodes.conversions import transform_message

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # no full ROS 2 installation
    TFMessage = None


class TransformPublisher:
    """Publishes the transforms that one node owns; does nothing where tf2_msgs is missing.

    Args:
        node: the publishing node.
        message_type: tf2_msgs/TFMessage or a type with the same one field ``transforms``.
    """

    def __init__(self, node: Node, message_type: Any = TFMessage) -> None:
        self._node = node
        self._type = message_type
        self._static: dict[str, TransformStamped] = {}
        if message_type is None:
            return
        moving = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                             durability=DurabilityPolicy.TRANSIENT_LOCAL)
        # tf is one tree for the whole system whatever the namespace, hence the absolute names.
        self._moving = node.create_publisher(message_type, "/tf", moving)
        self._latched = node.create_publisher(message_type, "/tf_static", latched)

    def send(self, stamp: TimeMessage, *transforms: tuple[str, str, ArrayLike]) -> None:
        """Publish (parent, child, (4, 4) child -> parent in mm) on /tf."""
        if self._type is not None:
            self._moving.publish(self._type(transforms=[_stamped(stamp, *row) for row in transforms]))

    def send_static(self, stamp: TimeMessage, *transforms: tuple[str, str, ArrayLike]) -> None:
        """Publish (parent, child, (4, 4) child -> parent in mm) on /tf_static.

        The whole set sent so far goes out again: of a latched topic a late subscriber gets the last message only.
        """
        if self._type is None:
            return
        self._static.update({row[1]: _stamped(stamp, *row) for row in transforms})
        self._latched.publish(self._type(transforms=list(self._static.values())))

    def destroy(self) -> None:
        """Take both publishers from the node, as a lifecycle node does when it cleans up."""
        if self._type is not None:
            self._node.destroy_publisher(self._moving)
            self._node.destroy_publisher(self._latched)


def _stamped(stamp: TimeMessage, parent: str, child: str, transform_mm: ArrayLike) -> TransformStamped:
    message = TransformStamped(child_frame_id=child, transform=transform_message(transform_mm))
    message.header.stamp = stamp
    message.header.frame_id = parent
    return message
