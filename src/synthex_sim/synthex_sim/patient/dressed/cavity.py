"""The abdominal and pelvic cavity of a label map that does not show it, and what lies in it: bowel and bladder."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.texture import noise

_COARSE_MM = 5.0
#: Walls must stand in so many of eight directions around a place inside.
_WALLS = 7
#: Passages narrower than this lead out of the cavity, mm.
_NARROW_MM = 10.0
_WALL_HU, _GAS_HU, _STOOL_HU, _FLUID_HU, _URINE_HU = 42.0, -950.0, 10.0, 20.0, 8.0
_WALL_MM = 2.2
#: Gas, stool, fluid.
_SHARES = (0.34, 0.36, 0.30)


def cavity_distances(solid: np.ndarray, body: np.ndarray, low_mm: float, grid: shapes.Grid) -> np.ndarray | None:
    """Where bowel may lie.

    Args:
        solid: (I, J, K) bool, bone and muscle.
        body: (I, J, K) bool, within the skin.
        low_mm: LPS z, nothing below it is cavity.
        grid: of their voxels.

    Returns:
        (I, J, K) float32 mm, negative inside: within walls, and wide; None where the labels enclose nothing.
    """
    step = max(1, int(round(_COARSE_MM / grid.spacing_mm)))
    coarse = (slice(step // 2, None, step),) * 3
    walls, within = solid[coarse], body[coarse]
    inside = within & ~walls & (_walls_around(walls) >= _WALLS)
    z = grid.origin_mm[2] + grid.spacing_mm * (step // 2 + step * np.arange(walls.shape[2]))
    inside[:, :, z < low_mm] = False
    mm = step * grid.spacing_mm
    # the scan's ends are no walls
    depth = ndimage.distance_transform_edt(np.pad(inside, ((0, 0), (0, 0), (4, 4)), mode="edge"), sampling=mm)
    parts, count = ndimage.label(depth > _NARROW_MM)
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    core = parts == np.argmax(sizes)
    field = (ndimage.distance_transform_edt(~core, sampling=mm) - _NARROW_MM)[:, :, 4:-4].astype(np.float32)
    field = np.maximum(ndimage.gaussian_filter(field, 0.7), low_mm - z)
    return shapes.upsample(np.pad(field, 1, mode="edge"), step, grid.shape, offset=1 - (step // 2) / step)


def _walls_around(walls: np.ndarray) -> np.ndarray:
    """(I, J, K) int: in how many of eight directions of the axial plane a wall stands."""
    count = np.zeros(walls.shape, np.int8)
    for axis in (0, 1):
        count += np.maximum.accumulate(walls, axis=axis)
        count += np.flip(np.maximum.accumulate(np.flip(walls, axis), axis=axis), axis)
    n, m, _ = walls.shape
    for flip in (False, True):
        plane = np.flip(walls, 1) if flip else walls
        slanted = np.zeros((n, m + n, walls.shape[2]), bool)  # row i moved by i: a column of it is a diagonal
        for i in range(n):
            slanted[i, i : i + m] = plane[i]
        both = np.maximum.accumulate(slanted, axis=0).astype(np.int8)
        both += np.flip(np.maximum.accumulate(np.flip(slanted, 0), axis=0), 0)
        back = np.stack([both[i, i : i + m] for i in range(n)])
        count += np.flip(back, 1) if flip else back
    return count


def fill_cavity(hu: np.ndarray, space: np.ndarray, grid: shapes.Grid, bladder_mm: np.ndarray | None,
                rng: np.random.Generator) -> None:  # fmt: skip
    """Writes mesenteric fat, bowel with gas, stool and fluid, and the bladder.

    Args:
        hu: (I, J, K) float32, written to.
        space: of ``cavity_distances``.
        grid: of both.
        bladder_mm: (3,) LPS mm, behind and above the symphysis; None where that is not known.
        rng: of the patient.
    """
    fat = -95 + 12 * noise(rng, grid, 1.5 * grid.spacing_mm) + 45 * np.clip(noise(rng, grid, 9.0) - 0.3, 0, 1.6)
    _blend(hu, (slice(None),) * 3, space, fat, grid)
    for path, radii in _colon(space, grid, rng) + _small_bowel(space, grid, rng):
        _bowel(hu, path, radii, space, grid, rng)
    if bladder_mm is not None:
        _bladder(hu, np.asarray(bladder_mm), space, grid, rng)


def _blend(hu: np.ndarray, block: tuple, field: np.ndarray, value, grid: shapes.Grid) -> None:
    hu[block] += (value - hu[block]) * np.clip(0.5 - field / grid.spacing_mm, 0, 1)


def _colon(space: np.ndarray, grid: shapes.Grid, rng: np.random.Generator) -> list:
    """Along the right and the left edge of the cavity, upward from where it is wide."""
    tubes = []
    step = max(1, int(round(12.0 / grid.spacing_mm)))
    for side, radius in ((-1, 21.0), (1, 16.0)):
        path = []
        for k in range(0, grid.shape[2], step):
            x, y = np.nonzero(space[:, :, k] < -4.0)
            if len(x) < 30 or np.ptp(x) * grid.spacing_mm < 130:
                continue
            edge = np.percentile(x * side, 98) * side
            near = np.abs(x - edge) < 14 / grid.spacing_mm
            at = np.array([edge - side * radius / grid.spacing_mm, np.percentile(y[near], 65), k])
            path.append(grid.origin_mm + grid.spacing_mm * at + rng.normal(0, 4, 3))
        if len(path) >= 4:
            tubes.append(_haustra(np.array(path), radius * rng.uniform(0.8, 1.15), rng))
    low = np.argwhere(space < -6.0)
    if len(low):
        low = low[low[:, 2] < np.percentile(low[:, 2], 25)]
        x, y, z = grid.origin_mm + grid.spacing_mm * low.mean(axis=0)
        back = grid.origin_mm[1] + grid.spacing_mm * np.percentile(low[:, 1], 92)
        way = np.array([(x + 55, y - 5, z + 35), (x + 35, y + 10, z + 20), (x + 5, y + 5, z + 22),
                        (x - 12, y + 15, z + 8), (x, back - 14, z - 5), (x, back - 14, z - 40)])  # fmt: skip
        tubes.append(_haustra(way + rng.normal(0, 5, way.shape), 17 * rng.uniform(0.8, 1.15), rng))
    return tubes


def _haustra(way: np.ndarray, radius: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    fine = np.linspace(0, len(way) - 1, 4 * len(way))
    path = np.stack([np.interp(fine, np.arange(len(way)), way[:, k]) for k in range(3)], axis=1)
    return path, radius * (1 + 0.14 * np.sin(1.9 * np.arange(len(fine)) + rng.uniform(0, 6)))


def _small_bowel(space: np.ndarray, grid: shapes.Grid, rng: np.random.Generator) -> list:
    inside = np.argwhere(space[::4, ::4, ::4] < -8.0) * 4
    if not len(inside):
        return []
    tubes = []
    for _ in range(int(rng.integers(9, 16))):
        start = grid.origin_mm + grid.spacing_mm * inside[rng.integers(len(inside))]
        steps = rng.normal(0, 1, (9, 3)) * np.array([16, 7, 12])
        path = start + np.cumsum(steps - 0.35 * np.cumsum(steps, axis=0) / 3, axis=0)
        tubes.append((path, np.full(len(path), rng.uniform(9, 13))))
    return tubes


def _bowel(hu, path, radii, space, grid, rng) -> None:
    """One tube with a wall and fluid; along it chunks of stool, and of gas on top, as the patient is supine."""
    chunks = []
    for first in range(0, len(path) - 1, 3):
        p, r = path[first : first + 4], radii[first : first + 4]
        block, part = grid.block(*shapes.bounds(p, r, 3.0))
        chunks.append((block, part, np.maximum(shapes.tube(part, p, r), space[block] + 1.0), p[:, 1].mean(), r.mean()))
    kinds = rng.choice(3, size=len(chunks), p=_SHARES)
    for block, _, field, _, _ in chunks:
        _blend(hu, block, field, _WALL_HU, grid)
    for block, _, field, _, _ in chunks:
        _blend(hu, block, field + _WALL_MM, _FLUID_HU, grid)
    for kind, (block, part, field, _, _) in zip(kinds, chunks, strict=True):
        if kind == 1:
            stool = np.clip(_STOOL_HU + 130 * noise(rng, part, 3.0), -650, 130)
            _blend(hu, block, field + _WALL_MM, stool, grid)
    for kind, (block, part, field, y, radius) in zip(kinds, chunks, strict=True):
        if kind == 0:
            level = y + rng.uniform(-0.4, 0.9) * radius
            _blend(hu, block, np.maximum(field + _WALL_MM, part.axes()[1] - level), _GAS_HU, grid)


def _bladder(hu, center, space, grid, rng) -> None:
    semi = np.array([42, 28, 27]) * rng.uniform(0.6, 1.1)
    block, part = grid.block(center - semi - 5, center + semi + 5)
    field = np.maximum(shapes.ellipsoid(part, center, semi), space[block] - 10.0)
    _blend(hu, block, field, _WALL_HU, grid)
    _blend(hu, block, field + 3.0, _URINE_HU, grid)
