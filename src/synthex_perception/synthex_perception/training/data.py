"""Images and labels for training: the split in memory, and batches whose randomness is addressed, not consumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from synthex_perception.inference.preprocess import log_transform, standardise
from synthex_perception.randomization.apply import LabelledBatch, apply
from synthex_perception.randomization.config import RandomizationConfig
from synthex_perception.randomization.parameters import draw
from synthex_perception.training.targets import soft_labels


@dataclass(frozen=True, eq=False)
class LoadedSplit:
    """A split of a data set in memory (1 GB for 5,000 images of 256^2).

    Attributes:
        images: (N, R, C) uint16 raw counts.
        masks: (N, R, C) uint8 label ids.
        landmarks: (N, L, 2) float64 (column, row), NaN where there is none.
        visible: (N, L) bool, in the image.
        pixel_spacing_mm: (N,) on the detector.
    """

    images: np.ndarray
    masks: np.ndarray
    landmarks: np.ndarray
    visible: np.ndarray
    pixel_spacing_mm: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of every image."""
        return tuple(self.images.shape[1:])


def load_split(split, limit: int = 0) -> LoadedSplit:
    """Read a split (anything with ``len`` and ``[i]`` that gives samples as ``synthex_sim.dataset`` does).

    Args:
        limit: read at most this many, spread evenly over the split; 0 reads all.

    Raises:
        ValueError: the split is empty.
    """
    count = len(split)
    if count == 0:
        raise ValueError("the data set's split is empty")
    chosen = range(count) if not 0 < limit < count else np.linspace(0, count - 1, limit).round().astype(int)
    first = split[0]
    images = np.empty((len(chosen), *first.image.shape), dtype=np.uint16)
    masks = np.empty((len(chosen), *first.mask.shape), dtype=np.uint8)
    landmarks, visible, spacing = [], [], []
    for row, index in enumerate(chosen):
        sample = split[int(index)]
        images[row], masks[row] = sample.image, sample.mask
        landmarks.append(sample.landmarks)
        visible.append(sample.visible)
        spacing.append(sample.pixel_spacing_mm)
    points = np.asarray(landmarks, dtype=np.float64)
    seen = np.asarray(visible, dtype=bool) & np.isfinite(points).all(axis=2)
    return LoadedSplit(images, masks, points, seen, np.asarray(spacing, dtype=np.float64))


class TrainingBatch(NamedTuple):
    """What a training step takes.

    Attributes:
        image: (B, 1, H, W) float32, randomized and standardised.
        labels: (B, K, h, w) float32 shares of each class.
        landmarks: (B, L, 2) float64 (column, row) in pixels of the image.
        visible: (B, L) bool, in the image.
    """

    image: torch.Tensor
    labels: torch.Tensor
    landmarks: np.ndarray
    visible: np.ndarray


def make_batch(
    split: LoadedSplit,
    indices: np.ndarray,
    epoch: int,
    seed: int,
    randomization: RandomizationConfig,
    num_classes: int,
    stride: int,
) -> TrainingBatch:
    """Randomized batch of the given images. Depends on nothing but its arguments."""
    raw = LabelledBatch(
        log_transform(torch.from_numpy(split.images[indices].astype(np.float32))),
        torch.from_numpy(split.masks[indices]),
        split.landmarks[indices],
        split.visible[indices],
    )
    moved = apply(raw, [draw(randomization, seed, int(index), epoch) for index in indices])
    return TrainingBatch(
        standardise(moved.image).contiguous(memory_format=torch.channels_last),
        soft_labels(moved.mask, num_classes, stride),
        moved.landmarks,
        moved.visible,
    )


class BatchStream:
    """Endless epochs of batches for Lightning, resumable in the middle of an epoch.

    The order of an epoch depends on (seed, epoch) alone, and the position is part of the checkpoint, so a run that was
    killed goes on with the image it would have seen next. Everything is in memory and batch-wise: no worker processes,
    which two cores could not feed anyway.
    """

    def __init__(
        self,
        split: LoadedSplit,
        batch_size: int,
        seed: int,
        randomization: RandomizationConfig,
        num_classes: int,
        stride: int,
    ) -> None:
        self._split, self._seed, self._randomization = split, seed, randomization
        self._batch_size = min(batch_size, len(split))
        self._num_classes, self._stride = num_classes, stride
        self._epoch, self._position = 0, 0

    def __len__(self) -> int:
        """Batches an epoch; a last incomplete batch is left out."""
        return len(self._split) // self._batch_size

    def __iter__(self) -> Iterator[TrainingBatch]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._split))
        epoch = self._epoch
        for position in range(self._position, len(self)):
            start = position * self._batch_size
            indices = np.sort(order[start : start + self._batch_size])
            # Before the batch is handed out: Lightning asks for the state after the step and never for a batch more.
            self._epoch, self._position = (epoch, position + 1) if position + 1 < len(self) else (epoch + 1, 0)
            yield make_batch(
                self._split, indices, epoch, self._seed, self._randomization, self._num_classes, self._stride
            )

    def state_dict(self) -> dict[str, int]:
        """Where the stream is; Lightning keeps it in the checkpoint."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a kept place."""
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
