"""The lungs: what the mediastinum and the diaphragm leave of the cage; their parenchyma, fissures and vessels."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.texture import noise
from synthex_sim.patient.thorax import vessel_tree
from synthex_sim.patient.thorax.cage import Cage
from synthex_sim.patient.thorax.mediastinum import Mediastinum, Tube
from synthex_sim.patient.thorax.parameters import ThoraxPerson
from synthex_sim.patient.thorax.spine import Vertebra

#: Height of the right dome against T7 at the mean breath.
_DOME_Z_MM = -76.0
_DOME_X_MM = 66.0
_BLOOD_HU = 42.0
#: Terminal points of the arteries and veins of a lung of 3 litres.
_ARTERIES, _VEINS = 1500, 900


def diaphragm(person: ThoraxPerson, cage: Cage, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """z of the diaphragm's upper surface over (x, y), mm: two domes and the sulci around them."""
    wide, back, front = (float(np.interp(9.5, cage.levels, v)) for v in (cage.half_width, cage.back_y, cage.front_y))
    top = (_DOME_Z_MM - 55 * (person.inspiration - 0.7)) * person.scale[2]
    flat = 1.15 - 0.45 * person.inspiration
    left = np.clip(0.5 + x / 30, 0, 1)
    summit = top - person.right_dome_mm * left
    away = np.abs(x) - _DOME_X_MM * person.scale[0]
    lateral = np.clip(away / (wide - _DOME_X_MM * person.scale[0]), 0, 1.2)
    medial = np.clip(-away / (_DOME_X_MM * person.scale[0]), 0, 1)
    middle = -46.0 * person.scale[1]
    behind = np.clip((y - middle) / (back - middle), 0, 1.2)
    before = np.clip((middle - y) / (middle - front), 0, 1.2)
    fall = 60 * lateral**2.1 + 9 * medial**2 + 92 * behind**2.4 + 34 * before**2.2
    return summit - person.scale[2] * flat * (fall - 0.35 * np.minimum(60 * lateral**2.1, 92 * behind**2.4))


def lung_distance(
    person: ThoraxPerson, cage: Cage, spine: dict[str, Vertebra], organs: Mediastinum, grid: shapes.Grid
) -> np.ndarray:
    """Signed distance of both lungs on a coarse grid, float32 mm, negative inside."""
    x, y, z = grid.axes()
    wall = cage.distance(x, y, z)
    dome = 0.75 * (diaphragm(person, cage, x, y) - z)
    field = np.maximum(np.maximum(wall, dome), -between(person, spine, organs, grid))
    apex_z = spine["T1"].center[2] + (4 + 4 * person.inspiration) * person.scale[2]
    apex_y = float(np.interp(1.0, cage.levels, cage.back_y)) - 26
    far = ((np.abs(x) - 34 * person.scale[0]) ** 2 + 0.7 * (y - apex_y) ** 2) / (64.0 * person.scale[0])
    return np.maximum(field, 0.8 * (z - apex_z + far)).astype(np.float32)


def between(person: ThoraxPerson, spine: dict[str, Vertebra], organs: Mediastinum, grid: shapes.Grid) -> np.ndarray:
    """Signed distance of everything between the lungs with its fat, float32 mm."""
    x, y, z = grid.axes()
    field = organs.heart_distance(grid) - 4.0
    drop = max(1, int(round(16.0 / grid.spacing_mm)))
    field[:, :, :-drop] = np.minimum(field[:, :, :-drop], field[:, :, drop:] + 3.0)  # fat down to the diaphragm
    tubes = [(organs.aorta, 1.5), *((v, 2.0) for v in organs.veins), *((a, 2.0) for a in organs.arteries),
             *((a, 2.5) for a in organs.airways[:1]), (organs.oesophagus, 2.0)]  # fmt: skip
    for tube, margin in tubes:
        block, distance = tube.distance(grid)
        field[block] = shapes.smooth_union(field[block], distance - np.float32(margin), 5.0)
    heights = np.array([v.center[2] for v in spine.values()])[::-1]
    y_of, deep, wide = (
        np.interp(z, heights, np.array(v)[::-1]).astype(np.float32)
        for v in ([v.center[1] for v in spine.values()], [v.depth for v in spine.values()],
                  [v.width for v in spine.values()])
    )  # fmt: skip
    x_of = np.interp(z, heights, np.array([v.center[0] for v in spine.values()])[::-1]).astype(np.float32)
    behind = np.maximum(y - y_of - 6, 0)
    body = np.hypot((x - x_of) / (0.5 * wide + 4), (y - y_of) / (0.5 * deep + 4)) - 1
    block = np.minimum(body * 0.5 * deep, np.abs(x - x_of) - (0.5 * wide + 3 + 0.75 * behind) + 400 * (y < y_of))
    # the pleurae meet before and behind the heart in a sheet that is oblique to the beam; above it parts for vessels
    width = np.interp(z, (-70, 10, 45, 100, 130), (3, 2, 3, 19, 24)) * (1 + 0.008 * np.clip(-y - 35, -30, 45))
    sheet = np.interp(z, (45, 100), (1, 0)) * (4 + 0.22 * (y + 40) + 5 * np.sin(z / 23))
    septum = np.abs(x - sheet.astype(np.float32)) - width.astype(np.float32)
    return np.minimum(np.minimum(field, block), septum).astype(np.float32)


def parenchyma(person: ThoraxPerson, grid: shapes.Grid, rng: np.random.Generator) -> np.ndarray:
    """(I, J, K) float32 HU of lung without visible vessels: denser towards the ground, mottled at several scales."""
    _, y, z = grid.axes()
    if person.posture == "upright":
        depth = -(z - np.float32(20.0))
    else:
        depth = y + np.float32(40.0)
    base = person.lung_hu + person.gravity_hu_per_mm * depth
    fine = 32 * noise(rng, grid, 1.0 * grid.spacing_mm)
    return base + fine + 18 * noise(rng, grid, 4.0) + 10 * noise(rng, grid, 14.0)


def add_fissures(hu: np.ndarray, lungs: np.ndarray, grid: shapes.Grid, rng: np.random.Generator) -> None:
    """Oblique fissures on both sides and the horizontal one on the right, as sheets 1 mm thick."""
    x, y, z = grid.axes()
    oblique = (z - np.float32(35)) * np.float32(0.68) - (y - np.float32(20)) * np.float32(0.72)
    oblique = oblique + 0.0012 * x**2
    level = z - np.float32(14.0) - 0.05 * (np.abs(x) - 60) + 0.0012 * (y + 60) ** 2
    h = grid.spacing_mm
    lung = lungs < 0
    sheet = np.clip(1 - np.abs(oblique) / h, 0, 1)
    horizontal = np.clip(1 - np.abs(level) / h, 0, 1) * (x < 0) * (oblique > 0)
    gaps = np.clip(0.5 + noise(rng, grid, 16.0), 0, 1)  # seldom complete, seldom in the beam
    hu += np.maximum(sheet, horizontal) * gaps * lung * np.float32(300.0 / max(h, 1.0))


def trees(
    person: ThoraxPerson, organs: Mediastinum, lungs: np.ndarray, sides: np.ndarray, grid: shapes.Grid,
    rng: np.random.Generator,
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[Tube]]:
    """The vessels of both lungs and the bronchi that go with the large arteries.

    Args:
        person, organs: whose.
        lungs: signed distance of the lungs on a coarse grid, mm.
        sides: (I, J, K) int8, 1 left and -1 right, there.
        grid: that grid.
        rng: where the terminal points lie.

    Returns:
        trees: segments (S, 2, 3) mm and radii (S, 2) mm of each tree.
        bronchi: tubes, their lumina.
    """
    grown, bronchi = [], []
    for side in (1, -1):
        voxels = np.argwhere((sides == side) & (lungs < -1.5))
        litres = len(voxels) * grid.spacing_mm**3 * 1e-6
        for number, root, radius, artery in (
            (_ARTERIES, organs.hila[side], 9.0, True),
            (_VEINS, organs.hila[side] + (-side * 6.0, -10.0, -24.0), 6.2, False),
        ):
            count = max(8, int(number * litres / 3))
            chosen = voxels[rng.integers(0, len(voxels), count)] + rng.uniform(-0.5, 0.5, (count, 3))
            points = grid.origin_mm + chosen * grid.spacing_mm
            calibre = radius * person.vessels * (litres / 3) ** (1 / 3)
            segments, radii = vessel_tree.grow(points, root, np.array([side * 0.8, 0.2, -0.5]), calibre)
            grown.append((segments, radii))
            if artery:
                bronchi += _bronchi(segments, radii, side)
        grown += [(stem, radii * person.vessels) for stem, radii in _stems(side, organs)]
    return grown, bronchi


def _stems(side: int, organs: Mediastinum) -> list[tuple[np.ndarray, np.ndarray]]:
    """The large vessels that make the shadow of a hilum: descending artery, upper and lower vein."""
    hilum, atrium = organs.hila[side], organs.atrium + (side * 22.0, 4.0, 0.0)
    ways = (
        (np.array([hilum, hilum + (side * 9, 8, -22), hilum + (side * 15, 18, -52)]), (9.0, 7.8, 5.0)),
        (np.array([atrium, hilum + (side * 2, -12, 8), hilum + (side * 14, -20, 38)]), (7.0, 6.0, 4.0)),
        (np.array([atrium, hilum + (-side * 6, -10, -24), hilum + (side * 10, 2, -50)]), (7.5, 7.0, 4.5)),
    )
    return [
        (np.stack([way[:-1], way[1:]], axis=1), np.stack([radii[:-1], radii[1:]], axis=1)) for way, radii in ways
    ]


def _bronchi(segments: np.ndarray, radii: np.ndarray, side: int) -> list[Tube]:
    """A bronchus on the medial and dorsal side of every artery that is wide enough to have a visible one."""
    large = radii[:, 1] > 2.0
    shift = np.array([-0.75 * side, 0.75, -0.3])
    return [
        Tube(s + shift * 1.5 * r[:, None], 0.62 * r) for s, r in zip(segments[large], radii[large], strict=True)
    ]


def add_vessels(hu: np.ndarray, lungs: np.ndarray, grown: list, grid: shapes.Grid) -> None:
    """Fills the vessels with blood, inside of the lungs."""
    for segments, radii in grown:
        points, size = segments.reshape(-1, 3), radii.ravel()
        i = np.arange(0, len(points), 2)
        block, part = grid.block(*shapes.bounds(points, size, 2.0))
        field = shapes.sphere_mesh(part, points, size, np.stack([i, i + 1, i + 1], axis=1))
        cover = np.clip(0.5 - field / grid.spacing_mm, 0, 1) * (lungs[block] < 1.0)
        view = hu[block]
        np.copyto(view, np.maximum(view, view + (np.float32(_BLOOD_HU) - view) * cover))


def add_bronchi(hu: np.ndarray, bronchi: list[Tube], grid: shapes.Grid) -> None:
    """Airways in the lungs: walls of soft tissue around air; the smallest vanish in partial volume as they do in CT."""
    h = grid.spacing_mm
    for tube in bronchi:
        block, part = grid.block(*shapes.bounds(tube.path, tube.radii, 3.0))
        field = shapes.tube(part, tube.path, tube.radii)
        view = hu[block]
        wall = np.clip(0.5 - (field - 0.9) / h, 0, 1) * np.float32(min(1.0, 1.2 / h))
        view += np.maximum(np.float32(10) - view, 0) * wall
        view += (np.float32(-985) - view) * np.clip(0.5 - field / h, 0, 1)
