"""A page of samples with their labels drawn on them: what a data set looks like."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from synthex_sim.dataset.reader import Dataset
from synthex_sim.dataset.shards import Sample
from synthex_sim.display import LABEL_COLORS_RGB, log_display


def write_contact_sheet(dataset: Dataset, path: Path, columns: int = 6, rows: int = 4) -> None:
    """Writes a PNG of samples spread evenly over the data set, image left and labels right."""
    pairs = []
    for split in sorted({s.split for s in dataset.manifest.shards}):
        samples = dataset.split(split)
        wanted = columns * rows // 2
        for index in np.linspace(0, len(samples) - 1, min(wanted, len(samples))).round().astype(int):
            pairs.append(draw_sample(samples[int(index)]))
    pairs = pairs[: columns * rows]
    while len(pairs) % columns:
        pairs.append(np.zeros_like(pairs[0]))
    grid = np.vstack([np.hstack(pairs[i : i + columns]) for i in range(0, len(pairs), columns)])
    if not cv2.imwrite(str(path), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write {path}")


def draw_sample(sample: Sample) -> np.ndarray:
    """(R, 2 C, 3) uint8 RGB: the radiograph (bone bright), and the same with mask and landmarks in view."""
    plain = np.repeat(log_display(sample.image)[..., None], 3, axis=2)
    labelled = plain.copy()
    where = sample.mask > 0
    colors = np.asarray(LABEL_COLORS_RGB, dtype=np.uint8)
    labelled[where] = (0.6 * labelled[where] + 0.4 * colors[sample.mask[where]]).astype(np.uint8)
    for (column, row), visible in zip(sample.landmarks, sample.visible, strict=True):
        if visible:
            cv2.drawMarker(labelled, (round(float(column)), round(float(row))), (255, 255, 255), cv2.MARKER_CROSS, 7, 1)
    return np.hstack([plain, labelled])
