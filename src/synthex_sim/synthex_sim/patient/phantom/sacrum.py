"""Sacrum and coccyx: a smooth closed surface bent into the person, with the foramina and the canal cleared."""

from __future__ import annotations

from functools import cache

import numpy as np

from synthex_sim.patient.phantom import sacrum_surface, shapes
from synthex_sim.patient.phantom.closed_mesh import Subdivision, mesh_distance
from synthex_sim.patient.phantom.frame import SACRUM_LENGTH_MM, Pelvis

#: Middle of the S1 end plate and its normal's lean from superior towards anterior, pelvic frame.
S1_PLATE = np.array([0.0, 8.5, -87.0])
S1_LEAN_DEG = 17.0
#: Distances are known so far from the surface: more than the thickest cortex and the gap of the sacroiliac joint.
_REACH_MM = 4.0
_S3_END = np.array([0.0, -58.0, -131.0])
_AXIS = np.array([0.0, -0.93, -0.37])
#: Foramina of the left side, anterior mouth to posterior mouth: x, y, z, radius.
# fmt: off
_FORAMINA = np.array([
    [(25, -25, -88, 7.0), (25, -22, -112, 4.5), (25, -17, -142, 3.5)],
    [(22, -46, -104, 6.0), (22, -43, -124, 4.2), (23, -40, -148, 3.2)],
    [(19, -66, -118, 5.0), (19, -64, -132, 3.5), (19, -62, -150, 2.8)],
    [(15, -82, -126, 4.0), (15, -81, -136, 3.0), (15, -80, -148, 2.5)],
], dtype=np.float64)
_CANAL = np.array([
    (0, -2, -117, 6.5), (0, -30, -131, 4.5), (0, -58, -142, 3.0), (0, -86, -144, 2.5), (0, -98, -146, 3),
], dtype=np.float64)
# fmt: on
#: Discs below the sacrum and within the coccyx: where, and half their thickness; they lie across this direction.
_CLEFTS, _CLEFT_MM, _COCCYX_AXIS = np.array([(0, -103, -133), (0, -113, -123), (0, -122, -114)]), 0.9, (0, -0.8, 0.6)
# Upper margins of the foramina and the upper end plate, where the cortex is thicker; mean left half, pelvic frame.
_LINES = [np.array(line, dtype=np.float64) for line in (
    [(0, 5, -76), (14, 6, -80), (22, 8, -92), (14, 11, -100), (0, 12, -102)],
    [(16, -18, -92), (25, -15, -92), (34, -20, -92)],
    [(14, -38, -107), (22, -36, -108), (31, -41, -108)],
    [(12, -59, -120), (19, -57, -121), (26, -61, -122)],
)]  # fmt: skip


def place(points: np.ndarray, pelvis: Pelvis) -> tuple[np.ndarray, np.ndarray]:
    """As ``Pelvis.place``, for points of the sacrum."""
    return pelvis.place(points, sacrum=True)


def slope_deg(pelvis: Pelvis) -> float:
    """Lean of the S1 end plate against the transverse plane: the sacral slope of a supine person."""
    turn = np.degrees(pelvis.person.sacrum_forward_mm / SACRUM_LENGTH_MM)
    return S1_LEAN_DEG + turn + pelvis.person.tilt_deg


@cache
def _subdivision() -> Subdivision:
    return Subdivision(sacrum_surface.FACES, len(sacrum_surface.POINTS), 2)


def surface(pelvis: Pelvis) -> tuple[np.ndarray, np.ndarray]:
    """The bone's smooth surface: (V, 3) LPS mm and (T, 3) int triangles."""
    rule = _subdivision()
    return rule(place(sacrum_surface.POINTS, pelvis)[0]), rule.faces


def build(pelvis: Pelvis, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray, np.ndarray]:
    """Signed distance of sacrum and coccyx.

    Returns:
        block (slices), its grid, float32 distance in mm, and a bool mask of the side of the S3/S4 plane that
        belongs to the upper sacrum.
    """
    points, faces = surface(pelvis)
    block, part = grid.block(points.min(axis=0) - shapes.REACH_MM, points.max(axis=0) + shapes.REACH_MM)
    field = mesh_distance(part, points, faces, _REACH_MM)
    tunnels = [row * np.array([s, 1, 1, 1]) for row in _FORAMINA for s in (1, -1)] + [_CANAL]
    for tunnel in tunnels:
        path, growth = place(tunnel[:, :3], pelvis)
        hole, sub = part.block(*shapes.bounds(path, tunnel[:, 3], 2.0))
        field[hole] = np.maximum(field[hole], -shapes.tube(sub, path, tunnel[:, 3] * growth))
    _part_coccyx(field, part, pelvis)
    end = place(_S3_END[None], pelvis)[0][0]
    axis = pelvis.direction(_AXIS, 1)
    x, y, z = part.coordinates(np.eye(3), end)
    return block, part, field, x * axis[0] + y * axis[1] + z * axis[2] < 0


def _part_coccyx(field: np.ndarray, part: shapes.Grid, pelvis: Pelvis) -> None:
    """Clears what lies between sacrum and coccyx and between its pieces."""
    axis = pelvis.direction(_COCCYX_AXIS, 1)
    for middle in place(_CLEFTS.astype(np.float64), pelvis)[0]:
        disc, sub = part.block(middle - 16.0, middle + 16.0)
        x, y, z = sub.coordinates(np.eye(3), middle)
        field[disc] = np.maximum(field[disc], _CLEFT_MM - np.abs(x * axis[0] + y * axis[1] + z * axis[2]))


def dressing(pelvis: Pelvis, part: shapes.Grid) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of the cortex (float32, mm) and factor on cancellous density (denser bodies, fatty alae).

    Rays run along the foramina: of their walls only the upper margins show, as arcuate lines.
    """
    lines = [place(line * np.array([s, 1, 1]), pelvis)[0] for line in _LINES for s in (1, -1)]
    near = np.minimum.reduce([shapes.curve_distance(part, line) for line in lines])
    below = _FORAMINA[:, :, :3] - np.array([0.0, 3.0, 0.0])
    walls = [place(row * np.array([s, 1, 1]), pelvis)[0] for row in below for s in (1, -1)]
    wall = np.minimum.reduce([shapes.curve_distance(part, line, 3.0) for line in walls])
    middle = place(np.array([(0, 0, -92), (0, -40, -118), (0, -80, -136)], dtype=np.float64), pelvis)[0]
    body = np.exp(-0.5 * (shapes.curve_distance(part, middle) / 20.0) ** 2)
    cortex = 0.6 + 0.45 * np.exp(-0.5 * (near / 4.0) ** 2) - 0.75 * np.exp(-0.5 * (wall / 6.5) ** 2)
    return cortex.astype(np.float32), (0.5 + 0.3 * body).astype(np.float32)
