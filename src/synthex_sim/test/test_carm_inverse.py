"""From a source pose, a view or a beam back to joints."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sim_worlds import AIM, CONFIG

from synthex_sim.carm.carm import CArm, CArmJoints
from synthex_sim.carm.inverse import joints_from_beam, joints_from_source_pose, joints_from_view
from synthex_sim.carm.view import View

DEVICES = {name: CArm.from_yaml(CONFIG / "carm" / f"{name}.yaml") for name in ("cios_fusion", "loop_x")}
JOINTS = tuple(f.name for f in fields(CArmJoints))


@st.composite
def device_and_joints(draw):
    carm = DEVICES[draw(st.sampled_from(sorted(DEVICES)))]
    shares = draw(st.lists(st.floats(0, 1), min_size=len(JOINTS), max_size=len(JOINTS)))
    values = [low + s * (high - low) for s, (low, high) in zip(shares, (carm.limits[n] for n in JOINTS), strict=True)]
    return carm, CArmJoints(*values)


def assert_same(view: View, other: View) -> None:
    assert other.world_to_camera[:3, :3] == pytest.approx(view.world_to_camera[:3, :3], abs=2e-6)
    assert other.source == pytest.approx(view.source, abs=2e-6 * 1250)


@given(device_and_joints(), device_and_joints())
@settings(max_examples=150, deadline=None)
def test_joints_found_for_a_view_give_that_view(drawn, drawn_near):
    carm, joints = drawn
    near = drawn_near[1] if drawn_near[0] is carm else None
    view = carm.view(joints)
    found = joints_from_view(carm, view, near)
    carm.check_limits(found)
    assert_same(view, carm.view(found))


@given(device_and_joints())
@settings(max_examples=100, deadline=None)
def test_joints_near_themselves_are_found_again(drawn):
    """All redundancy (in_out, full turns, the second solution of the angles) is settled by the present joints."""
    carm, joints = drawn
    assume(abs(np.cos(np.radians(joints.angular_deg))) > 1e-3)  # there wig_wag and orbital turn about the same line
    found = joints_from_view(carm, carm.view(joints), joints)
    assert [getattr(found, n) for n in JOINTS] == pytest.approx([getattr(joints, n) for n in JOINTS], abs=1e-4)


@given(device_and_joints(), device_and_joints())
@settings(max_examples=100, deadline=None)
def test_joints_found_for_a_beam_give_that_beam_and_keep_wig_wag(drawn, drawn_near):
    carm, joints = drawn
    near = replace(drawn_near[1] if drawn_near[0] is carm else carm.rest, wig_wag_deg=joints.wig_wag_deg)
    view = carm.view(joints)
    found = joints_from_beam(carm, view.source, 3.0 * view.camera_to_world[:3, 2], near)
    carm.check_limits(found)
    assert found.wig_wag_deg == pytest.approx(joints.wig_wag_deg)
    assert carm.view(found).camera_to_world[:3, 2:] == pytest.approx(view.camera_to_world[:3, 2:], abs=1e-6)


def test_the_arm_moves_only_where_the_wheels_cannot(carm):
    view = carm.view(CArmJoints(transverse_mm=900.0, in_out_mm=150.0))
    assert joints_from_view(carm, view).in_out_mm == pytest.approx(100.0)
    narrow = replace(carm, limits=dict(carm.limits) | {"transverse_mm": (-1000.0, 920.0)})
    found = joints_from_view(narrow, view)
    assert (found.transverse_mm, found.in_out_mm) == pytest.approx((920.0, 130.0))


def test_a_view_read_out_small_or_from_a_deepfluoro_camera_is_this_devices_too(carm):
    joints = carm.aim(AIM, 700.0, 20.0, -10.0)
    view = carm.view(joints)
    for other in (view.resized((256, 256)), View.from_deepfluoro(*view.to_deepfluoro(), view.shape, 0.194)):
        assert_same(view, carm.view(joints_from_view(carm, other)))


def with_intrinsics(view: View, k: np.ndarray) -> View:
    return View(k, view.world_to_camera, view.shape, view.pixel_spacing_mm)


@pytest.mark.parametrize(("change", "reason"), [
    (lambda v: v.turned(25.0), "no joints of cios_fusion give this orientation: wig_wag_deg would have to be -25.0"),
    (lambda v: v.mirrored(), r"use view.mirrored\(\)"),
    (lambda v: with_intrinsics(v, v.intrinsics * [[1.2, 1, 1], [1, 1.2, 1], [1, 1, 1]]), "distance is 1224.0 mm"),
    (lambda v: with_intrinsics(v, v.intrinsics + [[0, 0, 40], [0, 0, 0], [0, 0, 0]]), "intrinsics"),
    (lambda v: View(v.intrinsics, v.world_to_camera, (1536, 1920), 0.194), "none of cios_fusion's detector"),
    (lambda v: v.with_world(np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 900.0], [0, 0, 0, 1]])), "lift_mm"),
])
def test_views_of_no_such_arm_are_refused_with_the_reason(carm, change, reason):
    view = change(carm.view(carm.aim(AIM, 700.0, 0.0, 0.0)))
    with pytest.raises(ValueError, match=reason):
        joints_from_view(carm, view)


def test_a_beam_out_of_reach_is_refused_by_joint(carm):
    with pytest.raises(ValueError, match="no joints of cios_fusion give this beam: orbital_deg would have to be -60.0"):
        joints_from_beam(carm, AIM, [0, np.sin(np.radians(60)), np.cos(np.radians(60))])
    with pytest.raises(ValueError, match="direction must be finite and not zero"):
        joints_from_beam(carm, AIM, [0, 0, 0])


def test_a_pose_that_is_no_pose_is_refused(carm):
    with pytest.raises(ValueError, match="source_pose is not rigid"):
        joints_from_source_pose(carm, np.diag([1.0, 1.0, 0.0, 1.0]))
