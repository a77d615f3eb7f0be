"""What the network sees: invariant to dose, quiet where nothing is, defined where detectors are dead."""

import numpy as np
import pytest
import torch

from synthex_perception.inference.preprocess import STD_FLOOR, log_transform, preprocess


def scene(dose: float = 60000.0) -> np.ndarray:
    """A flat field with a block of line integral 2 in the middle."""
    line_integral = np.zeros((64, 64))
    line_integral[20:40, 20:40] = 2.0
    return np.round(dose * np.exp(-line_integral)).astype(np.uint16)


def test_log_transform_gives_the_line_integral():
    line_integral = log_transform(torch.from_numpy(scene()[None].astype(np.float32)))[0, 0]
    assert line_integral[30, 30] == pytest.approx(2.0, abs=1e-3)
    assert line_integral[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_dose_does_not_matter():
    assert torch.allclose(preprocess(scene(60000.0)[None]), preprocess(scene(20000.0)[None]), atol=2e-3)


def test_open_field_is_not_set_by_one_bright_pixel():
    counts = np.full((64, 64), 10000, dtype=np.uint16)
    counts[5, 5] = 60000
    background = log_transform(torch.from_numpy(counts[None].astype(np.float32)))[0, 0, 40, 40]
    assert background < 0.5 * np.log(6.0)


def test_an_image_with_contrast_is_standardised():
    seen = preprocess(scene()[None])
    assert seen.shape == (1, 1, 64, 64) and seen.dtype == torch.float32
    assert seen.mean() == pytest.approx(0.0, abs=1e-4)
    assert seen.std(correction=0) == pytest.approx(1.0, abs=1e-4)


def test_an_empty_exposure_stays_flat():
    rng = np.random.default_rng(0)
    counts = (rng.poisson(np.full((64, 64), 2500)) * 16).astype(np.uint16)  # 40000 counts, 2 % noise
    assert preprocess(counts[None]).std() < 0.1
    assert STD_FLOOR > 0.1


def test_dead_pixels_count_as_the_least_positive_one():
    counts = scene()
    counts[0, :10] = 0
    seen = log_transform(torch.from_numpy(counts[None].astype(np.float32)))
    assert torch.isfinite(seen).all()
    assert seen[0, 0, 0, 0] == seen.max()


def test_a_black_image_gives_zeros():
    assert torch.equal(preprocess(np.zeros((2, 32, 32), dtype=np.uint16)), torch.zeros(2, 1, 32, 32))


def test_images_of_a_batch_do_not_touch_each_other():
    both = preprocess(np.stack([scene(), np.full((64, 64), 500, dtype=np.uint16)]))
    assert torch.equal(both[0], preprocess(scene()[None])[0])
