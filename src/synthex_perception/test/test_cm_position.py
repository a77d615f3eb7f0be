"""The manipulator in the C-arm's frame: against simulated views of it, with a covariance that holds."""

from pathlib import Path

import numpy as np
import pytest
from cm_kinematics.geometry import load_geometry
from cm_kinematics.kinematics import base_point, tip_point
from cm_kinematics.solid import solid_pieces
from scipy import stats
from scipy.spatial.transform import Rotation

from synthex_perception.navigation.cm_position import CmPositionModel, locate_manipulator
from synthex_sim.carm.view import View
from synthex_sim.xray.tool_cpu import cast_tool

GEOMETRY = load_geometry(Path(__file__).resolve().parents[3] / "config" / "cm" / "notched_27.yaml")
K = np.array([[-1020 / (0.194 * 6), 0, 127.5], [0, 1020 / (0.194 * 6), 127.5], [0, 0, 1.0]])


def seen(rng, tilt_deg: float, bend_rad: float, depth: float):
    """(base and tip in the camera's frame mm, their pixels, area in pixels) of one pose, as the simulator shows it."""
    angles = np.full(27, bend_rad / 27)
    roll = rng.choice([0.0, 180.0])  # bends in the image plane
    turn = Rotation.from_euler("xz", [tilt_deg, rng.uniform(0, 360)], degrees=True) * Rotation.from_euler("y", roll, degrees=True)
    pose = np.eye(4)
    pose[:3, :3] = turn.as_matrix()
    middle = (base_point(GEOMETRY) + tip_point(GEOMETRY, angles)) / 2
    pose[:3, 3] = [*rng.uniform(-40, 40, 2), depth] - pose[:3, :3] @ middle
    view = View(K, np.eye(4), (256, 256), 0.194 * 6)
    coverage = cast_tool(solid_pieces(GEOMETRY, angles).transformed(pose), view, None, np.eye(4), 0.33)[1]
    ends = np.stack([base_point(GEOMETRY), tip_point(GEOMETRY, angles)]) @ pose[:3, :3].T + pose[:3, 3]
    return ends, view.project(ends)[0], coverage


@pytest.mark.parametrize("bend", [0.0, 0.7, 1.4])
def test_flat_in_the_image_plane_its_area_gives_its_depth(bend):
    """Without tilt the formula is exact but for the slits, which the mask does not show as gaps, and the ends."""
    rng = np.random.default_rng(0)
    ends, pixels, coverage = seen(rng, 0.0, bend, 760.0)
    exact = CmPositionModel(out_of_plane_sd_deg=0.0)
    found = locate_manipulator(*pixels, round(float(coverage.sum())), K, GEOMETRY, exact)
    assert found.tip_mm[2] == pytest.approx(760.0, rel=0.03)
    assert found.tip_mm == pytest.approx(ends[1], rel=0.03, abs=1.5)
    assert found.base_mm == pytest.approx(ends[0], rel=0.03, abs=1.5)


def test_the_covariance_holds_over_draws_of_what_it_assumes():
    rng = np.random.default_rng(1)
    model = CmPositionModel()
    bound, within, draws = stats.chi2.ppf(0.95, 3), 0, 150
    for _ in range(draws):
        ends, pixels, coverage = seen(
            rng, rng.normal(0, model.out_of_plane_sd_deg), rng.uniform(-1.4, 1.4), rng.uniform(650, 850))
        pixels = pixels + rng.normal(0, model.pixel_sd, (2, 2))
        area = float(coverage.sum()) * (1 + rng.normal(0, model.area_sd))
        found = locate_manipulator(*pixels, max(1, round(area)), K, GEOMETRY, model)
        error = ends[1] - found.tip_mm
        within += error @ np.linalg.solve(found.tip_covariance, error) < bound
    assert 0.90 * draws <= within <= 0.985 * draws


def test_it_is_sharp_across_the_beam_and_vague_along_it():
    found = locate_manipulator((110, 120), (150, 130), 230, K, GEOMETRY)
    sd = np.sqrt(np.diag(found.tip_covariance))
    assert sd[0] < 6 and sd[1] < 6 and sd[2] > 30


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="mask is empty"):
        locate_manipulator((1, 1), (2, 2), 0, K, GEOMETRY)
    with pytest.raises(ValueError, match="finite"):
        locate_manipulator((1, np.nan), (2, 2), 100, K, GEOMETRY)
