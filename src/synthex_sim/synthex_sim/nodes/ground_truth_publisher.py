"""What only a simulator knows: carm/ground_truth."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from synthex_msgs.msg import CmDetection, LabelInfo, Landmark2DArray
from synthex_sim.annotation.annotation import Annotation
from synthex_sim.nodes import carm_messages
from synthex_sim.nodes.image_messages import to_image_msg
from synthex_sim.nodes.qos import LATCHED, RELIABLE
from synthex_sim.nodes.surface_messages import bones_message
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.surface import bone_surfaces


class GroundTruthPublisher:
    """Publishes the labels of each frame; what the labels mean and where the bones are is sent at once.

    Args:
        node: the publishing node.
        patient: whose bones are shown, if anybody's.
    """

    def __init__(self, node: Node, patient: Patient | None) -> None:
        self._node = node
        self._mask = node.create_publisher(Image, "carm/ground_truth/mask", RELIABLE)
        self._landmarks = node.create_publisher(Landmark2DArray, "carm/ground_truth/landmarks", RELIABLE)
        self._cm = node.create_publisher(CmDetection, "carm/ground_truth/cm", RELIABLE)
        self._labels = node.create_publisher(LabelInfo, "carm/ground_truth/label_info", LATCHED)
        self._bones = node.create_publisher(MarkerArray, "carm/ground_truth/bones", LATCHED)
        stamp = node.get_clock().now().to_msg()
        self._labels.publish(carm_messages.label_info_message(stamp))
        if patient is not None:
            self._bones.publish(bones_message(bone_surfaces(patient), stamp))

    def publish(self, annotation: Annotation, header: Header) -> None:
        """The labels of the frame with this header."""
        self._mask.publish(to_image_msg(annotation.mask, header, "mono8"))
        self._landmarks.publish(carm_messages.landmarks_message(annotation, header))
        self._cm.publish(carm_messages.cm_message(annotation, header))

    def destroy(self) -> None:
        """Takes the publishers from the node, as a lifecycle node does when it cleans up."""
        for publisher in (self._mask, self._landmarks, self._cm, self._labels, self._bones):
            self._node.destroy_publisher(publisher)
