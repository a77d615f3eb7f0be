"""The hip bone's cup: a wall about the true hip centre, the space of the joint cleared out of it, the fossa."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.frame import Pelvis

#: The opening looks lateral, 45 degrees inferior and 20 degrees anterior.
_OPENING = np.array([0.66, -0.66, 0.36]) / np.linalg.norm([0.66, -0.66, 0.36])
_DOWN = np.array([0.0, -1.0, 0.0])
#: The least wall between joint and pelvis; it ends this far short of a hemisphere, which leaves the bone's own rim.
_WALL_MM, _SHORT_MM = 2.2, 5.0
#: Radius of the mean bone's own cup: what is between it and a smaller head is filled.
_MEAN_CUP_MM = 26.5


def carve(field: np.ndarray, pelvis: Pelvis, side: int, part: shapes.Grid) -> np.ndarray:
    """Makes the cup fit the person's femoral head.

    Args:
        field: float32 distance of the hip bone, mm; used up.
        pelvis: the person's.
        side: +1 left, -1 right.
        part: where ``field`` lies.

    Returns:
        float32 distance, mm, of the bone with the cup.
    """
    cup = _cup_radius_mm(pelvis)
    center = pelvis.hip_center(side)
    hole, sub = part.block(center - cup - 12, center + cup + 12)
    distance, along, below, opening, down = _directions(pelvis, side, sub)
    outer = max(cup + _WALL_MM, _MEAN_CUP_MM * float(np.cbrt(np.prod(pelvis.person.scale))) + 1.0)
    wall = np.maximum(distance - outer, along + _SHORT_MM)
    wall = np.maximum(wall, 0.8 * (below - 0.45 * cup) + 0.5 * along)  # the acetabular notch opens downward
    bone = shapes.smooth_union(field[hole], wall, 3.0)
    x, y, z = sub.coordinates(np.eye(3), center)
    fossa = [u + 5 * o - 6 * d for u, o, d in zip((x, y, z), opening, down, strict=True)]
    bone = np.maximum(bone, cup - distance)
    field[hole] = np.maximum(bone, (cup - 6.0) - np.sqrt(sum(u * u for u in fossa)))
    return field


def roof(pelvis: Pelvis, side: int, part: shapes.Grid) -> np.ndarray:
    """0 to 1, float32: how much a place belongs to the loaded roof above the joint, dense under its surface."""
    cup = _cup_radius_mm(pelvis)
    center = pelvis.hip_center(side)
    share = np.zeros(part.shape, dtype=np.float32)
    hole, sub = part.block(center - cup - 25, center + cup + 25)
    distance, _, below, _, _ = _directions(pelvis, side, sub)
    depth = np.clip((distance - cup) / 14.0, 0, 1)
    share[hole] = np.clip((-below / np.maximum(distance, 1.0) - 0.25) / 0.45, 0, 1) * (1 - depth) ** 2
    return share


def _cup_radius_mm(pelvis: Pelvis) -> float:
    return pelvis.person.head_radius_mm + pelvis.person.hip_gap_mm


def _directions(pelvis: Pelvis, side: int, part: shapes.Grid):
    """Distance from the hip centre, reach along the opening and downward (float32, mm); these directions in LPS."""
    opening, down = pelvis.direction(_OPENING, side), pelvis.direction(_DOWN, side)
    x, y, z = part.coordinates(np.eye(3), pelvis.hip_center(side))
    along, below = ((x * d[0] + y * d[1] + z * d[2]).astype(np.float32) for d in (opening, down))
    return np.sqrt(x * x + y * y + z * z), along, below, opening, down
