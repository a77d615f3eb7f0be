"""Raw detector counts -> what the network sees. Training and inference call the same two functions.

The logarithm undoes Beer-Lambert: L = ln(I0 / I) is the line integral of attenuation along each ray, bone bright,
additive in what the ray passes. I0, the unattenuated beam, is taken from the image itself as xreg does (facts 2.2):
the maximum of a lightly smoothed copy, so that one noisy pixel does not set it. Then each image is standardised, which
makes the network blind to dose, gain and I0.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

#: Standard deviation of the Gaussian that I0 is read through, pixels (variance 2 px^2, xreg's log filter).
SMOOTHING_SIGMA_PX = 2.0**0.5

#: Least standard deviation of the log image that standardisation divides by. A patient gives about 0.5..1.5; noise on
#: an empty exposure gives about 0.02 and must stay small, not be blown up into something that looks like anatomy.
STD_FLOOR = 0.3

#: What is written into the weights file; a file made for another normalisation is refused.
NORMALISATION = f"log(I0/I) with I0=max(gauss(variance 2 px^2)), z-score per image with std floor {STD_FLOOR}"


def log_transform(counts: torch.Tensor) -> torch.Tensor:
    """Line integrals L = ln(I0 / I) of a batch.

    Args:
        counts: (B, H, W) or (B, 1, H, W), any real dtype; raw detector counts, bone dark. Zeros (dead or starved
            pixels) count as the image's least positive value.

    Returns:
        (B, 1, H, W) float32; an image without a positive pixel gives zeros.
    """
    image = counts.to(torch.float32)
    image = image.unsqueeze(1) if image.ndim == 3 else image
    if image.ndim != 4 or image.shape[1] != 1:
        raise ValueError(f"counts must be (B, H, W) or (B, 1, H, W), got {tuple(counts.shape)}")
    positive = image > 0
    least = torch.where(positive, image, torch.inf).amin(dim=(2, 3), keepdim=True)
    least = torch.where(torch.isfinite(least), least, 1.0)
    open_field = torch.tensor([_open_field(single) for single in image[:, 0].cpu().numpy()], device=image.device)
    # An image without a positive pixel is I = I0 = 1 everywhere: no attenuation anywhere.
    open_field = torch.where(open_field > 0, open_field, 1.0).view(-1, 1, 1, 1)
    return torch.log(open_field / torch.where(positive, image, least))


def standardise(log_image: torch.Tensor) -> torch.Tensor:
    """Zero mean, unit standard deviation for each image of (B, 1, H, W); the deviation is at least ``STD_FLOOR``."""
    std, mean = torch.std_mean(log_image, dim=(2, 3), keepdim=True, correction=0)
    return (log_image - mean) / std.clamp_min(STD_FLOOR)


def preprocess(counts: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Raw counts (B, H, W) -> network input (B, 1, H, W) float32: ``standardise(log_transform(counts))``."""
    if isinstance(counts, np.ndarray):
        counts = torch.from_numpy(np.ascontiguousarray(counts).astype(np.float32))
    return standardise(log_transform(counts))


def _open_field(image: np.ndarray) -> float:
    """The unattenuated beam as this image shows it."""
    smoothed = cv2.GaussianBlur(image, (0, 0), SMOOTHING_SIGMA_PX, borderType=cv2.BORDER_REPLICATE)
    return float(smoothed.max())
