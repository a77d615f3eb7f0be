"""Heart, great vessels, airways and oesophagus: what lies between the lungs and makes the borders of the heart shadow.

Positions are those of a mean man against the middle of T7's body (left, back, up; mm), scaled to the person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.thorax.parameters import ThoraxPerson
from synthex_sim.patient.thorax.spine import Vertebra

# Chambers: centre, half axes along the ventricles' axis, across in the frontal plane and front to back.
_LEFT_VENTRICLE = ((32, -72, -46), (56, 37, 40))
_RIGHT_VENTRICLE = ((10, -96, -48), (50, 35, 30))
_RIGHT_ATRIUM = ((-17, -72, -30), (24, 37, 32))
_LEFT_ATRIUM = ((6, -38, -6), (40, 25, 21))
#: The ventricles' axis points to the left and down by this.
_AXIS_DEG = -38.0


@dataclass(frozen=True, eq=False)
class Tube:
    """A vessel, an airway or the oesophagus: (N, 3) path in LPS mm and (N,) radii."""

    path: np.ndarray
    radii: np.ndarray

    def distance(self, grid: shapes.Grid) -> tuple[tuple, np.ndarray]:
        """Block of the grid and signed distance (float32, mm) there."""
        block, part = grid.block(*shapes.bounds(self.path, self.radii))
        return block, shapes.tube(part, self.path, self.radii)


@dataclass(frozen=True, eq=False)
class Mediastinum:
    """Placed organs of one person, LPS mm.

    Attributes:
        chambers: centre (3,), half axes (3,), rotation (3, 3) of each ellipsoid of the heart.
        aorta: from the valve over the arch to the waist.
        veins: superior vena cava, brachiocephalic and azygos veins.
        arteries: pulmonary trunk, the right and the left pulmonary artery to their hila, arteries of the neck.
        airways: trachea and main bronchi.
        oesophagus: one tube.
        hila: where the pulmonary artery enters the right (-1) and the left (1) lung, (3,).
        atrium: (3,) where the pulmonary veins end.
    """

    chambers: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    aorta: Tube
    veins: list[Tube]
    arteries: list[Tube]
    airways: list[Tube]
    oesophagus: Tube
    hila: dict[int, np.ndarray]
    atrium: np.ndarray

    def heart_distance(self, grid: shapes.Grid) -> np.ndarray:
        """Signed distance of the heart without the pericardial fat, rounded between its chambers, float32 mm."""
        field = np.full(grid.shape, 200.0, dtype=np.float32)
        for center, axes, rotation in self.chambers:
            field = shapes.smooth_union(field, shapes.ellipsoid(grid, center, axes, rotation), 14.0)
        return field.astype(np.float32)


def mediastinum(
    person: ThoraxPerson, spine: dict[str, Vertebra], low_mm: float, rng: np.random.Generator
) -> Mediastinum:
    """The organs between the lungs.

    Args:
        person, spine: whose.
        low_mm: z at which the aorta leaves the volume.
        rng: for small individual differences.
    """
    size = person.scale
    sink = (person.inspiration - 0.7) * 12.0  # the heart hangs on the diaphragm

    def place(points) -> np.ndarray:
        return np.asarray(points, dtype=np.float64) * size

    def tube(points, radii, wobble: float = 1.5) -> Tube:
        path = place(points) + rng.normal(0, wobble, (len(points), 3))
        return Tube(_curve(path), np.interp(np.linspace(0, 1, 4 * len(points)), np.linspace(0, 1, len(radii)), radii))

    chambers = _chambers(person, sink)
    carina = place((3, -34, 47)) + rng.normal(0, 2, 3)
    r = person.trachea_mm
    back_aorta = [(v.at(0, 0, 0) + (x, -0.5 * v.depth - 10, 0)) / size for v, x in
                  ((spine[n], x) for n, x in (("T6", 24), ("T7", 23), ("T9", 20), ("T11", 13), ("T12", 7), ("L2", 4)))]
    back_aorta = [p for p in back_aorta if p[2] * size[2] > low_mm - 40]
    wide = person.arch_mm
    arch = [(-4, -66, 2), (-17 - wide, -78, 26), (-16 - wide, -76, 52), (-2, -66, 74 + 0.4 * wide),
            (17, -42, 79 + 0.6 * wide), (27 + wide, -22, 70), (27 + wide, -16, 52)]  # fmt: skip
    widths = np.concatenate([[14, 15.5, 15.5, 14, 13, 12.5], np.full(len(back_aorta) + 1, 11.8)]) + 0.25 * wide
    aorta = tube(arch + back_aorta, widths, 0.8)
    trachea_top = [spine[n].at(0, 0, 0.5 * spine[n].depth + 18) / size + (1, 0, 0) for n in ("C6", "T1", "T3")]
    trachea = Tube(_curve(np.vstack([place(trachea_top), carina])), np.full(16, r))
    right = carina + place([(0, 0, 0), (-14, 2, -17), (-27, 2, -32), (-36, 6, -58)])
    left = carina + place([(0, 0, 0), (18, 4, -16), (38, 8, -30), (52, 12, -56)])
    main = [Tube(_curve(way), np.linspace(*ends, 16) * r) for way, ends in ((right, (0.86, 0.5)), (left, (0.8, 0.46)))]
    veins = [
        tube([(-27, -72, -8), (-27, -68, 25), (-27, -66, 62), (-26, -68, 88)], (10, 10, 9.5, 9)),
        tube([(-26, -68, 86), (-30, -64, 108), (-44, -56, 126)], (8.5, 8, 7)),
        tube([(-24, -70, 84), (4, -84, 94), (30, -72, 108), (46, -58, 124)], (7.5, 7.5, 7, 6.5)),
        tube([(-10, -8, -60), (-12, -8, 0), (-13, -10, 40), (-20, -30, 52), (-27, -58, 50)], (4, 4.5, 5.5, 6, 6)),
        tube([(-28, -66, -95), (-25, -68, -60), (-24, -68, -40)], (13, 12.5, 12)),
    ]
    hila = {-1: place((-45, -36, 14)), 1: place((43, -24, 26))}
    arteries = [
        tube([(22, -98, -2), (25, -86, 20), (24, -66, 36)], (15, 14.5, 13.5)),
        tube([(22, -66, 32), (2, -52, 22), (-24, -42, 19), hila[-1] / size], (12, 10.5, 10, 9.5)),
        tube([(26, -64, 34), (33, -42, 38), hila[1] / size], (12, 10.5, 9.5)),
        tube([(-6, -70, 76), (-14, -62, 98), (-26, -48, 124)], (8, 6.5, 5)),
        tube([(8, -56, 82), (15, -50, 104), (20, -48, 150)], (5, 4.5, 4)),
        tube([(18, -40, 80), (28, -34, 104), (34, -36, 122), (60, -44, 126)], (6, 5.5, 5, 4.5)),
        tube([(-26, -48, 124), (-22, -48, 165)], (4, 3.8)),
    ]
    gullet = tube([(5, -30, 150), (4, -22, 100), (6, -20, 50), (9, -22, 0), (14, -32, -50), (20, -44, -80),
                   (34, -48, -92)], (7, 7, 7.5, 8, 8, 8, 8))  # fmt: skip
    atrium = place((6, -36, -6)) - (0, 0, sink)
    return Mediastinum(chambers, aorta, veins, arteries, [trachea, *main], gullet, hila, atrium)


def _chambers(person: ThoraxPerson, sink: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    size, big = person.scale, person.heart
    angle = np.radians(_AXIS_DEG - person.heart_turn_deg)
    along = np.array([np.cos(angle), 0.0, np.sin(angle)])
    tilted = np.stack([along, [-along[2], 0.0, along[0]], [0.0, 1.0, 0.0]])
    tilted = np.stack([tilted[0] * np.cos(0.45) - tilted[2] * np.sin(0.45), tilted[1],
                       tilted[2] * np.cos(0.45) + tilted[0] * np.sin(0.45)])  # fmt: skip
    upright = np.stack([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    chambers = []
    for (center, axes), rotation in (
        (_LEFT_VENTRICLE, tilted), (_RIGHT_VENTRICLE, tilted), (_RIGHT_ATRIUM, upright), (_LEFT_ATRIUM, upright),
    ):
        middle = np.array([4.0, -70.0, -20.0])
        place = (middle + (np.array(center) - middle) * (0.4 + 0.6 * big)) * size - (0, 0, sink)
        chambers.append((place, np.array(axes) * 0.96 * big * float(size.mean()), rotation))
    return chambers


def _curve(points: np.ndarray) -> np.ndarray:
    """(4 N, 3) points of a smooth line (Catmull-Rom) through (N, 3) points."""
    n = len(points)
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    at = np.linspace(0, n - 1, 4 * n)
    i = np.minimum(at.astype(int), n - 2)
    t = (at - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * (b - c) + d - a) * t**3)
