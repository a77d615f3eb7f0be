"""The manipulator in the C-arm's frame: against simulated views of it, with a covariance that holds."""

import math

import numpy as np
import pytest
from manipulator_views import FOCAL_PX, GEOMETRY, K, see
from scipy import stats

from synthex_perception.navigation.cm_position import CmPositionModel, SeenManipulator, locate_manipulator


def draw(rng, tilt_sd_deg: float):
    """A view of the device: tilted out of the image plane, bent in it."""
    return see(
        rng.normal(0, tilt_sd_deg), rng.uniform(-1.4, 1.4), rng.uniform(650, 850), rng.uniform(0, 360), 0.0,
        rng.uniform(-40, 40, 2), rng.choice([0.0, 180.0]))


def test_a_measured_depth_puts_both_ends_where_they_are():
    seen = see(tilt_deg=25.0, bend_rad=0.5, turn_deg=70.0, middle_mm=(30.0, -20.0))
    found = locate_manipulator(
        SeenManipulator(seen.base_px, seen.tip_px, 0, seen.base_mm[2], seen.tip_mm[2]), K, GEOMETRY)
    assert found.base_mm == pytest.approx(seen.base_mm, abs=1e-6)
    assert found.tip_mm == pytest.approx(seen.tip_mm, abs=1e-6)


def test_the_covariances_hold_over_draws_of_what_they_assume():
    rng, model, draws = np.random.default_rng(0), CmPositionModel(), 400
    bound, within = stats.chi2.ppf(0.95, 3), np.zeros(2)
    for _ in range(draws):
        ends_px, depths = rng.uniform(60, 190, (2, 2)), rng.uniform(650, 850, 2)
        along = (ends_px[1] - ends_px[0]) / np.linalg.norm(ends_px[1] - ends_px[0])
        across = np.array([-along[1], along[0]])
        truth = np.column_stack([ends_px, np.ones(2)]) @ np.linalg.inv(K).T * depths[:, None]
        base = ends_px[0] + along * rng.normal(0, model.base_along_sd_px)
        base += across * rng.normal(0, model.base_across_sd_px)
        tip = ends_px[1] + rng.normal(0, model.tip_sd_px, 2)
        measured = depths * (1 + rng.normal(0, model.depth_sd, 2))
        found = locate_manipulator(SeenManipulator(base, tip, 0, *measured), K, GEOMETRY, model)
        errors = truth[0] - found.base_mm, truth[1] - found.tip_mm
        for i, covariance in enumerate((found.base_covariance, found.tip_covariance)):
            within[i] += errors[i] @ np.linalg.solve(covariance, errors[i]) < bound
    assert (within >= 0.92 * draws).all() and (within <= 0.98 * draws).all(), within


def test_the_base_is_less_sure_along_the_device_than_across_it():
    seen = SeenManipulator(np.array([100.0, 128.0]), np.array([140.0, 128.0]), 0, 760.0, 760.0)
    sd = np.sqrt(np.diag(locate_manipulator(seen, K, GEOMETRY).base_covariance))
    assert sd[:2] == pytest.approx([2.0 * 760 / FOCAL_PX, 1.0 * 760 / FOCAL_PX], rel=0.1)
    assert sd[2] == pytest.approx(0.016 * 760, rel=0.02)


# -- without measured depths ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bend", [0.0, 0.7, 1.4])
def test_flat_in_the_image_plane_its_area_gives_its_depth(bend):
    """Without tilt the formula is exact but for the slits, which the mask does not show as gaps, and the ends."""
    seen = see(bend_rad=bend, noise=0.0)
    exact = CmPositionModel(out_of_plane_sd_deg=0.0)
    for depths in ((), (math.nan, 760.0)):
        found = locate_manipulator(
            SeenManipulator(seen.base_px, seen.tip_px, int(seen.mask.sum()), *depths), K, GEOMETRY, exact)
        assert found.tip_mm[2] == found.base_mm[2] == pytest.approx(760.0, rel=0.04)
        assert found.tip_mm == pytest.approx(seen.tip_mm, rel=0.04, abs=1.5)
        assert found.base_mm == pytest.approx(seen.base_mm, rel=0.04, abs=1.5)


def test_the_covariance_of_the_area_holds_over_draws_of_what_it_assumes():
    rng, model = np.random.default_rng(1), CmPositionModel()
    bound, within, draws = stats.chi2.ppf(0.95, 3), 0, 100
    for _ in range(draws):
        seen = draw(rng, model.out_of_plane_sd_deg)
        tip = seen.tip_px + rng.normal(0, model.tip_sd_px, 2)
        area = seen.mask.sum() * (1 + rng.normal(0, model.area_sd))
        found = locate_manipulator(SeenManipulator(seen.base_px, tip, max(1, round(area))), K, GEOMETRY, model)
        error = seen.tip_mm - found.tip_mm
        within += error @ np.linalg.solve(found.tip_covariance, error) < bound
    assert 0.88 * draws <= within <= 0.99 * draws


def test_it_is_sharp_across_the_beam_and_vague_along_it():
    seen = SeenManipulator(np.array([110.0, 120.0]), np.array([150.0, 130.0]), 230)
    sd = np.sqrt(np.diag(locate_manipulator(seen, K, GEOMETRY).tip_covariance))
    assert sd[0] < 6 and sd[1] < 6 and sd[2] > 30


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="mask is empty"):
        locate_manipulator(SeenManipulator(np.array([1.0, 1.0]), np.array([2.0, 2.0]), 0), K, GEOMETRY)
    with pytest.raises(ValueError, match="finite"):
        locate_manipulator(SeenManipulator(np.array([1.0, np.nan]), np.array([2.0, 2.0]), 100), K, GEOMETRY)
