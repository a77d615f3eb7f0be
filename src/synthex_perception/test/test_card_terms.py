"""A network trained on licensed data says so in its card, wherever the data set is by then."""

import json

import pytest
from perception_scenes import make_dataset

from synthex_perception.evaluation.data_terms import collection_lines, weights_terms
from synthex_perception.evaluation.model_card import main as card_main
from synthex_perception.evaluation.run import evaluate_weights
from synthex_perception.inference.postprocess import PostprocessConfig
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.training.config import TrainingConfig
from synthex_perception.training.run import RunOptions, train
from synthex_sim.dataset.manifest import Manifest
from synthex_sim.patient.collections.provenance import Provenance

FLUOROSCOPY = Provenance("fluoroscopy", "Real fluoroscopy", "2020", "https://f.invalid", ("CC BY-NC 4.0 (all of it)",),
                         ("attribution", "non-commercial"), ("Somebody (2020).",))
ATLAS = Provenance("atlas", "An atlas", "1", "https://a.invalid", ("CC BY 4.0 (models)",), ("attribution",),
                   ("Others (2019).",))
UNKNOWN = Provenance("decedents", "Decedents", "1", "https://d.invalid", ("an agreement (all)",),
                     ("non-commercial?", "no redistribution"), ("They (2020).",))
RECIPE = TrainingConfig(network=CompactTransUNetConfig(input_size_px=64, width=8, embed_dim=32, depth=1, heads=2),
                        epochs=1, batch_size=2)


def write_manifest(folder, *provenance):
    folder.mkdir()
    Manifest("session", 0, {}, 4, (64, 64), (), (), ("a", "b"), {}, "0", (), provenance).write(folder)


def test_the_card_of_a_network_trained_on_licensed_data(tmp_path):
    write_manifest(tmp_path / "licensed", FLUOROSCOPY, ATLAS)
    write_manifest(tmp_path / "phantoms")
    dataset, weights = make_dataset(train=2, valid=1), tmp_path / "session.safetensors"
    train(RECIPE, RunOptions(tmp_path / "licensed", tmp_path / "run", export=weights), dataset)
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [entry["collection"] for entry in run["provenance"]] == ["fluoroscopy", "atlas"]
    evaluate_weights(weights, dataset, "valid", tmp_path / "out", PostprocessConfig(), data="synthetic")
    for named in ("licensed", "phantoms"):  # the run knows what it was trained on, whatever is named afterwards
        assert card_main(["--weights", str(weights), "--run", str(tmp_path / "run"), "--data", str(tmp_path / named),
                          "--domain", f"discs={tmp_path / 'out' / 'metrics.json'}"]) == 0
        card = weights.with_suffix(".md").read_text()
        assert card.index("**Weights: non-commercial.**") < card.index("- Task:")
        for words in ("Real fluoroscopy", "CC BY-NC 4.0 (all of it)", "Somebody (2020).", "An atlas", "Others (2019)."):
            assert words in card


def test_data_for_testing_only_are_not_trained_on(tmp_path):
    testing = Provenance(**{**FLUOROSCOPY.__dict__, "testing_only": ("Hip-2",)})
    write_manifest(tmp_path / "set", testing)
    with pytest.raises(ValueError, match="Hip-2 of the collection fluoroscopy is for testing only, not for training"):
        train(RECIPE, RunOptions(tmp_path / "set", tmp_path / "run"), make_dataset(train=2, valid=1))
    assert not (tmp_path / "run").exists()


def test_only_terms_that_restrict_or_may_do_so_make_weights_non_commercial():
    assert weights_terms([]) == weights_terms([ATLAS]) == ""
    assert "Real fluoroscopy.\n" in weights_terms([ATLAS, FLUOROSCOPY])
    assert "whose licence is not known to allow more" in weights_terms([UNKNOWN])
    assert "(? : not known, taken as asked for)" in collection_lines([UNKNOWN])[0]
