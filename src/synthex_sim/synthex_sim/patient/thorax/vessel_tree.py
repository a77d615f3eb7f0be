"""Pulmonary vessels: a tree that divides a lung among its branches until every terminal point is supplied.

The rule is that of volume-filling airway models (Tawhai et al., Ann Biomed Eng 2000): a branch grows part of the way
towards the middle of the points it has to supply, then these are split in two by the plane that contains the branch.
Calibres follow Murray's law in the form radius ~ supplied points^(1/exponent).
"""

from __future__ import annotations

import numpy as np

#: Share of the way to the middle of its points that a branch grows.
_REACH = 0.42
_EXPONENT = 2.75


def grow(points: np.ndarray, root: np.ndarray, forward: np.ndarray, root_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Grows one tree.

    Args:
        points: (N, 3) float64 terminal points, mm.
        root: (3,) where it starts.
        forward: (3,) direction in which it enters.
        root_mm: radius at the root.

    Returns:
        segments: (S, 2, 3) starts and ends, parents before their branches.
        radii: (S, 2) at these.
    """
    total = len(points)
    segments, radii = [], []
    queue = [(points, np.asarray(root, float), np.asarray(forward, float), root_mm, 0)]
    while queue:
        supplied, start, direction, before, depth = queue.pop()
        n = len(supplied)
        radius = root_mm * (n / total) ** (1 / _EXPONENT)
        middle = supplied.mean(axis=0)
        if n == 1:
            segments.append((start, middle))
            radii.append((before, radius))
            continue
        way = middle - start
        end = start + _REACH * way + (0.12 * np.linalg.norm(way) * direction if depth < 3 else 0)
        segments.append((start, end))
        radii.append((min(before, 1.1 * radius), radius))
        heading = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        first = _split(supplied - end, heading)
        for part in (supplied[first], supplied[~first]):
            queue.append((part, end, heading, radius, depth + 1))
    return np.array(segments), np.array(radii)


def _split(offsets: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """(N,) bool: the points on one side of the plane that contains the branch and halves the widest spread."""
    flat = offsets - np.outer(offsets @ heading, heading)
    flat -= flat.mean(axis=0)
    _, vectors = np.linalg.eigh(flat.T @ flat)
    side = flat @ vectors[:, -1]
    first = side > 0
    if first.all() or not first.any():  # all at one place: halve by number
        first = np.arange(len(offsets)) < len(offsets) // 2
    return first
