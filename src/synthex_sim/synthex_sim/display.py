"""Showing radiographs to people: bone bright, one colour for each structure everywhere."""

from __future__ import annotations

import numpy as np

#: RGB for each id of ``anatomy``: background, left/right hemipelvis, vertebrae, sacrum, left/right femur, manipulator.
LABEL_COLORS_RGB: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (86, 156, 255),
    (255, 99, 99),
    (110, 220, 110),
    (255, 221, 87),
    (178, 120, 255),
    (255, 140, 220),
    (255, 150, 30),
)


def log_display(counts: np.ndarray, low: float = 1.0, high: float = 99.8) -> np.ndarray:
    """(R, C) uint8 with bone bright: minus the logarithm of (R, C) counts, windowed between two percentiles."""
    attenuation = -np.log(np.maximum(counts, 1).astype(np.float32))
    bottom, top = np.percentile(attenuation, (low, high))
    return (255 * np.clip((attenuation - bottom) / max(top - bottom, 1e-3), 0, 1)).astype(np.uint8)
