"""The vertebrae from C4 to L3 along a kyphotic curve.

Body sizes after Panjabi et al., Spine 1991 (thoracic) and 1992 (lumbar), rounded; C6, C7 smaller than T1. The world is
LPS with the middle of T7's body as origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.thorax.parameters import ThoraxPerson

NAMES = ("C4", "C5", "C6", "C7", *(f"T{n}" for n in range(1, 13)), "L1", "L2", "L3")
_APEX = NAMES.index("T7")
_WIDTH_MM = (25, 26, 27, 28, 28, 26, 25.5, 25.5, 26, 27, 28.5, 30, 32, 35, 38, 41, 43, 45, 47)
_DEPTH_MM = (16, 16.5, 17, 17, 17, 18.5, 20.5, 22.5, 24, 25.5, 27, 28, 30, 31, 32, 32.5, 34, 34.5, 35)
_HEIGHT_MM = (12.5, 12.5, 12.5, 13.5, 14.6, 15.8, 16.1, 16.6, 17, 17.8, 18.6, 19.1,
              19.8, 20.8, 21.9, 23.2, 24.2, 24.8, 25)
#: Slope of the spinous process, down per back: steepest in the middle of the thorax.
_SPINOUS = (0.2, 0.2, 0.3, 0.3, 0.4, 0.6, 0.8, 1.0, 1.3, 1.4, 1.4, 1.2, 0.9, 0.6, 0.4, 0.3, 0.25, 0.2, 0.2)

# Left half of the arch of a vertebra with a body of 28.5 x 27 x 18.6 mm: left, up and forward of its middle, radius.
_ARCH = np.array(
    [
        (8.5, 5, -10, 3.8),  # 0 pedicle at the body
        (10.5, 5, -20, 3.8),  # 1 pedicle at the arch
        (21, 7, -29, 4.0),  # 2 transverse process
        (30, 8, -36, 4.8),  # 3 its tip
        (11, 13, -23, 3.3),  # 4 superior articular process
        (9, -2, -27, 3.4),  # 5 lamina
        (10, -12, -27, 3.3),  # 6 inferior articular process
        (0, -1, -33, 2.9),  # 7 root of the spinous process
        (0, -9, -33, 2.6),  # 8
    ]
)
_FACES = np.array([(0, 1, 1), (1, 2, 2), (2, 3, 3), (1, 4, 5), (1, 5, 5), (5, 6, 6), (5, 7, 8), (5, 6, 8)])


@dataclass(frozen=True)
class Vertebra:
    """One placed vertebra.

    Attributes:
        name: "C4" to "L3".
        center: (3,) LPS mm, middle of the body.
        axes: (3, 3) left, up and forward of the vertebra as columns in LPS.
        width, depth, height: of the body, mm.
        spinous: slope of its spinous process, down per back.
    """

    name: str
    center: np.ndarray
    axes: np.ndarray
    width: float
    depth: float
    height: float
    spinous: float

    def at(self, left: float, up: float, forward: float) -> np.ndarray:
        """(3,) LPS mm of a point given in mm along the vertebra's axes."""
        return self.center + self.axes @ np.array([left, up, forward])


def stack(person: ThoraxPerson) -> dict[str, Vertebra]:
    """All vertebrae by name, T7 at the origin."""
    size = person.scale
    number = np.arange(len(NAMES)) - _APEX
    lean = -np.radians(person.kyphosis_deg) * number / 11.0
    lean[:4] = lean[4] * np.array([-0.2, 0.2, 0.55, 0.85])  # the cervical lordosis
    lean[-3:] = lean[-4] * np.array([0.85, 0.5, 0.15])  # the lumbar lordosis
    tilt = np.radians(person.scoliosis_mm * 0.9) * np.cos(number * 0.45)
    up = np.stack([np.sin(tilt), -np.sin(lean), np.cos(lean)], axis=1)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    height = np.array(_HEIGHT_MM) * size[2]
    disc = person.disc_mm * size[2] * np.interp(number, (-8, -1, 5, 9), (0.8, 0.68, 1.0, 1.5))
    center = np.zeros((len(NAMES), 3))
    for n in range(_APEX - 1, -1, -1):
        center[n] = center[n + 1] + 0.5 * (height[n + 1] + disc[n]) * up[n + 1] + 0.5 * (height[n] + disc[n]) * up[n]
    for n in range(_APEX + 1, len(NAMES)):
        center[n] = center[n - 1] - 0.5 * (height[n - 1] + disc[n - 1]) * up[n - 1] \
            - 0.5 * (height[n] + disc[n - 1]) * up[n]  # fmt: skip
    wide = float(size[0])
    return {
        name: Vertebra(name, center[n], _axes(up[n]), _WIDTH_MM[n] * wide, _DEPTH_MM[n] * wide, float(height[n]),
                       _SPINOUS[n])
        for n, name in enumerate(NAMES)
    }  # fmt: skip


def _axes(up: np.ndarray) -> np.ndarray:
    left = np.array([1.0, 0.0, 0.0]) - up * up[0]
    left /= np.linalg.norm(left)
    return np.stack([left, up, np.cross(left, up)], axis=1)


def field(vertebra: Vertebra, grid: shapes.Grid) -> tuple[tuple, np.ndarray, np.ndarray]:
    """Block, signed distance (float32, mm) and thickness of the cortex (mm) of one whole vertebra."""
    points, radii, faces = _arch(vertebra)
    reach = 0.5 * np.array([vertebra.width, vertebra.depth, vertebra.width])
    low, high = shapes.bounds(points, radii)
    block, part = grid.block(np.minimum(low, vertebra.center - reach), np.maximum(high, vertebra.center + reach))
    body, arch = _body(vertebra, part), shapes.sphere_mesh(part, points, radii, faces, 0.7)
    return block, np.minimum(body, arch), np.where(body < arch, np.float32(0.8), np.float32(0.5))


def _arch(vertebra: Vertebra) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = np.array([vertebra.width / 28.5, vertebra.height / 18.6, 0.5 + 0.5 * vertebra.depth / 27.0])
    left = _ARCH.copy()
    if vertebra.name in ("T11", "T12"):  # no ribs to hold
        left[3, :3] = (23, 6, -31)
    if vertebra.name[0] == "C":
        left[2:4, 2] = (-12, -13)
    half = left[:, :3] * size
    half[:, 2] += 13.5 * (size[2] - vertebra.depth / 27.0)  # the arch starts at the back of the body
    back = half[7, 2] - np.array([14.0, 24.0]) * size[2]
    tip = [(0, half[8, 1] - vertebra.spinous * (half[7, 2] - b), b) for b in back]
    points = np.concatenate([half, half * (-1, 1, 1), tip])
    radii = np.concatenate([left[:, 3], left[:, 3], (2.3, 2.9)]) * float(size.mean())
    n = len(half)
    faces = np.concatenate([_FACES, _FACES + n, [(7, 8, 2 * n), (2 * n, 2 * n + 1, 2 * n + 1)]])
    return points @ vertebra.axes.T + vertebra.center, radii, faces


def _body(vertebra: Vertebra, grid: shapes.Grid) -> np.ndarray:
    """An elliptic drum with a waist, dished end plates and a hollow back."""
    x, y, z = grid.coordinates(vertebra.axes.T, vertebra.center)
    half, wide, deep = 0.5 * vertebra.height, 0.5 * vertebra.width, 0.5 * vertebra.depth
    waist = 1.0 - 0.11 * (1 - np.clip(y / half, -1.2, 1.2) ** 2)
    back = 1.0 - 0.14 * np.clip(-z / deep, 0, 1) ** 2 * np.clip(1 - (x / (0.6 * wide)) ** 2, 0, 1)
    q = np.sqrt((x / wide) ** 2 + (z / (deep * back)) ** 2)
    flank = (q - waist) * min(deep, wide)
    lid = np.abs(y) - (half - 1.2 * np.clip(1 - q * q, 0, 1))
    edge = 1.5
    outside = np.hypot(np.maximum(flank + edge, 0), np.maximum(lid + edge, 0)) - edge
    return np.where((flank > -edge) | (lid > -edge), outside, np.maximum(flank, lid)).astype(np.float32)
