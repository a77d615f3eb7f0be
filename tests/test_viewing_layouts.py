"""The layouts for RViz and Foxglove name what a session publishes, as what it is, in frames that there are.

Neither program is needed here, and neither is started.
"""

import ast
import importlib
import json
from pathlib import Path

import pytest
import yaml

from synthex_bringup.recording.topics import SESSION_TOPICS, SessionTopic

REPOSITORY = Path(__file__).resolve().parents[1]
RVIZ = REPOSITORY / "config" / "rviz" / "session.rviz"
FOXGLOVE = REPOSITORY / "config" / "foxglove" / "session.json"

#: For viewers only, hence not among the recorded ones.
MARKERS = SessionTopic("cm/markers", "visualization_msgs/msg/MarkerArray", node="cm_node")
TOPICS = {topic.name: topic for topic in (*SESSION_TOPICS, MARKERS)}

#: Display of RViz -> what it takes; None: no topic of its own. Names of rviz_default_plugins in Jazzy.
DISPLAYS = {
    "rviz_default_plugins/Grid": None,
    "rviz_default_plugins/TF": None,
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PoseWithCovariance": "geometry_msgs/msg/PoseWithCovarianceStamped",
    "rviz_default_plugins/PointStamped": "geometry_msgs/msg/PointStamped",
}
#: What Foxglove's 3D panel draws, of the messages that a session has.
DRAWN = {"visualization_msgs/msg/MarkerArray", "geometry_msgs/msg/PoseWithCovarianceStamped"}


@pytest.fixture(scope="module")
def rviz() -> dict:
    return yaml.safe_load(RVIZ.read_text())


@pytest.fixture(scope="module")
def displays(rviz) -> list[dict]:
    return rviz["Visualization Manager"]["Displays"]


@pytest.fixture(scope="module")
def panels() -> dict[str, dict]:
    return json.loads(FOXGLOVE.read_text())["configById"]


@pytest.fixture(scope="module")
def frames() -> set[str]:
    """Frames in the tf tree: what the nodes hand to ``send`` and ``send_static`` of their TransformPublisher."""
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("synthex_msgs", reason="needs the built workspace")
    names = set()
    for module in map(importlib.import_module, ("synthex_sim.nodes.pose_publisher", "cm_kinematics.nodes.cm_node")):
        for call in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("send", "send_static"):
                for row in (part for part in call.args if isinstance(part, ast.Tuple)):
                    names |= {eval(ast.unparse(name), vars(module)) for name in row.elts[:2]}
    return names


def of_session(name: str) -> SessionTopic:
    """The session's topic of an absolute name (both layouts are for a session without a namespace)."""
    assert name.startswith("/"), name
    found = TOPICS.get(name) or TOPICS.get(name[1:])
    assert found, f"no session has {name}"
    return found


def of_type(panels: dict[str, dict], kind: str) -> list[dict]:
    return [settings for name, settings in panels.items() if name.split("!")[0] == kind]


def leaves(layout: dict | str) -> list[str]:
    if isinstance(layout, str):
        return [layout]
    assert layout["direction"] in ("row", "column") and 0 < layout["splitPercentage"] < 100
    return leaves(layout["first"]) + leaves(layout["second"])


def check_path(path: str) -> None:
    """A message path such as ``/navigation/status.state`` leads to a number or text of that topic's messages."""
    name, *fields = path.split(".")
    kind = of_session(name).type
    for field in fields:
        package, _, message = kind.partition("/")
        module = importlib.import_module(f"{package}.msg")
        kind = getattr(module, message.rpartition("/")[2]).get_fields_and_field_types()[field]
    assert "/" not in kind and "[" not in kind, f"{path} is a {kind}"


def test_the_tree_of_frames_is_the_known_one(frames):
    assert frames == {"world", "table", "ct_lps", "carm_base", "carm_isocenter", "carm_source_optical", "carm_detector",
                      "cm_base", "cm_tip"}


# -- RViz -------------------------------------------------------------------------------------------------------------
def test_rviz_shows_what_a_session_publishes_as_what_it_is(displays):
    for display in displays:
        kind = DISPLAYS[display["Class"]]
        assert display["Enabled"] is True and ("Topic" in display) == (kind is not None), display["Name"]
        if kind is not None:
            assert of_session(display["Topic"]["Value"]).type == kind, display["Name"]
    shown = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert shown == {"/perception/overlay", "/carm/image_raw", "/carm/ground_truth/bones", "/cm/markers",
                     "/navigation/pelvis_pose", "/navigation/cm_tip", "/navigation/target"}


def test_rviz_asks_for_what_was_published_before_it_came_and_for_no_more_than_is_offered(displays):
    for topic in (display["Topic"] for display in displays if "Topic" in display):
        latched = of_session(topic["Value"]).latched
        assert topic["Durability Policy"] == ("Transient Local" if latched else "Volatile"), topic["Value"]
        assert topic["Reliability Policy"] == "Reliable" and topic["History Policy"] == "Keep Last"


def test_rviz_names_frames_that_there_are(rviz, displays, frames):
    manager = rviz["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "world"
    assert manager["Views"]["Current"]["Target Frame"] in frames
    assert {display["Reference Frame"] for display in displays if "Reference Frame" in display} <= frames
    (named,) = (display["Filter (whitelist)"] for display in displays if display["Class"].endswith("/TF"))
    assert set(named.removeprefix("^(").removesuffix(")$").split("|")) < frames


def test_names_of_displays_are_unique(displays):
    assert len({display["Name"] for display in displays}) == len(displays)


# -- Foxglove ---------------------------------------------------------------------------------------------------------
def test_foxglove_arranges_every_panel_once(panels):
    layout = json.loads(FOXGLOVE.read_text())
    assert {"configById", "layout", "globalVariables", "userNodes", "playbackConfig"} == set(layout)
    assert sorted(leaves(layout["layout"])) == sorted(panels)
    known = {"3D", "Image", "Plot", "RawMessages", "StateTransitions", "DiagnosticSummary"}
    assert {name.split("!")[0] for name in panels} == known


def test_foxglove_shows_images_geometry_and_diagnostics_of_a_session(panels):
    images = [settings["imageMode"]["imageTopic"] for settings in of_type(panels, "Image")]
    assert images == ["/perception/overlay", "/carm/image_raw"]
    assert {of_session(name).type for name in images} == {"sensor_msgs/msg/Image"}
    (scene,) = of_type(panels, "3D")
    assert {of_session(name).type for name in scene["topics"]} == DRAWN
    assert {"/carm/ground_truth/bones", "/cm/markers"} < set(scene["topics"])
    (summary,) = of_type(panels, "DiagnosticSummary")
    assert of_session(summary["topicToRender"]).type == "diagnostic_msgs/msg/DiagnosticArray"
    for settings in of_type(panels, "RawMessages"):
        of_session(settings["topicPath"])


def test_foxglove_plots_fields_that_messages_have(panels):
    pytest.importorskip("synthex_msgs", reason="needs the built workspace")
    paths = [path["value"] for kind in ("Plot", "StateTransitions") for settings in of_type(panels, kind)
             for path in settings["paths"]]
    assert "/carm/exposure.render_seconds" in paths and "/navigation/status.state" in paths
    for path in paths:
        check_path(path)


def test_foxglove_names_frames_that_there_are(panels, frames):
    (scene,) = of_type(panels, "3D")
    named = {scene["followTf"], *(layer["frameId"] for layer in scene["layers"].values()),
             *(name.removeprefix("frame:") for name in scene["transforms"])}
    assert named <= frames


# -- both -------------------------------------------------------------------------------------------------------------
def test_layouts_are_installed_where_launch_files_look_and_explained():
    cmake = (REPOSITORY / "src" / "synthex_bringup" / "CMakeLists.txt").read_text()
    assert "install(DIRECTORY ../../launch ../../config" in cmake  # with all that is in it
    page = (REPOSITORY / "docs" / "viewing.md").read_text()
    for file in (RVIZ, FOXGLOVE):
        assert str(file.relative_to(REPOSITORY)) in page
