"""A data set in memory with the interface of ``synthex_sim.dataset``: discs, boxes and a bar instead of bones."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np

from synthex_sim import anatomy


@dataclass(frozen=True, eq=False)
class MemoryDataset:
    """Samples by split."""

    manifest: SimpleNamespace
    splits: dict

    def split(self, name: str):
        return self.splits[name]


def make_dataset(train: int = 8, valid: int = 4, size: int = 64, seed: int = 0, task: str = "session") -> MemoryDataset:
    """Random scenes; every bone is a bright shape of its own, the manipulator a thin very bright bar."""
    splits = {
        "train": [make_sample(size, seed * 1000 + i) for i in range(train)],
        "valid": [make_sample(size, seed * 1000 + 500 + i) for i in range(valid)],
    }
    manifest = SimpleNamespace(
        task=task, label_names=anatomy.LABEL_NAMES, landmark_names=anatomy.SESSION_LANDMARKS,
        image_shape=(size, size), count=train + valid,
    )
    return MemoryDataset(manifest, splits)


def make_sample(size: int, seed: int) -> SimpleNamespace:
    """One scene: attenuation 0.3..2.5 under each shape, 60000 counts unattenuated, 1 % noise."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), dtype=np.uint8)
    line_integral = np.full((size, size), 0.3)
    landmarks = np.full((len(anatomy.SESSION_LANDMARKS), 2), np.nan, dtype=np.float32)
    layout = {3: (0.5, 0.12), 4: (0.5, 0.3), 2: (0.25, 0.4), 1: (0.75, 0.4), 6: (0.22, 0.78), 5: (0.78, 0.78)}
    for label, (x, y) in layout.items():
        centre = (np.array([x, y]) + rng.uniform(-0.04, 0.04, 2)) * size
        axes = np.array([0.1, 0.08 + 0.02 * (label % 3)]) * size
        shape = np.zeros_like(mask)
        cv2.ellipse(shape, centre.round().astype(int).tolist(), axes.round().astype(int).tolist(), 0, 0, 360, 1, -1)
        mask[shape > 0] = label
        line_integral += shape * (0.6 + 0.15 * label)
        for index, name in enumerate(anatomy.SESSION_LANDMARKS):
            step = np.array([(index // 2 % 3 - 1) * 0.05, (index // 6 - 1) * 0.04]) * size
            if _belongs(name, label):
                landmarks[index] = centre + (step if label in (1, 2) else 0)
    base = np.array([0.45, 0.55]) * size + rng.uniform(-0.05, 0.05, 2) * size
    tip = base + np.array([0.25, 0.2]) * size * rng.uniform(0.7, 1.0)
    bar = np.zeros_like(mask)
    cv2.line(bar, base.round().astype(int).tolist(), tip.round().astype(int).tolist(), 1, max(2, size // 24))
    mask[bar > 0] = anatomy.MANIPULATOR
    line_integral += 2.5 * bar
    landmarks[-2:] = base, tip
    counts = 60000.0 * np.exp(-line_integral) * (1 + 0.01 * rng.standard_normal(mask.shape))
    spacing = 297.984 / size
    inside = np.isfinite(landmarks).all(axis=1) & (landmarks > -0.5).all(axis=1) & (landmarks < size - 0.5).all(axis=1)
    focal = 1020.0 / spacing
    return SimpleNamespace(
        image=np.clip(counts, 0, 65535).astype(np.uint16), mask=mask, landmarks=landmarks, visible=inside,
        open_field=60000, pixel_spacing_mm=spacing, source_to_isocenter_mm=530.0,
        intrinsics=np.array([[-focal, 0, (size - 1) / 2], [0, focal, (size - 1) / 2], [0, 0, 1]]),
        world_to_camera=np.eye(4),
    )


def _belongs(name: str, label: int) -> bool:
    if name.startswith("CM-"):
        return False
    femur = name.startswith("FH")
    side_left = name.endswith("-l")
    return label == ({True: 5, False: 1}[femur] if side_left else {True: 6, False: 2}[femur])
