"""Vessels: aorta, vena cava, iliac and femoral vessels with plaques, vessels of the mesentery, stones in veins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.tissue import BLOOD_HU, FAT_HU, blend

if TYPE_CHECKING:
    from synthex_sim.patient.phantom.body import Body

# Pelvic frame, left side: x, y, z, radius, 0 with the pelvis to 1 with the femur; from the bifurcation downward.
_ILIAC = np.array(
    [
        (34, 8, -68, 5.5, 0),
        (52, -22, -58, 5, 0),
        (62, -48, -28, 4.5, 0),
        (72, -72, 6, 4.5, 0),
        (80, -84, 20, 4.5, 0.5),
        (84, -115, 30, 4, 1),
        (90, -160, 42, 3.5, 1),
        (97, -205, 62, 3.5, 1),
        (99, -275, 155, 3.5, 1),
    ]
)
_INTERNAL = np.array([(34, 8, -68, 4, 0), (42, -22, -86, 4, 0), (46, -50, -92, 3.5, 0), (48, -78, -72, 2.5, 0)])
_BIFURCATION_MM = 150.0
_SLAB_MM = 60.0


def add_mesentery(hu: np.ndarray, body: Body, grid: shapes.Grid) -> None:
    """Writes thin vessels that fan out from the spine's front into the fat of the cavity."""
    rng, cavity = body.rng, body.cavity
    for _ in range(26):
        z = rng.uniform(110, 200)
        root = np.array([*body.posture.spine_at(np.array([z]))[0] - (0, 28), z])
        u, v = rng.uniform(-0.7, 0.7), rng.uniform(-0.75, 0.1)
        end = cavity.point(np.array([u]), np.array([v]), np.array([z + rng.normal(-15, 40)]))[0]
        t = np.linspace(0, 1, 5)[:, None]
        path = root * (1 - t) + end * t + rng.normal(0, 4, (5, 3))
        _add_tube(hu, grid, path, np.linspace(2.6, 1.4, 5), BLOOD_HU)


def add_vessels(hu: np.ndarray, body: Body, grid: shapes.Grid) -> None:
    """Writes arteries with their plaques, veins beside them, and phleboliths into the float32 volume."""
    z = np.linspace(_BIFURCATION_MM + 150, _BIFURCATION_MM, 6)
    line = body.posture.spine_at(z) + np.array([0.0, -29.0])
    aorta = np.column_stack([line[:, 0] + 9, line[:, 1], z])
    cava = np.column_stack([line[:, 0] - 16, line[:, 1] + 2, z])
    _add_artery(hu, body, grid, aorta, np.linspace(9.5, 8.0, 6))
    _add_tube(hu, grid, cava, np.full(6, 10.0), BLOOD_HU)
    for side in (1, -1):
        for table in (_ILIAC, _INTERNAL):
            way = body.posture.place(table[:, :3], side, table[:, 4])
            start = aorta[-1:] + np.array([[side * 3.0, 1.0, -4.0]])
            path = np.concatenate([start, way])
            radii = np.concatenate([[5.5], table[:, 3]])
            beside = path + np.array([-side * 3.0, 9.0, -4.0])
            _add_tube(hu, grid, np.concatenate([cava[-1:], beside[1:]]), radii + 1.5, BLOOD_HU)
            _add_artery(hu, body, grid, path, radii)
    _add_phleboliths(hu, body, grid)


def _add_tube(hu, grid, path, radii, value, rim_mm: float = 1.5) -> None:
    """A tube in a thin coat of fat, one slab after the other so that no block is large."""
    for a, b, ra, rb in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        pieces = max(1, int(np.ceil(np.linalg.norm(b - a) / _SLAB_MM)))
        ends = np.linspace(a, b, pieces + 1)
        widths = np.linspace(ra, rb, pieces + 1)
        for n in range(pieces):
            block, part = grid.block(*shapes.bounds(ends[n : n + 2], widths[n : n + 2], rim_mm + 1.0))
            field = shapes.tube(part, ends[n : n + 2], widths[n : n + 2])
            if rim_mm > 0:  # what is already vessel stays
                coat = np.where(field > 0, field, rim_mm + grid.spacing_mm)
                blend(hu, block, np.maximum(coat - np.float32(rim_mm), -field), FAT_HU, grid)
            blend(hu, block, field, value, grid)


def _add_artery(hu, body: Body, grid, path, radii) -> None:
    _add_tube(hu, grid, path, radii, BLOOD_HU)
    rng, share = body.rng, body.soft.calcification
    if share == 0:
        return
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = 0.0
    while at < length[-1]:
        size = rng.uniform(3, 16)
        if rng.random() < share:
            _add_plaque(hu, rng, grid, path, radii, length, at, size)
        at += size + rng.exponential(14.0) * (1.4 - share)


def _add_plaque(hu, rng, grid, path, radii, length, at, size) -> None:
    """A sheet of calcium in the wall: a strip along the vessel, wound round part of it."""
    s = np.linspace(at, min(at + size, length[-1]), 5)
    axis = np.stack([np.interp(s, length, path[:, k]) for k in range(3)], axis=1)
    along = axis[-1] - axis[0]
    along /= max(np.linalg.norm(along), 1e-6)
    across = np.cross(along, rng.standard_normal(3))
    across /= max(np.linalg.norm(across), 1e-6)
    angle = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(-2, 2), 5)
    ring = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * np.cross(along, across)
    way = axis + ring * np.interp(s, length, radii)[:, None]
    _add_tube(hu, grid, way, np.full(5, rng.uniform(0.6, 1.3)), rng.uniform(350, 950), rim_mm=0.0)


def _add_phleboliths(hu, body: Body, grid) -> None:
    """Round stones in the veins about the bladder, at the height of the ischial spines."""
    rng = body.rng
    for _ in range(body.soft.phleboliths):
        place = np.array([[rng.uniform(30, 58), rng.uniform(-108, -70), rng.uniform(-75, -35)]])
        center = body.posture.place(place, 1 if rng.random() < 0.5 else -1)[0]
        block, part = grid.block(center - 6, center + 6)
        blend(hu, block, shapes.sphere(part, center, rng.uniform(1.3, 2.8)), rng.uniform(350, 900), grid)
