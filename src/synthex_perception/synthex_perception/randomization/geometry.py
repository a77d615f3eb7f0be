"""Applying a drawn affine motion to pixels, label pixels and landmarks alike."""

from __future__ import annotations

import numpy as np
import torch
from kornia.geometry import create_meshgrid
from torch.nn import functional as F


def warp_image(image: torch.Tensor, affines: np.ndarray) -> torch.Tensor:
    """Move (B, 1, H, W) float32 by (B, 3, 3) maps of normalised coordinates, input -> output; borders replicated."""
    return F.grid_sample(image, _grid(image, affines), mode="bilinear", padding_mode="border", align_corners=False)


def warp_labels(labels: torch.Tensor, affines: np.ndarray) -> torch.Tensor:
    """As :func:`warp_image` for (B, H, W) uint8 label images: nearest neighbour, no label is ever mixed."""
    grid = _grid(labels.unsqueeze(1), affines)
    moved = F.grid_sample(
        labels.unsqueeze(1).to(torch.float32), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return moved.squeeze(1).to(torch.uint8)


def move_points(points: np.ndarray, affine: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Where pixels (N, 2) as (column, row) of an (H, W) image go; pixel centres at integers, NaN stays NaN."""
    size = np.array([shape[1], shape[0]], dtype=np.float64)
    normalised = (np.asarray(points, dtype=np.float64) + 0.5) * 2.0 / size - 1.0
    moved = normalised @ affine[:2, :2].T + affine[:2, 2]
    return (moved + 1.0) * size / 2.0 - 0.5


def inside(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(N,) bool: the pixel (column, row) is on the image, whose edge lies half a pixel outside the centres."""
    with np.errstate(invalid="ignore"):
        return ((points > -0.5) & (points < np.array([shape[1], shape[0]]) - 0.5)).all(axis=-1)


def _grid(image: torch.Tensor, affines: np.ndarray) -> torch.Tensor:
    """(B, H, W, 2) normalised source coordinates of every output pixel (align_corners=False convention)."""
    rows, cols = image.shape[2:]
    pixels = create_meshgrid(rows, cols, normalized_coordinates=False)
    base = (pixels + 0.5) * 2.0 / torch.tensor([cols, rows], dtype=torch.float32) - 1.0
    inverse = torch.from_numpy(np.linalg.inv(affines)).to(torch.float32)
    flat = base.reshape(1, -1, 2) @ inverse[:, :2, :2].transpose(1, 2) + inverse[:, None, :2, 2]
    return flat.reshape(-1, rows, cols, 2)
