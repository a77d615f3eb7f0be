"""What the viewer draws lies where the images and the session say: geometry, matching by stamp, figures."""

import numpy as np
import pytest

from synthex_bringup.recording.topics import ANSWERS, EXPOSURE, IMAGE
from synthex_bringup.viewer.carm_shape import carm_shape, image_corners
from synthex_bringup.viewer.frame_sets import FrameSets
from synthex_sim.carm.view import View

INTRINSICS = np.array([[-876.0, 0, 127.5], [0, 876.0, 127.5], [0, 0, 1.0]])
VIEW = View(INTRINSICS, np.eye(4), (256, 256), 1020.0 / 876.0)


def test_the_corners_of_the_image_on_the_detector_project_to_the_corners_of_the_image():
    corners = image_corners(INTRINSICS, (256, 256), 1020.0)
    assert corners[:, 2] == pytest.approx(1020.0)
    pixels, _ = VIEW.project(corners)
    assert pixels == pytest.approx(np.array([[-0.5, -0.5], [255.5, -0.5], [255.5, 255.5], [-0.5, 255.5]]))


def test_the_stored_image_is_mirrored_on_the_detector_as_seen_from_the_source():
    top_left, top_right, *_ = image_corners(INTRINSICS, (256, 256), 1020.0)
    assert top_left[0] > 0 > top_right[0]  # columns run against x


def test_the_c_joins_tube_and_detector_round_the_isocentre():
    shape = carm_shape(INTRINSICS, (256, 256), 1020.0, 530.0)
    distances = np.linalg.norm(shape.arm - [0, 0, 530.0], axis=1)
    assert distances == pytest.approx(distances[0]) and distances[0] > 530.0
    assert shape.arm[0][2] < 0 and shape.arm[-1][2] > 1020.0
    assert (shape.arm[1:-1, 0] < 0).all()
    assert shape.beam[:, 0] == pytest.approx(0.0) and shape.beam[:, 1] == pytest.approx(shape.corners)
    assert shape.detector_centre[2] - shape.detector_half_size[2] >= 1020.0


# -- images and answers -----------------------------------------------------------------------------------------------
@pytest.fixture
def sets():
    return FrameSets((IMAGE, EXPOSURE), ANSWERS, patience_s=1.0, capacity=3)


def give(sets, stamp, topics, now_s=0.0):
    shown = [sets.add(topic, stamp, f"{topic} {stamp}", now_s) for topic in topics]
    assert not any(shown[:-1])
    return shown[-1]


def test_an_image_is_shown_with_its_own_answers_and_only_then(sets):
    assert give(sets, 1, [IMAGE, EXPOSURE, *ANSWERS[:-1]]) is None
    assert give(sets, 2, [IMAGE, EXPOSURE]) is None
    stamp, parts = give(sets, 1, [ANSWERS[-1]])
    assert stamp == 1 and parts[IMAGE] == f"{IMAGE} 1" and set(parts) == {IMAGE, EXPOSURE, *ANSWERS}


def test_an_older_image_is_never_shown_after_a_newer_one(sets):
    give(sets, 1, [IMAGE, EXPOSURE])
    assert give(sets, 2, [IMAGE, EXPOSURE, *ANSWERS])[0] == 2
    assert give(sets, 1, ANSWERS) is None
    assert sets.unanswered(now_s=99.0) is None


def test_images_are_shown_alone_where_perception_is_silent_longer_than_the_patience(sets):
    give(sets, 1, [IMAGE, EXPOSURE])
    give(sets, 2, [IMAGE, EXPOSURE])
    give(sets, 3, [IMAGE])
    assert sets.unanswered(now_s=0.9) is None
    assert sets.unanswered(now_s=1.1)[0] == 2
    assert sets.unanswered(now_s=1.1) is None


def test_ground_truth_is_waited_for_once_there_is_any():
    sets = FrameSets((IMAGE,), ("answer",), ("truth",))
    assert give(sets, 1, [IMAGE, "answer"])[0] == 1
    give(sets, 2, [IMAGE, "answer"])
    give(sets, 3, ["truth", IMAGE])
    assert give(sets, 3, ["answer"])[0] == 3
    assert give(sets, 4, [IMAGE, "answer"]) is None and give(sets, 4, ["truth"])[0] == 4


def test_what_never_becomes_complete_is_forgotten(sets):
    for stamp in range(1, 6):
        give(sets, stamp, [IMAGE])
    assert give(sets, 1, [EXPOSURE, *ANSWERS]) is None
    assert give(sets, 5, [EXPOSURE, *ANSWERS])[0] == 5
