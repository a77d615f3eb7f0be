"""Evaluation of a network on a loaded split while it trains; the same post-processing as in a session."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from synthex_perception.evaluation.metrics import Evaluation, Truth
from synthex_perception.inference.postprocess import PostprocessConfig, postprocess
from synthex_perception.inference.preprocess import preprocess
from synthex_perception.network.compact_transunet import CompactTransUNet
from synthex_perception.training.data import LoadedSplit


@torch.inference_mode()
def evaluate(
    network: CompactTransUNet,
    split: LoadedSplit,
    label_names: tuple[str, ...],
    landmark_names: tuple[str, ...],
    heatmap_sigma_px: float,
    config: PostprocessConfig = PostprocessConfig(),
    batch_size: int = 8,
    reduction: int = 1,
) -> dict:
    """Summary of ``Evaluation`` over the split (isocentre scale not known here: detector millimetres only).

    ``reduction`` shows the network images that many times smaller, as the coarse part of a run does; what it says is
    brought back to the full size all the same.
    """
    was_training = network.training
    network.eval()
    result = Evaluation(label_names, landmark_names)
    for start in range(0, len(split), batch_size):
        rows = np.arange(start, min(start + batch_size, len(split)))
        image = F.avg_pool2d(preprocess(split.images[rows]), reduction)
        output = network(image.contiguous(memory_format=torch.channels_last))
        for k, row in enumerate(rows):
            found = postprocess(
                output.seg_logits[k], output.heatmaps[k], split.shape, heatmap_sigma_px / reduction, label_names,
                landmark_names, config,
            )
            truth = Truth(
                split.masks[row], split.landmarks[row], split.visible[row], float(split.pixel_spacing_mm[row]), 1.0
            )
            result.add(found, truth)
    network.train(was_training)
    return result.summary()
