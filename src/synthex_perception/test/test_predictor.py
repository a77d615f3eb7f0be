"""The predictor: any image size, right pixels back, silence on an empty exposure."""

import numpy as np
import pytest
import torch

from synthex_perception.inference.detections import Detections
from synthex_perception.inference.overlay import draw_overlay
from synthex_perception.inference.predictor import Predictor, fit, map_back, pad_to_multiple
from synthex_perception.network.compact_transunet import build_network
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.network.weights import WeightsMetadata, save_weights
from synthex_sim import anatomy

SMALL = CompactTransUNetConfig(input_size_px=64, width=8, embed_dim=32, depth=1, heads=2)
METADATA = WeightsMetadata(SMALL, "session", anatomy.LABEL_NAMES, anatomy.SESSION_LANDMARKS, 1.68)


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (48, 64), (100, 37)])
def test_random_weights_answer_at_the_size_of_the_image(shape):
    image = np.random.default_rng(0).integers(100, 60000, shape, dtype=np.uint16)
    found = Predictor.random(0, SMALL).predict(image)
    assert found.mask.shape == shape and found.mask.dtype == np.uint8 and found.mask.max() < 8
    assert found.landmarks.shape == (16, 2) and found.confidence.shape == (16,)
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    inside = found.landmarks[found.visible]
    assert ((inside > -0.5) & (inside < np.array(shape)[::-1] - 0.5)).all()


def test_same_seed_same_answer():
    image = np.random.default_rng(0).integers(100, 60000, (64, 64), dtype=np.uint16)
    assert (Predictor.random(4, SMALL).predict(image).mask == Predictor.random(4, SMALL).predict(image).mask).all()


def test_a_network_that_knows_nothing_sees_no_manipulator_in_an_empty_exposure():
    network = build_network(SMALL)
    with torch.no_grad():
        network.seg_head.weight.zero_()
        network.seg_head.bias.zero_()
        network.seg_head.bias[anatomy.BACKGROUND] = 1.0
    rng = np.random.default_rng(0)
    found = Predictor(network, METADATA).predict(rng.poisson(50000, (64, 64)).astype(np.uint16))
    assert found.pixels_of(anatomy.MANIPULATOR) == 0 and found.manipulator_confidence == 0.0
    assert not found.visible.any() and np.isnan(found.landmarks).all()


def test_scattered_manipulator_pixels_of_a_wrong_network_are_dropped():
    """Weights that call every bright speck a manipulator: specks are too small to be one."""
    network = build_network(SMALL)
    predictor = Predictor(network, METADATA)
    logits = torch.full((1, 8, 32, 32), -5.0)
    logits[:, 0] = 5.0
    logits[0, 7, ::8, ::8] = 9.0
    network.forward = lambda image: type("Output", (), {"seg_logits": logits, "heatmaps": torch.zeros(1, 16, 32, 32)})()
    found = predictor.predict(np.full((64, 64), 1000, dtype=np.uint16))
    assert found.pixels_of(anatomy.MANIPULATOR) == 0


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 1), np.uint16), np.zeros((64, 64))])
def test_only_uint16_counts_are_looked_at(image):
    with pytest.raises(ValueError, match="uint16 counts"):
        Predictor.random(0, SMALL).predict(image)


def test_resizing_and_back_puts_a_pixel_where_it_was():
    """A dot in a 384 x 288 image: found on the resized image by its centroid, mapped back by the half-pixel rule."""
    y, x = np.mgrid[:288, :384]
    dot = (60000 * np.exp(-((x - 200.0) ** 2 + (y - 100.0) ** 2) / 200.0)).astype(np.uint16)
    small = fit(dot, 128)
    padded = pad_to_multiple(small, 64)
    assert small.shape == (96, 128) and padded.shape == (128, 128)
    rows, columns = np.mgrid[:96, :128]
    weight = small.astype(float) ** 2
    centre = np.array([[(weight * columns).sum(), (weight * rows).sum()]]) / weight.sum()
    mask = np.zeros((128, 128), np.uint8)
    mask[30:36, 64:70] = 3
    found = Detections(
        mask, centre, np.ones(1, np.float32), np.ones(1, bool), 0.0, anatomy.LABEL_NAMES, ("ASIS-l",), tip_width_px=7.0)
    back = map_back(found, small.shape, dot.shape)
    assert back.tip_width_px == pytest.approx(21.0) and np.isnan(back.base_width_px)
    assert back.landmarks[0] == pytest.approx([200.0, 100.0], abs=0.1)
    assert back.mask.shape == (288, 384)
    assert set(zip(*np.nonzero(back.mask), strict=True)) == {(r, c) for r in range(90, 108) for c in range(192, 210)}


def test_from_file_gives_the_same_answer(tmp_path):
    network = build_network(SMALL, 2)
    save_weights(tmp_path / "w.safetensors", network, METADATA)
    predictor = Predictor.from_file(tmp_path / "w.safetensors", task="session", label_names=anatomy.LABEL_NAMES)
    image = np.random.default_rng(1).integers(100, 60000, (64, 64), dtype=np.uint16)
    agreement = (predictor.predict(image).mask == Predictor(network, METADATA).predict(image).mask).mean()
    assert agreement > 0.98


def test_overlay_colours_structures_and_marks_only_visible_landmarks():
    image = np.full((64, 64), 1000, dtype=np.uint16)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20, 10:20] = anatomy.MANIPULATOR
    points = np.array([[40.0, 40.0], [50.0, 20.0], [np.nan, np.nan]])
    drawn = draw_overlay(image, mask, points, visible=np.array([True, False, True]))
    assert drawn.shape == (64, 64, 3) and drawn.dtype == np.uint8 and drawn.flags["C_CONTIGUOUS"]
    assert len(set(drawn[15, 15].tolist())) > 1  # a colour
    assert (drawn[40, 40] == 255).all()
    assert len(set(drawn[20, 50].tolist())) == 1  # grey, unmarked
    assert draw_overlay(image, mask, points, scale=2).shape == (128, 128, 3)
