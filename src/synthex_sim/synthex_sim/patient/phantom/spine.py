"""The lumbar vertebrae: waisted bodies with end plates, pedicles, laminae, articular, transverse and spinous processes.

Dimensions of a mean lumbar vertebra in its own frame (x left, y superior, z anterior, origin middle of the body), mm,
after Panjabi et al., Spine 1992, rounded (end plate 50 x 35, body height 27, pedicles 9 to 18 wide).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.phantom import sacrum, shapes
from synthex_sim.patient.phantom.frame import Pelvis

_HALF_HEIGHT_MM = 13.7
# Left half; the right half is its mirror image. x, y, z, radius.
_POSTERIOR = np.array(
    [
        (14, 5, -13, 5.5),  # 0 pedicle at the body
        (15.5, 4, -25, 5.0),  # 1 pedicle at the arch
        (28, 4, -30, 4.0),  # 2 transverse process
        (44, 6, -34, 3.5),  # 3 its tip
        (18, 15, -30, 5.0),  # 4 superior articular process
        (13, -4, -33, 4.0),  # 5 pars
        (12.5, -18, -37, 5.0),  # 6 inferior articular process
        (0, -3, -43, 3.5),  # 7 root of the spinous process
        (0, -14, -43, 3.0),  # 8
        (0, -5, -66, 3.5),  # 9 its upper end
        (0, -17, -66, 4.2),  # 10 its lower end
    ],
    dtype=np.float64,
)
_FACES = np.array(
    [(0, 1, 1), (1, 2, 2), (2, 3, 3), (1, 4, 4), (1, 5, 5), (5, 6, 6), (5, 7, 8), (5, 6, 8), (7, 8, 9), (8, 9, 10)]
)


@dataclass(frozen=True)
class Vertebra:
    """One placed vertebra.

    Attributes:
        number: 5 for L5, 4 for L4 and so on.
        center: (3,) LPS mm, middle of the body.
        axes: (3, 3) left, superior and anterior of the vertebra as columns in LPS.
        size: against the mean.
        wedge: how much higher the body is in front, fraction of its half height.
    """

    number: int
    center: np.ndarray
    axes: np.ndarray
    size: float
    wedge: float


def stack(pelvis: Pelvis, top_mm: float) -> list[Vertebra]:
    """Vertebrae from L5 upward until ``top_mm`` (LPS z), each leaning less forward than the one below it."""
    person = pelvis.person
    slope = sacrum.S1_LEAN_DEG + person.tilt_deg
    foot = pelvis.place(sacrum.S1_PLATE[None])[0][0]
    leans = {5: 0.52, 4: 0.22, 3: 0.0, 2: -0.16, 1: -0.22}
    lean = np.radians(slope)
    vertebrae = []
    for number in (5, 4, 3, 2, 1):
        size = person.vertebra_scale * (1.06 if number == 5 else 1.03 - 0.012 * (4 - number))
        disc = person.disc_mm * (0.95 if number == 5 else 1.0 - 0.06 * (4 - number))
        target = np.radians(slope * leans[number] * person.lordosis)
        side = np.radians(person.scoliosis_mm * 0.35 * (5 - number))
        lateral = np.sin(side) * 0.5
        middle = 0.5 * (lean + target)
        step = np.array([lateral, -np.sin(middle), np.cos(middle)])
        center = foot + step * (disc + _HALF_HEIGHT_MM * size)
        up = np.array([lateral, -np.sin(target), np.cos(target)])
        up /= np.linalg.norm(up)
        left = np.array([1.0, 0, 0]) - up * up[0]
        left /= np.linalg.norm(left)
        axes = np.stack([left, up, np.cross(left, up)], axis=1)
        if center[2] - 20 > top_mm:
            break
        vertebrae.append(Vertebra(number, center, axes, size, 0.16 if number == 5 else 0.05))
        foot = center + up * _HALF_HEIGHT_MM * size
        lean = target
    return vertebrae


def body(vertebra: Vertebra, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
    """Block, grid and signed distance (float32, mm) of one whole vertebra."""
    points, radii = _control_points(vertebra)
    block, part = grid.block(*shapes.bounds(points, radii))
    faces = np.concatenate([_FACES, _FACES + len(_POSTERIOR)])
    arch = shapes.sphere_mesh(part, points[:-1], radii[:-1], faces, smooth_mm=0.9)
    return block, part, np.minimum(arch, _body_field(vertebra, part)).astype(np.float32)


def _control_points(vertebra: Vertebra) -> tuple[np.ndarray, np.ndarray]:
    left = _POSTERIOR.copy()
    if vertebra.number == 5:  # short spinous process, stout transverse processes that rise towards the ala
        left[2:4] += np.array([(0, 1, 2, 2.5), (0, 2, 4, 3.0)])
        left[9:11, 2] += 9
    if vertebra.number <= 2:
        left[3, 0] -= 5
    right = left * np.array([-1, 1, 1, 1])
    both = np.concatenate([left, right, [(0, 0, 0, 30.0)]])
    return (both[:, :3] * vertebra.size) @ vertebra.axes.T + vertebra.center, both[:, 3] * vertebra.size


def _body_field(vertebra: Vertebra, part: shapes.Grid) -> np.ndarray:
    """An elliptic drum with a waist, dished end plates, raised rims and a flattened back."""
    x, y, z = part.coordinates(vertebra.axes.T, vertebra.center)
    half = _HALF_HEIGHT_MM * vertebra.size
    width, depth = 26.0 * vertebra.size, 18.0 * vertebra.size
    level = np.clip(y / half, -1.2, 1.2)
    waist = 1.0 - 0.13 * (1 - level**2)
    back = 1.0 - 0.12 * np.clip(-z / depth, 0, 1) ** 2 * np.clip(1 - (x / (0.6 * width)) ** 2, 0, 1)
    q = np.sqrt((x / width) ** 2 + (z / (depth * back)) ** 2)
    flank = (q - waist) * depth
    tall = half * (1 + vertebra.wedge * np.clip(z / depth, -1, 1)) - 1.6 * np.clip(1 - q * q, 0, 1)
    lid = np.abs(y) - tall
    outside = np.hypot(np.maximum(flank + 2.0, 0), np.maximum(lid + 2.0, 0)) - 2.0
    return np.where((flank > -2) | (lid > -2), outside, np.maximum(flank, lid))
