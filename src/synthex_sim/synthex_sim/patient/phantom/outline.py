"""The skin: an envelope of muscles, cavity and bony points, clothed with subcutaneous fat and laid on its back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.cavity import Cavity
from synthex_sim.patient.phantom.distance_map import distance_to
from synthex_sim.patient.phantom.posture import Posture
from synthex_sim.patient.phantom.soft_parameters import SoftTissue

_STEP_MM = 5.0
_FASCIA_MM = 12.0  # gaps between muscles up to twice this width are flesh
_AIR_MM = 12.0  # around the body
# Bone that shapes the surface by itself: x, y, z, radius, pelvis to femur; pelvic frame, left side.
_BONY = np.array([
    (114, -1, -4, 6, 0), (129, 37, -73, 6, 0), (108, 42, -100, 6, 0), (76, 20, -116, 8, 0), (152, -78, -40, 10, 1),
    (12, -95, 10, 8, 0), (40, -125, -5, 8, 0), (30, -20, -132, 10, 0), (25, -60, -140, 8, 0), (70, -140, -55, 12, 0),
    (8, -100, -122, 8, 0), (10, 5, -135, 8, 0), (20, -120, -55, 14, 0), (16, -118, -15, 12, 0),
])  # fmt: skip
_BONY_LINKS = np.array([(0, 1, 1), (1, 2, 2), (2, 3, 3), (5, 6, 6), (5, 13, 13), (13, 12, 12), (12, 10, 10),
                        (7, 8, 10), (3, 7, 11), (6, 9, 12), (8, 10, 10)])  # fmt: skip
# Fat over what lies under it, as a share of ``fat_mm``: height (LPS z) against front, side and back.
_FAT = np.array([
    (-200, 0.55, 0.80, 0.80), (-120, 0.60, 0.90, 1.10), (-60, 0.85, 1.05, 1.45), (0, 1.25, 1.05, 1.60),
    (60, 1.30, 1.00, 1.50), (110, 1.20, 1.10, 1.15), (180, 1.05, 1.00, 0.80), (300, 0.90, 0.80, 0.70),
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outline:
    """The skin on a coarse lattice.

    Attributes:
        lattice: where ``distance`` is known.
        distance: float32 signed distance to the skin, mm, negative inside; of a unit slope near the surface only.
        flesh: float32 signed distance to the muscles of hips and thighs and what is between them, mm.
        back_y_mm: LPS y of the plane that the body lies on.
    """

    lattice: shapes.Grid
    distance: np.ndarray
    flesh: np.ndarray
    back_y_mm: float

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Low and high corner (x, y; z is the lattice's own) around the body with some air, LPS mm."""
        inside = np.argwhere(self.distance < 0)
        low = self.lattice.origin_mm + inside.min(axis=0) * self.lattice.spacing_mm - _AIR_MM
        high = self.lattice.origin_mm + inside.max(axis=0) * self.lattice.spacing_mm + _AIR_MM
        return low, high


def outline_of(posture: Posture, cavity: Cavity, muscles: list[tuple], soft: SoftTissue, low_z: float, high_z: float):
    """The skin around muscles (of ``placed_muscles``) and cavity between two heights (LPS mm)."""
    lattice = _room(cavity, muscles, soft, low_z, high_z)
    x, y, z = lattice.axes()
    meat = _union(lattice, [*muscles, *_shafts(posture)])
    solid = meat | _union(lattice, _bony(posture)) | (cavity.distance(lattice) < cavity.at(z)[4])
    envelope = _closed(solid, posture, z)
    flesh = ndimage.gaussian_filter(_signed_distance(_filled(meat, _FASCIA_MM)), 0.8)
    fat = soft.fat_mm * _share(x, y, z, envelope) + 1.5
    skin = ndimage.gaussian_filter(envelope, 9.0 / _STEP_MM) - fat
    back = _back(skin, lattice, soft)
    over = y - np.float32(back)  # the couch presses the back flat
    mix = np.clip(0.5 + (skin - over) / 40.0, 0, 1)
    skin = skin * mix + over * (1 - mix) + 10.0 * mix * (1 - mix)
    return Outline(lattice, skin.astype(np.float32), flesh, back)


def _room(cavity: Cavity, muscles: list[tuple], soft: SoftTissue, low_z: float, high_z: float) -> shapes.Grid:
    points = np.concatenate([p for _, p, _, _ in muscles])
    margin = 1.4 * soft.fat_mm + 50.0
    reach = max(np.abs(points[:, 0]).max(), cavity.half_width.max()) + margin
    front = min(points[:, 1].min(), (cavity.center_y - cavity.front).min()) - margin
    low = np.array([-reach, front, low_z - _STEP_MM])
    high = np.array([reach, points[:, 1].max() + margin, high_z + _STEP_MM])
    return shapes.Grid(low, _STEP_MM, tuple(int(n) for n in np.ceil((high - low) / _STEP_MM) + 1))


def _union(lattice: shapes.Grid, parts: list[tuple]) -> np.ndarray:
    solid = np.zeros(lattice.shape, dtype=bool)
    for _, points, radii, faces in parts:
        block, part = lattice.block(*shapes.bounds(points, radii, 0.0))
        solid[block] |= shapes.sphere_mesh(part, points, radii, faces) < 0
    return solid


def _shafts(posture: Posture) -> list[tuple]:
    """The femora under the muscles of the thigh."""
    shafts = []
    for side in (1, -1):
        axes, head, size = posture.femur_frame(side)
        points = np.array([(44.0, -50, -9), (42, -90, -6), (42, -300, 0)]) * size @ axes.T + head
        shafts.append(("", points, np.full(3, 15.0) * size, np.array([(0, 1, 1), (1, 2, 2)])))
    return shafts


def _bony(posture: Posture) -> list[tuple]:
    size = float(posture.pelvis.person.scale.mean())
    lone = np.repeat(np.arange(len(_BONY))[:, None], 3, axis=1)
    faces = np.concatenate([_BONY_LINKS, lone])
    return [("", posture.place(_BONY[:, :3], s, _BONY[:, 4]), _BONY[:, 3] * size, faces) for s in (1, -1)]


def _closed(solid: np.ndarray, posture: Posture, z: np.ndarray) -> np.ndarray:
    """Signed distance to the solid with its grooves filled: widely above the crotch, narrowly between the thighs."""
    wide = _signed_distance(_filled(solid, 110.0, (0, 1)))  # slice by slice: the waist stays
    narrow = _signed_distance(_filled(solid, 14.0))
    crotch = float(posture.place(np.array([[8.0, -122.0, -12.0]]), 1)[0, 2])
    above = np.clip(0.5 + (z - crotch - 6.0) / 30.0, 0, 1)
    return wide * above + narrow * (1 - above)


def _filled(solid: np.ndarray, radius_mm: float, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """A mask with all grooves filled into which no ball (along two axes: no disc) of this radius fits."""
    n = int(radius_mm / _STEP_MM) + 2
    outside = distance_to(np.pad(solid, ((n, n), (n, n), (0, 0))), _STEP_MM, axes) > radius_mm
    return (distance_to(outside, _STEP_MM, axes) > radius_mm)[n:-n, n:-n] | solid


def _signed_distance(solid: np.ndarray) -> np.ndarray:
    """Distance to the border of a mask, mm, negative inside; the border lies half way between lattice points."""
    outside, inside = distance_to(solid, _STEP_MM), distance_to(~solid, _STEP_MM)
    return np.maximum(outside - 0.5 * _STEP_MM, 0) - np.maximum(inside - 0.5 * _STEP_MM, 0)


def _share(x, y, z, envelope: np.ndarray) -> np.ndarray:
    """Thickness of the fat against ``fat_mm``: by height and by which way the surface looks; thin at the midline."""
    gx, gy, _ = np.gradient(ndimage.gaussian_filter(envelope, 5.0))
    norm = np.maximum(np.hypot(gx, gy), 1e-3)
    toward = gy / norm
    front, side, back = (np.interp(z, _FAT[:, 0], _FAT[:, k]).astype(np.float32) for k in (1, 2, 3))
    share = side + np.clip(-toward, 0, 1) ** 2 * (front - side) + np.clip(toward, 0, 1) ** 2 * (back - side)
    cleft = np.exp(-((x / 22.0) ** 2)) * np.clip(toward, 0, 1) * np.clip(1 - np.abs(z - 30.0) / 130.0, 0, 1)
    inward = np.clip(-np.sign(x) * gx / norm, 0, 1) * np.clip((20.0 - z) / 60.0, 0, 1)  # inner thigh
    return ndimage.gaussian_filter(share * (1 - 0.45 * cleft) + 0.9 * inward, 2.0)


def _back(skin: np.ndarray, lattice: shapes.Grid, soft: SoftTissue) -> float:
    """LPS y of the couch: the body sinks in by some of what stands out most."""
    _, y, _ = lattice.axes()
    reach = np.where((skin < 0).any(axis=0), y[0], -np.inf).max(axis=0)
    return float(np.percentile(reach[np.isfinite(reach)], 92) - 5.0 - 0.25 * soft.fat_mm)
