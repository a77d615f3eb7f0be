"""Where the notched body ends and the solid shaft begins, along a tube laid out straight from its tip.

The slits are at the limit of what a session's image resolves, but they leave two marks: the body holds about 14 % less
metal than the shaft (a step of the tube's contrast), and its contrast flickers along the axis where the shaft's is
even. Both are weighed against each other, and against what is known of the length: the body's length in the image is
its width times ``length_over_width`` times the cosine of its tilt out of the image plane, so it may be shorter than
that, never longer. The result is a distribution over places; how narrow it is says how well the base is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from synthex_perception.inference.centreline import SPACING_PX
from synthex_perception.inference.tube_profile import OFFSETS_PX, tube_profile

#: Spread of the tilt out of the image plane: the device is held about flat, views are up to 45 degrees oblique.
_TILT_SD_RAD = np.deg2rad(33.0)
#: Relative standard deviation of the greatest length in the image, which the width stands for.
_LENGTH_SD = 0.015
#: Neighbouring samples are alike: so many independent ones is each worth, for contrast and flicker (tuned on training
#: images for a spread that holds).
_CONTRAST_WORTH, _FLICKER_WORTH = 0.25, 0.3
#: What changes more slowly along the axis is no flicker, pixels.
_FLICKER_PX = 1.2
#: Standard deviation of the contrast's logarithm above which this is no tube of metal.
_UNEVEN = 0.4
#: The part of the tube, in widths: around the axis where flicker is looked for, least and greatest distances used.
_CORE, _FIRST, _LEAST_BODY, _LEAST_SHAFT, _BEHIND = 0.3, 0.6, 1.2, 0.7, 1.39


@dataclass(frozen=True)
class BaseEstimate:
    """Where the notched body ends.

    Attributes:
        distance_px: from the tip along the centreline.
        confidence: 0..1, probability that it is within half a tube's width of there.
    """

    distance_px: float
    confidence: float


def find_base(
    strip: np.ndarray, width_px: float, inner_over_outer: float, length_over_width: float
) -> BaseEstimate | None:
    """The body's end.

    Args:
        strip: (n, 37) as ``centreline.straighten`` gives it, from the tip on.
        width_px: of the tube.

    Returns:
        None if the strip is too short to say anything, or too uneven for a tube, or the body goes on beyond it.
    """
    greatest = length_over_width * width_px / SPACING_PX
    first = round(_FIRST * width_px / SPACING_PX)
    last = min(len(strip), round(_BEHIND * greatest))
    places = np.arange(round(_LEAST_BODY * width_px / SPACING_PX), round((1.0 + 2.0 * _LENGTH_SD) * greatest))
    if last - first < 2.0 * width_px / SPACING_PX or len(places) < 3:
        return None
    contrast, flicker = _marks(strip[first:last], width_px, inner_over_outer)
    if contrast.std() > _UNEVEN:
        return None
    # a shaft too short to tell from the body's last slits is as good as none
    seen = places <= last - round(_LEAST_SHAFT * width_px / SPACING_PX)
    splits = np.where(seen, places - first, len(contrast))
    score = (
        _CONTRAST_WORTH * _step_likelihood(contrast, splits) + _FLICKER_WORTH * _flicker_likelihood(flicker, splits)
        + _log_prior(places / greatest)
    )
    share = np.exp(score - score.max())
    share /= share.sum()
    inside = float(share[seen].sum())
    if inside < 1e-6:
        return None
    distances = places * SPACING_PX
    mean = float(share[seen] @ distances[seen]) / inside
    near = seen & (np.abs(distances - mean) <= width_px / 2.0)
    return BaseEstimate(mean, float(share[near].sum()))


def _marks(strip: np.ndarray, width_px: float, inner_over_outer: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) logarithm of the tube's contrast over its surroundings, (n,) mean square of its flicker."""
    across = np.abs(OFFSETS_PX) <= width_px / 2.0 + 3.0
    shape = tube_profile(OFFSETS_PX[across], width_px, inner_over_outer)
    design = np.stack([shape, np.ones_like(shape), OFFSETS_PX[across]], axis=1)
    contrast = strip[:, across] @ np.linalg.pinv(design)[0]
    contrast = np.log(np.maximum(contrast, 0.05 * np.median(np.abs(contrast)) + 1e-6))
    core = strip[:, np.abs(OFFSETS_PX) <= _CORE * width_px]
    even = gaussian_filter1d(core, _FLICKER_PX / SPACING_PX, axis=0, mode="nearest")
    return contrast, ((core - even) ** 2).mean(axis=1) + 1e-12


def _step_likelihood(contrast: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Log likelihood of a rise of the contrast at each split, over a slow (quadratic) drift that tissue makes."""
    count = len(contrast)
    along = np.linspace(-1.0, 1.0, count)
    drift = np.linalg.qr(np.stack([np.ones(count), along, along**2], axis=1))[0]
    rest = contrast - drift @ (drift.T @ contrast)
    steps = (np.arange(count) >= splits[:, None]).astype(np.float64)
    steps -= (steps @ drift) @ drift.T
    size = (steps**2).sum(axis=1)
    height = np.maximum(steps @ rest, 0.0) / np.maximum(size, 1e-9)  # a fall is no sign of a shaft
    left = rest @ rest - height**2 * size
    return -0.5 * count * np.log(np.maximum(left, 0.0) / count + 1e-6)


def _flicker_likelihood(flicker: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Log likelihood of less flicker behind each split than before it."""
    total, before = flicker.sum(), np.cumsum(flicker)[splits - 1]
    behind = len(flicker) - splits
    body, shaft = before / splits, (total - before) / np.maximum(behind, 1)
    uneven = -0.5 * (splits * np.log(body) + behind * np.log(np.maximum(shaft, 1e-12)))
    even = -0.5 * len(flicker) * np.log(total / len(flicker))
    return np.where((body > shaft) & (behind > 0), uneven, even)


def _log_prior(shares: np.ndarray) -> np.ndarray:
    """Of lengths as shares of the greatest: the tilt is normal, length = cos(tilt); the width has its error."""
    tilt = np.arccos(np.clip(shares, 0.0, 0.9995))
    too_long = np.maximum(shares - 1.0, 0.0) / _LENGTH_SD
    return -0.5 * (tilt / _TILT_SD_RAD) ** 2 - np.log(np.maximum(np.sin(tilt), 0.12)) - 0.5 * too_long**2
