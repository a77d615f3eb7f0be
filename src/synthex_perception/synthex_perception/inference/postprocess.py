"""Network output -> Detections: masks, landmarks to a fraction of a pixel, confidences. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from synthex_perception.inference.detections import Detections
from synthex_perception.inference.heatmap import heatmap_confidence, subpixel_peak
from synthex_perception.inference.manipulator_trace import body_mask, trace_manipulator
from synthex_perception.inference.tube_profile import DeviceSize
from synthex_sim.anatomy import (
    LEFT_FEMUR,
    LEFT_HEMIPELVIS,
    MANIPULATOR,
    MANIPULATOR_LANDMARKS,
    RIGHT_FEMUR,
    RIGHT_HEMIPELVIS,
)


@dataclass(frozen=True)
class PostprocessConfig:
    """How a network's output becomes detections.

    Attributes:
        landmark_threshold: least confidence (NCC) of a visible landmark; the paper reports at 0.9 for
            heatmaps of 360 px images, see the model card for what 0.6 means here.
        cm_min_pixels: least size of the manipulator's largest connected piece, pixels of the network's input.
        search_margin_px: how far outside of its structure's mask a landmark may lie, pixels of the heatmap. The ends
            of the manipulator lie on its border, and so do most landmarks of the pelvis.
        device: size of the manipulator.
    """

    landmark_threshold: float = 0.6
    cm_min_pixels: int = 40
    search_margin_px: int = 3
    device: DeviceSize = DeviceSize()

    def __post_init__(self) -> None:
        if not 0.0 <= self.landmark_threshold <= 1.0:
            raise ValueError(f"landmark_threshold must lie in [0, 1], got {self.landmark_threshold}")
        if self.cm_min_pixels < 1 or self.search_margin_px < 0:
            raise ValueError("cm_min_pixels must be at least 1 and search_margin_px at least 0")


def landmark_label(name: str) -> int:
    """The label whose mask a landmark must lie in (facts 2.2): FH in the femur of its side, CM-* in the manipulator,
    every other one in the hemipelvis of its side.

    Raises:
        ValueError: the name says neither side nor manipulator.
    """
    if name.startswith("CM-"):
        return MANIPULATOR
    if name.endswith("-l"):
        return LEFT_FEMUR if name.startswith("FH") else LEFT_HEMIPELVIS
    if name.endswith("-r"):
        return RIGHT_FEMUR if name.startswith("FH") else RIGHT_HEMIPELVIS
    raise ValueError(f"landmark '{name}' names no side (-l, -r) and is not the manipulator's (CM-)")


def postprocess(
    seg_logits: torch.Tensor,
    heatmaps: torch.Tensor,
    input_shape: tuple[int, int],
    heatmap_sigma_px: float,
    label_names: tuple[str, ...],
    landmark_names: tuple[str, ...],
    config: PostprocessConfig = PostprocessConfig(),
    attenuation: np.ndarray | None = None,
) -> Detections:
    """Detections of one image, in pixels of the network's input.

    Args:
        seg_logits: (K, h, w) float.
        heatmaps: (L, h, w) float.
        input_shape: (rows, columns) of the network's input; h and w are a fraction of it.
        heatmap_sigma_px: width of the training targets, pixels of the heatmap.
        label_names, landmark_names: K and L names.
        attenuation: (rows, columns) float32, the image that the network saw. With it the manipulator is followed from
            its tip, which gives its base, its width and a mask that ends there; without, they are the network's.
    """
    full = F.interpolate(seg_logits[None].float(), size=input_shape, mode="bilinear", align_corners=False)[0]
    mask, manipulator_confidence = _segment(full, label_names, config)
    grid = tuple(heatmaps.shape[1:])
    coarse = cv2.resize(mask, (grid[1], grid[0]), interpolation=cv2.INTER_NEAREST)
    maps = heatmaps.float().cpu().numpy()
    pixels = np.full((len(landmark_names), 2), np.nan)
    confidence = np.zeros(len(landmark_names), dtype=np.float32)
    regions: dict[int, np.ndarray] = {}
    for index, name in enumerate(landmark_names):
        label = landmark_label(name)
        if label not in regions:
            regions[label] = search_region(coarse, label, config.search_margin_px)
        peak = locate(maps[index], regions[label])
        if peak is not None:
            pixels[index] = peak
            confidence[index] = heatmap_confidence(maps[index], peak, heatmap_sigma_px)
    scale = np.array([input_shape[1] / grid[1], input_shape[0] / grid[0]])
    pixels = (pixels + 0.5) * scale - 0.5
    with np.errstate(invalid="ignore"):
        on_image = ((pixels > -0.5) & (pixels < np.array([input_shape[1], input_shape[0]]) - 0.5)).all(axis=1)
    visible = on_image & (confidence >= config.landmark_threshold)
    found = Detections(mask, pixels, confidence, visible, manipulator_confidence, label_names, landmark_names)
    if attenuation is None or not set(MANIPULATOR_LANDMARKS) <= set(landmark_names):
        return found
    return _follow_manipulator(found, full, attenuation, config)


def search_region(mask: np.ndarray, label: int, margin_px: int) -> np.ndarray:
    """(h, w) bool: pixels within ``margin_px`` of the label; all False where the label does not occur."""
    region = (mask == label).astype(np.uint8)
    if margin_px and region.any():
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin_px + 1, 2 * margin_px + 1))
        region = cv2.dilate(region, kernel)
    return region.astype(bool)


def locate(heatmap: np.ndarray, region: np.ndarray) -> tuple[float, float] | None:
    """(column, row) of the heatmap's maximum inside the region, to a fraction of a pixel; None for an empty region."""
    if not region.any():
        return None
    row, column = np.unravel_index(int(np.where(region, heatmap, -np.inf).argmax()), heatmap.shape)
    return subpixel_peak(heatmap, int(column), int(row))


def largest_component(region: np.ndarray) -> np.ndarray:
    """(R, C) bool: the largest 8-connected piece of a bool region (all False where the region is empty)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(region, dtype=bool)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def _follow_manipulator(
    found: Detections, logits: torch.Tensor, attenuation: np.ndarray, config: PostprocessConfig
) -> Detections:
    """Base, widths and mask as the image itself shows them from the tip on; the tip is dropped if it is no end."""
    base, tip = (found.landmark_names.index(name) for name in MANIPULATOR_LANDMARKS)
    pixels, confidence, visible = found.landmarks.copy(), found.confidence.copy(), found.visible.copy()
    pixels[base], confidence[base], visible[base] = np.nan, 0.0, False
    trace = trace_manipulator(attenuation, pixels[tip], config.device) if visible[tip] else None
    if trace is not None and not trace.ends_at_tip:
        confidence[tip], visible[tip], trace = 0.0, False, None
    found = replace(found, landmarks=pixels, confidence=confidence, visible=visible)
    if trace is None:
        return found
    pixels[base], confidence[base] = trace.base_px, trace.base_confidence
    visible[base] = confidence[base] >= config.landmark_threshold
    mask, share = found.mask, found.manipulator_confidence
    if visible[base]:
        mask, share = _with_manipulator(mask, body_mask(trace.body, trace.tip_width_px, mask.shape), logits)
    return replace(
        found, mask=mask, manipulator_confidence=share, base_width_px=trace.base_width_px,
        tip_width_px=trace.tip_width_px,
    )


def _with_manipulator(mask: np.ndarray, body: np.ndarray, logits: torch.Tensor) -> tuple[np.ndarray, float]:
    """(mask whose manipulator is the body, mean probability of the body's pixels); see ``_segment``."""
    result = _without_manipulator(mask, (mask == MANIPULATOR) & ~body, logits)
    result[body] = MANIPULATOR
    return result, _mean_probability(body, logits)


def _without_manipulator(mask: np.ndarray, dropped: np.ndarray, logits: torch.Tensor) -> np.ndarray:
    """A copy of the mask in which dropped pixels of manipulator are whatever the network thought second."""
    result = mask.copy()
    if dropped.any():
        others = logits[:, torch.from_numpy(dropped).to(logits.device)]
        others[MANIPULATOR] = -torch.inf
        result[dropped] = others.argmax(dim=0).to(torch.uint8).cpu().numpy()
    return result


def _mean_probability(region: np.ndarray, logits: torch.Tensor) -> float:
    """Of the manipulator over a region; 0 where the region is empty."""
    if not region.any():
        return 0.0
    inside = torch.from_numpy(region).to(logits.device)
    return float(torch.softmax(logits[:, inside], dim=0)[MANIPULATOR].mean())


def _segment(logits: torch.Tensor, label_names: tuple[str, ...], config: PostprocessConfig) -> tuple[np.ndarray, float]:
    """(mask uint8, mean probability of the manipulator's pixels) of full-size logits (K, R, C)."""
    mask = logits.argmax(dim=0).to(torch.uint8).cpu().numpy()
    if len(label_names) <= MANIPULATOR:
        return mask, 0.0
    found = mask == MANIPULATOR
    keep = largest_component(found)
    if keep.sum() < config.cm_min_pixels:
        keep[:] = False
    return _without_manipulator(mask, found & ~keep, logits), _mean_probability(keep, logits)
