"""Bone surfaces: right size, right place, right way out, closed, and never more triangles than allowed."""

import numpy as np
import pytest
from sim_worlds import paint_ball, water_box

from synthex_sim import anatomy
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import make_phantom
from synthex_sim.patient.surface import bone_surfaces

BALL_MM3 = 4 / 3 * np.pi * 40.0**3


def ball(label: int, center=(0.0, 0.0, 0.0), radius=40.0) -> Patient:
    return paint_ball(water_box(size=80, spacing=2.0), center, radius, 700, label)


def only(surfaces):
    (surface,) = surfaces
    return surface


def distances_mm(surface, center) -> np.ndarray:
    return np.linalg.norm(surface.vertices - np.asarray(center), axis=1)


def triangle_count(surfaces) -> int:
    return sum(len(surface.triangles) for surface in surfaces)


def is_closed(surface) -> bool:
    """Whether every edge is passed once in each direction: no gap, and no triangle turned over."""
    edges = surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    passed = {tuple(edge) for edge in edges.tolist()}
    return len(passed) == len(edges) and passed == {(b, a) for a, b in passed}


@pytest.mark.parametrize("spacing_mm", [2.5, 4.0, 7.0])
def test_a_labelled_ball_has_its_volume_inside_and_its_radius_all_around(spacing_mm):
    center = (7.0, -11.0, 3.0)
    surface = only(bone_surfaces(ball(anatomy.LEFT_FEMUR, center), spacing_mm))
    assert (surface.label, surface.name) == (anatomy.LEFT_FEMUR, "left_femur")
    assert surface.volume_mm3 == pytest.approx(BALL_MM3, rel=0.06)
    assert abs(distances_mm(surface, center) - 40.0).max() < 0.5 * spacing_mm
    assert is_closed(surface)


def test_bone_without_a_label_is_found_by_its_hounsfield_units_and_its_marrow_is_inside():
    patient = paint_ball(ball(0), (0, 0, 0), 30.0, 20, 0)
    surface = only(bone_surfaces(Patient("shell", patient.hu, patient.affine)))
    assert surface.name == "bone"
    assert surface.volume_mm3 == pytest.approx(BALL_MM3, rel=0.06)
    assert abs(distances_mm(surface, (0, 0, 0)) - 40.0).max() < 4.0


def test_what_the_label_map_left_out_is_bone_but_not_the_rim_of_what_it_took():
    patient = ball(anatomy.LEFT_HEMIPELVIS)
    patient = paint_ball(patient, (0, 0, 0), 41.5, 700, 0)  # its bone reaches further than its label
    patient = Patient("rim", patient.hu, patient.affine, ball(anatomy.LEFT_HEMIPELVIS).labels)
    assert only(bone_surfaces(patient)).label == anatomy.LEFT_HEMIPELVIS
    patient = paint_ball(patient, (60, 60, 60), 12.0, 700, 0)
    patient = paint_ball(patient, (-60, -60, -60), 4.0, 700, 0)  # 0.3 cm^3: a calcified vessel, say
    found = {surface.name: surface for surface in bone_surfaces(patient)}
    assert set(found) == {"left_hemipelvis", "bone"}
    assert distances_mm(found["bone"], (60, 60, 60)).max() < 16.0


@pytest.mark.parametrize("flipped", [(), (0,), (0, 1), (0, 1, 2)])
def test_the_patients_left_is_at_positive_x_however_voxels_are_stored(flipped):
    left, right = (60.0, 10.0, -20.0), (-60.0, 10.0, -20.0)
    patient = paint_ball(ball(anatomy.LEFT_FEMUR, left, 18.0), right, 14.0, 700, anatomy.RIGHT_FEMUR)
    affine = patient.affine.copy()
    for axis in flipped:
        affine[:3, 3] += affine[:3, axis] * (patient.hu.shape[axis] - 1)
        affine[:3, axis] *= -1
    stored = Patient("stored", np.flip(patient.hu, flipped), affine, np.flip(patient.labels, flipped))
    found = {surface.name: surface for surface in bone_surfaces(stored)}
    assert found["left_femur"].vertices.mean(axis=0) == pytest.approx(left, abs=1.0)
    assert found["right_femur"].vertices.mean(axis=0) == pytest.approx(right, abs=1.0)
    assert all(surface.volume_mm3 > 0 for surface in found.values())


@pytest.mark.parametrize("label", [anatomy.LEFT_FEMUR, anatomy.BACKGROUND])
def test_a_bone_that_leaves_the_volume_is_closed_where_it_ends(label):
    whole = ball(label)
    affine = whole.affine.copy()
    affine[:3, 3] += 45 * affine[:3, 0]
    half = Patient("half", whole.hu[45:], affine, whole.labels[45:])
    surface = only(bone_surfaces(half))
    assert is_closed(surface)
    assert surface.volume_mm3 == pytest.approx(BALL_MM3 / 2, rel=0.1)


def test_a_slanting_grid_with_thick_slices_is_no_obstacle():
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.5, 1.5, 6.0])
    affine[:3, 3] = -affine[:3, :3] @ [40, 40, 10]
    air = np.full((81, 81, 21), -1000, np.int16)
    surface = only(bone_surfaces(paint_ball(Patient("slanting", air, affine), (5, 0, 0), 40.0, 700, anatomy.VERTEBRAE)))
    assert surface.volume_mm3 == pytest.approx(BALL_MM3, rel=0.06)
    assert abs(distances_mm(surface, (5, 0, 0)) - 40.0).max() < 4.0


def test_there_are_never_more_triangles_than_allowed():
    patient = paint_ball(ball(anatomy.LEFT_FEMUR, (40, 0, 0), 30.0), (-40, 0, 0), 30.0, 700, anatomy.RIGHT_FEMUR)
    few, many = (bone_surfaces(patient, 3.0, budget) for budget in (1200, 40_000))
    assert 800 < triangle_count(few) <= 1200 < triangle_count(many) <= 40_000
    assert len(few) == len(many) == 2


def test_a_phantom_has_all_its_bones_and_the_coccyx_that_has_no_label():
    surfaces = bone_surfaces(make_phantom(7, 4.0))
    assert [surface.name for surface in surfaces] == [*anatomy.LABEL_NAMES[1:7], "bone"]
    assert triangle_count(surfaces) <= 40_000
    middle = {surface.name: surface.vertices.mean(axis=0) for surface in surfaces}
    assert middle["left_hemipelvis"][0] > 50 and middle["right_hemipelvis"][0] < -50  # LPS: x to the left
    assert middle["vertebrae"][2] > middle["upper_sacrum"][2] > middle["left_femur"][2]  # z to the head
    assert middle["upper_sacrum"][1] > middle["left_hemipelvis"][1]  # y to the back


def test_without_bone_there_is_no_surface():
    assert bone_surfaces(water_box(size=20)) == ()


@pytest.mark.parametrize(("settings", "reason"), [
    ({"spacing_mm": 0.0}, "positive number"), ({"spacing_mm": float("nan")}, "positive number"),
    ({"max_triangles": 999}, "at least 1000"),
])
def test_settings_that_make_no_sense_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        bone_surfaces(water_box(size=20), **settings)
