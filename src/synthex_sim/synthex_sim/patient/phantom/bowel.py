"""Bowel: a haustrated colon with gas, stool and fluid from caecum to rectum, and loops of small bowel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.texture import noise
from synthex_sim.patient.phantom.tissue import FLUID_HU, GAS_HU, WALL_HU, blend

if TYPE_CHECKING:
    from synthex_sim.patient.phantom.body import Body

# Across the cavity (u -1 right to 1 left, v -1 front to 1 back), height in mm, radius in mm.
_COLON = np.array([
    (-0.70, -0.15, 62, 20), (-0.80, 0.10, 90, 25), (-0.81, 0.22, 130, 23), (-0.82, 0.25, 175, 22),
    (-0.78, 0.08, 212, 21), (-0.55, -0.32, 232, 20), (-0.25, -0.62, 208, 20), (0.10, -0.72, 196, 20),
    (0.42, -0.55, 215, 19), (0.66, -0.15, 250, 18), (0.82, 0.25, 243, 16), (0.85, 0.45, 205, 15),
    (0.84, 0.50, 160, 14), (0.80, 0.35, 120, 14), (0.72, 0.00, 88, 14), (0.50, -0.10, 62, 16), (0.20, -0.20, 52, 18),
    (-0.08, 0.05, 62, 18),
])  # fmt: skip
# Before the sacrum: pelvic frame x, y, z and radius.
_RECTUM = np.array([(0, -32, -82, 16), (0, -55, -98, 16), (0, -78, -104, 20), (0, -100, -98, 17), (0, -118, -84, 9)])
_HAUSTRUM_MM, _STEP_MM, _WALL_MM = 27.0, 3.0, 1.8
_STRETCH_MM = 44.0  # of one kind of content
_GAS, _STOOL, _EMPTY = 0, 1, 2


def add_colon(hu: np.ndarray, body: Body, grid: shapes.Grid) -> None:
    """Writes colon and rectum into the float32 volume."""
    path, radii = _colon_path(body)
    rng, soft = body.rng, body.soft
    stride = int(_STRETCH_MM / _STEP_MM)
    kind, pieces = _EMPTY, []
    for first in range(0, len(path) - 2, stride):
        p, r = path[first : first + stride + 1], radii[first : first + stride + 1]
        front = np.clip(1.0 - (p[:, 1].mean() + 40.0) / 90.0, 0.4, 1.8)  # gas rises: the patient lies on the back
        gas = min(0.85, 0.08 + 0.85 * soft.gas * front)
        if rng.random() > 0.35:  # neighbours tend to hold the same
            kind = int(rng.choice(3, p=_shares(gas, soft.stool)))
        pieces.append((p, r * (0.62 if kind == _EMPTY else 1.0), kind, FLUID_HU))
    _add_pieces(hu, body, grid, pieces)


def _shares(gas: float, stool: float) -> np.ndarray:
    weights = np.array([gas, (1 - gas) * stool, (1 - gas) * (1 - stool)])
    return weights / weights.sum()


def add_small_bowel(hu: np.ndarray, body: Body, grid: shapes.Grid) -> None:
    """Writes loops of small bowel into the middle of the cavity; most hold fluid, some a bubble of gas."""
    rng = body.rng
    for _ in range(46):
        u, v, z = rng.uniform(-0.68, 0.68), rng.uniform(-0.8, 0.35), rng.uniform(25, 225)
        middle = body.cavity.point(np.array([u]), np.array([v]), np.array([z]))[0]
        axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        t = np.linspace(0, 1, 15)
        waves = rng.uniform(0.7, 1.6)
        local = np.stack([70 * (t - 0.5), 22 * np.sin(2 * np.pi * waves * t), 10 * np.cos(5 * t)], axis=1)
        path = middle + local @ (axes * np.array([1.0, 0.7, 1.0])[:, None]).T
        radii = rng.uniform(8.5, 14) * (1 + 0.12 * np.sin(2.1 * np.arange(15) + rng.uniform(0, 6)))
        bubble = int(rng.integers(0, 4)) if rng.random() < 0.25 + body.soft.gas else -1
        pieces = []
        for number, first in enumerate(range(0, 14, 4)):
            piece = slice(first, first + 5)
            kind = _GAS if number == bubble else _EMPTY
            pieces.append((path[piece], radii[piece], kind, float(rng.uniform(20, 45))))
        _add_pieces(hu, body, grid, pieces)


def _colon_path(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Points every 4 mm from the caecum to the anus, and radii that swell between the folds."""
    rng = body.rng
    jitter = rng.normal(0, 1, (len(_COLON), 3)) * np.array([0.05, 0.08, 8.0])
    jitter[5:9, 2] -= rng.uniform(-15, 45)  # a transverse colon may sag
    jitter[15:, 2] += rng.uniform(-18, 35)  # a sigmoid may be long
    at = _COLON[:, :3] + jitter
    upper = body.cavity.point(at[:, 0], at[:, 1], at[:, 2])
    lower = body.posture.place(_RECTUM[:, :3], 1)
    lower[:, 0] += rng.normal(0, 4)
    knots = np.concatenate([upper, lower])
    width = np.concatenate([_COLON[:, 3] * rng.uniform(0.8, 1.2, len(_COLON)), _RECTUM[:, 3] * rng.uniform(0.7, 1.3)])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    s = np.arange(0, length[-1], _STEP_MM)
    path = np.stack([_rounded(np.interp(s, length, knots[:, k])) for k in range(3)], axis=1)
    phase = s / _HAUSTRUM_MM + 0.35 * np.sin(s / 41.0 + rng.uniform(0, 6))
    swell = (0.54 + 0.46 * np.abs(np.sin(np.pi * phase)) ** 0.55) * (1 + 0.10 * np.sin(5.1 * np.floor(phase)))
    swell[s > length[-len(_RECTUM)]] = 0.95
    side = np.pi * np.floor(phase)  # the sacs bulge to alternate sides
    sway = np.stack([np.cos(side + s / 60.0), 0.6 * np.sin(side + s / 25.0), np.sin(s / 13.0)], axis=1) * 3.0
    return path + sway, np.interp(s, length, width) * swell


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.convolve(np.pad(values, 4, mode="edge"), np.hanning(11)[1:-1] / np.hanning(11).sum(), mode="valid")


def _add_pieces(hu, body: Body, grid, pieces: list[tuple]) -> None:
    """Lengths of one bowel, (path, radii, kind, HU of the fluid): first the walls, then gas over fluid, or stool."""
    fields = []
    for path, radii, _, _ in pieces:
        block, part = grid.block(*shapes.bounds(path, radii, 2.0))
        field = np.maximum(shapes.tube(part, path, radii), body.cavity.distance(part) + np.float32(0.5))
        fields.append((block, part, field))
        blend(hu, block, field, WALL_HU, grid)
    rng = body.rng
    for (block, part, field), (path, radii, kind, fluid) in zip(fields, pieces, strict=True):
        level = float(path[:, 1].mean() + rng.uniform(0.1, 0.9) * radii.mean())
        lumen = field + np.float32(_WALL_MM)
        if kind == _STOOL:
            mottle = noise(rng, part, 2.5)
            blend(hu, block, lumen, np.clip(15 + 55 * mottle - 420 * np.clip(mottle - 0.9, 0, None), -700, 140), grid)
            continue
        blend(hu, block, lumen, fluid, grid)
        if kind == _GAS:
            _, y, _ = part.axes()
            blend(hu, block, np.maximum(lumen, y - np.float32(level)), GAS_HU, grid)
