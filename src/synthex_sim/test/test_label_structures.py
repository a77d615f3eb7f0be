"""Structures beyond the six: kept by name, seen along rays, and background for networks."""

import numpy as np
import pytest
from fabricated_series import AFFINE, body
from sim_worlds import paint_ball, water_box

from synthex_sim import anatomy
from synthex_sim.annotation.annotation import annotate, label_mask, named_masks
from synthex_sim.carm.view import View
from synthex_sim.patient.ct_patient import patient_from_volumes
from synthex_sim.patient.label_scheme import load_scheme
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.planes import CT_WINDOW_HU, Picture, write_planes
from synthex_sim.patient.surface import bone_surfaces
from synthex_sim.patient.volume import Volume
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.scene import Overlay, Scene

VIEW = View.from_krt([[-1000.0, 0, 31.5], [0, 1000.0, 31.5], [0, 0, 1.0]], np.eye(3), (0, 0, 500.0), (64, 64), 1.0)
OTHERS = {8: "urinary_bladder", 31: "gluteus_maximus_muscle"}


def test_a_scheme_with_an_id_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("labels:\n  1: left_hemipelvis\n  2: vertebrae\n  1: right_hemipelvis\n", encoding="utf-8")
    with pytest.raises(ValueError, match="the key '1' occurs twice.*line 4"):
        load_scheme(path)


def three_balls(structures=OTHERS, **landmarks):
    """Along the beam a muscle (31), then a hip bone (1) inside its shadow, and a bladder (8) beside both."""
    patient = paint_ball(water_box(30, 2.0, **landmarks), (0, 0, -20.0), 12.0, 50, 31)
    patient = paint_ball(patient, (0, 0, 15.0), 6.0, 900, anatomy.LEFT_HEMIPELVIS)
    patient = paint_ball(patient, (0, 20.0, 10.0), 6.0, 10, 8)
    return Patient("balls", patient.hu, patient.affine, patient.labels, landmarks, structures)


def scheme_of(folder, text):
    path = folder / "scheme.yaml"
    path.write_text(text, encoding="utf-8")
    return load_scheme(path)


def test_labels_are_given_in_the_order_of_the_file_and_names_may_be_shared(tmp_path):
    scheme = scheme_of(tmp_path, "9: liver\n3: left_femur\n4: ribs\n7: liver\n1: ribs\n2: spleen\n")
    assert scheme.structures == {8: "liver", 9: "ribs", 10: "spleen"}
    assert scheme.labels == {9: 8, 3: anatomy.LEFT_FEMUR, 4: 9, 7: 8, 1: 9, 2: 10}


def test_more_structures_than_rays_tell_apart_are_refused_by_name(tmp_path):
    names = [f"muscle_{n}" for n in range(26)]
    text = "".join(f"{n + 1}: {name}\n" for n, name in enumerate(names))
    with pytest.raises(ValueError, match="names 26 structures besides the six, 24 .* last are muscle_24, muscle_25"):
        scheme_of(tmp_path, text)
    assert len(scheme_of(tmp_path, "".join(text.splitlines(keepends=True)[:24])).structures) == 24


def test_a_loaded_patient_knows_its_structures_by_name(tmp_path):
    values = np.zeros((40, 44, 30), np.int16)
    values[6:14, 8:12, 3:24], values[25:27, 10:20, 20:24] = 5, 77
    loaded = patient_from_volumes(Volume(body(), AFFINE, "test"), Volume(values, AFFINE, "test"),
                                  scheme_of(tmp_path, "5: ribs\n77: lower_sacrum\n"))
    patient = loaded.patient
    assert patient.structures == {8: "ribs", 9: "lower_sacrum"} and patient.label_names[9] == "lower_sacrum"
    assert (patient.labels[values == 5] == 8).all() and (patient.labels[values == 77] == 9).all()


def test_left_and_right_structures_are_checked_too(tmp_path):
    values = np.zeros((40, 44, 30), np.int16)
    values[6:14, 8:12, 3:24], values[26:34, 8:12, 3:24] = 1, 2  # x grows with i
    labels = Volume(values, AFFINE, "test")
    right = scheme_of(tmp_path, "1: right_kidney\n2: left_kidney\n")
    assert patient_from_volumes(Volume(body(), AFFINE, "test"), labels, right).patient.structures
    with pytest.raises(ValueError, match="left kidney does not lie on the patient's left"):
        patient_from_volumes(Volume(body(), AFFINE, "test"), labels,
                             scheme_of(tmp_path, "1: left_kidney\n2: right_kidney\n"))


@pytest.mark.parametrize(("structures", "words"), [
    ({7: "ribs"}, "its label is 7, 8 to 31"), ({32: "ribs"}, "its label is 32"),
    ({8: "left_femur"}, "cannot be called"), ({8: "Ribs"}, "cannot be called"),
    ({8: "ribs", 9: "ribs"}, "two structures are called ribs")])
def test_structures_that_cannot_be_told_apart_are_refused(structures, words):
    with pytest.raises(ValueError, match=words):
        three_balls(structures)


def test_what_a_structure_is_called_is_part_of_which_patient_it_is():
    balls, other = three_balls(), {**OTHERS, 8: "bladder"}
    assert balls.digest() == three_balls(dict(OTHERS)).digest() != three_balls(other).digest()
    assert three_balls({}).digest() == Patient("x", balls.hu, balls.affine, balls.labels).digest() != balls.digest()


def test_masks_of_networks_hold_the_six_alone_and_others_are_had_by_name():
    scene = Scene(three_balls())
    projection = CpuProjector().project(scene, [VIEW], TissueThresholds())
    mask = label_mask(projection)
    assert set(np.unique(mask)) == {0, anatomy.LEFT_HEMIPELVIS}
    names = ("gluteus_maximus_muscle", "urinary_bladder", "left_hemipelvis")
    muscle, bladder, hip = named_masks(scene, projection, names)
    assert muscle.sum() > hip.sum() > 0 and (hip & muscle).sum() == hip.sum() and (mask[hip] == 1).all()
    assert bladder.sum() > 0 and not (bladder & muscle).any()
    with pytest.raises(ValueError, match="no structure is called liver; known: .*urinary_bladder"):
        named_masks(scene, projection, ("liver",))


def test_one_label_for_two_structures_in_a_scene_is_no_mask():
    scene = Scene(three_balls(), overlays=(Overlay(three_balls({8: "ribs"}), np.eye(4)),))
    projection = CpuProjector().project(scene, [VIEW], TissueThresholds())
    with pytest.raises(ValueError, match="label 8 is urinary_bladder in one volume of the scene and ribs in another"):
        named_masks(scene, projection, ("left_hemipelvis",))


def test_muscles_and_bowel_occlude_no_landmark():
    scene = Scene(three_balls(here=(0, 0, 15.0)))
    projection = CpuProjector().project(scene, [VIEW], TissueThresholds())
    assert annotate(scene, VIEW, projection, 0, ("here",), occlusion=True).occluded.tolist() == [False]
    as_bone = Patient("balls", scene.patient.hu, scene.patient.affine, np.where(
        scene.patient.labels == 31, np.uint8(anatomy.VERTEBRAE), scene.patient.labels), scene.patient.landmarks)
    assert annotate(Scene(as_bone), VIEW, projection, 0, ("here",), occlusion=True).occluded.tolist() == [True]


def test_ribs_that_are_named_are_still_drawn_as_bone():
    ball = paint_ball(water_box(30, 2.0), (0, 0, 0), 12.0, 700, 8)
    patient = Patient("ribs", ball.hu, ball.affine, ball.labels, {}, {8: "ribs"})
    surface, = bone_surfaces(patient)
    assert surface.name == "bone" and surface.volume_mm3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.2)


def test_all_labels_can_be_drawn(tmp_path):
    labels = (np.arange(30 * 30 * 30) % 32).reshape(30, 30, 30).astype(np.uint8)
    names = {n: f"structure_{n}" for n in range(8, 32)}
    affine = np.diag([4.0, 4, 4, 1])
    picture = Picture(np.zeros(labels.shape), affine, CT_WINDOW_HU, np.full(3, 58.0), labels, {}, "all", names)
    write_planes(picture, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
