"""The body around cage and organs: muscles, fat, breasts and skin; the organs under the diaphragm."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.texture import noise
from synthex_sim.patient.thorax.cage import Cage
from synthex_sim.patient.thorax.parameters import ThoraxPerson
from synthex_sim.patient.thorax.shoulder import Shoulder
from synthex_sim.patient.thorax.spine import Vertebra

AIR_HU, FAT_HU, MUSCLE_HU, SKIN_HU, LIVER_HU = -1000.0, -100.0, 52.0, 20.0, 60.0


def muscle_distance(
    person: ThoraxPerson, cage: Cage, spine: dict[str, Vertebra], shoulders: list[Shoulder], wall: np.ndarray,
    grid: shapes.Grid,
) -> np.ndarray:
    """Signed distance of everything under the fat, float32 mm, on a coarse grid.

    Args:
        person, cage, spine, shoulders: whose.
        wall: the cage's distance on that grid, mm.
        grid: coarse.
    """
    x, y, z = grid.axes()
    m = person.muscle
    field = wall - (12.0 + 6.0 * m)
    field = np.maximum(field, 0.9 * (z - cage.head_z[2] - 6))
    back = [spine[n].at(0, 0, -0.5 * spine[n].depth - 26) for n in spine]
    for side in (1, -1):
        field = _add(field, grid, np.array([p + (side * 27.0, -2, 0) for p in back]), 22.0 * m, 16)
    field = _add(field, grid, np.array([p + (0, 8, 0) for p in back]), 17.0, 16)
    neck = [spine[n].at(0, 0, 8) for n in ("T2", "C7", "C6", "C5")]
    neck[-1] = neck[-1] + 2 * (neck[-1] - neck[-2])
    field = _add(field, grid, np.array(neck), np.array([50, 55, 54, 54]) * (0.9 if person.breast else 1.02), 18)
    for shoulder in shoulders:
        field = _around_shoulder(field, grid, shoulder, cage, person)
    return field.astype(np.float32)


def _around_shoulder(field, grid, shoulder: Shoulder, cage: Cage, person: ThoraxPerson) -> np.ndarray:
    side, m = shoulder.side, person.muscle
    head, points = shoulder.head, shoulder.scapula[0]
    field = _add(field, grid, np.array([head, head]), 36 * m, 22)
    field = _add(field, grid, shoulder.humerus[0], np.array([36, 36, 42, 38]) * m, 16)
    top = np.array([[side * 26, cage.back_y[2] - 38, cage.head_z[2] + 22], 0.5 * (points[10] + points[12]), points[13]])
    field = _add(field, grid, top, np.array([40, 30, 19]) * m, 24)  # trapezius
    spine_side = np.array([side * 30, cage.back_y[3] + 8, cage.head_z[5]])
    for end in (points[1], points[0], points[3]):  # rhomboids and levator
        field = _add(field, grid, np.array([spine_side, end]), 18.0 * m, 18)
    collar = shoulder.clavicle[0][::4]
    field = _add(field, grid, collar + (0, 4, -6), 17.0 * m, 20)  # above and below the collar bone
    field = _add(field, grid, np.array([collar[1] + (0, 14, 14), collar[3] + (0, 16, 4)]), 20.0 * m, 22)
    for way in ((0, 6), (2, 4, 6), (0, 3, 2), (9, 6)):  # muscles on both faces of the blade
        field = _add(field, grid, points[list(way)], 15.0 * m, 16)
    x, y, _ = cage.outline(8.0, np.array([1.1]), 9.0)[0]
    fold = np.array([head + (shoulder.humerus[0][3] - head) * 0.25, points[2], (side * x, y, -75.0)])
    field = _add(field, grid, fold, np.array([17, 17, 11]) * m, 22)  # latissimus and teres: the fold of the armpit
    x, z = 80.0 * person.scale[0], 55.0 * person.scale[2]
    chest = np.array([[side * 24, cage.front_y[5] + 3, z - 5], [side * x, cage.front_y[5] + 16, z + 4], head])
    field = _add(field, grid, chest, np.array([8, 17, 22]) * m, 20)  # pectoralis
    lower = np.array([[side * 30, cage.front_y[5] - 2, z - 42], [side * x, cage.front_y[5] + 8, z - 30], head])
    return _add(field, grid, lower, np.array([6, 13, 20]) * m, 20)


def _add(field, grid: shapes.Grid, path: np.ndarray, radii, width_mm: float) -> np.ndarray:
    """A rounded tube joined to a field; its distance is worked out without a limit of reach."""
    x, y, z = grid.axes()
    radii = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(path))
    nearest = np.full(grid.shape, 1e3, dtype=np.float32)
    for a, b, ra, rb in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        way = b - a
        length = max(float(way @ way), 1e-6)
        d = [v - np.float32(o) for v, o in zip((x, y, z), a, strict=True)]
        t = np.clip(sum(v * np.float32(w) for v, w in zip(d, way, strict=True)) / np.float32(length), 0, 1)
        squared = sum((v - t * np.float32(w)) ** 2 for v, w in zip(d, way, strict=True))
        np.minimum(nearest, np.sqrt(squared) - (np.float32(ra) + t * np.float32(rb - ra)), out=nearest)
    return shapes.smooth_union(field, nearest, width_mm).astype(np.float32)


def fat_thickness(person: ThoraxPerson, grid: shapes.Grid) -> np.ndarray:
    """Subcutaneous fat with skin on a coarse grid, mm: thick at the belly, thin at the shoulders and the neck."""
    _, y, z = grid.axes()
    high = np.interp(z, (-150, -60, 60, 130), (1.15, 1.0, 0.75, 0.5)).astype(np.float32)
    return (2.0 + person.fat_mm * high * (1 + 0.002 * np.clip(-y, -80, 80))).astype(np.float32)


def breasts(person: ThoraxPerson, cage: Cage, skin: np.ndarray, grid: shapes.Grid) -> np.ndarray:
    """The skin's distance with the breasts on it, float32 mm; lying they are flat and lie further to the side."""
    if not person.breast:
        return skin
    flat = 0.62 if person.posture != "upright" else 0.9
    low = -22.0 if person.posture == "upright" else -6.0
    for side in (1, -1):
        center = np.array([side * (82 + 14 * (1 - flat)) * person.scale[0], 0, low * person.scale[2]])
        center[1] = float(np.interp(6, cage.levels, cage.front_y)) + 22
        axes = np.array([60, 66 * flat + 0.8 * person.fat_mm, 62]) * person.breast ** 0.5
        x, y, z = grid.axes()
        droop = np.where(z < center[2], 0.8, 1.25).astype(np.float32)
        q = np.sqrt(((x - center[0]) / axes[0]) ** 2 + ((y - center[1]) / axes[1]) ** 2
                    + ((z - center[2]) / (axes[2] * droop)) ** 2)  # fmt: skip
        skin = shapes.smooth_union(skin, (q - 1) * np.float32(axes[1]), 10.0)
    return skin.astype(np.float32)


def fill_walls(
    hu: np.ndarray, skin: np.ndarray, muscle: np.ndarray, person: ThoraxPerson, grid: shapes.Grid,
    rng: np.random.Generator,
) -> None:
    """Writes air, skin, fat (with glands in the breasts) and muscle with its planes of fat into a volume, HU.

    Args:
        hu: (I, J, K) float32, written.
        skin, muscle: their signed distances, mm.
        person, grid, rng: whose, where, the randomness.
    """
    h = grid.spacing_mm
    grain, coarse = noise(rng, grid, 1.2 * h), noise(rng, grid, 8.0)
    glands = np.clip(coarse + 0.3, 0, 1.2) * np.clip((skin + 60) / 50, 0, 1) * np.clip((muscle - 9) / 12, 0, 1)
    fat = FAT_HU + 10 * grain + (95 * glands if person.breast else 0)
    planes = np.clip(1 - np.abs(coarse) / (0.08 + 0.006 * person.fat_mm), 0, 1) * np.clip(1 + (muscle + 26) / 6, 0, 1)
    flesh = MUSCLE_HU + 8 * grain - 120 * planes * (muscle < -3)
    inside = np.where(skin > -2.0, SKIN_HU, fat + (flesh - fat) * np.clip(0.5 - muscle / h, 0, 1))
    np.copyto(hu, AIR_HU + (inside - AIR_HU) * np.clip(0.5 - skin / h, 0, 1))


def under_diaphragm(
    person: ThoraxPerson, wall: np.ndarray, dome: np.ndarray, grid: shapes.Grid, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Signed distances of abdominal organs on a coarse grid, float32 mm: space, liver, spleen, stomach, gas.

    Args:
        person: whose.
        wall: the cage's distance there, mm.
        dome: z of the diaphragm there, mm, broadcasting to the grid.
        grid: coarse.
        rng: sizes.
    """
    x, y, z = grid.axes()
    sx, sy, sz = person.scale
    under = z - (dome - 3.5)
    space = np.maximum(wall + 4.0, under)
    edge = -(z + (158 + rng.normal(0, 8)) * sz) - 0.0030 * (x + 95 * sx) ** 2 - 0.0016 * (y + 20) ** 2
    liver = np.maximum(np.maximum(space + 1, edge), 0.5 * (x - (48 - 0.35 * (y + 40)) * sx))
    spleen = np.maximum(shapes.ellipsoid(grid, np.array([98 * sx, 4 * sy, float(dome.min()) * 0.5 - 68 * sz]),
                                         np.array([30, 44, 44]) * float(person.scale.mean())), space + 1)
    summit = float(dome[np.abs(x[:, 0, 0] - 66 * sx).argmin(), np.abs(y[0, :, 0] + 40 * sy).argmin(), 0])
    big = 0.75 + 0.5 * person.stomach_gas
    fundus = np.array([66 * sx, -30 * sy, 0.0])
    fundus[2] = summit - 5 - 36 * big
    stomach = shapes.ellipsoid(grid, fundus, np.array([40, 42, 40]) * big)
    body = shapes.ellipsoid(grid, fundus + (-8, -26, -52), np.array([30, 28, 50]))
    stomach = np.maximum(shapes.smooth_union(stomach, body, 12.0), np.maximum(space + 2, -(liver + 30)))
    if person.posture == "upright":
        level = (fundus[2] + 36 * big * (0.9 - 1.4 * person.stomach_gas)) - z
    else:
        level = y - (fundus[1] - 36 + 30 * person.stomach_gas)
    return {"space": space, "liver": liver, "spleen": spleen, "stomach": stomach,
            "gas": np.maximum(stomach + 4, level)}  # fmt: skip
