"""Heatmaps to landmarks, logits to masks."""

import numpy as np
import pytest
import torch
from manipulator_views import see

from synthex_perception.inference.heatmap import gaussian_template, heatmap_confidence, ncc, subpixel_peak
from synthex_perception.inference.postprocess import (
    PostprocessConfig,
    landmark_label,
    largest_component,
    locate,
    postprocess,
    search_region,
)
from synthex_sim import anatomy

SIGMA = 1.68


def planted(shape, column, row, sigma=SIGMA):
    x, y = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    return np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2)).astype(np.float32)


# -- NCC: the values that the paper's 0.9 means (template sigma 5, 50 x 50; facts 2.2) ------------------------------
@pytest.mark.parametrize(("shift", "expected"), [(3, 0.901), (4, 0.831)])
def test_ncc_of_a_displaced_peak(shift, expected):
    value = ncc(gaussian_template(50, 5.0), gaussian_template(50, 5.0, (shift, 0)))
    assert value == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("sigma", "expected"), [(3, 0.883), (4, 0.976), (7, 0.948), (8, 0.905), (10, 0.822)])
def test_ncc_of_another_width(sigma, expected):
    assert ncc(gaussian_template(50, 5.0), gaussian_template(50, float(sigma))) == pytest.approx(expected, abs=2e-3)


def test_ncc_is_at_most_n_minus_1_over_n_and_blind_to_scale_and_offset():
    template = gaussian_template(50, 5.0)
    assert ncc(template, 3.0 * template + 7.0) == pytest.approx(2499 / 2500, abs=1e-6)
    assert ncc(template, np.zeros_like(template)) == 0.0


# -- landmarks ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("point", [(40.0, 30.0), (40.37, 30.21), (12.5, 50.49), (63.0, 20.3)])
def test_a_planted_gaussian_is_found_to_a_tenth_of_a_pixel(point):
    found = locate(planted((64, 64), *point), np.ones((64, 64), dtype=bool))
    assert np.hypot(found[0] - point[0], found[1] - point[1]) < 0.1


def test_confidence_is_high_for_the_template_anywhere_and_low_for_noise():
    for point in ((32.3, 31.8), (1.2, 60.0)):
        assert heatmap_confidence(planted((64, 64), *point), point, SIGMA) > 0.95
    noise = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    row, column = np.unravel_index(noise.argmax(), noise.shape)
    assert heatmap_confidence(noise, subpixel_peak(noise, column, row), SIGMA) < 0.5


def test_search_stays_in_the_structure_of_the_landmark():
    heatmap = planted((64, 64), 50.0, 10.0) + 0.5 * planted((64, 64), 20.0, 40.0)
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[35:45, 15:25] = anatomy.LEFT_FEMUR
    region = search_region(mask, anatomy.LEFT_FEMUR, 2)
    assert locate(heatmap, region) == pytest.approx((20.0, 40.0), abs=0.05)
    assert locate(heatmap, search_region(mask, anatomy.RIGHT_FEMUR, 2)) is None


def test_a_landmark_on_the_border_of_its_structure_is_within_the_margin():
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:, :30] = anatomy.MANIPULATOR
    assert search_region(mask, anatomy.MANIPULATOR, 3)[10, 32]
    assert not search_region(mask, anatomy.MANIPULATOR, 3)[10, 34]


@pytest.mark.parametrize(
    ("name", "label"),
    [("FH-l", anatomy.LEFT_FEMUR), ("FH-r", anatomy.RIGHT_FEMUR), ("ASIS-l", anatomy.LEFT_HEMIPELVIS),
     ("IOF-r", anatomy.RIGHT_HEMIPELVIS), ("CM-base", anatomy.MANIPULATOR), ("CM-tip", anatomy.MANIPULATOR)],
)
def test_each_landmark_belongs_to_its_structure(name, label):
    assert landmark_label(name) == label


def test_every_session_landmark_has_a_structure_and_others_are_refused():
    assert {landmark_label(name) for name in anatomy.SESSION_LANDMARKS} == {1, 2, 5, 6, 7}
    with pytest.raises(ValueError, match="names no side"):
        landmark_label("sternum")


# -- whole output ---------------------------------------------------------------------------------------------------
def network_output(labels, points, sigma=SIGMA):
    """Confident logits of a (h, w) label image and planted heatmaps {name: (column, row) on the heatmap}."""
    logits = torch.full((8, *labels.shape), -4.0)
    logits.scatter_(0, torch.from_numpy(labels[None].astype(np.int64)), 4.0)
    heatmaps = torch.zeros(16, *labels.shape)
    for name, point in points.items():
        heatmaps[anatomy.SESSION_LANDMARKS.index(name)] = torch.from_numpy(planted(labels.shape, *point, sigma))
    return logits, heatmaps


def run(labels, points, config=PostprocessConfig(), sigma=SIGMA):
    return postprocess(*network_output(labels, points, sigma), (2 * labels.shape[0], 2 * labels.shape[1]), SIGMA,
                       anatomy.LABEL_NAMES, anatomy.SESSION_LANDMARKS, config)


def test_heatmap_pixels_become_image_pixels_by_the_half_pixel_rule():
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[20:50, 20:50] = anatomy.LEFT_HEMIPELVIS
    found = run(labels, {"ASIS-l": (30.0, 40.0)})
    point, confidence, visible = found.landmark("ASIS-l")
    assert point == pytest.approx([60.5, 80.5], abs=0.05)
    assert confidence > 0.95 and visible
    assert found.mask.shape == (128, 128) and found.mask.dtype == np.uint8
    assert found.mask[60, 60] == anatomy.LEFT_HEMIPELVIS and found.mask[10, 10] == 0


def test_a_landmark_without_its_structure_is_not_a_number_and_not_visible():
    found = run(np.zeros((64, 64), dtype=np.uint8), {"ASIS-l": (30.0, 40.0)})
    point, confidence, visible = found.landmark("ASIS-l")
    assert np.isnan(point).all() and confidence == 0.0 and not visible


def test_a_heatmap_that_does_not_look_like_its_template_is_not_visible():
    labels = np.full((64, 64), anatomy.LEFT_HEMIPELVIS, dtype=np.uint8)
    assert not run(labels, {"ASIS-l": (30.0, 40.0)}, PostprocessConfig(0.9), sigma=6.0).landmark("ASIS-l")[2]


def test_only_the_largest_piece_of_manipulator_stays_and_small_ones_become_what_they_cover():
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[40:, :] = anatomy.LEFT_FEMUR
    labels[10:14, 10:40] = anatomy.MANIPULATOR
    labels[50:52, 50:52] = anatomy.MANIPULATOR
    logits, heatmaps = network_output(labels, {})
    logits[anatomy.LEFT_FEMUR, 40:] = 3.0
    found = postprocess(logits, heatmaps, (128, 128), SIGMA, anatomy.LABEL_NAMES, anatomy.SESSION_LANDMARKS)
    assert found.mask[24, 50] == anatomy.MANIPULATOR
    assert found.mask[102, 102] == anatomy.LEFT_FEMUR
    assert found.manipulator_confidence > 0.9


def test_a_few_pixels_are_no_manipulator():
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[10:12, 10:13] = anatomy.MANIPULATOR
    found = run(labels, {"CM-tip": (11.0, 11.0)})
    assert found.pixels_of(anatomy.MANIPULATOR) == 0
    assert found.manipulator_confidence == 0.0
    assert not found.landmark("CM-tip")[2]


def test_largest_component_joins_diagonal_neighbours_and_accepts_emptiness():
    region = np.eye(8, dtype=bool)
    region[0, 7] = True
    assert largest_component(region).sum() == 8
    assert not largest_component(np.zeros((4, 4), dtype=bool)).any()


# -- the manipulator followed through the image -----------------------------------------------------------------------
def followed(seen, tip_px, config=PostprocessConfig()):
    """Detections whose network marks body and shaft alike, and a base in the middle of the body."""
    labels = np.zeros((128, 128), dtype=np.uint8)
    labels[:, :64] = anatomy.LEFT_FEMUR
    line = np.linspace(seen.tip_px, 2.5 * seen.base_px - 1.5 * seen.tip_px, 200) / 2.0
    for column, row in np.round(line).astype(int):
        labels[row - 1 : row + 2, column - 1 : column + 2] = anatomy.MANIPULATOR
    points = {"CM-tip": (tip_px - 0.5) / 2.0, "CM-base": (seen.base_px + seen.tip_px - 1.0) / 4.0}
    logits, heatmaps = network_output(labels, points)
    logits[anatomy.LEFT_FEMUR, :, :64] = 3.0
    return postprocess(logits, heatmaps, (256, 256), SIGMA, anatomy.LABEL_NAMES, anatomy.SESSION_LANDMARKS, config,
                       seen.attenuation)


def test_the_base_is_where_the_slits_end_and_the_mask_ends_there():
    seen = see()
    found = followed(seen, seen.tip_px)
    base, confidence, visible = found.landmark("CM-base")
    assert visible and confidence > 0.6 and np.hypot(*(base - seen.base_px)) < 2.5
    mask = found.mask == anatomy.MANIPULATOR
    assert 2 * (mask & seen.mask).sum() / (mask.sum() + seen.mask.sum()) > 0.85
    shaft = np.round(1.6 * seen.base_px - 0.6 * seen.tip_px).astype(int)
    assert found.mask[shaft[1], shaft[0]] == (anatomy.LEFT_FEMUR if shaft[0] < 128 else anatomy.BACKGROUND)
    assert 5.0 < found.tip_width_px < 9.0 and 5.0 < found.base_width_px < 9.0


def test_a_tip_at_which_the_tube_goes_on_is_not_visible_and_neither_is_a_base():
    seen = see()
    found = followed(seen, 0.4 * seen.base_px + 0.6 * seen.tip_px)
    assert not found.landmark("CM-tip")[2]
    base, confidence, visible = found.landmark("CM-base")
    assert np.isnan(base).all() and confidence == 0.0 and not visible and np.isnan(found.tip_width_px)


def test_a_base_that_is_not_sure_is_not_visible_and_the_networks_mask_stays():
    seen = see(noise=0.3)
    found = followed(seen, seen.tip_px)
    base, confidence, visible = found.landmark("CM-base")
    assert found.landmark("CM-tip")[2] and not visible and 0.0 < confidence < 0.6 and np.isfinite(base).all()
    assert found.pixels_of(anatomy.MANIPULATOR) > 1.5 * seen.mask.sum()
