"""The solid has the published slits and plates, the volume of its formula, and no overlap."""

import dataclasses

import numpy as np
import pytest

from cm_kinematics import solid
from cm_kinematics.kinematics import segment_poses


@pytest.fixture(scope="module")
def straight(geometry):
    return solid.solid_pieces(geometry, np.zeros(27))


def gaps_along(pieces: solid.TubePieces, x: float) -> np.ndarray:
    """(n, 2) start and end of the gaps on the line (x, 35..69.9, 0), in mm, to 1 um."""
    y = np.arange(35.0, 69.9, 0.001)
    inside = pieces.contains(np.column_stack([np.full_like(y, x), y, np.zeros_like(y)]))
    edges = np.flatnonzero(np.diff(inside.astype(int)))
    return y[edges + 1].reshape(-1, 2)


@pytest.mark.parametrize("x", [-2.5, 2.5])
def test_each_side_has_14_slits_of_the_published_width(geometry, straight, x):
    gaps = gaps_along(straight, x)
    assert len(gaps) == 14
    np.testing.assert_allclose(gaps[:, 1] - gaps[:, 0], geometry.slit_width_mm, atol=0.002)


def test_the_first_slit_is_on_minus_x_just_behind_the_solid_shaft(straight):
    first, second = gaps_along(straight, -2.5)[0], gaps_along(straight, 2.5)[0]
    np.testing.assert_allclose(first, [35.2, 35.53], atol=0.01)
    assert second[0] - first[0] == pytest.approx(1.33, abs=0.01)


@pytest.mark.parametrize("x", [-2.5, 2.5])
def test_plates_taper_from_2_32_to_1_93_mm(straight, x):
    gaps = gaps_along(straight, x)
    heights = gaps[1:, 0] - gaps[:-1, 1]
    assert heights[0] == pytest.approx(2.32, abs=0.03)
    assert heights[-1] == pytest.approx(1.93, abs=0.01)
    assert (np.diff(heights) < 0.003).all()


def test_the_notched_body_begins_at_the_flexible_start_and_ends_at_the_tip(geometry, straight):
    body = straight.only_notched()
    starts = body.y_start_mm + body.poses[:, 1, 3]
    ends = body.y_end_mm + body.poses[:, 1, 3]
    assert starts.min() == pytest.approx(35.0)
    assert ends.max() == pytest.approx(70.0)
    assert len(straight) - len(body) == 1


def test_neighbours_do_not_overlap_when_straight(straight):
    points = np.random.default_rng(0).uniform([-3, 0, -3], [3, 70, 3], (100_000, 3))
    assert straight.membership(points).sum(axis=-1).max() == 1


@pytest.mark.parametrize("degrees", [0.0, 2.0])
def test_monte_carlo_volume_is_the_analytic_one(geometry, degrees):
    pieces = solid.solid_pieces(dataclasses.replace(geometry, shaft_extension_mm=0.0), np.full(27, np.deg2rad(degrees)))
    low, high = np.array([-3.5, -1.0, -3.5]), np.array([20.0, 71.0, 3.5])
    points = np.random.default_rng(1).uniform(low, high, (300_000, 3))
    hits = pieces.contains(points).mean()
    volume, error = hits * np.prod(high - low), np.sqrt(hits / len(points)) * np.prod(high - low)
    # Bent, neighbouring halves overlap by slivers in the plane x = 0 (well under 1 %).
    assert volume == pytest.approx(pieces.volumes_mm3.sum(), abs=4 * error + (0.01 * volume if degrees else 0))


def test_the_volume_is_that_of_a_tube_less_28_half_slits(geometry, straight):
    ring = np.pi * (3.0**2 - 2.0**2)
    length = geometry.shaft_extension_mm + 70.0
    assert straight.volumes_mm3.sum() == pytest.approx(ring * (length - 28 * 0.33 / 2))


def test_the_shaft_goes_on_behind_its_proximal_end_and_moves_nothing(geometry):
    short = solid.solid_pieces(dataclasses.replace(geometry, shaft_extension_mm=0.0), np.full(27, 0.02))
    long = solid.solid_pieces(dataclasses.replace(geometry, shaft_extension_mm=150.0), np.full(27, 0.02))
    np.testing.assert_array_equal(short.poses, long.poses)
    wall = np.array([[2.5, -149.9, 0.0], [2.5, -0.1, 0.0], [2.5, -150.1, 0.0], [0.0, -75.0, 0.0]])
    assert long.contains(wall).tolist() == [True, True, False, False]
    assert not short.contains(wall).any()
    assert len(short.only_notched()) == len(long.only_notched())


def test_a_bend_of_a_side_narrows_its_slits(geometry):
    bent = solid.solid_pieces(geometry, np.full(27, np.deg2rad(2.0)))
    pose = segment_poses(geometry, np.full(27, np.deg2rad(2.0)))[14]
    # The two hinges beside a slit turn by 2 degrees each: at x = 2.5 mm, concave, it loses 2.5 mm * 4 deg = 0.17 mm.
    y = np.arange(-1.2, 3.5, 0.0005)
    local = np.column_stack([np.full_like(y, 2.5), y, np.zeros_like(y), np.ones_like(y)])
    inside = bent.contains((local @ pose.T)[:, :3])
    edges = y[np.flatnonzero(np.diff(inside.astype(int)))]
    end = bent.y_end_mm[(bent.side == 1) & np.isclose(bent.poses[:, :3, 3], pose[:3, 3]).all(axis=1)][0]
    start = edges[edges > end + 0.01][0]
    assert start - end == pytest.approx(0.33 - 2.5 * np.deg2rad(4.0), abs=0.02)


def test_transformed_moves_the_body_as_a_whole(geometry):
    angles = np.random.default_rng(2).normal(0, 0.05, 27)
    pieces = solid.solid_pieces(geometry, angles)
    move = np.array([[0, -1, 0, 10], [1, 0, 0, -20], [0, 0, 1, 30], [0, 0, 0, 1.0]])
    points = np.random.default_rng(3).uniform([-10, 30, -3], [10, 70, 3], (20_000, 3))
    moved = points @ move[:3, :3].T + move[:3, 3]
    np.testing.assert_array_equal(pieces.transformed(move).contains(moved), pieces.contains(points))


def test_bounding_spheres_hold_their_pieces(geometry):
    pieces = solid.solid_pieces(geometry, np.full(27, 0.03))
    points = np.random.default_rng(4).uniform([-4, 0, -4], [25, 70, 4], (50_000, 3))
    centres, radii = pieces.bounding_spheres()
    distance = np.linalg.norm(points[:, None] - centres, axis=-1)
    assert (~pieces.membership(points) | (distance <= radii)).all()


def test_a_batch_of_shapes_is_refused(geometry):
    with pytest.raises(ValueError, match="one shape"):
        solid.solid_pieces(geometry, np.zeros((2, 27)))


def test_the_arrays_cannot_be_changed(straight):
    with pytest.raises(ValueError):
        straight.poses[0, 0, 0] = 5.0
