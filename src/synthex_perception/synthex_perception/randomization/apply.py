"""The deterministic twin of ``draw``: given parameters, randomize a batch of log images with its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from synthex_perception.randomization import intensity
from synthex_perception.randomization.geometry import inside, move_points, warp_image, warp_labels
from synthex_perception.randomization.parameters import SampleParameters


@dataclass(frozen=True, eq=False)
class LabelledBatch:
    """Log images with their labels.

    Attributes:
        image: (B, 1, H, W) float32 log images.
        mask: (B, H, W) uint8 label ids.
        landmarks: (B, L, 2) float64 (column, row), NaN where there is none.
        visible: (B, L) bool, in the image.
    """

    image: torch.Tensor
    mask: torch.Tensor
    landmarks: np.ndarray
    visible: np.ndarray


def apply(batch: LabelledBatch, parameters: list[SampleParameters]) -> LabelledBatch:
    """Randomize; a landmark is visible afterwards if it was before and is still on the image."""
    batch = _replace_by_empty(batch, parameters)
    affines = np.stack([p.affine for p in parameters])
    shape = tuple(batch.image.shape[2:])
    image, mask = warp_image(batch.image, affines), warp_labels(batch.mask, affines)
    moved = [move_points(points, affine, shape) for points, affine in zip(batch.landmarks, affines, strict=True)]
    landmarks = np.stack(moved)
    visible = batch.visible & inside(landmarks, shape)
    image = torch.cat([_intensities(image[i : i + 1], p) for i, p in enumerate(parameters)])
    return LabelledBatch(image, mask, landmarks, visible)


def _intensities(image: torch.Tensor, parameters: SampleParameters) -> torch.Tensor:
    generator = torch.Generator()
    generator.manual_seed(parameters.noise_seed)
    if parameters.empty_noise is not None:
        return image  # an exposure of nothing has no contrast to randomize
    image = intensity.gamma(image, parameters.gamma)
    for operation in parameters.strong:
        image = intensity.STRONG[operation.name](image, generator, **operation.values)
    return intensity.add_noise(image, parameters.noise_sigma, generator)


def _replace_by_empty(batch: LabelledBatch, parameters: list[SampleParameters]) -> LabelledBatch:
    chosen = [i for i, p in enumerate(parameters) if p.empty_noise is not None]
    if not chosen:
        return batch
    image, mask, visible = batch.image.clone(), batch.mask.clone(), batch.visible.copy()
    for i in chosen:
        generator = torch.Generator()
        generator.manual_seed(parameters[i].noise_seed)
        image[i] = parameters[i].empty_noise * torch.randn(image[i].shape, generator=generator)
        mask[i] = 0
        visible[i] = False
    return LabelledBatch(image, mask, batch.landmarks, visible)
