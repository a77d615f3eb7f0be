"""Projection: what a projector returns for one view. Images and labels are both made from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Projection:
    """Area densities and label hits of one view, from the same rays.

    Attributes:
        soft, bone: (R, C) float32, area density of soft tissue and bone along each pixel's ray, g/cm^2, without what
            tools displace.
        tools: one (R, C) float32 for each tool of the scene, its area density in g/cm^2.
        hits: (R, C) uint8, bit l set where the ray meets the bone with label id l (1..6).
        right_hemipelvis_first: (R, C) bool, where the ray meets both hemipelves: the right one lies nearer the source.
        tool_coverage: (R, C) float32, share of the pixel that the labelled part of any tool covers.
    """

    soft: np.ndarray
    bone: np.ndarray
    tools: tuple[np.ndarray, ...]
    hits: np.ndarray
    right_hemipelvis_first: np.ndarray
    tool_coverage: np.ndarray
