"""Detections: what the network says about one image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Detections:
    """Everything found in one image, in pixels of that image (column, row; pixel centres at integers).

    Attributes:
        mask: (R, C) uint8 label ids.
        landmarks: (L, 2) float64 (column, row); NaN where the landmark's structure was not found.
        confidence: (L,) float32 in 0..1, likeness of the heatmap around the landmark to its Gaussian template; of the
            manipulator's base the probability that it is within half the device's width of there.
        visible: (L,) bool, confident enough to be used and on the image.
        manipulator_confidence: mean network probability over the manipulator's pixels; 0 where there are none.
        label_names: mask value -> name.
        landmark_names: order of the landmarks.
        base_width_px, tip_width_px: width of the manipulator at its ends; NaN where it was not measured.
    """

    mask: np.ndarray
    landmarks: np.ndarray
    confidence: np.ndarray
    visible: np.ndarray
    manipulator_confidence: float
    label_names: tuple[str, ...]
    landmark_names: tuple[str, ...]
    base_width_px: float = math.nan
    tip_width_px: float = math.nan

    def pixels_of(self, label: int) -> int:
        """Number of mask pixels with this label."""
        return int(np.count_nonzero(self.mask == label))

    def landmark(self, name: str) -> tuple[np.ndarray, float, bool]:
        """(pixel (2,), confidence, visible) of the named landmark.

        Raises:
            KeyError: no such landmark.
        """
        if name not in self.landmark_names:
            raise KeyError(f"no landmark '{name}'; there are {', '.join(self.landmark_names)}")
        index = self.landmark_names.index(name)
        return self.landmarks[index], float(self.confidence[index]), bool(self.visible[index])
