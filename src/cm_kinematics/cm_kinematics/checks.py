"""Checks of configuration values; every message says what was wrong and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def finite(name: str, value: Any) -> float:
    """The value as a finite float.

    Raises:
        ValueError: it is no number (a bool counts as none), NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """The value as a finite float greater than zero.

    Raises:
        ValueError: it is not.
    """
    number = finite(name, value)
    if number <= 0:
        raise ValueError(f"{name} must be greater than zero, got {value!r}")
    return number


def interval(name: str, value: Any) -> tuple[float, float]:
    """The value as (low, high) with low < high.

    Raises:
        ValueError: it is not a pair of finite numbers in that order.
    """
    if isinstance(value, str) or not isinstance(value, Iterable) or len(value := list(value)) != 2:
        raise ValueError(f"{name} must be two numbers [low, high], got {value!r}")
    low, high = (finite(f"{name}[{i}]", number) for i, number in enumerate(value))
    if not low < high:
        raise ValueError(f"{name} must be [low, high] with low < high, got [{low:g}, {high:g}]")
    return low, high
