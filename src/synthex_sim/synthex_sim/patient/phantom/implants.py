"""Implants that a phantom may carry: total hip, screws in the femoral neck and the sacroiliac joint, femoral nail.

Metal has the greatest value of these volumes, as in a CT whose scanner clips it: titanium and cobalt-chromium look the
same there, and ``metal_above_hu`` of the materials makes titanium of both. Metal takes the label of the bone that it
moves with (stem and head the femur's, cup and liner the hip bone's), and FH stays the centre of the joint.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.phantom import femur, shapes
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.tissue import MUSCLE_HU, blend
from synthex_sim.random_streams import Purpose, stream

METAL_HU, POLYETHYLENE_HU = 3000.0, -90.0
# Mean femur frame (x lateral, y proximal, z anterior), mm: the neck's axis away from the head, and its shaft.
_NECK = np.array([0.747, -0.665, 0.0])
_ACROSS = np.array([0.665, 0.747, 0.0])
_SAW_MM = 25.0  # along the neck
_STEM = np.array([(0, 0, 0, 6), (14, -12.5, 0, 6), (30, -26, -2, 7.5), (38, -42, -8, 10.5), (41, -62, -10, 8.5),
                  (41, -100, -8, 7), (41, -135, -5, 5.5), (41, -155, -4, 4)])  # fmt: skip
_NAIL = np.array([(46, -6, -16, 6.5), (43, -50, -11, 6), (41, -92, -9, 5.5), (41, -210, -3, 5.5)])
_LOCKING = np.array([(18, -168, -4, 2.4), (66, -168, -4, 2.4)])
_LAG_FROM_MM, _SCREW_FROM_MM = 88.0, 80.0
# Pelvic frame, left side: head and tip of a screw through the sacroiliac joint into S1.
_SACROILIAC = np.array([(92, -12, -112), (2, -9, -100)])


def add_implants(names: Sequence[str], hu, labels, pelvis: Pelvis, grid: shapes.Grid) -> None:
    """Puts implants into a finished person.

    Args:
        names: of ``IMPLANTS``, in the order in which they are put in.
        hu: (I, J, K) float32, written to.
        labels: (I, J, K) uint8, written to.
        pelvis: the person.
        grid: where the voxels lie.

    Raises:
        ValueError: a name that is no implant, or one that stands twice.
    """
    check_implants(names)
    for name in names:
        kind, side = name.rsplit("_", 1)
        rng = stream(pelvis.person.seed, sorted(IMPLANTS).index(name), Purpose.IMPLANTS)
        _KINDS[kind](_Site(hu, labels, pelvis, grid, 1 if side == "left" else -1, rng))


def check_implants(names: Sequence[str]) -> None:
    """Raises ValueError where a name is no implant, stands twice, or needs a femur that another one has replaced."""
    for name in names:
        if name not in IMPLANTS:
            raise ValueError(f"'{name}' is no implant; there are {', '.join(IMPLANTS)}")
    if len(set(names)) != len(names):
        raise ValueError(f"an implant is named twice: {', '.join(names)}")
    for side in ("left", "right"):
        in_femur = [n for n in names if n.endswith(side) and not n.startswith("sacroiliac")]
        if len(in_femur) > 1:
            raise ValueError(f"there is room for one implant in the {side} femur, not for {' and '.join(in_femur)}")


class _Site:
    """One side of one person's volume, with what is needed to put metal there."""

    def __init__(self, hu, labels, pelvis, grid, side, rng) -> None:
        self.hu, self.labels, self.pelvis, self.grid, self.side, self.rng = hu, labels, pelvis, grid, side, rng
        left = side > 0
        self.femur = anatomy.LEFT_FEMUR if left else anatomy.RIGHT_FEMUR
        self.hip = anatomy.LEFT_HEMIPELVIS if left else anatomy.RIGHT_HEMIPELVIS
        self.center = pelvis.hip_center(side)
        self.size = pelvis.person.head_radius_mm / femur.MEAN_HEAD_MM

    def in_femur(self, points) -> np.ndarray:
        """(N, 3) points of the mean femur -> LPS mm."""
        return femur.place(np.atleast_2d(np.asarray(points, dtype=np.float64)), self.pelvis, self.side)

    def write(self, block, field, value, label: int) -> None:
        """A solid of one value and label; where two meet, the later one wins."""
        blend(self.hu, block, field, value, self.grid)
        self.labels[block][field < 0] = label

    def rod(self, path, radii, label: int, bore_mm: float = 0.0) -> None:
        """Metal along a path (LPS mm); with a bore, a hollow screw."""
        path, radii = np.asarray(path), np.asarray(radii, dtype=np.float64)
        block, part = self.grid.block(*shapes.bounds(path, radii, 3.0))
        field = shapes.tube(part, path, radii)
        if bore_mm > 0:
            field = np.maximum(field, bore_mm - shapes.tube(part, path, np.zeros(len(path))))
        self.write(block, field, METAL_HU, label)


def _total_hip(site: _Site) -> None:
    """Sawn neck, stem, head, liner and cup."""
    _saw_off(site)
    cup = 1.13 * site.pelvis.person.head_radius_mm
    head = min(float(site.rng.choice([14.0, 16.0, 18.0])), cup - 8.0)
    block, part = site.grid.block(site.center - cup - 4, site.center + cup + 4)
    ball = shapes.sphere(part, site.center, cup)
    lean, turn = np.radians(site.rng.normal(42, 4)), np.radians(site.rng.normal(17, 5))  # inclination, anteversion
    opening = np.array([np.sin(lean) * np.cos(turn), -np.cos(lean) * np.cos(turn), np.sin(turn)])
    axis = site.pelvis.direction(opening, site.side)
    x, y, z = part.coordinates(np.eye(3), site.center)
    rim = x * axis[0] + y * axis[1] + z * axis[2] - 1.0
    site.write(block, np.maximum(ball, rim), METAL_HU, site.hip)
    site.write(block, np.maximum(ball + 3.5, rim), POLYETHYLENE_HU, site.hip)
    site.rod(site.in_femur(_STEM[:, :3]), _STEM[:, 3] * site.size, site.femur)
    site.write(block, shapes.sphere(part, site.center, head), METAL_HU, site.femur)


def _saw_off(site: _Site) -> None:
    """Takes head and neck away down to the saw's plane, and the joint's cartilage with them."""
    reach = 1.2 * site.pelvis.person.head_radius_mm + _SAW_MM
    block, part = site.grid.block(site.center - reach, site.center + reach)
    plane = site.in_femur([_SAW_MM * _NECK, (_SAW_MM + 1.0) * _NECK])
    normal = plane[1] - plane[0]
    x, y, z = part.coordinates(np.eye(3), plane[0])
    beyond = (x * normal[0] + y * normal[1] + z * normal[2]) < 0
    gone = beyond & (site.labels[block] == site.femur)
    site.hu[block][gone] = MUSCLE_HU
    site.labels[block][gone] = 0
    coat = shapes.sphere(part, site.center, site.pelvis.person.head_radius_mm + 1.0)
    freed = beyond & (coat < 0) & (site.labels[block] != site.hip)
    site.hu[block][freed] = MUSCLE_HU


def _neck_screws(site: _Site) -> None:
    """Three hollow screws along the neck, in a triangle."""
    tip = -(femur.MEAN_HEAD_MM - site.rng.uniform(6, 10))
    for a, b in ((-6.5, -4.0), (6.0, -5.5), (0.5, 7.5)):
        off = a * _ACROSS + b * np.array([0, 0, 1.0])
        start = _SCREW_FROM_MM - 0.9 * a
        ends = site.in_femur([start * _NECK + off, (start - 4) * _NECK + off, tip * _NECK + off,
                              (tip + 18) * _NECK + off])  # fmt: skip
        site.rod(ends[[0, 2]], [2.4, 2.4], site.femur, bore_mm=1.0)
        site.rod(ends[[3, 2]], [3.5, 3.5], site.femur, bore_mm=1.0)
        site.rod(ends[[0, 1]], [4.2, 4.2], site.femur, bore_mm=1.0)


def _sacroiliac_screw(site: _Site) -> None:
    """One hollow screw with a washer through ilium and joint into the first sacral vertebra."""
    ends = _SACROILIAC + site.rng.normal(0, 1.5, (2, 3))
    head, tip = site.pelvis.place(ends, site.side)[0]
    along = (tip - head) / np.linalg.norm(tip - head)
    site.rod([head, tip], [2.6, 2.6], site.hip, bore_mm=1.0)
    site.rod([tip - 32 * along, tip], [3.6, 3.6], site.hip, bore_mm=1.0)
    site.rod([head - 4 * along, head], [4.5, 4.5], site.hip)
    site.rod([head, head + 1.5 * along], [6.5, 6.5], site.hip)


def _femoral_nail(site: _Site) -> None:
    """A nail from the greater trochanter down the shaft, and a lag screw through it into the head."""
    tip = -(femur.MEAN_HEAD_MM - site.rng.uniform(8, 13))
    site.rod(site.in_femur(_NAIL[:, :3]), _NAIL[:, 3], site.femur, bore_mm=2.0)
    below = np.array([0, 0, -2.0]) - 4.0 * _ACROSS
    lag = site.in_femur([_LAG_FROM_MM * _NECK + below, (tip + 28) * _NECK + below, tip * _NECK + below])
    site.rod(lag[:2], [4.2, 4.2], site.femur)
    site.rod(lag[1:], [5.2, 5.2], site.femur)
    site.rod(site.in_femur(_LOCKING[:, :3]), _LOCKING[:, 3], site.femur)


_KINDS = {
    "total_hip": _total_hip,
    "neck_screws": _neck_screws,
    "sacroiliac_screw": _sacroiliac_screw,
    "femoral_nail": _femoral_nail,
}
#: What may be named: a kind and a side.
IMPLANTS = tuple(f"{kind}_{side}" for kind in _KINDS for side in ("left", "right"))
