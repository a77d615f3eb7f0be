"""View: projection, rays and other people's cameras."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from synthex_sim.carm.view import View

K = np.array([[-5257.732, 0, 767.5], [0, 5257.732, 767.5], [0, 0, 1.0]])


def a_view(rotvec=(0.1, -0.2, 0.3), translation=(10.0, -20.0, 700.0), shape=(1536, 1536)):
    return View.from_krt(K, Rotation.from_rotvec(rotvec).as_matrix(), translation, shape, 0.194)


def test_worked_deepfluoro_pixel():
    """FH-l of specimen 17-1882, projection 000: camera (91.46, 50.36, -753.95) mm, pixel (1405.3, 1118.7)."""
    extrinsic = np.array([
        [0.0014173903, 5.7733e-6, 0.9999990958, -157.5822163],
        [-0.9999907609, -0.0040758358, 0.0014174006, -2.6757496],
        [0.0040758414, -0.9999918324, 0.0, -631.7764690],
        [0, 0, 0, 1.0],
    ])
    cam_to_volume = np.array([
        [0.16417126, -0.137650, 0.9767806, -124.5839],
        [-0.016588, -0.990461, -0.136789, 191.90346],
        [0.9862925, 0.0062534, -0.164888, -848.7315],
        [0, 0, 0, 1.0],
    ])
    intrinsic = np.array([[-5257.732, 0, 767.5], [0, -5257.732, 767.5], [0, 0, 1.0]])
    rotation = np.linalg.svd(extrinsic[:3, :3])
    extrinsic[:3, :3] = rotation.U @ rotation.Vh
    femoral_head = np.linalg.inv(cam_to_volume) @ np.array([93.2263, 37.9197, -941.5, 1.0])
    view = View.from_deepfluoro(intrinsic, extrinsic, (1536, 1536), 0.194)
    pixel, depth = view.project(femoral_head[:3])
    assert pixel == pytest.approx([1405.3, 1118.7], abs=0.15)
    assert depth == pytest.approx(753.95, abs=0.05)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.lists(st.floats(-80, 80), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_a_ray_through_a_points_pixel_passes_through_the_point(rotvec, point):
    view = a_view(rotvec, (5.0, -8.0, 800.0))
    pixel, depth = view.project(point)
    source, direction = view.ray(pixel)
    along = (np.asarray(point) - source) @ direction
    assert np.linalg.norm(source + along * direction - point) < 1e-8
    assert depth == pytest.approx(float(view.world_to_camera[2, :3] @ point + view.world_to_camera[2, 3]))


vectors = st.lists(st.floats(-1, 1), min_size=3, max_size=3)


@st.composite
def views(draw):
    """Any detector, square or not, the central ray off its middle, seen from the source or from the detector."""
    rows, columns = draw(st.integers(2, 3000)), draw(st.integers(2, 3000))
    spacing, distance = draw(st.floats(0.05, 2.0)), draw(st.floats(300.0, 2000.0))
    focal = distance / spacing
    k = np.array([[draw(st.sampled_from([-focal, focal])), 0, (columns - 1) / 2 + draw(st.floats(-300, 300))],
                  [0, focal, (rows - 1) / 2 + draw(st.floats(-300, 300))], [0, 0, 1.0]])
    rotation = Rotation.from_rotvec(np.pi * np.array(draw(vectors))).as_matrix()
    translation = (*(200.0 * np.array(draw(vectors))[:2]), draw(st.floats(200, 1500)))
    return View.from_krt(k, rotation, translation, (rows, columns), spacing)


@given(views(), vectors)
@settings(max_examples=100, deadline=None)
def test_other_conventions_round_trip_and_agree(view, point):
    point = 80.0 * np.array(point)
    pixel, depth = view.project(point)
    shape, spacing = view.shape, view.pixel_spacing_mm
    k, rotation, translation = view.to_krt()
    column, row = view.pixel_to_direction[:, 0], view.pixel_to_direction[:, 1]
    middle = view.on_detector([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    for other in (
        View.from_krt(k, rotation, translation, shape, spacing, view.source_to_detector_mm),
        View.from_deepfluoro(*view.to_deepfluoro(), shape, spacing),
        View.from_deepdrr(*view.to_deepdrr(), shape, spacing),
        View.from_projection_matrix(0.3 * view.to_projection_matrix(), shape, spacing),
        View.from_detector(view.source, middle, column, row, shape, spacing),
        view.mirrored().mirrored(),
        view.turned(40.0).turned(-40.0),
    ):
        assert other.project(point)[0] == pytest.approx(pixel, abs=1e-5)
        assert other.project(point)[1] == pytest.approx(depth, abs=1e-7)
        assert other.source == pytest.approx(view.source, abs=1e-6)
        assert other.intrinsics == pytest.approx(view.intrinsics, abs=1e-6)


@given(views(), st.tuples(st.floats(-100, 3000), st.floats(-100, 3000)))
@settings(max_examples=50, deadline=None)
def test_a_point_on_the_detector_lies_at_the_source_to_detector_distance(view, pixel):
    point = view.on_detector(pixel)
    found, depth = view.project(point)
    assert found == pytest.approx(pixel, abs=1e-6) and depth == pytest.approx(view.source_to_detector_mm)


def test_a_view_along_a_direction_has_up_up_and_is_seen_from_the_detector():
    """Coronal: from the front of a patient in LPS (y backwards), head up; his left is then at the picture's left."""
    view = View.along((0, -500, 0), (0, 1, 0), (0.3, 0.1, 1), (300, 200), 0.5, 1000.0)
    centre, head, left = (view.project(p)[0] for p in ((0, 0, 0), (0.3, 0, 1), (10, 0, 0)))
    assert centre == pytest.approx([99.5, 149.5])
    assert head[1] < centre[1] and head[0] == pytest.approx(centre[0]) and left[0] < centre[0]


def test_turning_the_detector_turns_the_picture():
    view = a_view()
    k = view.intrinsics
    before, after = (v.project([30, 10, -5])[0] - k[:2, 2] for v in (view, view.turned(90.0)))
    assert [after[0] / k[0, 0], after[1] / k[1, 1]] == pytest.approx([-before[1] / k[1, 1], before[0] / k[0, 0]])


def test_deepfluoro_formula_gives_our_pixel():
    """q = K (E X), (col, row) = q / q_z in DeepFluoro's frame (z from the detector to the source)."""
    view = a_view()
    k, e = view.to_deepfluoro()
    point = np.array([20.0, -30.0, 15.0, 1.0])
    q = k @ (e @ point)[:3]
    assert k[0, 0] < 0 and k[1, 1] < 0 and (e @ point)[2] < 0
    assert view.project(point[:3])[0] == pytest.approx(q[:2] / q[2])


def test_resizing_keeps_points_at_the_same_place_on_the_detector():
    view = a_view()
    small = view.resized((256, 256))
    pixel, _ = view.project([30, 10, -5])
    assert small.project([30, 10, -5])[0] == pytest.approx((pixel + 0.5) / 6 - 0.5)
    assert small.source_to_detector_mm == pytest.approx(view.source_to_detector_mm)


def test_mirroring_swaps_columns():
    view = a_view()
    (column, row), _ = view.project([30, 10, -5])
    assert view.mirrored().project([30, 10, -5])[0] == pytest.approx([1535 - column, row])


def test_points_behind_the_source_have_no_pixel():
    view = View.from_krt(K, np.eye(3), (0, 0, 0), (1536, 1536), 0.194)
    pixel, depth = view.project([0, 0, -10.0])
    assert np.isnan(pixel).all() and depth == -10 and not view.contains(pixel)


def test_a_detector_that_is_not_square_is_read_out_in_proportion_only():
    k = np.array([[-5000, 0, 959.5], [0, 5000, 767.5], [0, 0, 1.0]])
    view = View.from_krt(k, np.eye(3), (0, 0, 700), (1536, 1920), 0.2)
    assert view.resized((256, 320)).project([5, 9, 0])[0] == pytest.approx((view.project([5, 9, 0])[0] + 0.5) / 6 - 0.5)
    with pytest.raises(ValueError, match=r"\(256, 256\) would make pixels that are not square"):
        view.resized((256, 256))


def test_depths_tell_what_lies_behind_source_and_detector():
    view = View.from_krt(K, np.eye(3), (0, 0, 100), (1536, 1536), 0.194)
    assert view.depth_range([[0, 0, -150], [5, 9, 400], [0, 0, 1000]]) == pytest.approx((-50, 1100))


NAN = float("nan")


@pytest.mark.parametrize(("change", "reason"), [
    ({"intrinsics": np.zeros((3, 3))}, "last row 0, 0, 1"),
    ({"intrinsics": np.diag([0.0, 5000, 1])}, "not zero, got 0 and 5000 px: such a detector is edge-on"),
    ({"intrinsics": K * 2}, "divide by the lower right entry"),
    ({"intrinsics": K + [[0, 3.0, 0], [0, 0, 0], [0, 0, 0]]}, "sheared .entries 3 and 0"),
    ({"intrinsics": K + [[0, 0, 0], [3.0, 0, 0], [0, 0, 0]]}, "sheared"),
    ({"intrinsics": K * [[1, 1, 1], [1, 1.1, 1], [1, 1, 1]]}, "pixels are not square: .* resample"),
    ({"intrinsics": K + [[NAN, 0, 0], [0, 0, 0], [0, 0, 0]]}, "intrinsics must be a finite 3x3"),
    ({"world_to_camera": np.diag([2.0, 2.0, 2.0, 1.0])}, "not rigid: it scales by 2; give it in millimetres"),
    ({"world_to_camera": np.diag([-1.0, 1.0, 1.0, 1.0])}, r"not rigid but a reflection .*View.mirrored\(\)"),
    ({"world_to_camera": np.diag([1.0, 1.0, 0.0, 1.0])}, "not rigid: its rotation part is singular"),
    ({"world_to_camera": np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])}, "not perpendicular"),
    ({"world_to_camera": np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [5, 0, 0, 1.0]])}, "transposed"),
    ({"world_to_camera": np.full((4, 4), NAN)}, "world_to_camera must be a finite"),
    ({"world_to_camera": np.eye(3)}, "4x4"),
    ({"shape": (0, 5)}, "shape"),
    ({"shape": (5.5, 5)}, "whole numbers"),
    ({"pixel_spacing_mm": -1.0}, "spacing"),
    ({"pixel_spacing_mm": NAN}, "spacing"),
])
def test_impossible_views_are_refused_with_the_reason(change, reason):
    arguments = {"intrinsics": K, "world_to_camera": np.eye(4), "shape": (8, 8), "pixel_spacing_mm": 1.0} | change
    with pytest.raises(ValueError, match=reason):
        View(**arguments)


def test_a_distance_that_contradicts_k_is_refused_with_both():
    with pytest.raises(ValueError, match="is 1020.0 mm, but the source-to-detector distance is given as 1200.0 mm"):
        View.from_krt(K, np.eye(3), (0, 0, 700), (1536, 1536), 0.194, source_to_detector_mm=1200.0)


def test_an_edge_on_detector_is_refused():
    """Its plane contains the source: told by geometry and by a projection matrix alike."""
    with pytest.raises(ValueError, match="edge-on: the source at"):
        View.from_detector((0, 0, 0), (0, 0, 1000), (0, 0, 1), (0, 1, 0), (64, 64), 1.0)
    with pytest.raises(ValueError, match="no X-ray source: .* edge-on"):
        View.from_projection_matrix(np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 900]]), (64, 64), 1.0)
    with pytest.raises(ValueError, match="rows and columns must be perpendicular, .* 45.00 deg"):
        View.from_detector((0, 0, 0), (0, 0, 1000), (1, 0, 0), (1, 1, 0), (64, 64), 1.0)
    with pytest.raises(ValueError, match="up must not be parallel"):
        View.along((0, 0, 0), (0, 0, 1), (0, 0, -2), (64, 64), 1.0, 1000.0)
