"""Ribs on the cage, the sternum before it, and the cartilages between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.thorax.cage import Cage
from synthex_sim.patient.thorax.parameters import ThoraxPerson
from synthex_sim.patient.thorax.spine import Vertebra

#: Middle of a rib outside of the pleura.
_OUT_MM = 4.6
#: Where bone ends and cartilage begins, degrees around the cage from the back.
_END_DEG = (128, 146, 148, 146, 144, 140, 136, 131, 126, 121, 98, 70)
#: Half height of a rib's ribbon between its rounded edges; the first rib is broad and lies flat.
_HALF_HEIGHT_MM = (6.5, 3.6, 3.3, 3.4, 3.6, 3.8, 3.9, 3.9, 3.7, 3.4, 3.0, 2.4)
# Sternum against T7 for the mean man, its left half: left, back, up, radius; the front wall moves it along y.
_STERNUM = np.array(
    [
        (0, 96, 4.5),  # 0 jugular notch
        (21, 102, 4.8),  # 1 clavicular notch
        (23, 90, 4.8),  # 2 first rib
        (13, 64, 4.6),  # 3 angle
        (0, 64, 4.8),  # 4
        (13, 40, 4.4),  # 5 third rib
        (17, 2, 4.4),  # 6 fifth rib
        (15, -28, 4.4),  # 7 lower end
        (0, -30, 4.6),  # 8
        (0, -52, 3.4),  # 9 tip of the xiphoid process
    ]
)
_STERNUM_FACES = np.array([(0, 1, 2), (0, 2, 3), (0, 3, 4), (4, 3, 5), (4, 5, 6), (4, 6, 8), (8, 6, 7), (8, 9, 9)])
_NOTCH_Z_MM = (90, 64, 41, 20, 1, -15, -27)
_NOTCH_X_MM = (23, 14, 14, 16, 18, 17, 12)


@dataclass(frozen=True, eq=False)
class Rib:
    """One rib.

    Attributes:
        number: 1 to 12.
        side: 1 left, -1 right.
        path: (N, 3) middle line from its head to its costochondral end, LPS mm.
        upper, lower: (N, 3) middle lines of its rounded edges.
        radius: (N,) of these edges.
    """

    number: int
    side: int
    path: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    radius: np.ndarray


def ribs(person: ThoraxPerson, spine: dict[str, Vertebra], cage: Cage) -> list[Rib]:
    """All 24 ribs."""
    return [_rib(number, side, person, spine[f"T{number}"], cage) for number in range(1, 13) for side in (1, -1)]


def _rib(number: int, side: int, person: ThoraxPerson, vertebra: Vertebra, cage: Cage) -> Rib:
    size = float(person.scale.mean())
    half_width = 0.5 * vertebra.width
    up = (0.42 if number not in (1, 11, 12) else 0.1) * vertebra.height
    head = vertebra.at(side * (half_width + 1.5), up, -0.32 * vertebra.depth)
    tubercle = vertebra.at(side * (half_width + 17.5 * size), 6.5 * size, -0.5 * vertebra.depth - 17 * size)
    start = 24 if number > 2 else 40
    angle = np.radians(np.linspace(start, _END_DEG[number - 1], 60))
    outline = cage.outline(number, angle, _OUT_MM)
    if side < 0:
        middle = float(np.interp(number, cage.levels, cage.middle_x))
        outline[:, 0] = 2 * middle - outline[:, 0]
    bends = np.concatenate([head[None], tubercle[None], outline]) if number < 11 else np.vstack([head, outline])
    path = _even(bends, 4.0)
    path = np.stack([ndimage.gaussian_filter1d(path[:, k], 2.0, mode="nearest") for k in range(3)], axis=1)
    path[0] = head
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    outward = path - np.array([0, 0.5 * (path[:, 1].min() + path[:, 1].max()), 0])
    outward[:, 2] = 0
    flat = np.interp(number, (1, 2, 3), (1.0, 0.55, 0.0))  # the first rib's surfaces look up and down
    outward = (1 - flat) * outward / np.linalg.norm(outward, axis=1, keepdims=True) - flat * np.array([0, 0, 1.0])
    across = np.cross(outward, along) * side
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    share = np.linspace(0, 1, len(path))
    tall = size * _HALF_HEIGHT_MM[number - 1] * np.interp(share, (0, 0.06, 0.2, 0.85, 1), (0.55, 0.6, 1, 1, 1.15))
    radius = size * np.interp(share, (0, 0.05, 0.15, 0.6, 1), (3.4, 2.8, 3.4, 2.9, 2.7))
    return Rib(number, side, path, path + across * tall[:, None], path - across * tall[:, None], radius)


def _even(points: np.ndarray, step_mm: float) -> np.ndarray:
    """The same line with points at even distances."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(4, int(length[-1] / step_mm)))
    return np.stack([np.interp(at, length, points[:, k]) for k in range(3)], axis=1)


def rib_field(rib: Rib, grid: shapes.Grid) -> tuple[tuple, np.ndarray]:
    """Block and signed distance (float32, mm) of one rib."""
    n = len(rib.path)
    points, radii = np.concatenate([rib.upper, rib.lower]), np.tile(rib.radius, 2)
    i = np.arange(n - 1)
    faces = np.concatenate([np.stack([i, i + 1, i + n], axis=1), np.stack([i + n, i + n + 1, i + 1], axis=1)])
    block, part = grid.block(*shapes.bounds(points, radii))
    return block, shapes.sphere_mesh(part, points, radii, faces)


def sternum_points(person: ThoraxPerson, cage: Cage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Control points (N, 3) LPS mm, radii and faces of manubrium, body and xiphoid process."""
    x, z, radius = _STERNUM.T
    z = lift(person) + z * person.scale[2]
    left = np.stack([x * person.scale[0], [_front(cage, v) for v in z], z], axis=1)
    n = len(left)
    faces = np.concatenate([_STERNUM_FACES, _STERNUM_FACES + n])
    return np.concatenate([left, left * (-1, 1, 1)]), np.tile(radius, 2) * float(person.scale.mean()), faces


def lift(person: ThoraxPerson) -> float:
    """How far the breath has raised the sternum against the mean, mm."""
    return 18.0 * (person.inspiration - 0.7)


def _front(cage: Cage, z: float) -> float:
    """y of the sternum's middle at a height: before the front wall."""
    y = np.linspace(-190.0, 0.0, 381)
    d = cage.distance(np.zeros(381), y, np.full(381, z))
    inside = np.flatnonzero(d < 0)
    return float(y[inside[0]] if inside.size else -80.0) - 6.5


def cartilages(person: ThoraxPerson, cage: Cage, all_ribs: list[Rib]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Path (N, 3) and radii of every costal cartilage: to the sternum, from the eighth on to the one above."""
    result = []
    size = float(person.scale.mean())
    for rib in all_ribs:
        if rib.number > 10:
            continue
        end = rib.path[-1]
        if rib.number <= 7:
            z = lift(person) + _NOTCH_Z_MM[rib.number - 1] * person.scale[2]
            notch = np.array([rib.side * _NOTCH_X_MM[rib.number - 1] * person.scale[0], 0, z])
            notch[1] = _front(cage, z)
        else:
            above = next(p for p, s, n in result if s == rib.side and n == rib.number - 1)
            notch = above[len(above) // 2]
        t = np.linspace(0, 1, 14)[:, None]
        along = rib.path[-1] - rib.path[-4]
        along *= 0.45 * np.linalg.norm(notch - end) / np.linalg.norm(along)
        path = (1 - t) ** 2 * end + 2 * t * (1 - t) * (end + along) + t**2 * notch
        result.append((path, rib.side, rib.number))
    return [(path, np.full(len(path), (5.4 if number < 8 else 4.4) * size)) for path, _, number in result]
