"""Metrics by hand, and the evaluation and model card from a data set on disk."""

import json

import numpy as np
import pytest
from perception_scenes import make_dataset

from synthex_perception.evaluation.__main__ import main as evaluate_main
from synthex_perception.evaluation.metrics import Evaluation, Truth, dice, truth_of
from synthex_perception.evaluation.model_card import main as card_main
from synthex_perception.evaluation.run import evaluate_weights
from synthex_perception.inference.detections import Detections
from synthex_perception.inference.postprocess import PostprocessConfig
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.training.config import TrainingConfig
from synthex_perception.training.run import RunOptions, train
from synthex_sim.anatomy import LABEL_NAMES, MANIPULATOR
from synthex_sim.dataset.manifest import Manifest, ShardEntry

LANDMARKS = ("ASIS-l", "CM-tip")


def found(mask, points, visible):
    confidence = np.ones(len(points), np.float32)
    return Detections(mask, np.array(points, float), confidence, np.array(visible), 0.0, LABEL_NAMES, LANDMARKS)


def truth(mask, points, visible):
    return Truth(mask, np.array(points, float), np.array(visible), 2.0, 0.5)


def test_dice_of_two_overlapping_halves():
    a, b = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    a[0, :2], b[0, 1:4] = True, True
    assert dice(a, b) == pytest.approx(2 * 1 / (2 + 3))
    assert np.isnan(dice(~a & a, ~a & a))


def test_structures_that_are_not_there_count_as_false_positives_not_as_dice():
    empty, tool = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    tool[1, 1:3] = MANIPULATOR
    nowhere = [[np.nan, np.nan]] * 2
    result = Evaluation(LABEL_NAMES, LANDMARKS)
    result.add(found(tool, nowhere, [False, False]), truth(tool, nowhere, [False, False]))  # right
    result.add(found(empty, nowhere, [False, False]), truth(tool, nowhere, [False, False]))  # missed
    result.add(found(tool, nowhere, [False, False]), truth(empty, nowhere, [False, False]))  # invented
    result.add(found(empty, nowhere, [False, False]), truth(empty, nowhere, [False, False]))  # rightly silent
    values = result.summary()["structures"]["continuum_manipulator"]
    assert values["dice"] == 0.5 and values["images"] == 2
    assert values["false_positive_rate"] == 0.5 and values["images_without"] == 2
    assert result.summary()["cm_dice"] == 0.5 and result.summary()["hip_dice"] is None


def test_landmark_error_in_three_units_over_activated_ones_only():
    empty = np.zeros((4, 4), np.uint8)
    result = Evaluation(LABEL_NAMES, LANDMARKS)
    result.add(found(empty, [[3, 4], [0, 0]], [True, False]), truth(empty, [[0, 0], [9, 9]], [True, True]))
    result.add(found(empty, [[0, 0], [1, 1]], [False, True]), truth(empty, [[50, 50], [9, 9]], [True, False]))
    hip = result.summary()["hip_landmarks"]
    assert (hip["visible"], hip["activated"], hip["activation"]) == (2, 1, 0.5)
    assert hip["error_px"]["mean"] == 5.0
    assert hip["error_detector_mm"]["mean"] == 10.0
    assert hip["error_isocentre_mm"]["mean"] == 5.0
    tip = result.summary()["cm_landmarks"]
    assert tip["activation"] == 0.0 and tip["error_px"] is None and tip["false_activation"] == 1.0


def test_landmarks_that_nobody_marked_are_neither_missed_nor_falsely_found():
    """A CT has no landmarks: only the manipulator's are known, if only to be absent."""
    empty = np.zeros((4, 4), np.uint8)
    result = Evaluation(LABEL_NAMES, LANDMARKS)
    result.add(found(empty, [[1, 1], [2, 2]], [True, True]), truth(empty, [[np.nan, np.nan]] * 2, [False, False]))
    hip, tip = result.summary()["hip_landmarks"], result.summary()["cm_landmarks"]
    assert (hip["visible"], hip["activation"], hip["false_activation"]) == (0, None, None)
    assert (tip["visible"], tip["activation"], tip["false_activation"]) == (0, None, 1.0)
    result.add(found(empty, [[1, 1], [2, 2]], [True, True]), truth(empty, [[9, 1], [2, 3]], [False, True]))
    hip, tip = result.summary()["hip_landmarks"], result.summary()["cm_landmarks"]
    assert (hip["visible"], hip["false_activation"]) == (0, 1.0)
    assert (tip["visible"], tip["false_activation"], tip["error_px"]["mean"]) == (1, 1.0, 1.0)


def test_isocentre_scale_is_sad_over_sdd():
    sample = make_dataset(train=1, valid=0).split("train")[0]
    assert truth_of(sample).isocentre_scale == pytest.approx(530.0 / 1020.0)


def test_evaluation_and_model_card_of_a_trained_network(tmp_path, capsys):
    network = CompactTransUNetConfig(input_size_px=64, width=8, embed_dim=32, depth=1, heads=2)
    dataset = make_dataset(train=4, valid=3)
    weights = tmp_path / "models" / "small.safetensors"
    recipe = TrainingConfig(network=network, epochs=1, batch_size=4)
    train(recipe, RunOptions(tmp_path, tmp_path / "run", export=weights), dataset)
    document = evaluate_weights(weights, dataset, "valid", tmp_path / "out", PostprocessConfig(), data="synthetic")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["images"] == document["images"] == 3
    assert (tmp_path / "out" / "overlays.png").stat().st_size > 1000
    Manifest("session", 0, {}, 7, (64, 64), (), (), ("phantom:1", "phantom:2"), {}, "0", (
        ShardEntry("train-000000.h5", "train", 0, 4, ""), ShardEntry("valid-000004.h5", "valid", 4, 3, ""),
    )).write(tmp_path)
    status = card_main([
        "--weights", str(weights), "--run", str(tmp_path / "run"), "--data", str(tmp_path),
        "--domain", f"held-out discs={tmp_path / 'out' / 'metrics.json'}", "--limit", "Knows only discs.",
    ])
    card = weights.with_suffix(".md").read_text()
    assert status == 0
    for words in ("not a medical device", "Accuracy on held-out discs", "isocentre mm", "Knows only discs.", "1 steps",
                  "| continuum_manipulator |", "seed 0", "7 simulated radiographs, 4 of them for training"):
        assert words in card
    assert str(tmp_path) not in card and "no ground truth" not in card

    ct = tmp_path / "ct.json"
    nothing = {"visible": 0, "activated": 0, "activation": None, "error_detector_mm": None}
    ct.write_text(json.dumps(document | {"hip_dice": None, "hip_landmarks": nothing}))
    assert card_main(["--weights", str(weights), "--run", str(tmp_path / "run"), "--data", str(tmp_path),
                      "--domain", f"a CT={ct}"]) == 0
    assert "hip Dice - (no ground truth)" in weights.with_suffix(".md").read_text()
    assert "hip landmarks: no ground truth" in weights.with_suffix(".md").read_text()


def test_command_line_names_missing_weights_and_data(tmp_path, capsys):
    assert evaluate_main(["--weights", "no.safetensors", "--data", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    assert "holds no finished data set" in capsys.readouterr().err
