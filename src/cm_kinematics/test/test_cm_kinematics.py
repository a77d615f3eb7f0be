"""The pin chain and the spline give the numbers that the public sources give."""

import time

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from cm_kinematics import joint_spline, kinematics


@pytest.mark.parametrize(("degrees", "x", "y"), [
    (1.0, 8.21, 32.61), (2.0, 15.45, 28.74), (2.5, 18.44, 26.02), (3.0, 20.89, 22.90), (5.0, 24.60, 8.71)])
def test_constant_angle_puts_the_tip_where_the_reference_does(geometry, degrees, x, y):
    tip = kinematics.tip_point(geometry, np.full(27, np.deg2rad(degrees)))
    np.testing.assert_allclose(tip - [0, geometry.first_hinge_mm, 0], [x, y, 0], atol=0.02)


def test_zero_angles_give_a_straight_device(geometry):
    poses = kinematics.segment_poses(geometry, np.zeros(27))
    np.testing.assert_array_equal(poses[:, :3, :3], np.broadcast_to(np.eye(3), (28, 3, 3)))
    np.testing.assert_allclose(poses[:, 1, 3], geometry.segment_origins_mm, atol=1e-12)
    np.testing.assert_allclose(kinematics.base_point(geometry), [0, 35.0, 0])
    np.testing.assert_allclose(kinematics.tip_point(geometry, np.zeros(27)), [0, 70.0, 0], atol=1e-9)


def test_a_single_hinge_turns_all_behind_it_about_itself(geometry):
    angles = np.zeros(27)
    angles[9] = np.pi / 2
    tip = kinematics.tip_point(geometry, angles)
    hinge = geometry.hinges_mm[9]
    np.testing.assert_allclose(tip, [geometry.length_mm - hinge, hinge, 0], atol=1e-9)


def test_the_chain_is_rigid_planar_and_keeps_hinge_distances(geometry):
    angles = np.random.default_rng(0).normal(0, 0.1, (50, 27))
    poses = kinematics.segment_poses(geometry, angles)
    rotations = poses[..., :3, :3]
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2), np.broadcast_to(np.eye(3), rotations.shape),
                               atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)
    assert (poses[..., 2, 3] == 0).all()
    steps = np.linalg.norm(np.diff(poses[:, 1:, :3, 3], axis=1), axis=-1)
    np.testing.assert_allclose(steps, np.broadcast_to(geometry.hinge_pitches_mm, steps.shape), atol=1e-9)


def test_three_degrees_a_joint_bend_on_a_radius_of_23_mm(geometry):
    points = kinematics.segment_poses(geometry, np.full(27, np.deg2rad(3.0)))[1:, :2, 3]
    # A circle through points: x^2 + y^2 = 2 a x + 2 b y + c, least squares.
    a, b, c = np.linalg.lstsq(np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(1), rcond=None)[0]
    assert np.sqrt(c + a * a + b * b) == pytest.approx(69.3 / 3, abs=0.5)


def test_a_batch_equals_its_shapes_one_by_one(geometry):
    angles = np.random.default_rng(1).normal(0, 0.05, (2, 3, 27))
    batch = kinematics.centreline(geometry, angles)
    assert batch.shape == (2, 3, 29, 3)
    np.testing.assert_allclose(batch[1, 2], kinematics.centreline(geometry, angles[1, 2]))
    np.testing.assert_allclose(batch[1, 2, -1], kinematics.tip_point(geometry, angles[1, 2]))


def test_ten_thousand_shapes_take_less_than_half_a_second(geometry):
    angles = np.random.default_rng(2).normal(0, 0.05, (10_000, 27))
    started = time.perf_counter()
    kinematics.segment_poses(geometry, angles)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("angles", [np.zeros(26), np.zeros(28), np.float64(0), np.full(27, np.nan)])
def test_wrong_angles_are_refused(geometry, angles):
    with pytest.raises(ValueError, match="joint angles must"):
        kinematics.segment_poses(geometry, angles)


def test_tendon_and_shape_are_inverse_and_positive_bends_towards_plus_x(geometry):
    tendon = np.linspace(-3.5, 3.5, 7)
    angles = kinematics.joint_angles_from_tendon(geometry, tendon)
    np.testing.assert_allclose(kinematics.tendon_from_joint_angles(geometry, angles), tendon, atol=1e-12)
    assert kinematics.tip_point(geometry, angles)[-1, 0] > 10
    # 88 degrees of bend at 2.45 mm take 3.8 mm of tendon.
    closed = np.full(27, np.deg2rad(88) / 27)
    assert kinematics.tendon_from_joint_angles(geometry, closed) == pytest.approx(3.8, abs=0.05)


# -- the spline ------------------------------------------------------------------------------------------------------
KNOTS = 26 * np.arange(1, 6) / 6


def test_the_spline_is_the_natural_one_inside_its_knots():
    control = np.array([1.0, -2.0, 3.0, 0.5, 2.0])
    angles = np.rad2deg(joint_spline.joint_angles(control))
    inside = np.arange(5, 22)
    np.testing.assert_allclose(angles[inside - 1], CubicSpline(KNOTS, control, bc_type="natural")(inside), atol=1e-12)


def test_the_spline_continues_straight_outside_its_knots():
    control = np.array([1.0, -2.0, 3.0, 0.5, 2.0])
    angles = np.rad2deg(joint_spline.joint_angles(control))
    spline = CubicSpline(KNOTS, control, bc_type="natural")
    assert angles[0] == pytest.approx(control[0] + spline(KNOTS[0], 1) * (1 - KNOTS[0]))
    assert angles[26] == pytest.approx(control[4] + spline(KNOTS[4], 1) * (27 - KNOTS[4]))


def test_a_line_through_the_knots_stays_that_line():
    angles = np.rad2deg(joint_spline.joint_angles(0.2 * KNOTS - 1))
    np.testing.assert_allclose(angles, 0.2 * np.arange(1, 28) - 1, atol=1e-12)


def test_shift_one_gives_joint_j_the_angle_of_joint_j_minus_one():
    control = np.random.default_rng(3).normal(0, 2.5, (4, 5))
    plain, shifted = joint_spline.joint_angles(control), joint_spline.joint_angles(control, shift=1)
    np.testing.assert_allclose(shifted[:, 1:], plain[:, :-1], atol=1e-12)


def test_sampling_with_2_5_degrees_bends_as_measured_on_the_published_sampler():
    control = np.random.default_rng(0).normal(0.0, 2.5, (20_000, 5))
    bend = np.rad2deg(joint_spline.joint_angles(control).sum(axis=-1))
    assert bend.std() == pytest.approx(40.6, abs=0.8)
    assert (np.abs(bend) > 88).mean() == pytest.approx(0.032, abs=0.006)


@pytest.mark.parametrize("control", [3.0, [1.0]])
def test_too_few_control_angles_are_refused(control):
    with pytest.raises(ValueError, match="control angles"):
        joint_spline.joint_angles(control)
