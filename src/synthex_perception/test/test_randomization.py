"""Randomization: drawn inside its ranges, replayable, and labels go where the pixels go."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synthex_perception.randomization import intensity
from synthex_perception.randomization.apply import LabelledBatch, apply
from synthex_perception.randomization.config import STRONG_OPERATIONS, RandomizationConfig
from synthex_perception.randomization.geometry import move_points
from synthex_perception.randomization.parameters import draw

DEFAULT = RandomizationConfig()


def dot_batch(points, size=128):
    """Images that show one Gaussian dot each, labelled with a disc and one landmark at the dot."""
    y, x = np.mgrid[:size, :size]
    distance = [np.hypot(x - p[0], y - p[1]) for p in points]
    image = torch.from_numpy(np.stack([np.exp(-(d**2) / 18.0) for d in distance]).astype(np.float32))[:, None]
    mask = torch.from_numpy(np.stack([(d < 6).astype(np.uint8) for d in distance]))
    return LabelledBatch(image, mask, np.array(points)[:, None], np.ones((len(points), 1), dtype=bool))


def geometric_only(config=DEFAULT):
    return replace(config, noise_sigma=(0, 0), gamma=(1, 1), strong_probability=0.0, empty_probability=0.0,
                   affine_probability=1.0)


def test_landmark_and_mask_stay_on_their_dense_dot():
    points = [(64.0, 60.0), (40.3, 80.7), (90.2, 50.5)]
    config = replace(geometric_only(), rotation_deg=(-20, 20), shear_deg=(-8, 8))
    for epoch in range(20):
        moved = apply(dot_batch(points), [draw(config, 3, i, epoch) for i in range(3)])
        for k in range(3):
            dot = moved.image[k, 0].numpy() ** 2
            y, x = np.mgrid[:128, :128]
            centre = np.array([(dot * x).sum(), (dot * y).sum()]) / dot.sum()
            assert moved.landmarks[k, 0] == pytest.approx(centre, abs=0.1)
            rows, columns = np.nonzero(moved.mask[k].numpy())
            assert moved.landmarks[k, 0] == pytest.approx([columns.mean(), rows.mean()], abs=0.5)


def test_a_quarter_turn_takes_the_right_end_to_the_bottom():
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert move_points(np.array([[127.0, 63.5]]), turn, (128, 128)) == pytest.approx(np.array([[63.5, 127.0]]))


def test_a_landmark_that_leaves_the_image_is_not_visible_and_never_becomes_visible():
    shift = replace(geometric_only(), rotation_deg=(0, 0), shear_deg=(0, 0), scale=(1, 1), crop_fraction=(1, 1),
                    translation_fraction=(0.1, 0.1))
    batch = dot_batch([(124.0, 60.0), (-5.0, 60.0)])
    batch.visible[1] = False
    moved = apply(batch, [draw(shift, 0, i, 0) for i in range(2)])
    assert moved.landmarks[0, 0, 0] > 127.5 and not moved.visible[0, 0]
    assert 0 < moved.landmarks[1, 0, 0] < 127 and not moved.visible[1, 0]


def test_missing_landmarks_stay_missing():
    batch = dot_batch([(60.0, 60.0)])
    batch.landmarks[0, 0] = np.nan
    moved = apply(batch, [draw(geometric_only(), 0, 0, 0)])
    assert np.isnan(moved.landmarks).all() and not moved.visible.any()


def test_nothing_is_the_identity():
    batch = dot_batch([(50.0, 60.0), (30.0, 20.0)])
    same = apply(batch, [draw(RandomizationConfig.nothing(), 1, i, 5) for i in range(2)])
    assert torch.allclose(same.image, batch.image, atol=1e-5)
    assert torch.equal(same.mask, batch.mask)
    assert same.landmarks == pytest.approx(batch.landmarks)


def test_same_address_same_image_whatever_the_batch():
    batch = dot_batch([(50.0, 60.0), (30.0, 20.0)])
    both = apply(batch, [draw(DEFAULT, 1, i, 2) for i in range(2)])
    second = LabelledBatch(batch.image[1:], batch.mask[1:], batch.landmarks[1:], batch.visible[1:])
    alone = apply(second, [draw(DEFAULT, 1, 1, 2)])
    assert torch.allclose(both.image[1], alone.image[0], atol=1e-5)
    assert not torch.allclose(both.image[1], apply(second, [draw(DEFAULT, 1, 1, 3)]).image[0], atol=1e-2)


def test_parameters_are_drawn_inside_their_ranges_and_fill_them():
    drawn = [draw(DEFAULT, 0, sample, 0) for sample in range(2000)]
    for name in ("gamma", "noise_sigma"):
        values, limits = [getattr(p, name) for p in drawn], getattr(DEFAULT, name)
        assert limits[0] <= min(values) and max(values) <= limits[1]
        assert np.mean(values) == pytest.approx(np.mean(limits), abs=0.03 * (limits[1] - limits[0]))
    counts = [len(p.strong) for p in drawn]
    assert max(counts) == DEFAULT.strong_max_operations
    assert np.mean([c > 0 for c in counts]) == pytest.approx(DEFAULT.strong_probability, abs=0.04)
    assert {op.name for p in drawn for op in p.strong} == set(STRONG_OPERATIONS)
    assert all(len({op.name for op in p.strong}) == len(p.strong) for p in drawn)
    assert np.mean([p.empty_noise is not None for p in drawn]) == pytest.approx(DEFAULT.empty_probability, abs=0.012)


def test_weight_zero_switches_an_operation_off():
    config = replace(DEFAULT, strong_weights={"blur": 1.0, "invert": 0.0})
    assert {op.name for i in range(200) for op in draw(config, 0, i, 0).strong} == {"blur"}


@pytest.mark.parametrize("name", STRONG_OPERATIONS)
def test_every_strong_operation_changes_the_image_repeatably(name):
    config = replace(DEFAULT, strong_probability=1.0, strong_weights={name: 1.0})
    operation = draw(config, 0, 1, 0).strong[0]
    image = dot_batch([(60.0, 60.0)]).image

    def once():
        generator = torch.Generator()
        generator.manual_seed(4)
        return intensity.STRONG[name](image, generator, **operation.values)

    assert once().shape == image.shape and torch.isfinite(once()).all()
    assert torch.equal(once(), once())
    assert not torch.allclose(once(), image, atol=1e-3)


def test_inversion_mirrors_the_intensities():
    image = dot_batch([(60.0, 60.0)]).image
    assert intensity.invert(image, None) == pytest.approx(image.max() - image)


def test_an_empty_exposure_carries_no_labels():
    config = replace(DEFAULT, empty_probability=1.0)
    empty = apply(dot_batch([(60.0, 60.0)]), [draw(config, 0, 0, 0)])
    assert not empty.mask.any() and not empty.visible.any()
    assert empty.image.abs().max() < 0.5


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"gamma": (1.3, 0.7)}, "gamma must be"), ({"strong_weights": {"melt": 1.0}}, "unknown strong operation"),
     ({"affine_probability": 2.0}, "affine_probability must lie"), ({"scale": (0.0, 1.0)}, "must be positive")],
)
def test_ranges_that_make_no_sense_are_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        RandomizationConfig(**values)


def test_unknown_key_in_yaml_is_named(tmp_path):
    (tmp_path / "r.yaml").write_text("gama: [0.7, 1.3]\n")
    with pytest.raises(ValueError, match="gama"):
        RandomizationConfig.from_yaml(tmp_path / "r.yaml")
