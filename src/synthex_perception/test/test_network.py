"""The compact TransUNet: shapes, size on disk, and that it can learn at all."""

import numpy as np
import pytest
import torch
from perception_scenes import make_dataset

from synthex_perception.evaluation.metrics import dice
from synthex_perception.network.compact_transunet import OUTPUT_STRIDE, build_network, parameter_count
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.randomization.config import RandomizationConfig
from synthex_perception.training.data import load_split, make_batch
from synthex_perception.training.losses import MultiTaskLoss
from synthex_perception.training.targets import gaussian_heatmaps

SMALL = CompactTransUNetConfig(input_size_px=64, width=8, embed_dim=32, depth=1, heads=2)


def test_output_is_half_the_input_for_any_multiple_of_16():
    network = build_network(SMALL)
    for rows, columns in ((64, 64), (96, 32)):
        output = network(torch.zeros(2, 1, rows, columns))
        assert output.seg_logits.shape == (2, 8, rows // OUTPUT_STRIDE, columns // OUTPUT_STRIDE)
        assert output.heatmaps.shape == (2, 16, rows // OUTPUT_STRIDE, columns // OUTPUT_STRIDE)


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 60, 64), (1, 64, 64)])
def test_inputs_that_do_not_fit_the_grid_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 16"):
        build_network(SMALL)(torch.zeros(shape))


def test_default_network_fits_5_mb_in_half_precision():
    assert 2 * parameter_count(build_network(CompactTransUNetConfig())) < 4.9e6


def test_landmark_head_sees_features_and_segmentation_logits_without_bias():
    head = build_network(SMALL).landmark_head
    assert [layer.in_channels for layer in head] == [SMALL.head_width + 8, 16 + 8]
    assert all(layer.bias is None and layer.kernel_size == (1, 1) for layer in head)


def test_same_seed_same_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, other = build_network(SMALL, 1), build_network(SMALL, 1), build_network(SMALL, 2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.seg_head.weight, second.seg_head.weight)
    assert not torch.equal(first.seg_head.weight, other.seg_head.weight)


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"input_size_px": 250}, "multiple of 16"), ({"embed_dim": 100, "heads": 3}, "not divisible"),
     ({"width": 12}, "multiple of 8"), ({"depth": -1}, "negative")],
)
def test_sizes_that_make_no_network_are_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        CompactTransUNetConfig(**values)


def test_config_survives_its_dictionary_and_unknown_keys_do_not():
    assert CompactTransUNetConfig.from_dict(SMALL.to_dict()) == SMALL
    with pytest.raises(ValueError, match="unknown network setting.*wdith"):
        CompactTransUNetConfig.from_dict({"wdith": 16})


def test_overfits_four_images():
    network = build_network(CompactTransUNetConfig(input_size_px=64, width=16, embed_dim=64, depth=1, heads=2))
    split = load_split(make_dataset(train=4).split("train"))
    batch = make_batch(split, np.arange(4), 0, 0, RandomizationConfig.nothing(), 8, OUTPUT_STRIDE)
    heatmaps = gaussian_heatmaps(batch.landmarks, batch.visible, split.shape, OUTPUT_STRIDE, 1.5)
    loss = MultiTaskLoss("mse", 0.5, 0.5, 1.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for step in range(120):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 20) * (1.0 - step / 120)
        terms = loss(network(batch.image), batch.labels, heatmaps, 1.5)
        optimizer.zero_grad()
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    output = network(batch.image)
    said, there = output.seg_logits.argmax(1).numpy(), batch.labels.argmax(1).numpy()
    assert min(dice(said == k, there == k) for k in range(1, 8)) > 0.95
    assert terms.heatmap < 0.3  # of the 1.0 that silence costs
