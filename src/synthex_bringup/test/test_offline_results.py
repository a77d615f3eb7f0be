"""What stands in the offline replay's table, each against a recording in which it can be worked out by hand."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from bringup_fabricate import MS, START_NS, FabricatedFrame, Messages, write_session
from rosbags.rosbag2 import Reader
from scipy.spatial.transform import Rotation

from cm_kinematics.geometry import load_geometry
from synthex_bringup.offline.answer import Answer, seen_landmarks, seen_manipulator
from synthex_bringup.offline.columns import row, table_text
from synthex_bringup.offline.plan import NO_PLAN, plan_for, recorded_patient
from synthex_bringup.offline.recorded_images import OFFLINE_TOPICS, LiveNavigation, RecordedImage, recorded_images
from synthex_bringup.offline.result import FrameResult, frame_result, space_error
from synthex_bringup.offline.settings import DETECTION, DEVICE, LIMITS, MODEL, NOT_OFFLINE, Settings
from synthex_bringup.offline.summary import Circumstances, summarise
from synthex_bringup.recording.bag_reader import SessionBag
from synthex_bringup.recording.bag_writer import BagWriter
from synthex_bringup.recording.details import RecordingDetails, without_identity
from synthex_bringup.report.accuracy import Point, Scale
from synthex_bringup.report.frames import Exposed, Frame, Manipulator, SessionFrames, read_frames
from synthex_perception.inference.detections import Detections
from synthex_perception.navigation.cm_position import see_manipulator
from synthex_perception.navigation.navigator import Navigator
from synthex_sim.anatomy import HIP_LANDMARKS, LABEL_NAMES, SESSION_LANDMARKS
from synthex_sim.patient.source import planned_landmarks

REPOSITORY = Path(__file__).resolve().parents[3]
SIZE = (256, 256)
K = np.array([[-876.0, 0, 127.5], [0, 876.0, 127.5], [0, 0, 1.0]])
#: An AP view: x to the patient's right, y to the feet, z from back to front; the pelvis 780 mm from the source.
POSE = np.array([[-1.0, 0, 0, 5], [0, 0, -1, -10], [0, -1, 0, 780], [0, 0, 0, 1]])
BASE, TIP = np.array([20.0, 5.0, 760.0]), np.array([-20.0, 5.0, 760.0])
WIDTH_PX = 876.0 * 6.0 / 760.0
NAMES = dict(enumerate(LABEL_NAMES))


# -- a session that one can work out ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def plan():
    return planned_landmarks("phantom:7")


@pytest.fixture(scope="module")
def truth(plan):
    """Name -> where it is in the C-arm's frame, mm."""
    points = {name: POSE[:3, :3] @ plan[name] + POSE[:3, 3] for name in HIP_LANDMARKS}
    return points | {"CM-base": BASE, "CM-tip": TIP}


def pixels_of(points) -> np.ndarray:
    projected = np.array([points[name] for name in SESSION_LANDMARKS]) @ K.T
    return projected[:, :2] / projected[:, 2:]


def detections(pixels: np.ndarray) -> Detections:
    """All landmarks seen, and a manipulator whose ends are as wide as 6 mm are 760 mm from the source."""
    mask = np.zeros(SIZE, np.uint8)
    mask[100:110, 100:130] = 7
    seen = np.ones(len(pixels), bool)
    names = LABEL_NAMES, SESSION_LANDMARKS
    return Detections(mask, pixels, seen.astype(np.float32), seen, 0.9, *names, WIDTH_PX, WIDTH_PX)


@pytest.fixture(scope="module")
def answer(plan, truth):
    """What a network says that errs by 3 px to the right at the tip, and navigation makes of it."""
    pixels = pixels_of(truth)
    pixels[-1, 0] += 3.0
    found = detections(pixels)
    navigator = Navigator(plan, load_geometry(REPOSITORY / "config/cm/notched_27.yaml"))
    return Answer(found, navigator.navigate(seen_landmarks(found), *with_missing(found)))


def with_missing(found: Detections):
    tool, missing = seen_manipulator(found, K, 6.0)
    return tool, K, missing


def recorded(answer: Answer, truth) -> RecordedImage:
    """The same answer live, beside the truth."""
    found, told = answer.found, answer.told

    def points(pixels):
        return {name: Point(float(x), float(y), True) for name, (x, y) in zip(SESSION_LANDMARKS, pixels, strict=True)}

    live, true = points(found.landmarks), points(pixels_of(truth))
    true_mask = np.where(found.mask == 7, 7, 0).astype(np.uint8)
    true_mask[100:105] = 0  # half of what was found
    exposed = Exposed(1, 0, 40.0, Scale(1.0, 1000.0, 500.0), 50_000, None)
    frame = Frame(
        START_NS, START_NS, {"perception/cm": START_NS}, exposed, None, true, live,
        Manipulator(True, true["CM-base"], true["CM-tip"]), Manipulator(True, live["CM-base"], live["CM-tip"]),
    )
    navigation = LiveNavigation(told.state.value, True, True, told.pelvis.camera_from_ct, told.manipulator.tip_mm)
    return RecordedImage(frame, np.zeros(SIZE, np.uint16), K, "", true_mask, found.mask, truth, navigation)


@pytest.fixture
def image(answer, truth):
    return recorded(answer, truth)


def session_of(frame: Frame) -> SessionFrames:
    return SessionFrames((frame,), ("perception/cm",), (), NAMES, NAMES, "net", {})


def result_of(image: RecordedImage, answer: Answer, plan) -> FrameResult:
    return frame_result(image, answer, plan, session_of(image.frame))


# -- against ground truth ---------------------------------------------------------------------------------------------
def test_an_error_of_three_pixels_is_three_on_the_detector_and_half_of_it_at_the_isocentre(image, answer, plan):
    cells = row(0, result_of(image, answer, plan))
    assert cells["tip_error_px"] == cells["tip_error_detector_mm"] == pytest.approx(3.0)
    assert cells["tip_error_isocenter_mm"] == pytest.approx(1.5)
    assert cells["hip_landmarks_error_px"] == pytest.approx(0.0, abs=1e-9) and cells["hip_dice"] is None
    # 300 px found, 150 of them true
    assert cells["cm_dice"] == pytest.approx(2 * 150 / (300 + 150)) and cells["manipulator_px"] == 300


def test_space_errors_are_split_at_the_ray_to_the_true_place():
    error = space_error(np.array([3.0, 4.0, 107.0]), np.array([0.0, 0.0, 100.0]))
    assert (error.across_mm, error.along_mm) == (pytest.approx(5.0), pytest.approx(7.0))
    assert space_error(np.array([0.0, 0.0, 90.0]), np.array([0.0, 0.0, 100.0])).along_mm == pytest.approx(10.0)


def test_navigation_is_measured_in_the_room(image, answer, plan):
    result = result_of(image, answer, plan)
    assert result.pelvis_error.across_mm < 0.01 and result.pelvis_error.along_mm < 0.05
    tip = answer.told.manipulator.tip_mm
    assert result.tip_error == space_error(tip, TIP)
    # 3 px of 876 px / 760 mm; the depth is right
    assert result.tip_error.across_mm == pytest.approx(3.0 * 760 / 876, abs=0.05) and result.tip_error.along_mm < 0.1
    cells = row(0, result)
    np.testing.assert_allclose([cells[f"pelvis_{axis}_mm"] for axis in "xyz"], POSE[:3, 3], atol=0.1)
    turn = Rotation.from_rotvec(np.deg2rad([cells[f"pelvis_r{axis}_deg"] for axis in "xyz"])).as_matrix()
    np.testing.assert_allclose(turn, POSE[:3, :3], atol=1e-3)
    stated = np.sqrt(np.diag(answer.told.pelvis.covariance))
    np.testing.assert_allclose([cells[f"pelvis_sd_{axis}_mm"] for axis in "xyz"], stated[:3])
    np.testing.assert_allclose([cells[f"pelvis_sd_r{axis}_deg"] for axis in "xyz"], np.rad2deg(stated[3:]))
    np.testing.assert_allclose([cells[f"tip_{axis}_mm"] for axis in "xyz"], tip)
    sd = np.sqrt(np.diag(answer.told.manipulator.tip_covariance))
    np.testing.assert_allclose([cells[f"tip_sd_{axis}_mm"] for axis in "xyz"], sd)


# -- against the live session -----------------------------------------------------------------------------------------
def test_the_same_answer_agrees(image, answer, plan):
    assert result_of(image, answer, plan).difference.agrees


def changed_live(image: RecordedImage, **changes) -> RecordedImage:
    return replace(image, navigation=replace(image.navigation, **changes))


def moved_landmark(image):
    live = dict(image.frame.landmarks)
    live["FH-l"] = replace(live["FH-l"], x=live["FH-l"].x + 2.0)
    return replace(image, frame=replace(image.frame, landmarks=live)), "points_px", 2.0


def hidden_landmark(image):
    live = image.frame.landmarks | {"FH-l": Point(float("nan"), float("nan"), False)}
    return replace(image, frame=replace(image.frame, landmarks=live)), "visibility", 1


def other_mask(image):
    mask = image.mask.copy()
    mask[0, :5] = 1
    return replace(image, mask=mask), "mask_px", 5


def other_state(image):
    return changed_live(image, state="lost"), "states", ("lost", "tracking")


def unknown_pelvis(image):
    return changed_live(image, pelvis_known=False, camera_from_ct=None), "known", False


def moved_tip(image):
    return changed_live(image, tip_mm=image.navigation.tip_mm + (0, 0, 4.0)), "tip_mm", 4.0


def turned_pelvis(image):
    pose = image.navigation.camera_from_ct.copy()
    pose[:3, :3] = Rotation.from_rotvec([0, np.deg2rad(2.0), 0]).as_matrix() @ pose[:3, :3]
    return changed_live(image, camera_from_ct=pose), "pelvis_deg", 2.0


def moved_pelvis(image):
    pose = image.navigation.camera_from_ct.copy()
    pose[0, 3] += 3.0
    return changed_live(image, camera_from_ct=pose), "pelvis_mm", 3.0


@pytest.mark.parametrize("change", [
    moved_landmark, hidden_landmark, other_mask, other_state, unknown_pelvis, moved_tip, turned_pelvis, moved_pelvis,
], ids=lambda change: change.__name__)
def test_every_kind_of_difference_is_noticed_and_measured(change, image, answer, plan):
    altered, name, by = change(image)
    difference = result_of(altered, answer, plan).difference
    expected = by if isinstance(by, (bool, tuple)) else pytest.approx(by)
    assert not difference.agrees and getattr(difference, name) == expected


def test_a_bag_without_navigation_is_compared_in_what_perception_said(image, answer, plan):
    result = result_of(replace(image, navigation=None), answer, plan)
    assert result.difference.agrees and row(0, result)["live_state"] is None


# -- from the frames to the figures -----------------------------------------------------------------------------------
def test_the_summary_counts_states_agreement_and_why_not(image, answer, plan):
    same = result_of(image, answer, plan)
    other = result_of(moved_tip(image)[0], answer, plan)
    lost = replace(same, told=replace(answer.told, state=type(answer.told.state)("lost"), reason="3 are seen"))
    also = replace(lost, told=replace(lost.told, reason="2 are seen"))
    unusable = FrameResult(image.frame, unusable="no carm/camera_info has this stamp")
    made = Circumstances("run/bag", "net", "net", "phantom:7", "cm", Settings(), "1")
    results = [same, other, lost, also, unusable]
    summary = summarise(results, made)
    assert (summary.images, summary.answered) == (5, 4)
    assert summary.states == {"tracking": 2, "uncertain": 0, "lost": 2} and summary.reasons == {"# are seen": 2}
    assert (summary.live.compared, summary.live.agree, summary.live.states_differ) == (4, 3, 0)
    assert (summary.live.rest_tip_mm.count, summary.live.rest_tip_mm.p50) == (1, pytest.approx(4.0))
    assert summary.cm.tip.error.isocenter_mm.p50 == pytest.approx(1.5)
    lines = table_text(results).splitlines()
    assert len(lines) == 6 and len({line.count(",") for line in lines}) == 1
    assert "no carm/camera_info has this stamp" in lines[-1] and lines[1].startswith(f"0,{START_NS},14,true,300,")


# -- what is read from the bag ----------------------------------------------------------------------------------------
def small(index: int) -> FabricatedFrame:
    return FabricatedFrame(at_ms=300.0 * index, image=np.full((8, 8), 100 + index, np.uint16), counter=index + 1)


def write_bag(run: Path, entries: list[tuple[int, str, str, bytes]]) -> None:
    run.mkdir(parents=True)
    writer = BagWriter(run / "bag", types=Messages().types, reserve_bytes=0, queue_bytes=2**30)
    for received_ns, topic, type_, data in entries:
        assert writer.put(topic, type_, received_ns, data, ())
    writer.close()


def read(run: Path) -> list[RecordedImage]:
    with SessionBag(run, OFFLINE_TOPICS) as bag:
        return list(recorded_images(bag, read_frames(bag)))


def test_images_come_in_the_order_of_stamps_whatever_the_order_of_receipt(tmp_path):
    make, entries = Messages(), []
    for received, index in enumerate((1, 0, 2)):
        stamp, at = START_NS + index * 300 * MS, START_NS + (1000 + received) * MS
        entries += [
            (at, "/carm/image_raw", "sensor_msgs/msg/Image", make.image(stamp, small(index).image)),
            (at, "/carm/camera_info", "sensor_msgs/msg/CameraInfo", make.camera_info(stamp, (8, 8))),
        ]
    write_bag(tmp_path / "run", entries)
    assert [int(one.image[0, 0]) for one in read(tmp_path / "run")] == [100, 101, 102]


def test_an_image_without_its_camera_info_or_with_one_of_another_size_cannot_be_used(tmp_path):
    make, entries = Messages(), []
    for index, shape in enumerate(((8, 8), None, (16, 8))):
        stamp = START_NS + index * 300 * MS
        entries.append((stamp, "/carm/image_raw", "sensor_msgs/msg/Image", make.image(stamp, small(index).image)))
        if shape:
            entries.append((stamp, "/carm/camera_info", "sensor_msgs/msg/CameraInfo", make.camera_info(stamp, shape)))
    write_bag(tmp_path / "run", entries)
    good, without, other = read(tmp_path / "run")
    assert good.unusable == "" and good.intrinsics is not None
    assert without.intrinsics is None and without.unusable == "no carm/camera_info has this stamp"
    assert other.intrinsics is None and other.unusable == "image of 8 x 8 but carm/camera_info of 16 x 8"


def status(make: Messages, stamp_ns: int, state: str) -> bytes:
    name = "synthex_msgs/msg/NavigationStatus"
    message = make.make(
        name, header=make.header(stamp_ns), state=state, reason="", pelvis_known=False, manipulator_known=False,
        landmarks_used=0, residual=0.0,
    )
    return make.bytes(message, name)


def test_of_the_repeated_status_the_first_is_the_live_answer(tmp_path):
    make = Messages()
    entries = [
        (START_NS, "/carm/image_raw", "sensor_msgs/msg/Image", make.image(START_NS, small(0).image)),
        # received last: until then the image is not complete, and the status is said again
        (START_NS + 9 * MS, "/carm/camera_info", "sensor_msgs/msg/CameraInfo", make.camera_info(START_NS, (8, 8))),
    ]
    said = enumerate(("tracking", "tracking", "lost"), start=1)
    topic = "/navigation/status", "synthex_msgs/msg/NavigationStatus"
    entries += [(START_NS + i * MS, *topic, status(make, START_NS, state)) for i, state in said]
    write_bag(tmp_path / "run", sorted(entries))
    assert read(tmp_path / "run")[0].navigation.state == "tracking"


def test_pixel_and_depth_of_a_true_landmark_make_a_point(tmp_path):
    write_session(tmp_path / "run", [replace(
        small(0), true_mask=np.zeros((8, 8), np.uint8), true_points={"FH-l": (3.0, -40.0)}, true_cm=False
    )])
    # fabricated landmarks have no depth
    assert read(tmp_path / "run")[0].true_points_mm == {}
    make = Messages()
    point = make.landmark("FH-l", (3.0, -40.0))
    point.depth = 0.5
    message = make.make("synthex_msgs/msg/Landmark2DArray", header=make.header(START_NS), landmarks=[point])
    write_bag(tmp_path / "deep", [
        (START_NS, "/carm/image_raw", "sensor_msgs/msg/Image", make.image(START_NS, small(0).image)),
        (START_NS, "/carm/camera_info", "sensor_msgs/msg/CameraInfo", make.camera_info(START_NS, (8, 8))),
        (START_NS, "/carm/ground_truth/landmarks", "synthex_msgs/msg/Landmark2DArray",
         make.bytes(message, "synthex_msgs/msg/Landmark2DArray")),
    ])
    # with an identity for a camera matrix: (x, y, 1) times 500 mm
    np.testing.assert_allclose(read(tmp_path / "deep")[0].true_points_mm["FH-l"], (1500.0, -20000.0, 500.0))


# -- plan and parameters ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("given", "patient", "plan"), [
    ("", "phantom:7", "phantom:7"), ("", "a CT from a file", NO_PLAN), ("", "", NO_PLAN),
    ("", "thorax:7?lesions=no", NO_PLAN), ("", "a patient made from files", NO_PLAN),
    ("phantom:7", "phantom:7", "phantom:7"), ("phantom:7", "", "phantom:7"), ("none", "phantom:7", NO_PLAN),
])
def test_the_plan_is_that_of_whom_the_recording_shows(given, patient, plan):
    assert plan_for(given, patient) == plan


@pytest.mark.parametrize(("given", "patient"), [
    ("phantom:8", "phantom:7"), ("phantom:7", "a CT from a file"), ("my_ct.nii.gz", ""),
])
def test_the_plan_of_somebody_else_is_refused(given, patient):
    with pytest.raises(ValueError, match="plan"):
        plan_for(given, patient)


@pytest.mark.parametrize(("patient", "words"), [
    ("", ""), ("none", "none"), ("phantom:7?table=yes", "phantom:7?table=yes"), ("thorax:3", "thorax:3"),
    ("thorax:3?lesions=no", "thorax:3?lesions=no"), ("/scans/doe_jane/ct.nii.gz#2", "a CT from a file"),
    ("dressed:/scans/doe_jane/label.mhd?seed=3&mask=/doe/mask.mha", "a patient made from files"),
    ("shape_model:doe_jane?seed=3", "a patient made from files"),
])
def test_a_recording_names_patients_that_are_nobody_and_no_files(patient, words):
    assert without_identity(patient) == words


def test_the_patient_is_found_beside_the_bag_however_it_is_named(tmp_path):
    write_session(tmp_path / "run", [small(0)])
    assert recorded_patient(tmp_path / "run") == ""
    RecordingDetails(patient="phantom:3").write(tmp_path / "run")
    with Reader(tmp_path / "run/bag") as reader:
        assert reader.message_count
    for bag in ("run", "run/bag", "run/bag/bag.mcap"):
        assert recorded_patient(tmp_path / bag) == "phantom:3"


def test_parameters_of_the_nodes_are_known_and_have_the_same_defaults():
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("synthex_msgs", reason="needs the built workspace")
    from synthex_perception.nodes import navigation_node, perception_node

    settings = Settings()
    for node, groups in (
        (perception_node, ((settings.detection, DETECTION), (settings.detection.device, DEVICE))),
        (navigation_node, ((settings.limits, LIMITS), (settings.model, MODEL))),
    ):
        table = {parameter.name: parameter.default for parameter in node.TABLE}
        ours = {name: getattr(group, field) for group, names in groups for name, field in names.items()}
        assert table.keys() == ours.keys() | NOT_OFFLINE[node.__name__.rpartition(".")[2]]
        assert ours == {name: table[name] for name in ours}


def nothing_found(found: Detections) -> Detections:
    return replace(found, mask=np.zeros(SIZE, np.uint8))


def without(name: str):
    def changed(found: Detections) -> Detections:
        return replace(found, visible=found.visible & (np.array(SESSION_LANDMARKS) != name))

    return changed


def unmeasured(found: Detections) -> Detections:
    return replace(found, base_width_px=float("nan"))


@pytest.mark.parametrize("change", [
    lambda found: found, nothing_found, without("CM-tip"), without("CM-base"), without("FH-l"), unmeasured,
])
def test_navigation_is_told_what_the_nodes_tell_it(change, answer):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("synthex_msgs", reason="needs the built workspace")
    from std_msgs.msg import Header

    from synthex_perception.nodes import navigation_messages, perception_messages

    found = change(answer.found)
    depths = perception_messages.manipulator_depths(found, K.ravel(), 6.0)
    cm = perception_messages.cm_message(found, Header(), depths)
    ends = navigation_messages.seen_end(cm.base), navigation_messages.seen_end(cm.tip)
    live, live_missing = see_manipulator(cm.mask_pixels if cm.detected else 0, *ends)
    tool, _, missing = with_missing(found)
    assert missing == live_missing and (tool is None) == (live is None)
    if tool is not None:
        for field in fields(tool):
            np.testing.assert_allclose(getattr(tool, field.name), getattr(live, field.name), rtol=1e-12)
    landmarks = perception_messages.landmarks_message(found, Header(), depths).landmarks
    assert seen_landmarks(found).keys() == {point.name for point in landmarks if point.visible}


def test_the_session_s_parameter_file_is_read_and_a_wrong_value_is_named(tmp_path):
    assert Settings.from_file(REPOSITORY / "config/session/default.yaml") == Settings()
    file = tmp_path / "p.yaml"
    file.write_text("/**/navigation_node: {ros__parameters: {lateral_limit_mm: 3, stale_s: 2.0}}")
    assert Settings.from_file(file).limits.lateral_mm == 3.0
    for node, value, reason in (
        ("perception", "landmark_threshold: 1.5", "landmark_threshold must lie in"),
        ("perception", "cm_min_pixels: 4.5", "cm_min_pixels must be a whole number, got 4.5"),
        ("navigation", "lateral_limit_mm: .nan", "lateral_limit_mm must be a finite number, got nan"),
        ("navigation", "lateral_limit_mm: wide", "lateral_limit_mm must be a finite number, got 'wide'"),
    ):
        file.write_text(f"/**/{node}_node: {{ros__parameters: {{{value}}}}}")
        with pytest.raises(ValueError, match=f"p.yaml: {reason}"):
            Settings.from_file(file)
