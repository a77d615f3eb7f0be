"""The topics of a session, as the recorder, the replay and the report know them (interface table of the project)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SessionTopic:
    """One topic of a session.

    Attributes:
        name: as in the code, relative to the session's namespace; absolute for the topics that ROS itself fixes.
        type: ROS 2 message type.
        latched: published once and kept for late subscribers (transient local).
        node: who publishes it, in the words of ``session.launch.yaml``.
    """

    name: str
    type: str
    latched: bool = False
    node: str = ""


IMAGE = "carm/image_raw"
CAMERA_INFO = "carm/camera_info"
EXPOSURE = "carm/exposure"
TRUE_MASK = "carm/ground_truth/mask"
TRUE_LANDMARKS = "carm/ground_truth/landmarks"
TRUE_CM = "carm/ground_truth/cm"
TRUE_LABELS = "carm/ground_truth/label_info"
MASK = "perception/mask"
LANDMARKS = "perception/landmarks"
CM = "perception/cm"
LABELS = "perception/label_info"
SHAPE = "cm/shape"
CM_TIP = "navigation/cm_tip"
NAVIGATION = "navigation/status"
TARGET = "navigation/target"
BONES = "carm/ground_truth/bones"
#: What the recorder tells the viewer: its run folder while it records, an empty text afterwards. Not recorded.
RUN_FOLDER = "recorder/run_folder"

#: What perception answers to one image. All of them together, with the image's stamp, are its detection.
ANSWERS: tuple[str, ...] = (MASK, LANDMARKS, CM)

#: Topics whose messages carry the stamp of one image.
PER_IMAGE: frozenset[str] = frozenset(
    (IMAGE, CAMERA_INFO, EXPOSURE, TRUE_MASK, TRUE_LANDMARKS, TRUE_CM, MASK, LANDMARKS, CM, "perception/overlay",
     "navigation/pelvis_pose", CM_TIP, "navigation/cm_base")
)

SESSION_TOPICS: tuple[SessionTopic, ...] = (
    SessionTopic(IMAGE, "sensor_msgs/msg/Image", node="carm_node"),
    SessionTopic(CAMERA_INFO, "sensor_msgs/msg/CameraInfo", node="carm_node"),
    SessionTopic(EXPOSURE, "synthex_msgs/msg/Exposure", node="carm_node"),
    SessionTopic("carm/joint_states", "sensor_msgs/msg/JointState", node="carm_node"),
    SessionTopic("carm/measured_cp", "geometry_msgs/msg/PoseStamped", node="carm_node"),
    SessionTopic(TRUE_MASK, "sensor_msgs/msg/Image", node="carm_node"),
    SessionTopic(TRUE_LANDMARKS, "synthex_msgs/msg/Landmark2DArray", node="carm_node"),
    SessionTopic(TRUE_CM, "synthex_msgs/msg/CmDetection", node="carm_node"),
    SessionTopic(TRUE_LABELS, "synthex_msgs/msg/LabelInfo", latched=True, node="carm_node"),
    SessionTopic(BONES, "visualization_msgs/msg/MarkerArray", latched=True, node="carm_node"),
    SessionTopic("cm/measured_js", "sensor_msgs/msg/JointState", node="cm_node"),
    SessionTopic("cm/joint_states", "sensor_msgs/msg/JointState", node="cm_node"),
    SessionTopic(SHAPE, "synthex_msgs/msg/CmShape", node="cm_node"),
    SessionTopic("cm/measured_cp", "geometry_msgs/msg/PoseStamped", node="cm_node"),
    SessionTopic("cm/operating_state", "synthex_msgs/msg/OperatingState", latched=True, node="cm_node"),
    SessionTopic(MASK, "sensor_msgs/msg/Image", node="perception_node"),
    SessionTopic(LABELS, "synthex_msgs/msg/LabelInfo", latched=True, node="perception_node"),
    SessionTopic(LANDMARKS, "synthex_msgs/msg/Landmark2DArray", node="perception_node"),
    SessionTopic(CM, "synthex_msgs/msg/CmDetection", node="perception_node"),
    SessionTopic("perception/overlay", "sensor_msgs/msg/Image", node="perception_node"),
    SessionTopic("navigation/pelvis_pose", "geometry_msgs/msg/PoseWithCovarianceStamped", node="navigation_node"),
    SessionTopic(CM_TIP, "geometry_msgs/msg/PoseWithCovarianceStamped", node="navigation_node"),
    SessionTopic("navigation/cm_base", "geometry_msgs/msg/PoseWithCovarianceStamped", node="navigation_node"),
    SessionTopic(NAVIGATION, "synthex_msgs/msg/NavigationStatus", node="navigation_node"),
    SessionTopic(TARGET, "geometry_msgs/msg/PointStamped", latched=True, node="navigation_node"),
    SessionTopic("/tf", "tf2_msgs/msg/TFMessage"),
    SessionTopic("/tf_static", "tf2_msgs/msg/TFMessage", latched=True),
    SessionTopic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray"),
    SessionTopic("/rosout", "rcl_interfaces/msg/Log", latched=True),
)


def session_topic(name: str) -> SessionTopic | None:
    """The entry of ``SESSION_TOPICS`` with this name, None for a topic that the session does not define."""
    return next((topic for topic in SESSION_TOPICS if topic.name == name), None)


def is_session_topic(recorded: str, name: str) -> bool:
    """Whether an absolute topic name from a bag is the session's topic ``name``, in whatever namespace it ran."""
    return recorded.lstrip("/") == name.lstrip("/") or (not name.startswith("/") and recorded.endswith("/" + name))
