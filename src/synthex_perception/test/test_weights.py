"""Weights on disk: what is written comes back, what is wrong is named."""

import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from synthex_perception.network.compact_transunet import build_network
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.network.weights import WeightsError, WeightsMetadata, load_weights, save_weights
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS

SMALL = CompactTransUNetConfig(input_size_px=64, width=8, embed_dim=32, depth=1, heads=2)
METADATA = WeightsMetadata(SMALL, "session", LABEL_NAMES, SESSION_LANDMARKS, 1.68, training_data="sha256:00")


@pytest.fixture
def saved(tmp_path):
    network = build_network(SMALL, 3)
    path = tmp_path / "folder" / "small.safetensors"
    save_weights(path, network, METADATA)
    return path, network


def tampered(path, network, **header):
    """The same tensors under a changed header."""
    tensors = {k: v.half().contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, path, metadata={**METADATA.to_header(), **header})


def test_round_trip_keeps_tensors_to_half_precision_and_all_metadata(saved):
    path, network = saved
    loaded, metadata = load_weights(path, "session", LABEL_NAMES, SESSION_LANDMARKS)
    assert metadata == METADATA
    for (name, before), after in zip(network.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert after.dtype == torch.float32
        assert torch.allclose(before, after, rtol=1e-3, atol=1e-6), name
    assert not loaded.training


def test_writing_leaves_no_partial_file(saved):
    assert [p.name for p in saved[0].parent.iterdir()] == ["small.safetensors"]
    (saved[0].parent / "ordinary").touch()  # readable by whoever may read the user's other files, too
    assert saved[0].stat().st_mode == (saved[0].parent / "ordinary").stat().st_mode


def test_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="make weights"):
        load_weights(tmp_path / "none.safetensors")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"not weights at all, but long enough to hold a header length")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(path)


def test_a_pickle_is_refused_and_never_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError):
        load_weights(path)
    assert not (tmp_path / "exploded").exists()


def test_somebody_elses_safetensors_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="format"):
        load_weights(tmp_path / "other.safetensors")


def test_first_tensor_of_wrong_shape_is_named_with_both_shapes(tmp_path):
    wider = CompactTransUNetConfig(**{**SMALL.to_dict(), "width": 16})
    path = tmp_path / "wrong.safetensors"
    tampered(path, build_network(SMALL), config=json.dumps(wider.to_dict()))
    with pytest.raises(WeightsError, match=r"stem.0.weight has shape \(8, 1, 5, 5\).*needs \(16, 1, 5, 5\)"):
        load_weights(path)


def test_missing_and_additional_tensors_are_named(tmp_path):
    deeper = CompactTransUNetConfig(**{**SMALL.to_dict(), "depth": 2})
    tampered(tmp_path / "few.safetensors", build_network(SMALL), config=json.dumps(deeper.to_dict()))
    with pytest.raises(WeightsError, match="lacks the tensor transformer.1"):
        load_weights(tmp_path / "few.safetensors")
    tampered(tmp_path / "many.safetensors", build_network(deeper))
    with pytest.raises(WeightsError, match="holds the tensor transformer.1"):
        load_weights(tmp_path / "many.safetensors")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [({"task": "hip"}, "trained for the task 'session'"), ({"label_names": ("background", "lung")}, "labels"),
     ({"landmark_names": SESSION_LANDMARKS[:14]}, "landmarks")],
)
def test_weights_for_something_else_are_refused(saved, wanted, reason):
    with pytest.raises(WeightsError, match=reason):
        load_weights(saved[0], **wanted)


def test_another_normalisation_is_refused(tmp_path):
    tampered(tmp_path / "old.safetensors", build_network(SMALL), normalisation=json.dumps("min-max"))
    with pytest.raises(WeightsError, match="retrain"):
        load_weights(tmp_path / "old.safetensors")


def test_names_must_fit_the_network():
    with pytest.raises(ValueError, match="2 label names"):
        WeightsMetadata(SMALL, "session", ("a", "b"), SESSION_LANDMARKS, 1.68)


@pytest.mark.parametrize("sigma", ["0.0", "-1.5", "NaN", "Infinity", '"wide"', "null"])
def test_a_width_of_the_heatmaps_that_is_none_is_refused(tmp_path, sigma):
    tampered(tmp_path / "w.safetensors", build_network(SMALL), heatmap_sigma_px=sigma)
    with pytest.raises(WeightsError, match="heatmap_sigma_px must be a positive, finite number"):
        load_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_values_that_are_no_numbers_are_refused_with_their_tensor_when_read_and_when_written(tmp_path, value):
    network = build_network(SMALL)
    with torch.no_grad():
        network.seg_head.bias[1] = value
    tampered(tmp_path / "read.safetensors", network)
    with pytest.raises(WeightsError, match="read.safetensors: 1 of 8 values of the tensor seg_head.bias are NaN"):
        load_weights(tmp_path / "read.safetensors")
    with pytest.raises(WeightsError, match="seg_head.bias"):
        save_weights(tmp_path / "new" / "written.safetensors", network, METADATA)
    assert not (tmp_path / "new").exists()


def test_half_precision_does_not_change_what_is_seen(saved):
    path, network = saved
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 64, 64)).astype(np.float32))
    loaded, _ = load_weights(path)
    with torch.inference_mode():
        before, after = network.eval()(image), loaded(image)
    assert torch.allclose(before.seg_logits, after.seg_logits, atol=5e-3)
