"""The hip bone of one side: a smooth closed surface bent into the person, its cup, and how thick its cortex is."""

from __future__ import annotations

from functools import cache

import numpy as np

from synthex_sim.patient.phantom import acetabulum, hip_surface, shapes
from synthex_sim.patient.phantom.closed_mesh import Subdivision, mesh_distance
from synthex_sim.patient.phantom.frame import Pelvis

# Where the cortex is thick, mean left half, pelvic frame: these edges are the lines of a radiograph.
#: Linea terminalis from the sacroiliac joint to the pubic crest.
BRIM = np.array([(62, -22, -97), (70, -34, -84), (78, -48, -62), (76, -58, -40), (62, -70, -20), (40, -79, 2),
                  (14, -86, 19)], dtype=np.float64)  # fmt: skip
_NOTCH = np.array([(62, -38, -118), (66, -43, -95), (72, -56, -78), (72, -78, -74), (66, -98, -80)], dtype=np.float64)
_PILLAR = np.array([(120, 34, -75), (118, 8, -62), (108, -20, -45), (104, -44, -30)], dtype=np.float64)
_ISCHIUM = np.array([(68, -108, -72), (70, -135, -62), (62, -150, -45), (44, -140, -26), (28, -124, -10)],
                    dtype=np.float64)  # fmt: skip
#: Of the mean shell, and added on the lines.
_SHELL_MM, _LINE_MM, _LINE_SIGMA_MM = 1.0, 1.6, 6.0
#: Distances are known so far from the surface: more than the thickest cortex.
_REACH_MM = 5.5


@cache
def _subdivision(steps: int) -> Subdivision:
    return Subdivision(hip_surface.FACES, len(hip_surface.POINTS), steps)


def surface(pelvis: Pelvis, side: int, steps: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """The bone's smooth surface without the cup's carving: (V, 3) LPS mm and (T, 3) int triangles.

    The triangles of a left bone are turned counter-clockwise as seen from outside, those of a right one clockwise.

    Args:
        pelvis: the person's.
        side: +1 left, -1 right.
        steps: of subdivision; vertices lie 2.5 mm apart after 2, and half as far after each further one.
    """
    rule = _subdivision(steps)
    return rule(pelvis.place(hip_surface.POINTS, side)[0]), rule.faces


def build(pelvis: Pelvis, side: int, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray]:
    """Signed distance of one hip bone.

    Args:
        pelvis: the person's pelvic frame and warp.
        side: +1 left, -1 right.
        grid: the whole volume.

    Returns:
        the block of the volume (slices), its grid, and the float32 distance there in mm.
    """
    points, faces = surface(pelvis, side)
    block, part = grid.block(points.min(axis=0) - shapes.REACH_MM, points.max(axis=0) + shapes.REACH_MM)
    field = mesh_distance(part, points, faces, _REACH_MM)
    return block, part, acetabulum.carve(field, pelvis, side, part)


def dressing(pelvis: Pelvis, side: int, part: shapes.Grid) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of the cortex (float32, mm) and factor on cancellous density on the grid of ``build``."""
    lines = [pelvis.place(line, side)[0] for line in (BRIM, _NOTCH, _PILLAR, _ISCHIUM)]
    near = np.minimum.reduce([shapes.curve_distance(part, line) for line in lines])
    cortex = _SHELL_MM + _LINE_MM * np.exp(-0.5 * (near / _LINE_SIGMA_MM) ** 2)
    roof = acetabulum.roof(pelvis, side, part)
    return (cortex + 1.6 * roof).astype(np.float32), (0.8 + 0.9 * roof).astype(np.float32)
