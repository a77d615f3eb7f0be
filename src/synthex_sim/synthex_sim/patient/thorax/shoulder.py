"""Clavicles, scapulae and the upper ends of the humeri, posed by how the person lies or stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.thorax.cage import Cage
from synthex_sim.patient.thorax.parameters import ThoraxPerson

# Left scapula about the root of its spine: lateral in its plane, up, backward of the plane, radius; mm.
_SCAPULA = np.array(
    [
        (0, 0, 0, 3.0),  # 0 root of the spine at the medial border
        (7, 45, -3, 2.6),  # 1 superior angle
        (18, -104, 0, 4.0),  # 2 inferior angle
        (3, -52, 0, 2.4),  # 3 medial border
        (62, -38, 0, 4.2),  # 4 lateral border
        (84, 5, 0, 5.6),  # 5 neck
        (92, 12, -2, 8.0),  # 6 glenoid
        (72, 27, -2, 3.2),  # 7 base of the coracoid process
        (40, 8, 0, 1.3),  # 8 thin middle of the blade
        (30, -45, 1, 1.2),  # 9
        (36, 40, -2, 1.6),  # 10 superior border
        (40, 20, 15, 3.4),  # 11 crest of the spine
        (78, 34, 26, 4.0),  # 12
        (108, 44, 22, 4.4),  # 13 acromion
        (116, 44, 4, 4.2),  # 14 its tip
        (72, 12, 6, 3.0),  # 15 root of the crest at the neck
        (86, 38, -18, 4.6),  # 16 coracoid process
        (97, 28, -34, 4.4),  # 17 its tip
    ]
)
_SCAPULA_FACES = np.array(
    [
        (0, 1, 8), (1, 10, 8), (10, 7, 8), (7, 5, 8), (7, 6, 5), (0, 8, 3), (8, 9, 3), (8, 5, 9), (5, 4, 9), (4, 2, 9),
        (3, 9, 2), (0, 11, 8), (11, 15, 8), (11, 12, 15), (12, 13, 13), (13, 14, 14), (7, 16, 16), (16, 17, 17),
    ]
)  # fmt: skip
_HUMERUS_RADIUS_MM = 23.0


@dataclass(frozen=True, eq=False)
class Shoulder:
    """The bones of one shoulder, LPS mm.

    Attributes:
        side: 1 left, -1 right.
        scapula: points (N, 3), radii (N,), faces (F, 3).
        clavicle: path (N, 3), radii (N,).
        head: (3,) centre of the humeral head.
        head_mm: its radius.
        humerus: path (N, 3), radii (N,) from the neck to the shaft.
        blade: (3, 3) lateral, up, backward of the scapula as columns.
    """

    side: int
    scapula: tuple[np.ndarray, np.ndarray, np.ndarray]
    clavicle: tuple[np.ndarray, np.ndarray]
    head: np.ndarray
    head_mm: float
    humerus: tuple[np.ndarray, np.ndarray]
    blade: np.ndarray


def shoulders(person: ThoraxPerson, cage: Cage, manubrium: np.ndarray, rng: np.random.Generator) -> list[Shoulder]:
    """Left and right shoulder.

    Args:
        person, cage: whose.
        manubrium: (3,) LPS mm, the left clavicular notch.
        rng: for what differs between the sides.
    """
    return [_shoulder(side, person, cage, manubrium * (side, 1, 1), rng) for side in (1, -1)]


def _shoulder(side: int, person: ThoraxPerson, cage: Cage, notch: np.ndarray, rng) -> Shoulder:
    size = float(person.scale.mean())
    medial, turn, spin, lift = {
        "supine": (76.0, 33.0, 4.0, 0.0),
        "upright": (98.0, 44.0, 12.0, -4.0),
        "arms_raised": (98.0, 45.0, 40.0, 14.0),
    }[person.posture]
    medial += rng.normal(0, 5)
    turn, spin = np.radians(turn + rng.normal(0, 3)), np.radians(spin + rng.normal(0, 4))
    z = (72 + lift + rng.normal(0, 3)) * person.scale[2]
    root = np.array([side * medial * person.scale[0], 0, z])
    root[1] = cage.back_at(abs(root[0]) + 8, z - 25) + 17
    lateral = np.array([side * np.cos(turn), -np.sin(turn), 0])
    back = np.array([side * np.sin(turn), np.cos(turn), 0])
    up = np.array([0, 0, 1.0])
    blade = np.stack([np.cos(spin) * lateral + np.sin(spin) * up, np.cos(spin) * up - np.sin(spin) * lateral, back], 1)
    points = root + (_SCAPULA[:, :3] * size) @ blade.T
    head = root + blade @ (np.array([115.0, 13, -5]) * size)
    radius = _HUMERUS_RADIUS_MM * size
    if person.posture == "arms_raised":
        down = np.array([side * 0.45, 0.1, 0.88])
    else:
        down = np.array([side * (0.18 if person.posture == "supine" else 0.26), 0.05, -0.97])
    away = np.array([side * 1.0, -0.15, 0.25])
    path = np.array([head + 6 * down, head + 14 * away * size, head + 45 * down + 8 * away, head + 300 * down])
    return Shoulder(
        side,
        (points, _SCAPULA[:, 3] * size, _SCAPULA_FACES),
        _clavicle(side, notch, points[14], size),
        head,
        radius,
        (path, np.array([19.0, 11.0, 13.5, 11.0]) * size),
        blade,
    )


def _clavicle(side: int, notch: np.ndarray, acromion: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """An S from the sternum to the acromion: forward in its medial half, backward in its lateral one."""
    start = notch + np.array([side * 6.0, -2, 5])
    end = acromion + np.array([-side * 9.0, 2, 2])
    t = np.linspace(0, 1, 17)
    path = start + t[:, None] * (end - start)
    path[:, 1] -= 11 * np.sin(2 * np.pi * t) + 4 * np.sin(np.pi * t)
    path[:, 2] += 5 * np.sin(np.pi * t)
    return path, size * np.interp(t, (0, 0.08, 0.3, 0.75, 1), (10.0, 8.5, 5.8, 5.8, 6.6))
