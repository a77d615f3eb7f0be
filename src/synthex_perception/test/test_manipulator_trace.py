"""From the tip along the tube: base, width and body, against the simulator's own geometry."""

import numpy as np
import pytest
from manipulator_views import FOCAL_PX, GEOMETRY, SIZE, K, see

from synthex_perception.inference.centreline import SPACING_PX, straighten, trace_centreline
from synthex_perception.inference.manipulator_trace import body_mask, trace_manipulator
from synthex_perception.inference.notched_body import find_base
from synthex_perception.inference.tube_profile import OFFSETS_PX, DeviceSize, fit_width, tube_profile

POSES = [dict(), dict(bend_rad=1.2), dict(tilt_deg=25.0, turn_deg=100.0),
         dict(tilt_deg=-20.0, bend_rad=-0.8, roll_deg=60.0), dict(depth_mm=650.0, turn_deg=200.0),
         dict(depth_mm=850.0, roll_deg=90.0, turn_deg=-50.0)]


@pytest.mark.parametrize("pose", POSES)
def test_base_width_and_body_are_those_of_the_device(pose):
    seen = see(**pose)
    found = trace_manipulator(seen.attenuation, seen.tip_px, SIZE)
    assert found.ends_at_tip and found.base_confidence > 0.6
    assert np.hypot(*(found.base_px - seen.base_px)) < 2.5
    for width, end in ((found.base_width_px, seen.base_mm), (found.tip_width_px, seen.tip_mm)):
        assert FOCAL_PX * GEOMETRY.outer_diameter_mm / width == pytest.approx(end[2], rel=0.03)
    body = body_mask(found.body, found.tip_width_px, seen.mask.shape)
    assert 2 * (body & seen.mask).sum() / (body.sum() + seen.mask.sum()) > 0.85


def test_a_tip_that_is_two_pixels_off_changes_little():
    seen = see(bend_rad=0.6)
    found = trace_manipulator(seen.attenuation, seen.tip_px + [1.4, -1.4], SIZE)
    assert found.base_confidence > 0.6 and np.hypot(*(found.base_px - seen.base_px)) < 3.0


def test_a_place_where_the_tube_goes_on_is_no_tip():
    seen = see()
    middle = 0.5 * (seen.tip_px + seen.base_px)
    assert not trace_manipulator(seen.attenuation, middle, SIZE).ends_at_tip


def test_a_shaft_without_slits_has_no_sure_base():
    """The shaft alone, cut off 40 px behind the base: its end may pass for a tip, but no notched body follows."""
    seen = see()
    back = (seen.base_px - seen.tip_px) / np.hypot(*(seen.base_px - seen.tip_px))
    end = seen.base_px + 40.0 * back
    rows, columns = np.mgrid[:256, :256]
    cut_off = (np.stack([columns, rows], axis=2) - end) @ back < 0
    empty = see(middle_mm=(5000.0, 0.0)).attenuation
    found = trace_manipulator(np.where(cut_off, empty, seen.attenuation), end, SIZE)
    assert found is not None and found.ends_at_tip and found.base_confidence < 0.6


def test_a_body_that_the_border_cuts_has_no_sure_base():
    seen = see(turn_deg=0.0, middle_mm=(0.0, -110.0))
    assert seen.tip_px[1] > 15 and seen.base_px[1] < -10
    found = trace_manipulator(seen.attenuation, seen.tip_px, SIZE)
    assert found is not None and found.base_confidence < 0.6


def test_noise_holds_no_manipulator():
    noise = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    found = trace_manipulator(noise, np.array([120.0, 120.0]), SIZE)
    assert found is None or found.base_confidence < 0.6


def test_at_the_border_nothing_can_be_measured():
    seen = see()
    assert trace_manipulator(seen.attenuation, np.array([1.0, 128.0]), SIZE) is None


@pytest.mark.parametrize("width", [4.0, 6.73, 9.5])
def test_a_profiles_width_is_found_over_any_tissue_scale_and_noise(width):
    rng = np.random.default_rng(1)
    for shift in (-0.4, 0.0, 0.7):
        profile = 7.0 * tube_profile(OFFSETS_PX - shift, width, 2 / 3) + 3.0 - 0.2 * OFFSETS_PX
        profile += rng.normal(0, 0.05, profile.shape)
        assert fit_width(profile, 2 / 3) == pytest.approx(width, rel=0.02)


def test_what_is_darker_than_its_surroundings_is_no_tube():
    assert np.isnan(fit_width(-tube_profile(OFFSETS_PX, 7.0, 2 / 3), 2 / 3))


def test_the_centreline_stays_on_the_axis_round_a_bend():
    seen = see(bend_rad=1.3, noise=0.05)
    line = trace_centreline(seen.attenuation, seen.tip_px, 7.0, 60.0, 2 / 3)
    assert np.linalg.norm(line - seen.base_px, axis=1).min() < 0.7
    assert np.linalg.norm(np.diff(line, axis=0), axis=1) == pytest.approx(SPACING_PX, rel=0.03)
    assert straighten(seen.attenuation, line).shape == (len(line), len(OFFSETS_PX))


def test_the_more_noise_the_less_sure_is_the_base():
    sure = [trace_manipulator((s := see(noise=noise)).attenuation, s.tip_px, SIZE).base_confidence
            for noise in (0.02, 0.2)]
    assert sure[0] > 0.9 > sure[1]


def test_a_strip_too_short_says_nothing():
    assert find_base(np.ones((20, len(OFFSETS_PX))), 7.0, 2 / 3, 35 / 6) is None


def test_sizes_are_those_of_the_device_file_and_nonsense_is_refused():
    assert SIZE.outer_diameter_mm == GEOMETRY.outer_diameter_mm
    assert SIZE.inner_diameter_mm == GEOMETRY.inner_diameter_mm
    assert SIZE.body_length_mm == GEOMETRY.length_mm - GEOMETRY.flexible_start_mm
    with pytest.raises(ValueError, match="inner diameter < outer diameter"):
        DeviceSize(outer_diameter_mm=3.0)


def test_the_image_is_that_of_the_camera_matrix():
    seen = see()
    projected = K @ seen.tip_mm
    assert seen.tip_px == pytest.approx(projected[:2] / projected[2])
