"""The cage: the pleural wall as a stack of slanted levels, one for every rib, that everything else is fitted to.

A level is a sheet that starts at a vertebra and descends forward; within it the wall is a superellipse. A point of the
thorax lies at some fraction between two levels, and its distance to the wall follows from the sizes interpolated
there. Ribs run along the outline of their own level, so they lie on the wall by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.thorax.parameters import ThoraxPerson
from synthex_sim.patient.thorax.spine import Vertebra

# Levels from above the first rib to the waist; ribs have numbers 1 to 12.
_LEVELS = np.array([-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18.0])
# Half width; back of the gutter behind the vertebral body's middle; front, against T7; steepness.
_HALF_WIDTH_MM = np.array(
    [24, 38, 57, 81, 100, 112, 119, 124, 128, 131, 133, 133, 131, 128, 125, 122, 120, 119, 120, 121.0]
)
_BACK_MM = np.array([6, 12, 18, 26, 32, 36, 38, 39, 39, 39, 38, 36, 33, 30, 28, 27, 27, 27, 27, 27.0])
_FRONT_MM = np.array(
    [-62, -74, -88, -101, -110, -117, -122, -126, -128, -129,
     -129, -128, -126, -123, -120, -118, -117, -117, -117, -117.0]
)  # fmt: skip
_SLOPE = np.array(
    [0.84, 0.82, 0.80, 0.66, 0.60, 0.58, 0.60, 0.63, 0.66, 0.68,
     0.69, 0.69, 0.66, 0.60, 0.52, 0.45, 0.40, 0.35, 0.30, 0.30]
)  # fmt: skip
_ONSET_MM = 25.0
_FRONT_POWER, _BACK_POWER = 2.15, 2.5


@dataclass(frozen=True, eq=False)
class Cage:
    """The wall of the thorax, LPS mm.

    Attributes:
        levels: (L,) numbers of the levels, ascending, that is from the top down.
        head_z, back_y, front_y, half_width, slope, droop: (L,) of each level, mm; slope is down per forward.
        middle_x: (L,) the spine's lateral drift.
    """

    levels: np.ndarray
    head_z: np.ndarray
    back_y: np.ndarray
    front_y: np.ndarray
    half_width: np.ndarray
    slope: np.ndarray
    droop: np.ndarray
    middle_x: np.ndarray

    @classmethod
    def of(cls, person: ThoraxPerson, spine: dict[str, Vertebra]) -> Cage:
        """The cage around a spine."""
        names = ["C6", "C7", *(f"T{n}" for n in range(1, 13)), "L1", "L2", "L3"]
        heads = np.array([spine[name].at(0, 0.5 * spine[name].height, 0) for name in names])
        step = heads[-1] - heads[-2]
        heads = np.concatenate([heads, [heads[-1] + k * step for k in (1, 2, 3)]])
        breath = person.inspiration - 0.7
        deep = 1.12 * person.scale[1] * (1 + 0.07 * breath)
        wide = 1.04 * person.scale[0] * (1 + 0.04 * breath)
        back = heads[:, 1] + 1.06 * _BACK_MM * person.scale[1]
        return cls(
            levels=_LEVELS,
            head_z=heads[:, 2],
            back_y=back,
            front_y=_FRONT_MM * deep,
            half_width=_HALF_WIDTH_MM * wide,
            slope=_SLOPE * (1 - 0.22 * breath) / deep * person.scale[2],
            droop=np.interp(_LEVELS, (1, 3, 12), (4, 14, 20)) * (1 - 0.5 * breath),
            middle_x=heads[:, 0],
        )

    def sheet(self, number: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """z of a level over (x, y), mm."""
        head_z, back, slope, droop, wide, middle = (
            np.interp(number, self.levels, v)
            for v in (self.head_z, self.back_y, self.slope, self.droop, self.half_width, self.middle_x)
        )
        forward = np.maximum(back - y, 0.0)
        start = 33.0
        fall = slope * (forward**2 / (forward + _ONSET_MM) - start**2 / (start + _ONSET_MM))
        return head_z - fall - droop * np.minimum(((x - middle) / wide) ** 2, 1.5)

    def level(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """At which level points lie; x, y, z broadcast against each other."""
        sheets = [self.sheet(n, x, y) for n in self.levels]
        number = np.full(np.broadcast_shapes(x.shape, y.shape, z.shape), self.levels[0], dtype=np.float32)
        for upper, lower in zip(sheets[:-1], sheets[1:], strict=True):
            number += np.clip((upper - z) / np.maximum(upper - lower, 1.0), 0, 1).astype(np.float32)
        return number

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Distance to the pleural wall along the ray from the section's middle, float32 mm, negative inside."""
        number = self.level(x, y, z)
        wide, back, front, middle = (
            np.interp(number, self.levels, v).astype(np.float32)
            for v in (self.half_width, self.back_y, self.front_y, self.middle_x)
        )
        center = _center(back, front)
        dx, dy = np.abs(x - middle), y - center
        behind = dy > 0
        power = np.where(behind, _BACK_POWER, _FRONT_POWER).astype(np.float32)
        deep = np.where(behind, back - center, center - front)
        q = ((dx / wide) ** power + (np.abs(dy) / deep) ** power) ** (1 / power)
        radius = np.hypot(dx, dy)
        return np.where(q > 0.05, radius - radius / np.maximum(q, 0.05), -np.minimum(wide, deep)).astype(np.float32)

    def outline(self, number: float, angle: np.ndarray, out_mm: float = 0.0) -> np.ndarray:
        """(N, 3) points of a level's left outline, LPS mm.

        Args:
            number: the level.
            angle: (N,) radians from the back (0) over the left side to the front (pi).
            out_mm: how far outside of the wall.
        """
        wide, back, front, middle = (
            float(np.interp(number, self.levels, v))
            for v in (self.half_width, self.back_y, self.front_y, self.middle_x)
        )
        center = _center(back, front)
        s, c = np.sin(angle), np.cos(angle)
        power = np.where(c > 0, _BACK_POWER, _FRONT_POWER)
        deep = np.where(c > 0, back - center, center - front) + out_mm
        x = (wide + out_mm) * np.abs(s) ** (2 / power)
        y = center + np.sign(c) * deep * np.abs(c) ** (2 / power)
        return np.stack([x + middle, y, self.sheet(number, x + middle, y)], axis=1)

    def back_at(self, x: float, z: float) -> float:
        """y of the wall's back at (x, z), mm."""
        y = np.linspace(-60.0, 90.0, 301)
        d = self.distance(np.full(301, x), y, np.full(301, z))
        return float(y[np.flatnonzero(d < 0)[-1]]) if (d < 0).any() else 40.0


def _center(back, front):
    return back - 0.47 * (back - front)
