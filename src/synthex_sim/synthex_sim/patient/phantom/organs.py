"""Organs of pelvis and lower abdomen: bladder, prostate or uterus, kidneys, the liver's lower edge, the dural sac."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.tissue import FAT_HU, FLUID_HU, ORGAN_HU, URINE_HU, WALL_HU, blend

if TYPE_CHECKING:
    from synthex_sim.patient.phantom.body import Body

_BLADDER_NECK = np.array([[0.0, -106.0, -24.0]])  # pelvic frame, behind the symphysis
_FULL_MM, _EMPTY_MM = np.array([52.0, 41.0, 50.0]), np.array([28.0, 15.0, 14.0])
_KIDNEY_MM, _KIDNEY_HU, _LIVER_HU = np.array([28.0, 24.0, 56.0]), 32.0, 57.0


def add_organs(hu: np.ndarray, body: Body, grid: shapes.Grid) -> None:
    """Writes the organs into the float32 volume."""
    _add_abdominal(hu, body, grid)
    _add_pelvic(hu, body, grid)
    _add_dural_sac(hu, body, grid)


def _add_ellipsoid(hu, body: Body, grid, center, semi, value, wall_mm=0.0, turn=None, margin=2.0) -> None:
    """An ellipsoid kept inside of the cavity; with a wall, ``value`` is what fills it."""
    reach = float(np.max(semi)) + 4
    block, part = grid.block(center - reach, center + reach)
    field = np.maximum(shapes.ellipsoid(part, center, semi, turn), body.cavity.distance(part) + np.float32(margin))
    if wall_mm > 0:
        blend(hu, block, field, WALL_HU, grid)
    blend(hu, block, field + np.float32(wall_mm), value, grid)


def _add_pelvic(hu, body: Body, grid) -> None:
    rng, soft = body.rng, body.soft
    neck = body.posture.place(_BLADDER_NECK, 1)[0]
    semi = _EMPTY_MM + (_FULL_MM - _EMPTY_MM) * soft.bladder ** (1 / 2)
    center = neck + np.array([rng.normal(0, 2), 4.0, semi[2] - 3])
    if body.posture.pelvis.person.sex < 0.5:
        _add_ellipsoid(hu, body, grid, neck + np.array([0, 6.0, -12]), np.array([23.0, 15, 17]), ORGAN_HU - 6)
    else:
        tilt = np.radians(rng.uniform(15, 60))
        turn = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
        womb = center + np.array([rng.normal(0, 6), semi[1] + 16.0, 12.0])
        size = np.array([25.0, 18, 33]) * rng.uniform(0.75, 1.15)
        _add_ellipsoid(hu, body, grid, womb, size, ORGAN_HU + 8, turn=turn)
    _add_ellipsoid(hu, body, grid, center, semi, URINE_HU, wall_mm=4.5 - 2.5 * soft.bladder)


def _add_abdominal(hu, body: Body, grid) -> None:
    rng = body.rng
    for side, low in ((1, 226.0), (-1, 214.0)):
        z = low + rng.normal(0, 9) + _KIDNEY_MM[2]
        spine_x, spine_y = body.posture.spine_at(np.array([z]))[0]
        center = np.array([spine_x + side * 62.0, spine_y + 16.0, z])
        lean = np.radians(14.0 * side)
        turn = np.array([[np.cos(lean), 0, -np.sin(lean)], [0, 1, 0], [np.sin(lean), 0, np.cos(lean)]])
        semi = _KIDNEY_MM * rng.uniform(0.92, 1.08)
        _add_ellipsoid(hu, body, grid, center, semi, _KIDNEY_HU, turn=turn)
        hilum = center - np.array([side * 12.0, 5.0, 0])
        _add_ellipsoid(hu, body, grid, hilum, np.array([14.0, 11, 28]), FAT_HU + 25, turn=turn)
    edge = 215.0 + rng.uniform(-25, 40)
    center = body.cavity.point(np.array([-0.45]), np.array([-0.05]), np.array([edge + 95]))[0]
    _add_ellipsoid(hu, body, grid, center, np.array([95.0, 88, 95]), _LIVER_HU, margin=4.0)


def _add_dural_sac(hu, body: Body, grid) -> None:
    """Fluid in the spinal canal, behind the vertebral bodies and into the sacrum."""
    sacral = body.posture.place(np.array([(0.0, -35, -131), (0, -8, -120)]), 1)
    lumbar = [v.center - v.axes[:, 2] * 25.0 * v.size for v in body.posture.vertebrae]
    path = np.concatenate([sacral, np.array(lumbar).reshape(-1, 3)])
    block, part = grid.block(*shapes.bounds(path, np.full(len(path), 8.0), 2.0))
    radii = np.concatenate([[3.0, 6.0], np.full(len(lumbar), 7.5)])
    blend(hu, block, shapes.tube(part, path, radii), FLUID_HU, grid)
