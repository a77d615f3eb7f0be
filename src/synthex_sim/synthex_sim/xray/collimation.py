"""Collimation: which part of the detector the beam reaches.

A mask multiplies the primary beam before scatter, noise and blur. Positions are millimetres on the detector from the
central ray, x to the right and y downwards in the picture. Pixels that an edge crosses get the share of their area that
is inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit, prange

from synthex_sim.carm.view import View


class Collimator(Protocol):
    """A field of the beam."""

    def mask(self, view: View) -> np.ndarray:
        """(R, C) float32: share of each pixel's area that the beam reaches, 0..1."""


def field_masks(collimator: Collimator, views: Sequence[View]) -> np.ndarray:
    """(V, R, C) float32: the collimator's mask in each view.

    Raises:
        ValueError: it leaves nothing of a view's detector open.
    """
    masks = np.stack([collimator.mask(view) for view in views])
    if not masks.any(axis=(1, 2)).all():
        rows_mm, columns_mm = (n * views[0].pixel_spacing_mm for n in views[0].shape)
        raise ValueError(
            f"the collimator leaves nothing of the detector open: {collimator}, and the detector measures "
            f"{columns_mm:.0f} x {rows_mm:.0f} mm across and down; its positions are millimetres on the detector "
            "from the central ray"
        )
    return masks


@dataclass(frozen=True)
class Rectangle:
    """Four blades.

    Attributes:
        left_mm, right_mm, top_mm, bottom_mm: where the blades' edges are, left < right and top < bottom.
        rotation_deg: turns all four about the central ray, clockwise in the picture.

    Raises:
        ValueError: the blades leave nothing open, or a number is not finite.
    """

    left_mm: float
    right_mm: float
    top_mm: float
    bottom_mm: float
    rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        if not -math.inf < self.left_mm < self.right_mm < math.inf:
            raise ValueError(f"collimator: left must be less than right, got {self.left_mm:g} and {self.right_mm:g} mm")
        if not -math.inf < self.top_mm < self.bottom_mm < math.inf:
            raise ValueError(f"collimator: top must be less than bottom, got {self.top_mm:g} and {self.bottom_mm:g} mm")
        if not math.isfinite(self.rotation_deg):
            raise ValueError(f"collimator: rotation must be finite, got {self.rotation_deg} deg")

    def mask(self, view: View) -> np.ndarray:
        """(R, C) float32. Exact without rotation; with it, but for the pixels that hold a corner (error up to 0.25)."""
        angle = math.radians(self.rotation_deg)
        blades = np.array([self.left_mm, self.right_mm, self.top_mm, self.bottom_mm]) / view.pixel_spacing_mm
        mask = np.empty(view.shape, np.float32)
        column0, row0 = view.intrinsics[0, 2], view.intrinsics[1, 2]
        _rectangle(column0, row0, math.cos(angle), math.sin(angle), *blades, mask)
        return mask


@dataclass(frozen=True)
class Iris:
    """A circular diaphragm.

    Attributes:
        radius_mm: on the detector.
        centre_mm: (x, y) on the detector, from the central ray.

    Raises:
        ValueError: the radius is not positive, or a number is not finite.
    """

    radius_mm: float
    centre_mm: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not 0.0 < self.radius_mm < math.inf or not all(math.isfinite(value) for value in self.centre_mm):
            where = f"{self.radius_mm:g} mm at {self.centre_mm}"
            raise ValueError(f"collimator: an iris needs a positive radius and a finite centre, got {where}")

    def mask(self, view: View) -> np.ndarray:
        """(R, C) float32. The edge is straight within a pixel: error up to pixel / (8 radius)."""
        column, row = np.array(self.centre_mm) / view.pixel_spacing_mm + view.intrinsics[:2, 2]
        mask = np.empty(view.shape, np.float32)
        _iris(column, row, self.radius_mm / view.pixel_spacing_mm, mask)
        return mask


@njit(parallel=True, nogil=True, cache=True)
def _rectangle(column0, row0, cosine, sine, left, right, top, bottom, mask):
    """All in pixels. Each pair of parallel edges cuts a strip; the field is where both strips are."""
    rows, columns = mask.shape
    for row in prange(rows):
        for column in range(columns):
            x, y = column - column0, row - row0
            across, down = cosine * x + sine * y, cosine * y - sine * x
            mask[row, column] = max(
                _inside(across - left, cosine, sine) + _inside(right - across, cosine, sine) - 1.0, 0.0
            ) * max(_inside(down - top, sine, cosine) + _inside(bottom - down, sine, cosine) - 1.0, 0.0)


@njit(parallel=True, nogil=True, cache=True)
def _iris(column0, row0, radius, mask):
    """All in pixels."""
    rows, columns = mask.shape
    for row in prange(rows):
        for column in range(columns):
            x, y = column - column0, row - row0
            distance = math.sqrt(x * x + y * y)
            if distance > 1e-9:
                mask[row, column] = _inside(radius - distance, x / distance, y / distance)
            else:  # at the very centre any normal does
                mask[row, column] = _inside(radius, 1.0, 0.0)


@njit(inline="always")
def _inside(distance, normal_x, normal_y):
    """Share of a square pixel on the inner side of a straight edge; all in pixels.

    A square seen along the edge is a trapezium of density; its area up to the edge is a second integral of four steps.

    Args:
        distance: of the pixel's centre from the edge, positive inside.
        normal_x, normal_y: unit normal of the edge; signs do not matter.
    """
    if distance >= 0.7072:
        return 1.0
    if distance <= -0.7072:
        return 0.0
    wide = max(abs(normal_x), abs(normal_y)) / 2.0
    narrow = max(min(abs(normal_x), abs(normal_y)) / 2.0, 1e-6)
    ramps = _ramp(distance + wide + narrow) - _ramp(distance + wide - narrow)
    ramps += _ramp(distance - wide - narrow) - _ramp(distance - wide + narrow)
    return min(max(ramps / (4.0 * wide * narrow), 0.0), 1.0)


@njit(inline="always")
def _ramp(value):
    return max(value, 0.0) ** 2 / 2.0
