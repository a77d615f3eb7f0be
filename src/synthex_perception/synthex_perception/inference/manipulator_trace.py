"""The manipulator in an image, measured from its tip on: where its notched body ends, how wide it is, what it covers.

The network finds the tip, but not where the slits end: its mask runs on along the shaft, its heatmap of the base is
some twenty pixels off. So the tube is followed from the tip and looked at itself. Nothing here is learned; it needs a
tube on the way from the tip that is brighter (more attenuating) than what surrounds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from synthex_perception.inference.centreline import SPACING_PX, straighten, trace_centreline
from synthex_perception.inference.notched_body import find_base
from synthex_perception.inference.tube_profile import OFFSETS_PX, DeviceSize, fit_width, tube_profile

#: Width with which the tube is looked for before it is measured, pixels of the network's input.
_USUAL_WIDTH_PX = 7.0
#: How far the tube is followed: the notched body and some shaft, for the widest tube that fits the samples.
_LENGTH_PX = 85.0
#: Parts of the tube over which its width is measured: behind the tip, around the base.
_AT_TIP_PX, _AROUND_BASE_PX = (3.0, 23.0), 12.0
#: Shorter pieces are not measured.
_LEAST_PX = 12.0
#: Part of the tube's contrast that may be left beyond its tip, between so many widths from it.
_GREATEST_BEYOND, _BEYOND_WIDTHS = 0.3, (0.5, 1.2)


@dataclass(frozen=True, eq=False)
class ManipulatorTrace:
    """What following the tube told, pixels.

    Attributes:
        base_px: (2,) (column, row); the likeliest place also where ``base_confidence`` is small.
        base_confidence: 0..1, probability that the base is within half a tube's width of there.
        base_width_px, tip_width_px: of the tube there; NaN where it cannot be measured.
        body: (n, 2) centreline from tip to base, every ``centreline.SPACING_PX``.
        ends_at_tip: whether the tube ends there; False where it goes on, which no tip does.
    """

    base_px: np.ndarray
    base_confidence: float
    base_width_px: float
    tip_width_px: float
    body: np.ndarray
    ends_at_tip: bool


def trace_manipulator(attenuation: np.ndarray, tip_px: np.ndarray, size: DeviceSize) -> ManipulatorTrace | None:
    """Follow the manipulator from its tip.

    Args:
        attenuation: (R, C) float32, more attenuation is more; any scale and offset. R and C are those of the network's
            input, about 256, for which the distances here are made.
        tip_px: (2,) (column, row).

    Returns:
        None if no tube can be followed far enough to be measured.
    """
    inner = size.inner_over_outer
    line = trace_centreline(attenuation, tip_px, _USUAL_WIDTH_PX, _LENGTH_PX, inner)
    if len(line) < _LEAST_PX / SPACING_PX:
        return None
    strip = straighten(attenuation, line)
    width = _width(strip, *_AT_TIP_PX, inner)
    base = find_base(strip, width, inner, size.length_over_width) if np.isfinite(width) else None
    if base is None:
        return None
    at = min(round(base.distance_px / SPACING_PX), len(line) - 1)
    around = base.distance_px - _AROUND_BASE_PX, base.distance_px + _AROUND_BASE_PX
    return ManipulatorTrace(
        base_px=line[at], base_confidence=base.confidence, base_width_px=_width(strip, *around, inner),
        tip_width_px=width, body=line[: at + 1], ends_at_tip=_ends(attenuation, line, strip, width, inner),
    )


def body_mask(body: np.ndarray, width_px: float, shape: tuple[int, int]) -> np.ndarray:
    """(R, C) bool: pixels whose centre lies within half a width of the centreline and between its ends."""
    if len(body) < 2:
        return np.zeros(shape, dtype=bool)
    ahead = np.gradient(body, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    # a polygon is filled with its outline, half a pixel too far on either side
    aside = 0.5 * (width_px - 1.0) * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    outline = np.concatenate([body + aside, (body - aside)[::-1]])
    fraction_bits = 4
    canvas = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(canvas, [np.round(outline * 2**fraction_bits).astype(np.int32)], 1, shift=fraction_bits)
    return canvas.astype(bool)


def _width(strip: np.ndarray, first_px: float, last_px: float, inner_over_outer: float) -> float:
    first, last = max(0, round(first_px / SPACING_PX)), round(last_px / SPACING_PX)
    piece = strip[first:last]
    if len(piece) < 0.5 * _LEAST_PX / SPACING_PX:
        return float("nan")
    return fit_width(piece.mean(axis=0), inner_over_outer)


def _ends(
    attenuation: np.ndarray, line: np.ndarray, strip: np.ndarray, width_px: float, inner_over_outer: float
) -> bool:
    """Whether the tube's contrast is gone beyond the tip."""
    tip, inside = line[0], line[round(0.5 * _LEAST_PX / SPACING_PX)]
    onward = (tip - inside) / np.linalg.norm(tip - inside)
    near, far = (round(widths * width_px / SPACING_PX) for widths in _BEYOND_WIDTHS)
    beyond = straighten(attenuation, tip + SPACING_PX * np.arange(near, far)[:, None] * onward)
    shape = tube_profile(OFFSETS_PX, width_px, inner_over_outer)
    contrast = np.linalg.pinv(np.stack([shape, np.ones_like(shape), OFFSETS_PX], axis=1))[0]
    behind = strip[near : round(2.0 * width_px / SPACING_PX)]
    return bool(np.median(beyond @ contrast) < _GREATEST_BEYOND * np.median(behind @ contrast))
