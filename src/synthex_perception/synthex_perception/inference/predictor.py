"""Weights in, detections out: the one thing a session needs from this package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from synthex_perception.inference.detections import Detections
from synthex_perception.inference.postprocess import PostprocessConfig, postprocess
from synthex_perception.inference.preprocess import preprocess
from synthex_perception.inference.tube_profile import OFFSETS_PX, fit_width
from synthex_perception.network.compact_transunet import CompactTransUNet, build_network
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.network.weights import WeightsMetadata, load_weights
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS


class Predictor:
    """A network ready to look at images.

    Args:
        network: with the sizes that the metadata names.
        metadata: names of labels and landmarks, width of the heatmaps.
        config: thresholds of the post-processing; may be replaced at any time.
        threads: threads of torch and OpenCV in this process (their global settings); None leaves them.
    """

    def __init__(
        self,
        network: CompactTransUNet,
        metadata: WeightsMetadata,
        config: PostprocessConfig = PostprocessConfig(),
        threads: int | None = None,
    ) -> None:
        if threads:
            torch.set_num_threads(threads)
            cv2.setNumThreads(threads)
        self.metadata = metadata
        self.config = config
        self._network = network.to(memory_format=torch.channels_last).eval()
        side = metadata.config.input_size_px
        # The first call makes oneDNN choose and pack its kernels; better now than on the first image of a session.
        for _ in range(2):
            self.predict(np.full((side, side), 1000, dtype=np.uint16))
        fit_width(np.zeros_like(OFFSETS_PX), config.device.inner_over_outer)  # makes its table of profiles

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        threads: int | None = None,
        config: PostprocessConfig = PostprocessConfig(),
        task: str | None = None,
        label_names: tuple[str, ...] | None = None,
        landmark_names: tuple[str, ...] | None = None,
    ) -> Predictor:
        """A predictor from a weights file; ``task`` and names are checked where given.

        Raises:
            FileNotFoundError, WeightsError: as ``network.weights.load_weights``.
        """
        return cls(*load_weights(path, task, label_names, landmark_names), config, threads)

    @classmethod
    def random(cls, seed: int, network: CompactTransUNetConfig | None = None, threads: int | None = None) -> Predictor:
        """The session's network with random weights: it finds nothing true, but everything that a session's plumbing
        needs (sizes, names, types)."""
        sizes = network or CompactTransUNetConfig()
        metadata = WeightsMetadata(sizes, "session", LABEL_NAMES, SESSION_LANDMARKS, 1.68, training_data="none: random")
        return cls(build_network(sizes, seed), metadata, threads=threads)

    def predict(self, image: np.ndarray) -> Detections:
        """Look at one image.

        Args:
            image: (R, C) uint16 raw detector counts (bone dark). Any size: it is brought to the network's and the
                answer is brought back.

        Raises:
            ValueError: not a 2D uint16 image.
        """
        if image.ndim != 2 or image.dtype.kind != "u" or image.dtype.itemsize != 2:
            raise ValueError(f"a predictor looks at (R, C) uint16 counts, got {image.dtype} of {image.shape}")
        # Native byte order: an image from a big-endian machine is the same image.
        resized = fit(image.astype(np.uint16, copy=False), self.metadata.config.input_size_px)
        padded = pad_to_multiple(resized, 16)
        seen = preprocess(padded[None])
        with torch.inference_mode():
            output = self._network(seen.contiguous(memory_format=torch.channels_last))
        found = postprocess(
            output.seg_logits[0], output.heatmaps[0], padded.shape, self.metadata.heatmap_sigma_px,
            self.metadata.label_names, self.metadata.landmark_names, self.config, seen[0, 0].numpy(),
        )
        return map_back(found, resized.shape, image.shape)


def fit(image: np.ndarray, side: int) -> np.ndarray:
    """Resize so that the longer side is ``side`` pixels (area average when it shrinks, bilinear when it grows)."""
    rows, columns = image.shape
    scale = side / max(rows, columns)
    if scale == 1.0:
        return image
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR)


def pad_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """Repeat the last row and column until both sides are multiples; the image stays at the top left."""
    missing = [(-n) % multiple for n in image.shape]
    return np.pad(image, [(0, missing[0]), (0, missing[1])], mode="edge") if any(missing) else image


def map_back(found: Detections, resized: tuple[int, int], original: tuple[int, int]) -> Detections:
    """Detections on the padded network input -> on the original image: column' = (column + 0.5) / r - 0.5."""
    if found.mask.shape == tuple(original):
        return found
    mask = found.mask[: resized[0], : resized[1]]
    mask = cv2.resize(np.ascontiguousarray(mask), (original[1], original[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    scale = np.array([resized[1] / original[1], resized[0] / original[0]])
    landmarks = (found.landmarks + 0.5) / scale - 0.5
    with np.errstate(invalid="ignore"):
        on_image = ((landmarks > -0.5) & (landmarks < np.array([original[1], original[0]]) - 0.5)).all(axis=1)
    return replace(
        found, mask=mask, landmarks=landmarks, visible=found.visible & on_image,
        base_width_px=float(found.base_width_px / scale.mean()), tip_width_px=float(found.tip_width_px / scale.mean()),
    )
