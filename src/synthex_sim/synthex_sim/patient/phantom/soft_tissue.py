"""Everything around the bones: skin, fat, muscle with fat planes, psoas, bowel with gas and stool, bladder, discs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthex_sim.patient.phantom import femur, shapes, spine
from synthex_sim.patient.phantom.frame import Pelvis

AIR_HU, FAT_HU, MUSCLE_HU, GAS_HU, STOOL_HU, FLUID_HU, BLADDER_HU, DISC_HU = -1000, -100, 55, -950, 10, 20, 8, 85
#: Front-to-back against side-to-side width of a thigh.
THIGH_DEPTH = 1.12


@dataclass(frozen=True)
class Outline:
    """The skin: a torso of superelliptic sections and two thighs, LPS mm.

    Attributes:
        half_width_mm, half_depth_mm: of the skin at hip level.
        center_y_mm: middle of the sections.
        waist: width above the iliac crests against the hips.
        thighs: per side (path (2, 3), radii (2,)).
    """

    half_width_mm: float
    half_depth_mm: float
    center_y_mm: float
    waist: float
    thighs: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def outline_of(pelvis: Pelvis, rng: np.random.Generator) -> Outline:
    """The body around this skeleton: hips clear the greater trochanters, the back clears the sacrum."""
    person = pelvis.person
    legs = [femur.control_points(pelvis, side, person.femurs[0 if side > 0 else 1]) for side in (1, -1)]
    reach = max(float(np.max(np.abs(p[:12, 0]) + r[:12])) for p, r in legs)
    half_width = reach + 12 * person.girth + 0.9 * person.fat_mm
    sacrum_back = float(pelvis.place(np.array([[0.0, -40.0, -149.0]]))[0][0, 1])
    back = sacrum_back + 10 + 0.7 * person.fat_mm
    belly = 92 * person.girth * float(person.scale.mean()) + 1.1 * person.fat_mm + rng.normal(0, 5)
    thighs = []
    for side, (points, _) in zip((1, -1), legs, strict=True):
        top, low = points[9], points[-5]  # the shaft below the trochanters and its lower end
        inner = 4.0 + 6.0 * rng.uniform()  # half of the gap between the thighs
        radius = 0.5 * (half_width - inner)
        middle = 0.5 * (half_width + inner)
        fraction = np.clip((top[2] + 135.0) / max(top[2] - low[2], 1.0), 0, 1)
        drift = (low - top) * fraction
        knee = [side * middle + 0.8 * drift[0], top[1] + 8 + drift[1], -135.0]
        path = np.array([[side * middle, top[1] + 6, top[2]], knee])
        thighs.append((path, np.array([radius, 0.9 * radius])))
    waist = float(rng.uniform(0.84, 0.97))
    return Outline(half_width, 0.5 * (back + belly), 0.5 * (back - belly), waist, tuple(thighs))


def _superellipse(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, power: float = 2.3) -> np.ndarray:
    q = (np.abs(x / a) ** power + np.abs(y / b) ** power) ** (1 / power)
    return (q - 1) * np.minimum(a, b)


def skin_distance(outline: Outline, grid: shapes.Grid) -> np.ndarray:
    """Signed distance to the skin, mm, float32; near the surface only. It is smooth, so 5 mm steps suffice."""
    step = max(1, int(round(5.0 / grid.spacing_mm)))
    shape = tuple(int(np.ceil(n / step)) + 2 for n in grid.shape)
    coarse = shapes.Grid(grid.origin_mm, grid.spacing_mm * step, shape)
    return shapes.upsample(_skin(outline, coarse), step, grid.shape)


def _skin(outline: Outline, grid: shapes.Grid) -> np.ndarray:
    x, y, z = grid.axes()
    level = np.array([-40, 0, 50, 110, 170, 240.0])
    width = np.array([1.0, 1.0, 0.97, outline.waist, outline.waist - 0.02, outline.waist])
    depth = np.array([0.95, 0.98, 1.0, 0.98, 0.95, 0.93])
    crotch = np.sqrt(np.clip(1 - (np.minimum(z + 12, 0) / 83.0) ** 2, 0.02, 1))  # the trunk rounds off between the legs
    a = (outline.half_width_mm * np.interp(z, level, width) * crotch).astype(np.float32)
    b = (outline.half_depth_mm * np.interp(z, level, depth) * crotch).astype(np.float32)
    torso = _superellipse(x, y - np.float32(outline.center_y_mm), a, b)
    torso = np.maximum(torso, -(z + 93.0))
    legs = np.full(grid.shape, 1e3, dtype=np.float32)
    for path, radii in outline.thighs:
        t = np.clip((z - path[0, 2]) / (path[1, 2] - path[0, 2]), 0, 1.4)
        cx, cy = (path[0, k] + t * (path[1, k] - path[0, k]) for k in (0, 1))
        r = radii[0] + t * (radii[1] - radii[0])
        leg = np.hypot(x - cx, (y - cy) / THIGH_DEPTH) - r
        legs = np.minimum(legs, leg + 0.45 * np.maximum(z + 70.0, 0))
    mix = np.clip(0.5 + (legs - torso) / 36.0, 0, 1)
    return torso * mix + legs * (1 - mix) - 18.0 * mix * (1 - mix)


def noise(rng: np.random.Generator, grid: shapes.Grid, sigma_mm: float) -> np.ndarray:
    """Smooth Gaussian noise of unit variance, made on a coarse lattice where that suffices."""
    step = max(1.0, 0.7 * sigma_mm / grid.spacing_mm)
    shape = tuple(int(np.ceil(n / step)) + 6 for n in grid.shape)
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma_mm / (step * grid.spacing_mm))
    coarse /= coarse.std()
    if step == 1.0:
        return coarse[tuple(slice(3, 3 + n) for n in grid.shape)]
    return shapes.upsample(coarse, step, grid.shape, offset=2.0)


def fill(hu: np.ndarray, pelvis: Pelvis, outline: Outline, vertebrae: list[spine.Vertebra], grid: shapes.Grid,
         rng: np.random.Generator) -> None:  # fmt: skip
    """Writes all soft tissue into the float32 volume ``hu``."""
    person = pelvis.person
    skin = skin_distance(outline, grid)
    grain = noise(rng, grid, 1.2 * grid.spacing_mm)
    coarse = noise(rng, grid, 9.0)
    _, _, z = grid.axes()
    fat = (0.85 - 0.25 * np.clip((z + 20) / -90, 0, 1)).astype(np.float32) * person.fat_mm
    planes = np.clip(1 - np.abs(coarse) / (0.1 + 0.008 * person.fat_mm), 0, 1) * (skin < -fat - 4)
    muscle = MUSCLE_HU + 9 * grain - 130 * planes
    inside = np.where(skin > -fat, FAT_HU + 12 * grain, muscle)
    inside = np.where(skin > -1.8, 20.0, inside)
    cover = np.clip(0.5 - skin / grid.spacing_mm, 0, 1)
    np.copyto(hu, AIR_HU + (inside - AIR_HU) * cover)
    _cavity(hu, skin, pelvis, outline, grid, rng, grain, coarse)
    _psoas(hu, pelvis, vertebrae, grid)
    for v in vertebrae:  # a disc under every body
        low = v.center - v.axes[:, 1] * 19 * v.size
        block, part = grid.block(low - 30, low + 30)
        _blend(hu, block, shapes.ellipsoid(part, low, np.array([25, 9, 18]) * v.size, v.axes.T), DISC_HU, grid)


def _blend(hu: np.ndarray, block: tuple, field: np.ndarray, value, grid: shapes.Grid) -> None:
    cover = np.clip(0.5 - field / grid.spacing_mm, 0, 1)
    hu[block] += (value - hu[block]) * cover


def _cavity(hu, skin, pelvis, outline, grid, rng, grain, coarse) -> None:
    """Abdominal and pelvic cavity: mesenteric fat, bowel, bladder, rectum."""
    person = pelvis.person
    wall = 14 * person.girth + 0.9 * person.fat_mm
    front = outline.center_y_mm - outline.half_depth_mm + wall
    depth = max(45.0, 0.5 * (35.0 - front))
    center, semi = np.array([0, front + depth, 150.0]), np.array([0.66 * outline.half_width_mm, depth, 155.0])
    block, part = grid.block(np.minimum(center - semi, (-50, -23, -50)), np.maximum(center + semi, (50, 67, 60)))
    low = shapes.ellipsoid(part, np.array([0, 22, 5.0]), np.array([50, 45, 55.0]))
    space = np.full(grid.shape, 1e3, dtype=np.float32)
    space[block] = np.maximum(np.minimum(low, shapes.ellipsoid(part, center, semi)), skin[block] + wall)
    filling = FAT_HU + 5 + 12 * grain[block] + 45 * np.clip(coarse[block] - 0.3, 0, 1.6)
    _blend(hu, block, space[block], filling, grid)
    for path, radii in _colon(pelvis, front, rng) + _small_bowel(outline, front, depth, rng):
        _bowel(hu, path, radii, space, grid, rng)
    size = rng.uniform(0.55, 1.15)
    center = np.array([rng.normal(0, 3), -22.0, -22 + 24 * size])
    semi = np.array([44, 30, 28]) * size
    block, part = grid.block(center - semi - 5, center + semi + 5)
    bladder = shapes.ellipsoid(part, center, semi)
    _blend(hu, block, bladder, 40, grid)
    _blend(hu, block, bladder + 3.0, BLADDER_HU, grid)


def _colon(pelvis: Pelvis, front: float, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    wide = 100 * float(pelvis.person.scale[0])
    jitter = lambda n: rng.normal(0, 7, (n, 3))  # noqa: E731
    ways = [
        np.array([(-wide + 8, -10, 45), (-wide, -2, 80), (-wide - 4, 5, 120), (-wide, 10, 160), (-wide + 4, 10, 205)]),
        np.array([(wide, 12, 205), (wide + 4, 10, 165), (wide + 2, 5, 125), (wide - 4, -5, 85), (wide - 15, -20, 50)]),
        np.array([(wide - 15, -20, 50), (58, -18, 38), (30, 5, 55), (-5, 20, 48), (5, 48, 35), (0, 62, 5),
                  (0, 60, -30)]),  # fmt: skip
    ]
    tubes = []
    for way, radius in zip(ways, (23, 17, 18), strict=True):
        way = way + jitter(len(way))
        fine = np.linspace(0, len(way) - 1, 4 * len(way))
        path = np.stack([np.interp(fine, np.arange(len(way)), way[:, k]) for k in range(3)], axis=1)
        haustra = 1 + 0.13 * np.sin(np.arange(len(fine)) * 1.9 + rng.uniform(0, 6))
        tubes.append((path, radius * rng.uniform(0.8, 1.2) * haustra))
    return tubes


def _small_bowel(outline: Outline, front: float, depth: float, rng: np.random.Generator):
    tubes = []
    for _ in range(int(rng.integers(7, 15))):
        start = np.array([rng.uniform(-75, 75), front + rng.uniform(0.35, 1.3) * depth, rng.uniform(25, 190)])
        steps = rng.normal(0, 1, (9, 3)) * np.array([16, 7, 12])
        path = start + np.cumsum(steps - 0.35 * np.cumsum(steps, axis=0) / 3, axis=0)
        tubes.append((path, np.full(len(path), rng.uniform(9, 14))))
    return tubes


def _bowel(hu, path, radii, space, grid, rng) -> None:
    """One tube with a wall; along it chunks of gas (on top, the patient is supine), stool or fluid."""
    chunk = 3
    for first in range(0, len(path) - 1, chunk):
        p, r = path[first : first + chunk + 1], radii[first : first + chunk + 1]
        block, part = grid.block(*shapes.bounds(p, r, 3.0))
        field = np.maximum(shapes.tube(part, p, r), space[block] + 1.0)
        _blend(hu, block, field, 42, grid)
        kind = rng.choice(3, p=(0.36, 0.34, 0.30))
        lumen = field + 2.2
        if kind == 1:
            stool = STOOL_HU + 130 * noise(rng, part, 3.0)
            _blend(hu, block, lumen, np.clip(stool, -650, 130), grid)
        else:
            _blend(hu, block, lumen, FLUID_HU, grid)
        if kind == 0:
            _, y, _ = part.axes()
            level = p[:, 1].mean() + rng.uniform(-0.4, 0.9) * r.mean()
            _blend(hu, block, np.maximum(lumen, y - level), GAS_HU, grid)


def _psoas(hu, pelvis, vertebrae, grid) -> None:
    person = pelvis.person
    for side in (1, -1):
        points, radii = femur.control_points(pelvis, side, person.femurs[0 if side > 0 else 1])
        trochanter = points[14]
        hip = pelvis.hip_center(side)
        upper = [v.center + v.axes @ (np.array([side * 36.0, 0, -6]) * v.size) for v in vertebrae[:0:-1]]
        path = np.array(upper + [hip + [-side * 36, 10, 95], hip + [-side * 8, -22, 32], hip + [0, -30, 0], trochanter])
        radius = np.concatenate([np.linspace(12, 19, len(upper)), [19, 15, 14, 8]]) * person.girth
        block, part = grid.block(*shapes.bounds(path, radius, 3.0))
        _blend(hu, block, shapes.tube(part, path, radius), MUSCLE_HU + 5, grid)
