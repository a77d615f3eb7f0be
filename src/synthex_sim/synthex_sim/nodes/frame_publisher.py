"""One frame on its topics: the image with its geometry and physics, where the arm was, and what is true in it."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from synthex_msgs.msg import Exposure
from synthex_sim.annotation.annotation import Annotation
from synthex_sim.carm.carm import CArmJoints
from synthex_sim.carm.view import View
from synthex_sim.nodes import carm_messages
from synthex_sim.nodes.ground_truth_publisher import GroundTruthPublisher
from synthex_sim.nodes.image_messages import to_image_msg
from synthex_sim.nodes.pose_publisher import PosePublisher
from synthex_sim.nodes.qos import RELIABLE
from synthex_sim.operating_room import OperatingRoom
from synthex_sim.xray.radiograph import Radiograph

#: What an exposure is answered with and published as.
Frame = tuple[Image, CameraInfo, Exposure]


class FramePublisher:
    """Publishes the frames of one operating room.

    Args:
        node: the publishing node.
        room: what the frames show.
        ground_truth: whether what only a simulator knows is published too.
    """

    def __init__(self, node: Node, room: OperatingRoom, ground_truth: bool) -> None:
        self._node = node
        self._image = node.create_publisher(Image, "carm/image_raw", RELIABLE)
        self._camera_info = node.create_publisher(CameraInfo, "carm/camera_info", RELIABLE)
        self._exposure = node.create_publisher(Exposure, "carm/exposure", RELIABLE)
        self._pose = PosePublisher(node, room)
        self._truth = GroundTruthPublisher(node, room.patient) if ground_truth else None

    def publish(
        self, joints: CArmJoints, view: View, image: Radiograph, annotation: Annotation, exposure: Exposure
    ) -> Frame:
        """Publishes a frame under the stamp and frame id of its exposure message; the image last.

        Args:
            joints, view: where the arm was.
            image, annotation: what it saw, and what is true in it.
        """
        header = exposure.header
        info = carm_messages.camera_info_message(view, header)
        message = to_image_msg(image.counts, header, "mono16")
        self._pose.publish(joints, header.stamp)
        if self._truth is not None:
            self._truth.publish(annotation, header)
        self._exposure.publish(exposure)
        self._camera_info.publish(info)
        self._image.publish(message)
        return message, info, exposure

    def destroy(self) -> None:
        """Takes the publishers from the node, as a lifecycle node does when it cleans up."""
        for publisher in (self._image, self._camera_info, self._exposure):
            self._node.destroy_publisher(publisher)
        self._pose.destroy()
        if self._truth is not None:
            self._truth.destroy()
