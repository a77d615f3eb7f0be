"""The Lightning module: one step, one optimiser, a schedule that fits the time it is given, averaged weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import lightning
import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from synthex_perception.network.compact_transunet import OUTPUT_STRIDE, CompactTransUNet, build_network
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.training.config import TrainingConfig
from synthex_perception.training.data import TrainingBatch
from synthex_perception.training.losses import MultiTaskLoss
from synthex_perception.training.targets import gaussian_heatmaps


class TrainingModule(lightning.LightningModule):
    """Trains a compact TransUNet.

    Args:
        config: the recipe.
        network: sizes, with classes and landmarks of the data set.
        heatmap_sigma_px: final width of the targets in pixels of the heatmap.
        total_steps: length of the schedule in steps.
        max_seconds: length of the schedule in wall time, whichever ends first; None for no limit.
        seed: of the initial weights.
        weights: of the classes and of the landmarks in the loss.
    """

    def __init__(
        self,
        config: TrainingConfig,
        network: CompactTransUNetConfig,
        heatmap_sigma_px: float,
        total_steps: int,
        max_seconds: float | None,
        seed: int,
        weights: tuple[Sequence[float] | None, Sequence[float] | None] = (None, None),
    ) -> None:
        super().__init__()
        self.network = build_network(network, seed)
        self.averaged = None
        if config.ema_decay:
            self.averaged = AveragedModel(self.network, multi_avg_fn=_Average(config.ema_decay))
        self.loss = MultiTaskLoss(
            config.heatmap_loss, config.dice_weight, config.cross_entropy_weight, config.heatmap_weight, *weights
        )
        self._final_sigma_px = heatmap_sigma_px
        self._config, self._total_steps, self._max_seconds = config, total_steps, max_seconds
        self._seconds_before, self._started = 0.0, time.perf_counter()
        self.recent: dict[str, float] = {}

    # -- time -----------------------------------------------------------------------------------------------------
    @property
    def seconds(self) -> float:
        """Wall time spent in this run so far, before an interruption included."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def progress(self) -> float:
        """0..1: how much of the run is over, by steps or by time, whichever is further."""
        by_steps = self.global_step / max(1, self._total_steps)
        by_time = self.seconds / self._max_seconds if self._max_seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def on_fit_start(self) -> None:
        self._started = time.perf_counter()

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self._seconds_before = float(checkpoint["seconds"])

    # -- optimisation ---------------------------------------------------------------------------------------------
    def configure_optimizers(self) -> torch.optim.Optimizer:
        matrices = [p for name, p in self.network.named_parameters() if p.ndim > 1 and name != "position"]
        others = [p for name, p in self.network.named_parameters() if p.ndim <= 1 or name == "position"]
        groups = [{"params": matrices, "weight_decay": self._config.weight_decay},
                  {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self._config.learning_rate, fused=True)

    def learning_rate(self) -> float:
        """Linear warm-up, then half a cosine to zero over what is left of the run."""
        warmup = min(1.0, (self.global_step + 1) / max(1, self._config.warmup_steps))
        return self._config.learning_rate * warmup * 0.5 * (1.0 + math.cos(math.pi * self.progress))

    def reduction(self) -> int:
        """How many times smaller than the data set's images the images of this step are, along each axis."""
        return 2 if self.progress < self._config.coarse_share else 1

    def sigma_px(self) -> float:
        """Width of the targets now, pixels of the full-size heatmap.

        Narrow Gaussians cover 0.1 % of a heatmap: a network that does not know yet where a landmark is gets almost no
        hint from them. Wide ones lead it there, narrow ones then make it exact.
        """
        config = self._config
        wider = config.heatmap_sigma_start_mm / config.heatmap_sigma_mm - 1.0
        left = max(0.0, 1.0 - self.progress / config.heatmap_sigma_shrinks_until)
        return self._final_sigma_px * (1.0 + wider * left)

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rate()

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> torch.Tensor:
        factor = self.reduction()
        image, labels, landmarks = reduced(batch, factor)
        sigma_px = self.sigma_px() / factor
        heatmaps = gaussian_heatmaps(landmarks, batch.visible, tuple(image.shape[2:]), OUTPUT_STRIDE, sigma_px)
        terms = self.loss(self.network(image), labels, heatmaps, sigma_px)
        if not torch.isfinite(terms.total):
            raise FloatingPointError(
                f"the loss is {terms.total.item()} at step {self.global_step}; lower learning_rate or look at the data"
            )
        for name, value in terms._asdict().items():
            old = self.recent.get(name)
            new = float(value.detach())
            self.recent[name] = new if old is None else 0.95 * old + 0.05 * new
        return terms.total

    def on_train_batch_end(self, outputs, batch: TrainingBatch, batch_idx: int) -> None:
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def evaluated_network(self) -> CompactTransUNet:
        """The weights that are measured and exported: the averaged ones where averaging is on."""
        return self.averaged.module if self.averaged is not None else self.network


def reduced(batch: TrainingBatch, factor: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Image, labels and landmarks of a batch, ``factor`` times smaller (averages; half-pixel rule)."""
    if factor == 1:
        return batch.image, batch.labels, batch.landmarks
    return (
        F.avg_pool2d(batch.image, factor).contiguous(memory_format=torch.channels_last),
        F.avg_pool2d(batch.labels, factor),
        (batch.landmarks + 0.5) / factor - 0.5,
    )


class _Average:
    """Exponential average whose memory grows with the run: after n steps at most n / 10 old, so it is never stale."""

    def __init__(self, decay: float) -> None:
        self._decay = decay

    def __call__(self, averaged: list, new: list, count: torch.Tensor | int) -> None:
        decay = min(self._decay, (1.0 + float(count)) / (10.0 + float(count)))
        torch._foreach_lerp_(averaged, new, 1.0 - decay)
