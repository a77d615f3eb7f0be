"""The abdominal and pelvic cavity: a stack of egg-shaped sections within the wall of the belly."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.posture import Posture
from synthex_sim.patient.phantom.soft_parameters import SoftTissue

_POWER = 2.3
#: How much narrower, each side, a lean man is between ilium and ribs; a woman half as much again.
_WAIST_MM = 16.0


class Cavity:
    """Sections across the body at heights z (LPS mm, hips at 0); the section's middle is ``center_y``.

    Attributes:
        z: (N,) heights.
        half_width, front, back: (N,) from the middle to the side, forward and backward, mm.
        center_y: (N,) LPS y of the middle.
        wall_mm: (N,) thickness of the muscular wall around it.
    """

    def __init__(self, posture: Posture, soft: SoftTissue) -> None:
        person = posture.pelvis.person
        wide, long, deep = person.scale
        z = np.array([-62.0, -45, -20, 10, 45, 75, 105, 150, 200, 250, 340])
        out = soft.visceral_mm * np.array([0, 0, 0, 0.02, 0.15, 0.35, 0.65, 0.95, 1.0, 0.9, 0.7])
        waist = _WAIST_MM * (1 + 0.5 * person.sex) * np.clip(1.0 - soft.visceral_mm / 60.0, 0.3, 1.0)
        narrow = waist * np.array([0, 0, 0, 0, 0, 0, 0, 0.45, 1.0, 0.5, 0.0])
        half = np.array([22.0, 40, 48, 52, 66, 90, 108, 125, 128, 131, 138]) * wide + 0.42 * out - narrow
        pubis = posture.place(np.array([[6.0, -80.0, 12.0], [30.0, 0.0, 6.0]]), 1)[:, 1]
        first = np.interp(z, [-20.0, 70.0], pubis)
        belly = posture.spine_at(np.array([200.0]))[0, 1] - 92.0 * deep
        rise = np.clip((z - 45.0) / 90.0, 0, 1)
        front = first + (belly - first) * rise * rise * (3 - 2 * rise) - out
        front[0] += 28.0
        rear = np.interp(z, [-62, -30, 30, 80, 120, 200], [38.0, 55, 58, 40, 42, 46]) * deep
        self.z = z * long
        self.center_y = 0.45 * front + 0.55 * rear
        self.half_width, self.front, self.back = half, self.center_y - front, rear - self.center_y
        self.wall_mm = np.interp(z, [-30, 30, 90, 130], [4.0, 6.0, 11.0, 16.0]) * soft.girth

    def at(self, z: np.ndarray) -> list[np.ndarray]:
        """half width, front, back, middle and wall at heights of any shape, float32, smooth in z."""
        smooth = np.linspace(self.z[0], self.z[-1], 160)
        kernel = np.hanning(15) / np.hanning(15).sum()
        tables = []
        for values in (self.half_width, self.front, self.back, self.center_y, self.wall_mm):
            fine = np.pad(np.interp(smooth, self.z, values), 7, mode="edge")
            tables.append(np.interp(z, smooth, np.convolve(fine, kernel, mode="valid")).astype(np.float32))
        return tables

    def distance(self, grid: shapes.Grid) -> np.ndarray:
        """Signed distance to first order, float32 mm, of the grid's shape."""
        x, y, z = grid.axes()
        a, front, back, middle, _ = self.at(z)
        v = y - middle
        b = np.where(v < 0, front, back)
        fx, fy = np.abs(x / a), np.abs(v / b)
        total = np.maximum(fx**_POWER + fy**_POWER, 1e-6)
        q = total ** (1 / _POWER)
        slope = q / total * np.hypot(fx ** (_POWER - 1) / a, fy ** (_POWER - 1) / b)
        flat = (q - 1) / np.maximum(slope, 1.0 / (2 * a))
        floor = np.float32(self.z[0]) - z
        return np.maximum(flat, floor).astype(np.float32)

    def wall(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Thickness of the muscular wall, mm: above the iliac crests all around but behind; in front to the pubis."""
        a, front, back, middle, wall = self.at(z)
        v = (y - middle) / np.where(y < middle, front, back)
        around = np.clip((z - 62.0) / 30.0, 0, 1) * np.clip((0.75 - v) / 0.4, 0.1, 1)
        rectus = np.clip((0.75 - np.abs(x / a)) / 0.2, 0, 1) * np.clip((-0.2 - v) / 0.2, 0, 1)
        return wall * np.maximum(np.maximum(around, rectus), 0.05)

    def point(self, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(N, 3) LPS mm of places within: u -1 right wall to 1 left wall, v -1 front to 1 back."""
        a, front, back, middle, _ = self.at(np.asarray(z, dtype=np.float64))
        v = np.asarray(v, dtype=np.float64)
        return np.stack([u * a, middle + np.where(v < 0, front, back) * v, z], axis=-1).astype(np.float64)
