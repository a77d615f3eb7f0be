"""What a tube seen from the side looks like across its axis, and how wide it is.

A ray at the offset u from the axis of a tube with outer radius R and inner radius r passes

    t(u) = 2 sqrt(R^2 - u^2) - 2 sqrt(r^2 - u^2)        (a root of a negative number counts as 0)

of its wall, blurred by the detector. The width does not depend on how the tube is tilted out of the image plane, so it
tells the tube's distance from the source: width = focal length x diameter / depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

#: Offsets from the axis at which a tube is sampled, pixels.
OFFSETS_PX = np.linspace(-9.0, 9.0, 37)
#: Widths and displacements that are tried, pixels.
_WIDTHS_PX = np.arange(3.0, 14.05, 0.1)
_DISPLACEMENTS_PX = np.arange(-1.0, 1.1, 0.5)
#: Blur of the simulated detector, pixels of the network's input.
_BLUR_PX = 0.6
_FINE_PX = 0.05


@dataclass(frozen=True)
class DeviceSize:
    """What the manipulator measures; that of config/cm/notched_27.yaml, on which the shipped weights were trained.

    Attributes:
        outer_diameter_mm, inner_diameter_mm: of tube and shaft.
        body_length_mm: of the notched body, straight, from base to tip.
    """

    outer_diameter_mm: float = 6.0
    inner_diameter_mm: float = 4.0
    body_length_mm: float = 35.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.inner_diameter_mm < self.outer_diameter_mm <= self.body_length_mm:
            raise ValueError(
                "a manipulator's sizes must be 0 <= inner diameter < outer diameter <= length of the body, got "
                f"{self.inner_diameter_mm:g}, {self.outer_diameter_mm:g}, {self.body_length_mm:g} mm"
            )

    @property
    def inner_over_outer(self) -> float:
        """Ratio of the diameters."""
        return self.inner_diameter_mm / self.outer_diameter_mm

    @property
    def length_over_width(self) -> float:
        """The body's length in the image over its width when it lies in the image plane; tilted, it is less."""
        return self.body_length_mm / self.outer_diameter_mm


def tube_profile(offsets_px: ArrayLike, width_px: float, inner_over_outer: float) -> np.ndarray:
    """(n,) thickness of the wall at n offsets from the axis, in units of the outer radius, as pixels see it."""
    fine = np.arange(-18.0, 18.0 + _FINE_PX, _FINE_PX)
    outer = width_px / 2.0
    wall = np.sqrt(np.maximum(outer**2 - fine**2, 0.0))
    wall -= np.sqrt(np.maximum((outer * inner_over_outer) ** 2 - fine**2, 0.0))
    reach = np.arange(-3.0 * _BLUR_PX, 3.0 * _BLUR_PX + _FINE_PX, _FINE_PX)
    blur = np.convolve(np.exp(-0.5 * (reach / _BLUR_PX) ** 2), np.ones(round(1.0 / _FINE_PX)))
    return np.interp(offsets_px, fine, np.convolve(wall, blur / blur.sum(), "same")) * 2.0 / outer


def fit_width(profile: ArrayLike, inner_over_outer: float) -> float:
    """Width of the tube whose profile, on a background that changes linearly, fits best.

    Args:
        profile: (37,) values at ``OFFSETS_PX``; more attenuation is more.

    Returns:
        pixels; NaN where nothing like a tube is there.
    """
    values = np.asarray(profile, dtype=np.float64)
    bases = _orthonormal_bases(inner_over_outer)
    explained = np.einsum("wdku,u->wdk", bases, values)
    # the tube itself comes last in each basis, so the sign of its share is that of its amplitude
    gain = np.where(explained[..., 2] > 0, (explained**2).sum(axis=-1), -np.inf).max(axis=1)
    best = int(gain.argmax())
    if not np.isfinite(gain[best]):
        return float("nan")
    if not 0 < best < len(gain) - 1 or not np.isfinite(gain[best - 1 : best + 2]).all():
        return float(_WIDTHS_PX[best])
    left, middle, right = gain[best - 1 : best + 2]
    curvature = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    return float(_WIDTHS_PX[best] + shift * (_WIDTHS_PX[1] - _WIDTHS_PX[0]))


@lru_cache(maxsize=4)
def _orthonormal_bases(inner_over_outer: float) -> np.ndarray:
    """(widths, displacements, 3, offsets): constant, slope and tube, made orthonormal in this order."""
    bases = np.empty((len(_WIDTHS_PX), len(_DISPLACEMENTS_PX), 3, len(OFFSETS_PX)))
    for i, width in enumerate(_WIDTHS_PX):
        for j, displacement in enumerate(_DISPLACEMENTS_PX):
            tube = tube_profile(OFFSETS_PX - displacement, width, inner_over_outer)
            q, r = np.linalg.qr(np.stack([np.ones_like(tube), OFFSETS_PX, tube], axis=1))
            bases[i, j] = (q * np.sign(np.diag(r))).T
    return bases
