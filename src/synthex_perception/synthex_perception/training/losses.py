"""The multi-task loss: Dice (V-Net form, MONAI) + cross-entropy for the masks, heatmap loss for the landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F

from synthex_perception.network.compact_transunet import NetworkOutput

#: The paper's, its code's, and their sum.
HEATMAP_LOSSES = ("mse", "ncc", "mse+ncc")


class LossTerms(NamedTuple):
    """Scalars; ``total`` is what is minimised."""

    total: torch.Tensor
    dice: torch.Tensor
    cross_entropy: torch.Tensor
    heatmap: torch.Tensor


class MultiTaskLoss(nn.Module):
    """dice_weight x Dice + cross_entropy_weight x CE + heatmap_weight x heatmap loss.

    Args:
        heatmap_kind: one of ``HEATMAP_LOSSES``; see the functions below.
        class_weights: (K,) how much each class counts in Dice and cross-entropy; None: all the same.
        landmark_weights: (L,) how much each landmark counts; None: all the same.
    """

    def __init__(
        self,
        heatmap_kind: str,
        dice_weight: float,
        cross_entropy_weight: float,
        heatmap_weight: float,
        class_weights: Sequence[float] | None = None,
        landmark_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if heatmap_kind not in HEATMAP_LOSSES:
            raise ValueError(f"unknown heatmap loss '{heatmap_kind}'; known: {', '.join(HEATMAP_LOSSES)}")
        self._kind = heatmap_kind
        self._weights = (dice_weight, cross_entropy_weight, heatmap_weight)
        # Sums over the batch: a structure that one image lacks does not turn its every false pixel into loss 1.
        classes = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self._dice = DiceLoss(include_background=True, softmax=True, squared_pred=True, batch=True,
                              weight=None if classes is None else classes / classes.mean())
        self.register_buffer("_classes", classes, persistent=False)
        landmarks = None
        if landmark_weights is not None:
            landmarks = torch.tensor(landmark_weights, dtype=torch.float32)
            landmarks = landmarks / landmarks.mean()
        self.register_buffer("_landmarks", landmarks, persistent=False)

    def forward(
        self, output: NetworkOutput, labels: torch.Tensor, heatmaps: torch.Tensor, sigma_px: float
    ) -> LossTerms:
        """Losses of a batch against soft labels (B, K, h, w) and target heatmaps (B, L, h, w) of width sigma_px."""
        dice = self._dice(output.seg_logits, labels)
        cross_entropy = F.cross_entropy(output.seg_logits, labels, weight=self._classes)
        heatmap = output.heatmaps.new_zeros(())
        if "mse" in self._kind:
            heatmap = heatmap + self._mean(heatmap_mse(output.heatmaps, heatmaps, sigma_px))
        if "ncc" in self._kind:
            heatmap = heatmap + self._mean(heatmap_ncc(output.heatmaps, heatmaps))
        total = self._weights[0] * dice + self._weights[1] * cross_entropy + self._weights[2] * heatmap
        return LossTerms(total, dice, cross_entropy, heatmap)

    def _mean(self, by_landmark: torch.Tensor) -> torch.Tensor:
        return (by_landmark if self._landmarks is None else by_landmark * self._landmarks).mean()


def heatmap_mse(prediction: torch.Tensor, target: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """(B, L) sums of squared differences over the energy pi sigma^2 of one target Gaussian.

    The paper's MSE up to a constant (a plain mean over 128^2 pixels would be 2000 times smaller): saying nothing about
    a visible landmark costs 1.
    """
    return (prediction - target).square().sum(dim=(2, 3)) / (math.pi * sigma_px**2)


def heatmap_ncc(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(B, L): 0.5 (1 - NCC) for each visible landmark, as in the authors' code; the mean square for invisible ones."""
    dp = prediction - prediction.mean(dim=(2, 3), keepdim=True)
    dt = target - target.mean(dim=(2, 3), keepdim=True)
    correlation = (dp * dt).sum(dim=(2, 3)) / (dp.square().sum(dim=(2, 3)) * dt.square().sum(dim=(2, 3)) + 1e-8).sqrt()
    visible = target.amax(dim=(2, 3)) > 0
    silent = prediction.square().mean(dim=(2, 3))
    return torch.where(visible, 0.5 * (1.0 - correlation), silent)
