"""Targets, losses, and whole small runs: learn, resume, fail clearly."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from perception_scenes import make_dataset

from synthex_perception.network.compact_transunet import NetworkOutput
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.network.weights import load_weights
from synthex_perception.randomization.config import RandomizationConfig
from synthex_perception.training import run
from synthex_perception.training.__main__ import main
from synthex_perception.training.config import TrainingConfig
from synthex_perception.training.data import BatchStream, load_split, make_batch
from synthex_perception.training.log import read_rows
from synthex_perception.training.losses import HEATMAP_LOSSES, MultiTaskLoss, heatmap_mse, heatmap_ncc
from synthex_perception.training.module import TrainingModule, reduced
from synthex_perception.training.run import RunOptions, TrainingError, train
from synthex_perception.training.targets import gaussian_heatmaps, soft_labels
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS

SMALL = CompactTransUNetConfig(input_size_px=64, width=8, embed_dim=32, depth=1, heads=2)
CONFIG = TrainingConfig(network=SMALL, epochs=3, batch_size=4, warmup_steps=2, checkpoint_every_steps=1, ema_decay=0.9)


# -- targets --------------------------------------------------------------------------------------------------------
def test_heatmap_has_peak_1_at_the_landmark_and_nothing_for_invisible_ones():
    points = np.array([[[20.5, 40.5], [10.0, 10.0], [np.nan, np.nan]]])
    maps = gaussian_heatmaps(points, np.array([[True, False, False]]), (64, 64), 2, 1.5)
    assert maps.shape == (1, 3, 32, 32)
    assert maps[0, 0, 20, 10] == pytest.approx(1.0)  # (20.5 + 0.5) / 2 - 0.5 = 10
    assert maps[0, 0, 20, 12] == pytest.approx(np.exp(-0.5 * (2 / 1.5) ** 2))
    assert not maps[0, 1:].any()


def test_soft_labels_are_shares_of_the_output_pixel():
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[0, 0, 0] = 2
    mask[0, 2:, 2:] = 1
    shares = soft_labels(mask, 3, 2)
    assert shares[0, :, 0, 0].tolist() == [0.75, 0.0, 0.25]
    assert shares[0, 1, 1, 1] == 1.0
    assert torch.equal(shares.sum(1), torch.ones(1, 2, 2))


# -- losses ---------------------------------------------------------------------------------------------------------
def test_silence_about_a_visible_landmark_costs_1():
    target = gaussian_heatmaps(np.array([[[63.0, 65.0]]]), np.array([[True]]), (128, 128), 2, 2.0)
    assert heatmap_mse(torch.zeros_like(target), target, 2.0)[0, 0] == pytest.approx(1.0, abs=1e-3)
    assert heatmap_mse(target, target, 2.0).max() == 0.0


def test_negative_ncc_is_0_for_the_truth_and_blind_to_its_scale():
    target = gaussian_heatmaps(np.array([[[63.0, 65.0], [0, 0]]]), np.array([[True, False]]), (128, 128), 2, 2.0)
    assert heatmap_ncc(3.0 * target, target).max() == pytest.approx(0.0, abs=1e-5)


def test_a_perfect_segmentation_has_no_dice_loss():
    labels = soft_labels(torch.randint(0, 8, (2, 32, 32), dtype=torch.uint8), 8, 1)
    terms = MultiTaskLoss("mse", 0.5, 0.5, 1.0)(
        NetworkOutput(40.0 * labels, torch.zeros(2, 16, 32, 32)), labels, torch.zeros(2, 16, 32, 32), 1.5)
    assert terms.dice == pytest.approx(0.0, abs=1e-4)
    assert terms.total == pytest.approx(0.0, abs=1e-3)


def test_what_counts_more_costs_more():
    labels = soft_labels(torch.tensor([[[0, 0, 1, 1], [0, 0, 2, 2]]], dtype=torch.uint8).repeat(2, 2, 1), 3, 1)
    target = torch.zeros(2, 2, 4, 4)
    target[:, :, 1, 1] = 1.0

    def cost(missed_class, missed_landmark, weights):
        logits, maps = 20.0 * labels.clone(), target.clone()
        logits[:, missed_class], maps[:, missed_landmark] = -20.0, 0.0
        terms = MultiTaskLoss("mse+ncc", 0.5, 0.5, 1.0, *weights)(NetworkOutput(logits, maps), labels, target, 1.5)
        return torch.stack([terms.dice, terms.cross_entropy, terms.heatmap])

    weights = ([1.0, 1.0, 4.0], [1.0, 4.0])
    assert (cost(2, 1, weights) > 2.0 * cost(1, 0, weights)).all()
    assert torch.allclose(cost(2, 1, (None, None)), cost(1, 0, (None, None)))
    assert torch.allclose(cost(2, 1, ([1.0] * 3, [1.0] * 2)), cost(2, 1, (None, None)))


@pytest.mark.parametrize("kind", HEATMAP_LOSSES)
def test_gradients_agree_with_finite_differences(kind):
    generator = torch.Generator().manual_seed(0)
    labels = soft_labels(torch.randint(0, 3, (1, 12, 12), dtype=torch.uint8, generator=generator), 3, 2).double()
    target = gaussian_heatmaps(np.array([[[5.0, 6.0]]]), np.array([[True]]), (12, 12), 2, 1.5).double()
    loss = MultiTaskLoss(kind, 0.5, 0.5, 1.0)
    logits = torch.randn(1, 3, 6, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    maps = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: loss(NetworkOutput(a, b), labels, target, 1.5).total, (logits, maps))


def test_targets_start_wide_and_shrink_to_their_final_width():
    config = replace(CONFIG, heatmap_sigma_mm=4.0, heatmap_sigma_start_mm=16.0, heatmap_sigma_shrinks_until=0.5)
    module = TrainingModule(config, SMALL, 1.7, 100, None, 0)
    widths = {}
    for step in (0, 25, 50, 100):
        module.__dict__["_trainer"] = SimpleNamespace(global_step=step)
        widths[step] = module.sigma_px()
    assert widths == pytest.approx({0: 6.8, 25: 4.25, 50: 1.7, 100: 1.7})


def test_the_first_share_of_a_run_sees_images_of_half_the_size_with_labels_to_match():
    module = TrainingModule(replace(CONFIG, coarse_share=0.4), SMALL, 1.7, 100, None, 0)
    factors = {}
    for step in (0, 39, 40, 99):
        module.__dict__["_trainer"] = SimpleNamespace(global_step=step)
        factors[step] = module.reduction()
    assert factors == {0: 2, 39: 2, 40: 1, 99: 1}
    batch = make_batch(load_split(make_dataset(train=1).split("train")), np.arange(1), 0, 0,
                       RandomizationConfig.nothing(), 8, 2)
    image, labels, landmarks = reduced(batch, 2)
    assert image.shape == (1, 1, 32, 32) and labels.shape == (1, 8, 16, 16)
    assert image[0, 0, 3, 5] == pytest.approx(float(batch.image[0, 0, 6:8, 10:12].mean()), abs=1e-5)
    assert landmarks[0, 0] == pytest.approx((batch.landmarks[0, 0] + 0.5) / 2 - 0.5)


# -- data -----------------------------------------------------------------------------------------------------------
def stream(split):
    return BatchStream(split, 4, 1, RandomizationConfig(), 8, 2)


def test_a_stream_goes_on_where_it_was_and_every_epoch_has_its_own_order():
    split = load_split(make_dataset(train=12).split("train"))
    whole = stream(split)
    images = [batch.image for _ in range(2) for batch in whole]
    assert len(images) == 6
    first = stream(split)
    for _, batch in zip(range(2), first, strict=False):
        last = batch
    second = stream(split)
    second.load_state_dict(first.state_dict())
    assert torch.equal(last.image, images[1])
    assert torch.equal(next(iter(second)).image, images[2])
    assert not torch.equal(images[0], images[3])


def test_limit_takes_samples_spread_over_the_split():
    split = make_dataset(train=9).split("train")
    loaded = load_split(split, 3)
    assert (loaded.images == np.stack([split[i].image for i in (0, 4, 8)])).all()


# -- runs -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    options = RunOptions(out / "data", out / "run", export=out / "models" / "s.safetensors")
    summary = train(CONFIG, options, make_dataset())
    return out, summary


def test_a_run_leaves_weights_metrics_and_curves(finished):
    out, summary = finished
    _, metadata = load_weights(out / "models" / "s.safetensors", "session", LABEL_NAMES, SESSION_LANDMARKS)
    assert metadata.heatmap_sigma_px == pytest.approx(3.9 / (297.984 / 64 * 2))
    rows = read_rows(out / "run" / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["1.0", "2.0", "3.0"]
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    assert summary["images"] == 4
    left = {p.name for p in (out / "run").iterdir()}
    assert left >= {"metrics.json", "curves.png", "run.json", "weights.safetensors"}


def test_an_interrupted_run_resumes_to_the_same_weights(finished, tmp_path, monkeypatch):
    out, _ = finished

    class Interrupted(Exception):
        pass

    original = TrainingModule.training_step

    def dies(self, batch, batch_idx):
        if self.global_step == 3:
            raise Interrupted
        return original(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", dies)
    with pytest.raises(Interrupted):
        train(CONFIG, RunOptions(tmp_path, tmp_path / "run"), make_dataset())
    monkeypatch.setattr(TrainingModule, "training_step", original)
    train(CONFIG, RunOptions(tmp_path, tmp_path / "run", resume=True), make_dataset())
    unbroken, _ = load_weights(out / "run" / "weights.safetensors")
    resumed, _ = load_weights(tmp_path / "run" / "weights.safetensors")
    for (name, a), b in zip(unbroken.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-3), name


@pytest.fixture
def command_line(tmp_path, monkeypatch):
    """Trains a small network from the command line, on a data set that is in memory only."""
    monkeypatch.setattr(run, "_open", lambda folder: make_dataset())
    monkeypatch.setattr(TrainingConfig, "from_yaml", lambda path: CONFIG)
    handler = signal.getsignal(signal.SIGINT)  # Lightning leaves SIGINT ignored behind
    yield lambda *options: main(["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--config", "c", *options])
    signal.signal(signal.SIGINT, handler)


def interrupt_at(step, monkeypatch):
    """Ctrl-C, once, in the middle of an optimiser step."""
    original = TrainingModule.training_step

    def interrupted(self, batch, batch_idx):
        if self.global_step == step:
            monkeypatch.setattr(TrainingModule, "training_step", original)
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)


@pytest.mark.parametrize("resume", [("--resume",), ("--resume=true",)])
def test_ctrl_c_ends_with_130_and_a_hint_that_works(command_line, tmp_path, monkeypatch, capsys, resume):
    interrupt_at(3, monkeypatch)
    assert command_line("--resume=false") == 130
    told = capsys.readouterr().err
    assert told.startswith("interrupted; go on with it by --resume (make train RESUME=true") and told.count("\n") == 1
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert command_line(*resume) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["trained"]["steps"] == 6


def test_ctrl_c_before_the_first_checkpoint_promises_nothing(command_line, tmp_path, monkeypatch, capsys):
    interrupt_at(0, monkeypatch)
    assert command_line() == 130
    assert "no checkpoint yet" in capsys.readouterr().err


def test_another_word_for_resume_is_refused(command_line, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command_line("--resume=perhaps")
    assert "perhaps" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_time_limit_ends_the_run_early(tmp_path):
    config = replace(CONFIG, epochs=10_000)
    train(config, RunOptions(tmp_path, tmp_path / "run", max_minutes=0.05), make_dataset())
    assert float(read_rows(tmp_path / "run" / "metrics.csv")[-1]["minutes"]) < 1.0


def test_another_task_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="'hip'.*'session'"):
        train(CONFIG, RunOptions(tmp_path, tmp_path / "run"), make_dataset(task="hip"))


def test_a_run_is_not_overwritten_and_nothing_cannot_be_resumed(finished, tmp_path):
    with pytest.raises(TrainingError, match="--resume"):
        train(CONFIG, RunOptions(tmp_path, finished[0] / "run"), make_dataset())
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(CONFIG, RunOptions(tmp_path, tmp_path / "run", resume=True), make_dataset())


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="learning_rate"):
        train(replace(CONFIG, heatmap_weight=float("nan")), RunOptions(tmp_path, tmp_path / "run"), make_dataset())


def test_command_line_names_a_missing_data_set_and_writes_nothing(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("epochs: 1\n")
    status = main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run"),
                   "--config", str(tmp_path / "c.yaml")])
    assert status == 1
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_shipped_recipe_is_readable():
    config = TrainingConfig.from_yaml(Path(__file__).resolve().parents[3] / "config" / "training" / "session.yaml")
    assert config.task == "session" and config.randomization.strong_max_operations == 2


def test_unknown_key_in_a_recipe_is_named(tmp_path):
    (tmp_path / "c.yaml").write_text("learnrate: 1\n")
    with pytest.raises(ValueError, match="learnrate"):
        TrainingConfig.from_yaml(tmp_path / "c.yaml")
