"""The figures of session.json, each against a session in which it can be worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bringup_fabricate import FabricatedFrame, write_session

from synthex_bringup.recording.bag_reader import BagError
from synthex_bringup.recording.details import RecordingDetails, RosDetails
from synthex_bringup.report.analysis import count_frames
from synthex_bringup.report.session import read_session_json
from synthex_bringup.report.write import write_report
from synthex_sim.anatomy import LEFT_FEMUR, LEFT_HEMIPELVIS, MANIPULATOR

SIZE = (16, 16)


def _image() -> np.ndarray:
    return np.full(SIZE, 30_000, np.uint16)


def _mask(**areas: tuple[int, slice, slice]) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    for label, rows, columns in areas.values():
        mask[rows, columns] = label
    return mask


def _frame(index: int, **values) -> FabricatedFrame:
    return FabricatedFrame(at_ms=500.0 * index, image=_image(), counter=index + 1, **values)


def _report(tmp_path, frames, details: RecordingDetails | None = None) -> dict:
    write_session(tmp_path, frames)
    (details or RecordingDetails()).write(tmp_path)
    write_report(tmp_path)
    return read_session_json(tmp_path / "session.json")


def test_an_answer_counts_only_for_the_image_whose_stamp_it_carries(tmp_path):
    session = _report(tmp_path, [_frame(0), _frame(1, answer_after_ms=None), _frame(2), _frame(3, cm=True)])
    assert session["frames_recorded"] == session["frames_published"] == 4
    assert session["detections"] == {"count": 3, "fraction": 0.75, "with_manipulator": 1}


def test_an_answer_that_lacks_one_of_its_parts_is_no_detection(tmp_path):
    """All of mask, landmarks and cm are awaited where all three are recorded."""
    frames = [_frame(0), _frame(1)]
    write_session(tmp_path, frames)
    from rosbags.rosbag2 import Reader, StoragePlugin, Writer  # the same bag without the last landmarks

    with (
        Reader(tmp_path / "bag") as reader,
        Writer(tmp_path / "less" / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        last = max(t for c, t, _ in reader.messages() if c.topic == "/perception/landmarks")
        new = {}
        for connection, time, data in reader.messages():
            if connection.topic == "/perception/landmarks" and time == last:
                continue
            if connection.topic not in new:
                new[connection.topic] = writer.add_connection(
                    connection.topic, connection.msgtype, msgdef=connection.msgdef.data, rihs01=connection.digest
                )
            writer.write(new[connection.topic], time, data)
    assert write_report(tmp_path / "less").detections.count == 1


def test_latencies_are_differences_of_receipt_times_and_stamps(tmp_path):
    frames = [
        _frame(i, image_after_ms=40.0 + 10 * i, answer_after_ms=100.0 + 20 * i, render_s=0.030 + 0.001 * i)
        for i in range(3)
    ]
    stages = _report(tmp_path, frames)["latency_ms"]
    assert stages["render"] == {"p50": 31.0, "p95": pytest.approx(31.9), "count": 3}
    assert stages["stamp_to_image"] == {"p50": 50.0, "p95": pytest.approx(59.0), "count": 3}
    assert stages["publish_to_detection"] == {"p50": 120.0, "p95": pytest.approx(138.0), "count": 3}
    assert stages["end_to_end"] == {"p50": 170.0, "p95": pytest.approx(197.0), "count": 3}


def test_dice_of_half_overlapping_squares_is_one_half_and_absent_structures_do_not_count(tmp_path):
    bone = _mask(a=(LEFT_HEMIPELVIS, slice(0, 4), slice(0, 4)))
    shifted = _mask(a=(LEFT_HEMIPELVIS, slice(0, 4), slice(2, 6)))  # 16 pixels each, 8 of them common: 2*8/32
    both = _mask(a=(LEFT_HEMIPELVIS, slice(0, 4), slice(0, 4)), b=(LEFT_FEMUR, slice(8, 12), slice(0, 4)))
    hip = _report(
        tmp_path,
        [
            _frame(0, true_mask=bone, mask=shifted),
            _frame(1, true_mask=bone, mask=bone),
            _frame(2, true_mask=both, mask=shifted),  # femur missed: 0
            _frame(3, true_mask=np.zeros(SIZE, np.uint8), mask=shifted),  # nothing there: no Dice at all
        ],
    )["hip"]
    assert hip["frames"] == 4
    assert hip["structures"]["left_hemipelvis"] == {"dice": pytest.approx(2 / 3, rel=1e-5), "frames": 3}
    assert hip["structures"]["left_femur"] == {"dice": 0.0, "frames": 1}
    assert set(hip["structures"]) == {"left_hemipelvis", "left_femur"}
    assert hip["dice"] == pytest.approx(1 / 3, rel=1e-5)


def test_landmark_errors_are_pixels_detector_and_isocentre_millimetres(tmp_path):
    """0.5 mm pixels, SDD 1200 mm, SAD 600 mm: 5 px are 2.5 mm at the detector and 1.25 mm at the isocentre."""
    empty = np.zeros(SIZE, np.uint8)
    hip = _report(
        tmp_path,
        [
            _frame(
                0,
                true_mask=empty,
                true_points={"FH-l": (2.0, 3.0), "FH-r": (8.0, 8.0), "ASIS-l": (-3.0, 1.0)},
                points={"FH-l": (5.0, 7.0), "ASIS-l": (1.0, 1.0)},
            ),
            _frame(1, true_mask=empty, true_points={"FH-l": (2.0, 3.0)}, points={}),
        ],
    )["hip"]
    marks = hip["landmarks"]
    assert marks["error"]["px"] == {"mean": 5.0, "p50": 5.0, "p95": 5.0, "count": 1}
    assert marks["error"]["detector_mm"]["p50"] == 2.5
    assert marks["error"]["isocenter_mm"]["p50"] == 1.25
    assert (marks["in_image"], marks["activated"], marks["false_activations"]) == (3, 1, 1)
    assert marks["activation_rate"] == pytest.approx(1 / 3, rel=1e-5)
    assert hip["landmarks_by_name"]["FH-l"]["activation_rate"] == 0.5
    assert hip["landmarks_by_name"]["ASIS-l"]["false_activations"] == 1
    assert set(hip["landmarks_by_name"]) == {"FH-l", "FH-r", "ASIS-l"}


def test_landmarks_found_where_nobody_knows_the_truth_are_neither_right_nor_wrong(tmp_path):
    """A CT with a label map: its bones are known, its landmarks are not; in one frame one of them was marked."""
    bone = _mask(a=(LEFT_HEMIPELVIS, slice(0, 4), slice(0, 4)))
    said = {"mask": bone, "points": {"FH-l": (5.0, 7.0)}}
    ct = [_frame(0, true_mask=bone, **said), _frame(1, true_mask=bone, **said)]
    (tmp_path / "ct").mkdir()
    hip = _report(tmp_path / "ct", ct)["hip"]
    assert hip["frames"] == 2 and hip["dice"] == 1.0 and hip["landmarks_by_name"] == {}
    nothing = {"mean": None, "p50": None, "p95": None, "count": 0}
    assert hip["landmarks"] == {
        "error": {"px": nothing, "detector_mm": nothing, "isocenter_mm": nothing},
        "activation_rate": None,
        "in_image": 0,
        "activated": 0,
        "false_activations": 0,
    }
    marked = [ct[0], _frame(1, true_mask=bone, true_points={"FH-l": (5.0, 17.0)}, **said)]
    points = _report(tmp_path / "marked", marked)["hip"]["landmarks_by_name"]
    assert {name: (one["in_image"], one["false_activations"]) for name, one in points.items()} == {"FH-l": (0, 1)}


def test_a_ct_without_labels_has_no_figures_of_the_hip_but_those_of_the_manipulator(tmp_path):
    tool = _mask(a=(MANIPULATOR, slice(4, 8), slice(4, 8)))
    invented = tool + _mask(a=(LEFT_FEMUR, slice(8, 12), slice(0, 4)))
    ends = {"CM-base": (4.0, 4.0), "CM-tip": (7.0, 7.0)}
    found = ends | {"FH-l": (2.0, 9.0)}
    frame = _frame(0, true_mask=tool, true_points=ends, true_cm=True, mask=invented, points=found, cm=True)
    session = _report(tmp_path, [frame])
    assert session["hip"] is None
    assert session["cm"]["dice"] == 1.0 and session["cm"]["tip"]["error"]["px"]["p50"] == 0.0


def test_manipulator_figures_tell_missed_from_false(tmp_path):
    tool = _mask(a=(MANIPULATOR, slice(4, 8), slice(4, 8)))
    empty = np.zeros(SIZE, np.uint8)
    ends = {"CM-base": (4.0, 4.0), "CM-tip": (7.0, 7.0)}
    cm = _report(
        tmp_path,
        [
            _frame(
                0,
                true_mask=tool,
                mask=tool,
                true_cm=True,
                cm=True,
                true_points=ends,
                points={"CM-base": (4.0, 4.0), "CM-tip": (7.0, 9.0)},
            ),
            _frame(1, true_mask=tool, mask=empty, true_cm=True, cm=False, true_points=ends),
            _frame(2, true_mask=empty, mask=tool, true_cm=False, cm=True, points=ends),
            _frame(3, true_mask=empty, mask=empty, true_cm=False, cm=False),
        ],
    )["cm"]
    assert cm["frames"] == 4 and cm["frames_with_manipulator"] == 2
    assert cm["dice"] == 0.5  # 1 where found, 0 where missed
    assert cm["detection_rate"] == 0.5
    assert cm["false_detections"] == 1
    tip = cm["tip"]["error"]
    assert tip["px"] == {"mean": 2.0, "p50": 2.0, "p95": 2.0, "count": 1}
    assert tip["detector_mm"]["p50"] == 1.0 and tip["isocenter_mm"]["p50"] == 0.5
    assert cm["base"]["error"]["px"]["p50"] == 0.0
    assert (cm["tip"]["in_image"], cm["tip"]["activated"], cm["tip"]["false_activations"]) == (2, 1, 1)


def test_without_ground_truth_accuracy_is_null_and_the_rest_stands(tmp_path):
    session = _report(tmp_path, [_frame(0), _frame(1)])
    assert session["hip"] is None and session["cm"] is None
    assert session["detections"]["count"] == 2
    assert session["frame_rate_hz"] == 2.0


def test_structures_are_matched_by_name_whatever_their_numbers(tmp_path):
    from synthex_bringup.report.accuracy import structure_dice

    true = _mask(a=(1, slice(0, 4), slice(0, 4)))
    found = _mask(a=(9, slice(0, 4), slice(0, 4)))
    assert structure_dice(found, true, {9: "femur"}, {1: "femur"}) == {"femur": 1.0}
    assert structure_dice(found, true, {9: "sacrum"}, {1: "femur"}) == {"femur": 0.0}
    with pytest.raises(ValueError, match="pixels"):
        structure_dice(found[:8], true, {}, {})


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ([], (None, None)),
        ([(1, 2), (2, 2), (4, 3)], (4, 3)),  # frame 3 was published and not recorded; skips since activation count
        ([(21, 9), (22, 9), (23, 10)], (3, 1)),  # recorded from frame 21 on: earlier skips are not this session's
        ([(5, 0), (6, 0), (1, 1), (2, 1)], (4, 1)),  # activated anew in between
    ],
)
def test_published_and_skipped_frames_are_the_carms_own_count(counters, expected):
    assert count_frames(counters) == expected


def test_session_json_names_its_schema_bag_ros_weights_and_geometry(tmp_path):
    ros = RosDetails("jazzy", "wheels", "rmw_fastrtps_cpp", "3.11.7", {"rclpy": "7.1.6"})
    details = RecordingDetails("2026-01-01T00:00:00Z", "phantom 3", None, "v1-2-gabc", ros, "frames", 12.5, {"/tf": 2})
    session = _report(tmp_path, [_frame(0)], details)
    assert (session["format"], session["version"]) == ("synthex-session", 1)
    assert "not a medical device" in session["disclaimer"]
    assert (tmp_path / session["bag"] / "metadata.yaml").exists()
    assert session["ros"]["source"] == "wheels" and session["wall_s"] == 12.5 and session["patient"] == "phantom 3"
    assert session["seed"] == 7  # not given to the recorder: the exposures say it
    assert session["weights"] == "test-net sha256:abc"
    assert session["exposure"]["source_to_detector_mm"] == 1200.0 and session["exposure"]["pixel_spacing_mm"] == 0.5
    assert session["messages"]["/carm/image_raw"] == 1 and session["messages_lost"] == {"/tf": 2}


def test_session_json_never_holds_what_json_cannot(tmp_path):
    text = json.dumps(_report(tmp_path, [_frame(0, true_mask=np.zeros(SIZE, np.uint8))]))
    assert "NaN" not in text and "Infinity" not in text


def test_masks_of_different_sizes_are_an_error_that_names_topic_and_stamp(tmp_path):
    write_session(tmp_path, [_frame(0, true_mask=np.zeros((8, 8), np.uint8))])
    with pytest.raises(BagError, match="mask at stamp"):
        write_report(tmp_path)
    assert not (tmp_path / "session.json").exists()


def test_other_files_and_versions_are_no_session(tmp_path):
    path = tmp_path / "session.json"
    path.write_text('{"format": "synthex-session", "version": 2}')
    with pytest.raises(ValueError, match="version 2"):
        read_session_json(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="no synthex-session"):
        read_session_json(path)
