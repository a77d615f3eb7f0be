"""What the network is trained towards: soft label maps and Gaussian heatmaps at the output's resolution."""

from __future__ import annotations

import numpy as np
import torch


def soft_labels(mask: torch.Tensor, num_classes: int, stride: int) -> torch.Tensor:
    """(B, H, W) uint8 ids -> (B, K, H / stride, W / stride) float32: each class's share of the output pixel.

    Shares instead of a nearest neighbour: the manipulator is a few output pixels wide, and its border carries most of
    what can be learned about it.
    """
    rows, columns = mask.shape[1] // stride, mask.shape[2] // stride
    shares = torch.zeros((mask.shape[0], num_classes, rows, columns), dtype=torch.float32)
    one = torch.full((), 1.0 / stride**2).expand(mask.shape[0], 1, rows, columns)
    for top in range(stride):
        for left in range(stride):
            shares.scatter_add_(1, mask[:, None, top::stride, left::stride].long(), one)
    return shares


def gaussian_heatmaps(
    landmarks: np.ndarray, visible: np.ndarray, shape: tuple[int, int], stride: int, sigma_px: float
) -> torch.Tensor:
    """Gaussians of peak 1 at each visible landmark, zero elsewhere.

    Args:
        landmarks: (B, L, 2) (column, row) in pixels of the input; NaN where there is none.
        visible: (B, L) bool.
        shape: (rows, columns) of the input.
        stride: input pixels per heatmap pixel.
        sigma_px: width in pixels of the heatmap.

    Returns:
        (B, L, rows / stride, columns / stride) float32.
    """
    centres = torch.from_numpy(np.where(visible[..., None], (landmarks + 0.5) / stride - 0.5, 0.0)).to(torch.float32)
    columns = torch.arange(shape[1] // stride, dtype=torch.float32)
    rows = torch.arange(shape[0] // stride, dtype=torch.float32)
    along_x = torch.exp(-0.5 * ((columns - centres[..., 0:1]) / sigma_px) ** 2)
    along_y = torch.exp(-0.5 * ((rows - centres[..., 1:2]) / sigma_px) ** 2)
    along_y = along_y * torch.from_numpy(visible).to(torch.float32)[..., None]
    return along_y[..., :, None] * along_x[..., None, :]
