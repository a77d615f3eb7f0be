"""Distances and overlaps between what perception said and what is there, frame by frame, and their summaries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthex_perception.evaluation.metrics import dice

from .session import ErrorStatistics, PointError


@dataclass(frozen=True)
class Point:
    """A named point in one image.

    Attributes:
        x: column, pixels; NaN where there is none.
        y: row, pixels; NaN where there is none.
        visible: true points: inside the image; found ones: confident enough to be used.
    """

    x: float
    y: float
    visible: bool

    @property
    def exists(self) -> bool:
        """Whether it has a place, inside the image or outside."""
        return math.isfinite(self.x) and math.isfinite(self.y)


@dataclass(frozen=True)
class Scale:
    """What one pixel of an image means.

    Attributes:
        pixel_spacing_mm: at the detector.
        source_to_detector_mm: SDD.
        source_to_isocenter_mm: SAD.
    """

    pixel_spacing_mm: float
    source_to_detector_mm: float
    source_to_isocenter_mm: float

    @property
    def isocenter_mm_per_px(self) -> float:
        """Pixel spacing x SAD / SDD."""
        return self.pixel_spacing_mm * self.source_to_isocenter_mm / self.source_to_detector_mm


def structure_dice(
    found: np.ndarray, true: np.ndarray, found_names: Mapping[int, str], true_names: Mapping[int, str]
) -> dict[str, float]:
    """Dice of every structure that the true mask holds.

    Args:
        found, true: (rows, columns) label images.
        found_names, true_names: what their values mean. Structures are compared by name, so that the two may be
            numbered differently.

    Returns:
        By name; background is left out.

    Raises:
        ValueError: the shapes differ.
    """
    if found.shape != true.shape:
        raise ValueError(f"the found mask has {found.shape} pixels, the true one {true.shape}")
    value_of = {name: value for value, name in found_names.items()}
    result = {}
    for value in np.unique(true):
        name = true_names.get(int(value), "background")
        if name != "background":
            here = found == value_of[name] if name in value_of else np.zeros(found.shape, dtype=bool)
            result[name] = dice(here, true == value)
    return result


def distance_px(found: Point | None, true: Point | None) -> float | None:
    """Distance of two points that are both visible; None otherwise."""
    if found is None or true is None or not (found.visible and true.visible):
        return None
    distance = float(np.hypot(found.x - true.x, found.y - true.y))
    return distance if np.isfinite(distance) else None


def error_statistics(values: ArrayLike) -> ErrorStatistics:
    """Mean, median and 95th percentile (linear interpolation) of distances."""
    values = np.asarray(values, dtype=np.float64)
    if values.size == 0:
        return ErrorStatistics(None, None, None, 0)
    p50, p95 = np.percentile(values, [50, 95])
    return ErrorStatistics(float(values.mean()), float(p50), float(p95), int(values.size))


def point_error(errors: Iterable[tuple[float, Scale | None]]) -> PointError:
    """Summary of distances in pixels, each with its image's scale; those without a scale count in pixels only."""
    errors = list(errors)
    scaled = [(px, scale) for px, scale in errors if scale is not None]
    return PointError(
        px=error_statistics([px for px, _ in errors]),
        detector_mm=error_statistics([px * scale.pixel_spacing_mm for px, scale in scaled]),
        isocenter_mm=error_statistics([px * scale.isocenter_mm_per_px for px, scale in scaled]),
    )


def mean_or_none(values: Iterable[float]) -> float | None:
    """Arithmetic mean; None of nothing."""
    values = list(values)
    return float(np.mean(values)) if values else None
