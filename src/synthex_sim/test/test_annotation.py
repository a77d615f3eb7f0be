"""Landmarks: whose they are, whether they are in the picture, and whether something lies before them."""

from types import SimpleNamespace

import numpy as np
import pytest
from sim_worlds import paint_ball, water_box

from cm_kinematics.solid import TubePieces
from synthex_sim.annotation.annotation import annotate, landmark_points
from synthex_sim.carm.view import View
from synthex_sim.dataset.generate import _check_aim
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.materials import NITINOL
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.scene import Overlay, Scene, Tool

#: The source stands 500 mm before the world's origin and the detector 500 mm behind it; depth grows along z.
VIEW = View.from_krt([[-1000.0, 0, 31.5], [0, 1000.0, 31.5], [0, 0, 1.0]], np.eye(3), (0, 0, 500.0), (64, 64), 1.0)


def moved(z):
    pose = np.eye(4)
    pose[2, 3] = z
    return pose


def annotated(scene, *names):
    projection = CpuProjector().project(scene, [VIEW], TissueThresholds())
    return annotate(scene, VIEW, projection, 0, names, occlusion=True)


def two_balls(**landmarks):
    """In water: label 1 about z = -20, nearer to the source, and label 2 about z = 20, 10 mm in radius."""
    box = water_box(30, 2.0, **landmarks)
    return paint_ball(paint_ball(box, (0, 0, -20.0), 10.0, 900, 1), (0, 0, 20.0), 10.0, 900, 2)


def test_the_topmost_volume_that_names_a_landmark_has_it():
    overlays = (
        Overlay(water_box(8, 2.0, both=(0, 0, 1.0), lower=(0, 0, 2.0)), moved(10.0)),
        Overlay(water_box(8, 2.0, both=(0, 0, 3.0)), moved(20.0)),
        Overlay(water_box(8, 2.0), moved(30.0)),
    )
    patient = water_box(8, 2.0, both=(0, 0, 4.0), lower=(0, 0, 5.0), own=(0, 0, 6.0))
    scene = Scene(patient, moved(-5.0), overlays=overlays)
    points = landmark_points(scene, ("both", "lower", "own", "nobody's"))
    assert points[:3, 2].tolist() == [23.0, 12.0, 1.0] and np.isnan(points[3]).all()
    assert landmark_points(Scene(None, overlays=overlays), ("both",))[0, 2] == 23.0


def test_a_landmark_behind_the_detector_or_the_source_is_not_visible():
    patient = water_box(10, 2.0, here=(0, 0, 0), behind=(0, 0, 501.0), before=(0, 0, 499.0), back=(0, 0, -501.0),
                        beside=(40.0, 0, 0))
    annotation = annotated(Scene(patient), "here", "behind", "before", "back", "beside", "nobody's")
    assert annotation.visible.tolist() == [True, False, True, False, False, False]
    assert annotation.depth_mm[1] == pytest.approx(1001.0)


def test_a_landmark_is_occluded_by_another_structure_before_it_and_not_by_its_own():
    patient = two_balls(front=(0, 0, -29.0), far_side_of_front=(0, 0, -9.0), back=(0, 0, 12.0), free=(15.0, 0, 20.0),
                        on_the_skin=(0, 0, 31.0))
    annotation = annotated(Scene(patient), "front", "far_side_of_front", "back", "free", "on_the_skin", "nobody's")
    assert annotation.occluded.tolist() == [False, False, True, False, True, False]


def test_occlusion_is_found_only_where_it_is_asked_for():
    scene = Scene(two_balls(back=(0, 0, 12.0)))
    projection = CpuProjector().project(scene, [VIEW], TissueThresholds())
    assert annotate(scene, VIEW, projection, 0, ("back",)).occluded is None


def test_an_overlay_takes_the_labels_it_covers_out_of_a_landmarks_ray():
    patient = two_balls(back=(0, 0, 12.0))
    bare = Patient("unlabelled cube", np.zeros((30, 30, 12), np.int16), np.array(
        [[1.0, 0, 0, -14.5], [0, 1, 0, -14.5], [0, 0, 2, -31.0], [0, 0, 0, 1]]))
    empty = Patient("air", np.full(bare.hu.shape, -900, np.int16), bare.affine)
    for overlay, expected in ((bare, False), (empty, True)):
        if overlay is empty:
            overlay.hu[0, 0, 0] = 0
        assert annotated(Scene(patient, overlays=(Overlay(overlay, np.eye(4)),)), "back").occluded[0] == expected


def test_the_manipulator_occludes_what_is_behind_it():
    pieces = TubePieces(np.eye(4)[None], [0], [-20.0], [20.0], 3.0, 2.0, [True])
    patient = two_balls(front=(0, 0, -29.0), free=(15.0, 0, 20.0))
    tool = Tool(pieces, moved(-45.0), np.zeros(3), np.zeros(3), NITINOL)
    assert annotated(Scene(patient, tools=(tool,)), "front", "free").occluded.tolist() == [True, False]


def test_a_sample_needs_its_patient_in_the_beam_and_not_its_overlays():
    far = np.eye(4)
    far[0, 3] = 5000.0
    beside = Scene(water_box(10), overlays=(Overlay(water_box(10), far),))
    _check_aim(SimpleNamespace(scene=beside, view=VIEW), 3)
    _check_aim(SimpleNamespace(scene=Scene(None), view=VIEW), 3)
    with pytest.raises(ValueError, match="sample 3 shows nothing of its patient: the beam passes box by"):
        _check_aim(SimpleNamespace(scene=Scene(water_box(10), far), view=VIEW), 3)
