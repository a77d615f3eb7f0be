"""A compact network of the TransUNet family (Chen et al. 2021) with SyntheX's multi-task head (Gao et al. 2023).

Convolutional encoder with strides 2, 4, 8, 16, a transformer on the coarsest grid, a U-shaped decoder with skips back
to stride 2, and two heads: segmentation logits, and landmark heatmaps made from [decoder features, segmentation
logits] by two 1x1 convolutions without bias and without activation, as in the paper's code. Everything stops at stride
2 of the input: one pixel of the 256 px session image is 1.2 mm on the detector while a landmark's heatmap is 3.9 mm
wide, so the finest level would cost half of the time for nothing that the labels hold.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from synthex_perception.network.blocks import ResidualBlock, TransformerBlock, group_norm
from synthex_perception.network.config import CompactTransUNetConfig

#: Pixels of the input for one pixel of the output, along each axis.
OUTPUT_STRIDE = 2


class NetworkOutput(NamedTuple):
    """What the network says about a batch, at half of the input's rows and columns.

    Attributes:
        seg_logits: (B, num_classes, H / 2, W / 2) float, unnormalised.
        heatmaps: (B, num_landmarks, H / 2, W / 2) float, trained towards a Gaussian of peak 1 at each landmark.
    """

    seg_logits: torch.Tensor
    heatmaps: torch.Tensor


class CompactTransUNet(nn.Module):
    """See the module's text. ``forward`` takes (B, 1, H, W), H and W multiples of 16, prepared by ``preprocess``."""

    def __init__(self, config: CompactTransUNetConfig) -> None:
        super().__init__()
        self.config = config
        w, head, dim = config.width, config.head_width, config.embed_dim
        self.stem = nn.Sequential(
            nn.Conv2d(1, w, 5, stride=2, padding=2, bias=False), group_norm(w), nn.ReLU(), ResidualBlock(w, w)
        )
        self.encoder = nn.ModuleList(
            [ResidualBlock(w, 2 * w, 2), ResidualBlock(2 * w, 4 * w, 2), ResidualBlock(4 * w, 8 * w, 2)]
        )
        self.embed = nn.Conv2d(8 * w, dim, 1)
        grid = config.input_size_px // 16
        self.position = nn.Parameter(torch.zeros(1, dim, grid, grid))
        self.transformer = nn.ModuleList(
            [TransformerBlock(dim, config.heads, config.mlp_ratio) for _ in range(config.depth)]
        )
        self.transformer_norm = nn.LayerNorm(dim, eps=1e-6)
        self.decoder = nn.ModuleList(
            [
                ResidualBlock(dim + 4 * w, 4 * w),
                ResidualBlock(4 * w + 2 * w, 2 * w),
                ResidualBlock(2 * w + w, head),
            ]
        )
        classes, landmarks = config.num_classes, config.num_landmarks
        self.seg_head = nn.Conv2d(head, classes, 3, padding=1)
        self.landmark_head = nn.Sequential(
            nn.Conv2d(head + classes, landmarks + classes, 1, bias=False),
            nn.Conv2d(landmarks + classes, landmarks, 1, bias=False),
        )
        self.apply(_initialise)
        nn.init.trunc_normal_(self.position, std=0.02)
        # The heads start near silence: a Kaiming start would make heatmaps of +-10 where 0..1 is wanted.
        nn.init.normal_(self.seg_head.weight, std=0.01)
        nn.init.normal_(self.landmark_head[1].weight, std=0.001)

    def forward(self, image: torch.Tensor) -> NetworkOutput:
        """Segmentation logits and heatmaps of a batch (B, 1, H, W) float32.

        Raises:
            ValueError: not one channel, or H or W is no multiple of 16.
        """
        if image.ndim != 4 or image.shape[1] != 1 or image.shape[2] % 16 or image.shape[3] % 16:
            raise ValueError(f"image must be (B, 1, H, W) with H and W multiples of 16, got {tuple(image.shape)}")
        skips = [self.stem(image)]
        for stage in self.encoder:
            skips.append(stage(skips[-1]))
        x = self._attend(skips.pop())
        for block in self.decoder:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skips.pop()], dim=1))
        seg_logits = self.seg_head(x)
        heatmaps = self.landmark_head(torch.cat([x, seg_logits], dim=1))
        return NetworkOutput(seg_logits, heatmaps)

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        """Transformer over the (B, C, h, w) grid; returns (B, embed_dim, h, w)."""
        x = self.embed(x)
        rows, cols = x.shape[2:]
        position = self.position
        if position.shape[2:] != (rows, cols):
            position = F.interpolate(position, size=(rows, cols), mode="bicubic", align_corners=False)
        tokens = (x + position).flatten(2).transpose(1, 2)
        for block in self.transformer:
            tokens = block(tokens)
        tokens = self.transformer_norm(tokens)
        return tokens.transpose(1, 2).reshape(x.shape[0], -1, rows, cols).contiguous(memory_format=torch.channels_last)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
        nn.init.zeros_(module.bias)


def build_network(config: CompactTransUNetConfig, seed: int = 0) -> CompactTransUNet:
    """A network with random weights that depend on ``seed`` alone (torch's global generator is left as it was)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CompactTransUNet(config)
    return network.to(memory_format=torch.channels_last)


def parameter_count(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in network.parameters())
