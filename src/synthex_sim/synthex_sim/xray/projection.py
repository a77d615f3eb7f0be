"""Projection: what a projector returns for a batch of views. Images and labels are both made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synthex_sim.xray.materials import Material


@dataclass(frozen=True, eq=False)
class Projection:
    """Area densities and label hits of V views, from the same rays.

    Arrays are numpy's or, from a projector on a GPU, cupy's, and stay there.

    Attributes:
        materials: what is in the beam: the tissue's materials first, then those of tools that are not among them.
        areas: (V, M, R, C) float32, area density of each material along each pixel's ray, g/cm^2. Tissue that tools
            displace is not in it.
        hits: (V, R, C) uint32, bit l set where the ray meets the structure with label id l (1..31), outside of what
            volumes above it cover.
        depths_mm: (V, D, R, C) float32, camera z at which the ray first meets each of ``depth_labels``; inf: never.
        depth_labels: the D labels; the hemipelves are always among them.
        tool_coverage: (V, R, C) float32, share of the pixel that the labelled part of any tool covers.
    """

    materials: tuple[Material, ...]
    areas: Any
    hits: Any
    depths_mm: Any
    depth_labels: tuple[int, ...]
    tool_coverage: Any
