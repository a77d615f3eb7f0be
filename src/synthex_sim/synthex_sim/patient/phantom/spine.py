"""The lumbar spine and T12: waisted bodies with end plates, pedicles, laminae and processes.

Dimensions of a mean lumbar vertebra in its own frame (x left, y superior, z anterior, origin middle of the body), mm,
after Panjabi et al., Spine 1992, and Zhou et al., Eur Spine J 2000, rounded (L3: end plate 47 x 34, body height 27,
pedicle 10 wide and 14 high). The processes were compared with the label maps of yuta-hi/pelvic-annonation (MIT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.phantom import sacrum, shapes
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.random_streams import Purpose, stream

_HALF_HEIGHT_MM, _HALF_WIDTH_MM, _HALF_DEPTH_MM = 13.7, 23.5, 17.0
#: T12 stands below L1's number.
T12 = 0
_LEVELS = (5, 4, 3, 2, 1, T12)
#: Width of body, pedicle and transverse process against L3; forward lean against the sacral slope; disc below, share.
_WIDTH = {5: 1.09, 4: 1.05, 3: 1.0, 2: 0.96, 1: 0.92, T12: 0.89}
_PEDICLE = {5: 1.5, 4: 1.2, 3: 1.0, 2: 0.88, 1: 0.82, T12: 0.8}
_TRANSVERSE = {5: 0.86, 4: 0.94, 3: 1.0, 2: 0.92, 1: 0.78, T12: 0.5}
_LEAN = {5: 0.52, 4: 0.22, 3: 0.0, 2: -0.16, 1: -0.22, T12: -0.24}
_DISC = {5: 0.92, 4: 1.0, 3: 0.94, 2: 0.86, 1: 0.76, T12: 0.62}
# Left half; the right half is its mirror image. x, y, z, radius.
_POSTERIOR = np.array(
    [
        (13.5, 8.0, -13, 4.2),  # 0, 1 pedicle at the body, upper and lower margin
        (13.5, 3.0, -13, 4.2),
        (15.0, 8.0, -25, 4.2),  # 2, 3 pedicle at the arch
        (15.0, 2.5, -25, 4.2),
        (20.0, 6.0, -28, 3.2),  # 4, 5, 6 transverse process, upper edge: a blade 4 mm thick
        (33.0, 7.5, -33, 1.8),
        (42.5, 8.5, -36, 2.0),
        (18.5, 11.0, -29, 4.6),  # 7, 8 superior articular process
        (18.0, 17.5, -30, 4.4),
        (13.0, -3.0, -31, 3.4),  # 9 pars
        (12.5, -12.0, -36, 3.8),  # 10, 11 inferior articular process
        (12.0, -22.0, -37, 4.3),
        (9.0, 1.0, -36, 2.4),  # 12 lamina, upper edge
        (8.0, -11.0, -40, 2.6),  # 13 lamina, lower edge
        (0.0, -1.0, -45, 2.6),  # 14, 15 root of the spinous process
        (0.0, -11.0, -45, 2.8),
        (0.0, -6.0, -72, 3.0),  # 16, 17 its upper and lower end
        (0.0, -20.0, -71, 4.0),
        (31.0, 1.0, -32, 1.8),  # 18, 19 transverse process, lower edge
        (41.5, 4.0, -36, 2.0),
    ],
    dtype=np.float64,
)
_FACES = np.array(
    [(0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 18), (4, 5, 18), (5, 18, 19), (5, 6, 19), (2, 4, 7), (7, 8, 8), (2, 3, 9),
     (3, 9, 9), (2, 9, 12), (9, 10, 12), (10, 12, 13), (10, 11, 11), (12, 13, 14), (13, 14, 15), (14, 15, 16),
     (15, 16, 17)]
)  # fmt: skip
#: Lower edge of the transverse process.
_TIPS = (18, 19)
#: The left twelfth rib from its head outward.
_RIB = np.array([(20, 4, -22, 4.0), (34, 2, -38, 4.5), (56, -12, -48, 4.5), (84, -36, -42, 4.0), (104, -62, -26, 3.0)],
                dtype=np.float64)  # fmt: skip


@dataclass(frozen=True)
class Vertebra:
    """One placed vertebra.

    Attributes:
        number: 5 for L5, 4 for L4 and so on, ``T12`` for T12.
        center: (3,) LPS mm, middle of the body.
        axes: (3, 3) left, superior and anterior of the vertebra as columns in LPS.
        size: against the mean.
        wedge: how much higher the body is in front, fraction of its half height.
        transverse: length of the transverse processes against the mean, left and right.
        tilt: how far they rise, left and right, fraction of their length.
    """

    number: int
    center: np.ndarray
    axes: np.ndarray
    size: float
    wedge: float
    transverse: tuple[float, float] = (1.0, 1.0)
    tilt: tuple[float, float] = (0.0, 0.0)


def stack(pelvis: Pelvis, top_mm: float) -> list[Vertebra]:
    """Vertebrae from L5 upward until ``top_mm`` (LPS z), each leaning less forward than the one below it."""
    person = pelvis.person
    slope = sacrum.slope_deg(pelvis)
    foot = sacrum.place(sacrum.S1_PLATE[None], pelvis)[0][0]
    lean = np.radians(slope)
    vertebrae = []
    rng = stream(person.seed, 1, Purpose.ANATOMY)
    own = rng.normal(0, (0.10, 0.12))
    for number in _LEVELS:
        length, tilt = np.clip(rng.normal(own, (0.06, 0.08), (2, 2)), -0.25, 0.25).T
        size = person.vertebra_scale * (1.02 if number == 5 else 1.01 - 0.012 * (4 - number))
        target = np.radians(slope * _LEAN[number] * person.lordosis)
        side = np.radians(person.scoliosis_mm * 0.35 * (5 - number))
        lateral = np.sin(side) * 0.5
        middle = 0.5 * (lean + target)
        step = np.array([lateral, -np.sin(middle), np.cos(middle)])
        center = foot + step * (person.disc_mm * _DISC[number] + _HALF_HEIGHT_MM * size)
        up = np.array([lateral, -np.sin(target), np.cos(target)])
        up /= np.linalg.norm(up)
        left = np.array([1.0, 0, 0]) - up * up[0]
        left /= np.linalg.norm(left)
        axes = np.stack([left, up, np.cross(left, up)], axis=1)
        if center[2] - 20 > top_mm:
            break
        vertebrae.append(Vertebra(number, center, axes, size, 0.16 if number == 5 else 0.05,
                                  tuple(1.0 + length), tuple(tilt)))  # fmt: skip
        foot = center + up * _HALF_HEIGHT_MM * size
        lean = target
    return vertebrae


def build(vertebra: Vertebra, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
    """Block, grid and signed distance (float32, mm) of one whole vertebra; T12 has its ribs."""
    points, radii = _control_points(vertebra)
    block, part = grid.block(*shapes.bounds(points, radii))
    faces = np.concatenate([_FACES, _FACES + len(_POSTERIOR)])
    field = shapes.sphere_mesh(part, points[:-1], radii[:-1], faces, smooth_mm=0.7)
    if vertebra.number == T12:
        for side in (1, -1):
            rib = _RIB[:, :3] * np.array([side, 1, 1]) * vertebra.size @ vertebra.axes.T + vertebra.center
            field = np.minimum(field, shapes.tube(part, rib, _RIB[:, 3]))
    return block, part, shapes.smooth_union(field, _body_field(vertebra, part), 1.0).astype(np.float32)


def dressing(vertebra: Vertebra, part: shapes.Grid) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of the cortex (float32, mm) and factor on cancellous density.

    Somewhat thicker in end plates, which rays cross lengthwise, and in pedicles; thin in the processes.
    """
    x, y, z = part.coordinates(vertebra.axes.T, vertebra.center)
    half = _HALF_HEIGHT_MM * vertebra.size
    plate = np.clip((np.abs(y) / half - 0.72) / 0.15, 0, 1)
    arch = np.clip((-z - 0.9 * _HALF_DEPTH_MM) / 4.0, 0, 1)
    body = 1 - arch
    spinous = np.clip((-z - 40.0 * vertebra.size) / 8.0, 0, 1)
    transverse = np.clip((np.abs(x) - 22.0 * vertebra.size) / 6.0, 0, 1) * arch
    cortex = 0.5 + 0.2 * plate * body + 0.4 * arch - 0.5 * spinous - 0.5 * transverse
    return cortex.astype(np.float32), (0.7 + 0.3 * body).astype(np.float32)


def _control_points(vertebra: Vertebra) -> tuple[np.ndarray, np.ndarray]:
    halves = [_half(vertebra.number, *own) for own in zip(vertebra.transverse, vertebra.tilt, strict=True)]
    reach = 30.0 if vertebra.number != T12 else 110.0
    both = np.concatenate([halves[0], halves[1] * np.array([-1, 1, 1, 1]), [(0, 0, 0, reach)]])
    return (both[:, :3] * vertebra.size) @ vertebra.axes.T + vertebra.center, both[:, 3] * vertebra.size


def _half(number: int, transverse: float, tilt: float) -> np.ndarray:
    """(N, 4) left half of the arch and its processes in the vertebra's frame: x, y, z, radius."""
    left = _POSTERIOR.copy()
    left[:4, 3] *= np.sqrt(_PEDICLE[number])
    left[[*range(13), *_TIPS], 0] += 23.5 * 0.5 * (_WIDTH[number] - 1.0) + 3.0 * (_PEDICLE[number] - 1.0)
    blade = [4, 5, 6, *_TIPS]
    out = left[blade, 0] - left[3, 0]
    left[blade, 0] = left[3, 0] + out * _TRANSVERSE[number] * transverse
    left[blade, 1] += out * tilt
    if number == 5:  # short spinous process, stout transverse processes that rise towards the ala
        left[blade] += np.array([(0, 0, 2, 2.0), (0, 2, 3, 1.8), (0, 3, 4, 1.6), (0, 0, 3, 1.8), (0, 2, 4, 1.6)])
        left[16:18, 2] += 11
        left[17, 1] += 3
    return left


def _body_field(vertebra: Vertebra, part: shapes.Grid) -> np.ndarray:
    """An elliptic drum with a waist, dished end plates, raised rims and a flattened back."""
    x, y, z = part.coordinates(vertebra.axes.T, vertebra.center)
    half = _HALF_HEIGHT_MM * vertebra.size
    width = _HALF_WIDTH_MM * _WIDTH[vertebra.number] * vertebra.size
    depth = _HALF_DEPTH_MM * vertebra.size
    level = np.clip(y / half, -1.2, 1.2)
    waist = 1.0 - 0.14 * (1 - level**2)
    back = 1.0 - 0.12 * np.clip(-z / depth, 0, 1) ** 2 * np.clip(1 - (x / (0.6 * width)) ** 2, 0, 1)
    q = np.sqrt((x / width) ** 2 + (z / (depth * back)) ** 2)
    flank = (q - waist) * depth
    tall = half * (1 + vertebra.wedge * np.clip(z / depth, -1, 1)) - 1.8 * np.clip(1 - q * q, 0, 1)
    lid = np.abs(y) - tall
    outside = np.hypot(np.maximum(flank + 1.5, 0), np.maximum(lid + 1.5, 0)) - 1.5
    return np.where((flank > -1.5) | (lid > -1.5), outside, np.maximum(flank, lid))
