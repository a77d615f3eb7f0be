"""The edge of a bone's outline as a height over one coordinate, and its tops."""

from __future__ import annotations

import numpy as np


def edge_height(outline: np.ndarray, at: np.ndarray, rising: bool) -> np.ndarray:
    """(C,) where each column of an outline ends.

    Args:
        outline: (R, C) occupancy, seen along one direction.
        at: (R,) mm, evenly spaced; the coordinate of the rows.
        rising: whether bone comes first (the column is followed until it ends) or a gap (until bone begins).

    Returns:
        mm, interpolated; NaN where a column does not begin as ``rising`` says, or never changes; but infinite where
        bone was to begin and is there from the first row on: the bone reaches farther.
    """
    changed = (outline < 0.5) if rising else (outline >= 0.5)
    first = np.where(changed.any(axis=0), changed.argmax(axis=0), 0)
    columns = np.arange(outline.shape[1])
    after, before = outline[first, columns], outline[first - 1, columns]
    share = (before - 0.5) / np.where(before == after, 1.0, before - after)
    height = np.where(first > 0, at[first - 1] + share * (at[first] - at[first - 1]), np.nan)
    return height if rising else np.where(changed[0], np.inf, height)


def tops(height: np.ndarray, prominence: float) -> np.ndarray:
    """Indices of places from which the height falls by ``prominence`` on both sides before it is higher again.

    NaN is no edge at all, lower than anything; infinite places are none themselves.
    """
    known = np.nan_to_num(height, nan=-np.inf)
    found = []
    for i in np.flatnonzero(np.isfinite(height)):
        higher = np.flatnonzero(known > known[i])
        left, right = higher[higher < i].max(initial=-1), higher[higher > i].min(initial=len(height))
        sides = (known[left + 1 : i], known[i + 1 : right])
        if all(len(side) and side.min() <= known[i] - prominence for side in sides):
            found.append(i)
    return np.array(found, dtype=int)


def middle_of_bone(occupancy: np.ndarray, across: np.ndarray) -> float | None:
    """Where (mm) the bone is that a line crosses near its edge; None if there is none."""
    bone = np.clip(occupancy - 0.3, 0, None)
    return float(bone @ across / bone.sum()) if bone.any() else None
