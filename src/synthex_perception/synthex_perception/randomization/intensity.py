"""Applying drawn intensity operations to one log image (1, 1, H, W) float32. Deterministic given the parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from kornia.filters import gaussian_blur2d
from torch.nn import functional as F


def gamma(image: torch.Tensor, exponent: float) -> torch.Tensor:
    """norm(x)^exponent, scaled back to the image's own range."""
    low, span = _range(image)
    return low + span * ((image - low) / span).clamp(0.0, 1.0).pow(exponent)


def add_noise(image: torch.Tensor, sigma: float, generator: torch.Generator) -> torch.Tensor:
    """Gaussian noise of standard deviation sigma x (max - min)."""
    if sigma == 0.0:
        return image
    return image + sigma * _range(image)[1] * torch.randn(image.shape, generator=generator)


def invert(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """max(x) - x: looks like the raw, bone-dark image."""
    return image.amax() - image


def contrast(image: torch.Tensor, generator: torch.Generator, kind: str, gain: float, cutoff: float) -> torch.Tensor:
    """Linear about the middle, logarithmic, or sigmoid curve on the image scaled to [0, 1]."""
    low, span = _range(image)
    x = (image - low) / span
    if kind == "linear":
        y = (0.5 + gain * (x - 0.5)).clamp(0.0, 1.0)
    elif kind == "log":
        y = gain * torch.log2(1.0 + x)
    else:
        y = torch.sigmoid(gain * (x - cutoff))
    return low + span * y


def blur(image: torch.Tensor, generator: torch.Generator, sigma_px: float) -> torch.Tensor:
    """Gaussian blur."""
    side = 2 * max(1, round(2.5 * sigma_px)) + 1
    return gaussian_blur2d(image, (side, side), (sigma_px, sigma_px), border_type="replicate")


def boxes(image: torch.Tensor, generator: torch.Generator, boxes: tuple, noise_sigma: float) -> torch.Tensor:
    """Large noise inside boxes."""
    image, span = image.clone(), _range(image)[1]
    for box in boxes:
        region = image[_window(box, image)]
        region += noise_sigma * span * torch.randn(region.shape, generator=generator)
    return image


def dropout(image: torch.Tensor, generator: torch.Generator, fraction: float, box: tuple | None) -> torch.Tensor:
    """Single pixels, or one box, set to the image's mean."""
    mean = image.mean()
    if box is not None:
        image = image.clone()
        image[_window(box, image)] = mean
        return image
    return torch.where(torch.rand(image.shape, generator=generator) < fraction, mean, image)


def multiply(image: torch.Tensor, generator: torch.Generator, factor, each_pixel: bool) -> torch.Tensor:
    """Brightness x factor, for the image or pixel by pixel."""
    if not each_pixel:
        return image * factor
    return image * (factor[0] + (factor[1] - factor[0]) * torch.rand(image.shape, generator=generator))


def shading(image: torch.Tensor, generator: torch.Generator, grid: tuple) -> torch.Tensor:
    """x (1 + f), f smooth through a 3 x 3 grid of values: heel effect, vignetting, scatter that was not removed."""
    coarse = torch.tensor(grid, dtype=torch.float32).reshape(1, 1, 3, 3)
    return image * (1.0 + F.interpolate(coarse, size=image.shape[2:], mode="bicubic", align_corners=True))


def pool(image: torch.Tensor, generator: torch.Generator, kernel_px: int, kind: str) -> torch.Tensor:
    """Sliding mean, maximum or minimum over kernel_px x kernel_px."""
    before = (kernel_px - 1) // 2
    padded = F.pad(image, (before, kernel_px - 1 - before, before, kernel_px - 1 - before), mode="replicate")
    if kind == "avg":
        return F.avg_pool2d(padded, kernel_px, stride=1)
    sign = 1.0 if kind == "max" else -1.0
    return sign * F.max_pool2d(sign * padded, kernel_px, stride=1)


STRONG: dict[str, Callable[..., torch.Tensor]] = {
    "invert": invert, "contrast": contrast, "blur": blur, "boxes": boxes, "dropout": dropout, "multiply": multiply,
    "shading": shading, "pool": pool,
}


def _range(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    low, high = torch.aminmax(image)
    return low, (high - low).clamp_min(1e-6)


def _window(box: tuple, image: torch.Tensor) -> tuple:
    rows, cols = image.shape[2:]
    top, left = round(box[0] * rows), round(box[1] * cols)
    return (slice(None), slice(None), slice(top, top + max(1, round(box[2] * rows))),
            slice(left, left + max(1, round(box[3] * cols))))
