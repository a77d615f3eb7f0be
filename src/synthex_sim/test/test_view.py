"""View: projection, rays and other people's cameras."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from synthex_sim.carm.view import View

SHARED_GOLDEN = Path(__file__).parent / "data" / "deepdrr_geometry.json"
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


@given(st.lists(st.floats(-80, 80), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_other_conventions_round_trip_and_agree(point):
    view = a_view()
    pixel, _ = view.project(point)
    for other in (
        View.from_krt(*view.to_krt(), view.shape, view.pixel_spacing_mm),
        View.from_deepfluoro(*view.to_deepfluoro(), view.shape, view.pixel_spacing_mm),
        View.from_deepdrr(*view.to_deepdrr(), view.shape, view.pixel_spacing_mm),
        view.mirrored().mirrored(),
    ):
        assert other.project(point)[0] == pytest.approx(pixel, abs=1e-7)


def test_deepfluoro_formula_gives_our_pixel():
    """q = K (E X), (col, row) = q / q_z in DeepFluoro's frame (z from the detector to the source)."""
    view = a_view()
    k, e = view.to_deepfluoro()
    point = np.array([20.0, -30.0, 15.0, 1.0])
    q = k @ (e @ point)[:3]
    assert k[0, 0] < 0 and k[1, 1] < 0 and (e @ point)[2] < 0
    assert view.project(point[:3])[0] == pytest.approx(q[:2] / q[2])


def test_deepdrr_golden_matrices_are_reproduced_after_the_half_pixel():
    golden = json.loads(SHARED_GOLDEN.read_text())
    seen = 0
    for entry in golden.values():
        if "px_of_world_10_20_30" not in entry or "P" not in entry:
            continue
        extrinsics = np.asarray(entry["camera3d_from_world"])
        k = np.asarray(entry["P"])[:, :3] @ np.linalg.inv(extrinsics[:3, :3])
        k[np.abs(k) < 1e-2] = 0
        rotation = np.linalg.svd(extrinsics[:3, :3])
        extrinsics[:3, :3] = rotation.U @ rotation.Vh
        view = View.from_deepdrr(k / k[2, 2], extrinsics, (1536, 1536), 0.194)
        assert view.project([10, 20, 30])[0] + 0.5 == pytest.approx(entry["px_of_world_10_20_30"], abs=0.01)
        assert view.source == pytest.approx(entry["source"], abs=1e-3)
        seen += 1
    assert seen >= 6


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


@pytest.mark.parametrize(("change", "reason"), [
    ({"intrinsics": np.zeros((3, 3))}, "focal"),
    ({"world_to_camera": np.diag([2.0, 2.0, 2.0, 1.0])}, "rigid"),
    ({"world_to_camera": np.diag([-1.0, 1.0, 1.0, 1.0])}, "rigid"),
    ({"shape": (0, 5)}, "shape"),
    ({"pixel_spacing_mm": -1.0}, "spacing"),
])
def test_impossible_views_are_refused_with_the_reason(change, reason):
    arguments = {"intrinsics": K, "world_to_camera": np.eye(4), "shape": (8, 8), "pixel_spacing_mm": 1.0} | change
    with pytest.raises(ValueError, match=reason):
        View(**arguments)
