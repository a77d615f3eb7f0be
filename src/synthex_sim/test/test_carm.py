"""The positioner: aiming, limits, motion, and profiles that are wrong."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_worlds import AIM, CONFIG

from synthex_sim.carm.carm import CArm, CArmJoints
from synthex_sim.carm.positioner import SPEED_DEG_S, Positioner, orbit_script


def test_zero_joints_give_an_ap_view(carm):
    """Source below, detector above; head (world +x) at the top, patient's left (world -y) at image right."""
    view = carm.view(carm.aim(AIM, 700.0, 0.0, 0.0))
    assert view.source == pytest.approx(AIM - [0, 0, 700])
    centre, _ = view.project(AIM)
    head, _ = view.project(AIM + [50, 0, 0])
    left, _ = view.project(AIM + [0, -50, 0])
    assert centre == pytest.approx([767.5, 767.5])
    assert head[1] < centre[1] - 100 and left[0] > centre[0] + 100
    assert view.source_to_detector_mm == pytest.approx(1020.0)


@given(st.floats(-40, 110), st.floats(-60, 60), st.floats(600, 900))
@settings(max_examples=40, deadline=None)
def test_aiming_puts_the_target_on_the_central_ray_at_the_wanted_distance(orbital, angular, distance):
    carm = CArm.from_yaml(CONFIG / "carm" / "cios_fusion.yaml")
    try:
        joints = carm.aim(AIM, distance, orbital, angular)
    except ValueError:
        return
    pixel, depth = carm.view(joints).project(AIM)
    assert pixel == pytest.approx([767.5, 767.5], abs=1e-6) and depth == pytest.approx(distance)


def test_the_isocentre_stays_put_when_the_arm_turns(carm):
    for orbital, angular in ((0, 0), (30, 0), (-20, 35)):
        joints = CArmJoints(lift_mm=200.0, in_out_mm=100.0, orbital_deg=orbital, angular_deg=angular)
        isocenter = carm.isocenter_pose(joints)[:3, 3]
        pixel, depth = carm.view(joints).project(isocenter)
        assert pixel == pytest.approx([767.5, 767.5]) and depth == pytest.approx(530.0)


def test_joints_outside_their_limits_are_refused_by_name(carm):
    with pytest.raises(ValueError, match="orbital_deg = 120.0 is outside"):
        carm.view(CArmJoints(in_out_mm=100.0, orbital_deg=120.0))
    with pytest.raises(ValueError, match="lift_mm"):
        carm.view(CArmJoints(lift_mm=float("nan")))


@pytest.mark.parametrize("profile", sorted(CONFIG.glob("carm/*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_profile_takes_an_ap_view_at_rest(profile):
    carm = CArm.from_yaml(profile)
    view = carm.view(carm.rest)
    assert carm.name == profile.stem and view.shape == carm.shape
    pixel, depth = view.project(carm.isocenter_pose(carm.rest)[:3, 3])
    assert pixel == pytest.approx([(carm.shape[1] - 1) / 2, (carm.shape[0] - 1) / 2])
    assert depth == pytest.approx(carm.source_to_isocenter_mm)
    assert view.source_to_detector_mm == pytest.approx(carm.source_to_detector_mm)


def test_a_detector_that_is_not_square_is_imaged_whole(carm):
    panel = replace(carm, shape=(1536, 1920))
    assert panel.image_shape(256) == (256, 320) and carm.image_shape(250) == (250, 250)
    view = panel.view(panel.aim(AIM, 700.0, 0.0, 0.0)).resized(panel.image_shape(256))
    assert view.project(AIM)[0] == pytest.approx([159.5, 127.5])
    assert view.pixel_spacing_mm == pytest.approx(6 * 0.194)
    with pytest.raises(ValueError, match="multiple of 4 rows, 252 or 256 for example, not 254"):
        panel.image_shape(254)


def test_a_target_behind_the_detector_cannot_be_aimed_at(carm):
    with pytest.raises(ValueError, match="between source and detector, 0 to 1020 mm from the source, got 1100 mm"):
        carm.aim(AIM, 1100.0, 0.0, 0.0)


def test_a_motion_takes_as_long_as_its_slowest_joint_and_ends_at_its_target(carm):
    positioner = Positioner(carm, CArmJoints(in_out_mm=100.0))
    target = CArmJoints(in_out_mm=100.0, orbital_deg=30.0, lift_mm=10.0)
    assert positioner.move(target, 5.0) == pytest.approx(30.0 / SPEED_DEG_S)
    assert positioner.is_moving(5.5) and positioner.joints(6.0).orbital_deg == pytest.approx(15.0)
    assert positioner.joints(8.0) == target and not positioner.is_moving(8.0)


def test_a_motion_faster_than_the_arm_is_refused(carm):
    positioner = Positioner(carm, CArmJoints(in_out_mm=100.0))
    target = CArmJoints(in_out_mm=100.0, orbital_deg=30.0)
    with pytest.raises(ValueError, match="needs at least 2.0 s for this motion, got 1.9 s"):
        positioner.move(target, 0.0, 1.9)
    assert not positioner.is_moving(0.1)
    assert positioner.move(target, 0.0, 2.0) == 2.0


def test_a_refused_target_leaves_the_arm_as_it_was(carm):
    positioner = Positioner(carm, CArmJoints(in_out_mm=100.0))
    with pytest.raises(ValueError, match="outside"):
        positioner.move(CArmJoints(orbital_deg=-90.0), 1.0)
    assert positioner.joints(9.0) == CArmJoints(in_out_mm=100.0)


def test_the_script_passes_its_way_points_and_ends_with_the_first_command(carm):
    script = orbit_script(carm, AIM, 780.0, [0.0, 20.0, 0.0], [0.0, 0.0, -20.0], 30.0)
    positioner = Positioner(carm, script(0.0), script)
    assert positioner.joints(10.0).orbital_deg == pytest.approx(20.0)
    assert positioner.joints(20.0).angular_deg == pytest.approx(-20.0)
    assert positioner.joints(40.0) == positioner.joints(10.0)
    positioner.move(carm.aim(AIM, 780.0, 5.0, 5.0), 10.0)
    assert positioner.joints(100.0).orbital_deg == pytest.approx(5.0)


@pytest.mark.parametrize(("change", "reason"), [
    ({"name": None, "detektor": {}}, "top level: unknown keys detektor"),
    ({"tube": {"kvp": 90}}, "tube: missing keys anode_angle_deg, anode_side, filtration_mm"),
    ({"tube": [90]}, "tube must hold the keys"),
    ({"exposure": {"mas": 0.5, "kvp": 90}}, "exposure: unknown keys kvp"),
    ({"exposure": {"mas": -1}}, "exposure: mas must be positive"),
    ({"detector": {"rows": 1536, "columns": 1536, "pixel_spacing_mm": float("nan")}}, "pixel_spacing_mm must be"),
    ({"detector": {"rows": 1536.5, "columns": 1536, "pixel_spacing_mm": 0.194}}, "rows must be a whole number"),
    ({"source_to_isocenter_mm": 2000}, "between source and detector"),
    ({"positioner": {"isocenter_height_mm": 1}}, "positioner: missing keys angular_deg"),
])
def test_a_wrong_profile_is_refused_with_the_reason(tmp_path, config_folder, change, reason):
    document = yaml.safe_load((config_folder / "carm" / "cios_fusion.yaml").read_text()) | change
    path = tmp_path / "carm.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ValueError, match=reason):
        CArm.from_yaml(path)


def test_a_file_that_is_no_yaml_or_no_mapping_is_refused_by_name(tmp_path):
    path = tmp_path / "carm.yaml"
    for text, reason in (("a: [1,", "carm.yaml is not a YAML file"), ("- 1", "must hold keys and values")):
        path.write_text(text)
        with pytest.raises(ValueError, match=reason):
            CArm.from_yaml(path)
