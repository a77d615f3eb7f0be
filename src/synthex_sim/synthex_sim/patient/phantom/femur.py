"""The upper half of a femur: head, neck, trochanters and shaft, bent to the person's angles about the hip centre.

Everything is given in the femur's own frame: origin head centre, x lateral along the neck, y proximal along the shaft,
z anterior, mm, for a head radius of 23.5 mm.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from synthex_sim.patient.phantom import femur_surface, shapes
from synthex_sim.patient.phantom.closed_mesh import Subdivision, mesh_distance
from synthex_sim.patient.phantom.frame import UPRIGHT, Pelvis, rotation
from synthex_sim.patient.phantom.parameters import SidePose

MEAN_HEAD_MM = 23.5
#: The neck's axis leaves the head in this direction; where it meets the shaft's axis the neck is bent.
_NECK = np.array([0.747, -0.665, 0.0])
_JUNCTION = np.array([41.0, -36.5, -7.0])
#: Along the neck's axis: rigid with the head up to here, with the shaft from there on.
_BENDS_MM = (22.0, 56.0)
_TROCHANTER = np.array([57.0, -16.0, -14.0])
#: Torsion of the mean neck against the knee.
_MEAN_ANTEVERSION_DEG = 12.0
#: Distances are known so far inside: to the middle of the shaft's cortex and beyond.
_INSIDE_MM = 11.0
#: The mean shaft was known to 216 mm below the head; from here on it is drawn out so many times.
_SHAFT_FROM_MM, _DRAWN_OUT = -120.0, 2.0
_FOVEA = np.array([-0.93, -0.22, -0.29])
_CALCAR = np.array([(13, -20, -4), (20, -31, -6), (25, -45, -8), (27, -60, -9), (28, -78, -8)], dtype=np.float64)
# Middle of the principal compressive and tensile groups of trabeculae (Singh et al., J Bone Joint Surg 1970).
_COMPRESSIVE = np.array([(24, -46, -8), (14, -22, -4), (4, 0, 0), (-4, 15, 1)], dtype=np.float64)
_TENSILE = np.array([(57, -46, -10), (50, -20, -9), (34, -8, -7), (14, 0, -3), (0, -9, 0), (-12, -15, 0)],
                    dtype=np.float64)  # fmt: skip
_FAN, _ARC = np.array([32.0, -66.0]), np.array([28.0, -52.0])


@cache
def _subdivision() -> Subdivision:
    return Subdivision(femur_surface.FACES, len(femur_surface.POINTS), 2)


def axes(pose: SidePose, side: int) -> np.ndarray:
    """(3, 3) lateral, proximal and anterior axis of a posed femur (of its knee, not of its neck) as columns in LPS."""
    lying = rotation(x_deg=-pose.flexion_deg, y_deg=-pose.abduction_deg) @ rotation(z_deg=pose.external_rotation_deg)
    return np.array([side, 1.0, 1.0])[:, None] * (lying @ UPRIGHT)


def place(points: np.ndarray, pelvis: Pelvis, side: int) -> np.ndarray:
    """(N, 3) points of the mean femur -> LPS mm in the person."""
    person = pelvis.person
    pose = person.femurs[0 if side > 0 else 1]
    shaped = _shape(np.asarray(points, dtype=np.float64), person.shaft_scale, person.trochanter_mm)
    bent = _bend(shaped, pose.neck_shaft_deg, pose.neck_mm)
    turned = bent @ rotation(y_deg=_MEAN_ANTEVERSION_DEG + pose.anteversion_deg).T
    size = person.head_radius_mm / MEAN_HEAD_MM
    return size * turned @ axes(pose, side).T + pelvis.hip_center(side)


def _shape(points: np.ndarray, shaft_scale: float, trochanter_mm: float) -> np.ndarray:
    """Widens the shaft about its axis and moves the greater trochanter."""
    shaft = np.clip((-points[:, 1] - 45.0) / 35.0, 0, 1)[:, None] * (shaft_scale - 1)
    axis = np.array([41.5, 0.0, -6.0])
    trochanter = np.exp(-0.5 * ((points - _TROCHANTER) ** 2).sum(axis=1) / 14.0**2)
    out = np.outer(trochanter, (0.6 * trochanter_mm, 0.8 * trochanter_mm, 0.0))
    return points + shaft * (points - axis) * (1.0, 0.0, 1.0) + out


def _bend(points: np.ndarray, more_deg: float, longer_mm: float) -> np.ndarray:
    """Opens the neck-shaft angle and draws out the neck; the head's centre stays the origin."""
    share = np.clip((_BENDS_MM[1] - points @ _NECK) / (_BENDS_MM[1] - _BENDS_MM[0]), 0, 1)
    share = share * share * (3 - 2 * share)
    angle = -np.radians(more_deg) * share
    x, y = points[:, 0] - _JUNCTION[0], points[:, 1] - _JUNCTION[1]
    bent = points.copy()
    bent[:, 0] = _JUNCTION[0] + np.cos(angle) * x - np.sin(angle) * y
    bent[:, 1] = _JUNCTION[1] + np.sin(angle) * x + np.cos(angle) * y
    whole = rotation(z_deg=-more_deg)
    return bent - (_JUNCTION - whole @ _JUNCTION) + np.outer(1 - share, longer_mm * (whole @ _NECK))


def surface(pelvis: Pelvis, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The bone's smooth surface without the fovea: (V, 3) LPS mm and (T, 3) int triangles."""
    rule = _subdivision()
    points = femur_surface.POINTS.copy()
    points[:, 1] += (_DRAWN_OUT - 1.0) * np.minimum(points[:, 1] - _SHAFT_FROM_MM, 0.0)
    return rule(place(points, pelvis, side)), rule.faces


def build(pelvis: Pelvis, side: int, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
    """Signed distance of one femur.

    Returns:
        block of the volume (slices), its grid, and the float32 distance there in mm.
    """
    points, faces = surface(pelvis, side)
    block, part = grid.block(points.min(axis=0) - shapes.REACH_MM, points.max(axis=0) + shapes.REACH_MM)
    field = mesh_distance(part, points, faces, _INSIDE_MM)
    out = MEAN_HEAD_MM + 5.0
    pit = place(out * _FOVEA[None], pelvis, side)[0]
    hole, sub = part.block(pit - 10, pit + 10)
    field[hole] = np.maximum(field[hole], -shapes.sphere(sub, pit, 7.0))
    return block, part, field


def dressing(pelvis: Pelvis, side: int, part: shapes.Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What lies under the surface on the grid of ``build``, float32.

    Returns:
        thickness of the cortex (mm: thick along the shaft and the calcar, thin over head and trochanters), share of
        fatty marrow (the canal), factor on cancellous density with the two principal groups of trabeculae.
    """
    x, y, z = _own_coordinates(pelvis, side, part)
    near = lambda line: shapes.curve_distance(part, place(line, pelvis, side), 4.0)  # noqa: E731
    ramp = lambda low, high: np.clip((-y - low) / (high - low), 0, 1)  # noqa: E731
    cortex = 0.9 + 1.3 * ramp(30, 60) + 3.6 * ramp(60, 140) + 2.6 * np.exp(-0.5 * (near(_CALCAR) / 6.0) ** 2)
    pressed = np.exp(-0.5 * (near(_COMPRESSIVE) / 9.5) ** 2)
    drawn = np.exp(-0.5 * (near(_TENSILE) / 6.0) ** 2)
    spongy = 0.55 + pressed * (0.7 + 0.15 * _rays(x, y, z)) + drawn * (0.45 + 0.12 * _arcs(x, y, z))
    return cortex.astype(np.float32), ramp(45, 100).astype(np.float32), spongy.astype(np.float32)


def _rays(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Uneven bundles of trabeculae that spread into the head, -1 to 1.

    More than 6 mm apart: single trabeculae are finer than voxels and would show as a false pattern.
    """
    angle, out = np.arctan2(x - _FAN[0], y - _FAN[1]), np.hypot(x - _FAN[0], y - _FAN[1])
    uneven = 1.3 * np.sin(23.0 * angle + 0.17 * z) + 1.5 * np.sin(0.21 * out) + 1.2 * np.sin(0.31 * z)
    return np.sin(45.0 * angle + uneven) * np.clip((out - 45.0) / 20.0, 0, 1)


def _arcs(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The same for the bundles that cross them."""
    out = np.hypot(x - _ARC[0], y - _ARC[1])
    return np.sin(0.72 * out + 0.9 * np.sin(0.2 * out + 0.13 * y) + 1.1 * np.sin(0.27 * z))


def _own_coordinates(pelvis: Pelvis, side: int, part: shapes.Grid) -> list[np.ndarray]:
    """x, y and z of every voxel in the frame of the mean femur (its neck unbent), mm."""
    pose = pelvis.person.femurs[0 if side > 0 else 1]
    size = pelvis.person.head_radius_mm / MEAN_HEAD_MM
    turn = axes(pose, side) @ rotation(y_deg=_MEAN_ANTEVERSION_DEG + pose.anteversion_deg)
    return part.coordinates(turn.T / size, pelvis.hip_center(side))
