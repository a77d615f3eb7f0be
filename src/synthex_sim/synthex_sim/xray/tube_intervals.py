"""Where a ray lies inside the pieces of notched tubes, analytically, on the CPU.

A piece is a (half) annulus between two planes. In the piece's frame (axis y) a ray meets

    the outer cylinder in one interval, from the quadratic |o_xz + t d_xz|^2 = R^2,
    the slab between its planes in one interval, the half space side * x >= 0 in one,
    and loses the interval inside the lumen's cylinder of radius r:

at most two intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from synthex_sim.xray.ray_range import clip_to_slab
from synthex_sim.xray.scene import Tool


class TubeTable(NamedTuple):
    """Pieces of all tools of a scene, tool after tool, as numba takes them.

    Attributes:
        tool: (P,) int64, which tool a piece belongs to, ascending.
        rotation: (P, 3, 3) world -> piece frame.
        source: (P, 3) the X-ray source in the piece frame, mm.
        side, y_start, y_end, outer, inner: (P,) float64, of the pieces (``TubePieces``), mm.
        notched: (P,) bool.
        centres: (P, 3), radii: (P,) bounding spheres, world mm.
        axes: (P, 3) direction of the piece's axis in the world.
    """

    tool: np.ndarray
    rotation: np.ndarray
    source: np.ndarray
    side: np.ndarray
    y_start: np.ndarray
    y_end: np.ndarray
    outer: np.ndarray
    inner: np.ndarray
    notched: np.ndarray
    centres: np.ndarray
    radii: np.ndarray
    axes: np.ndarray


def tube_table(tools: Sequence[Tool], source: np.ndarray) -> TubeTable:
    """The table for one or more tools of a scene and one source, (3,) world mm."""
    solids = [tool.pieces.transformed(tool.pose) for tool in tools]
    inverse = np.concatenate([np.linalg.inv(solid.poses) for solid in solids])
    spheres = [solid.bounding_spheres() for solid in solids]

    def each(values):
        return np.repeat(np.asarray(values), [len(solid) for solid in solids])

    return TubeTable(
        tool=each(np.arange(len(solids))),
        rotation=np.ascontiguousarray(inverse[:, :3, :3]),
        source=np.ascontiguousarray(inverse[:, :3, :3] @ source + inverse[:, :3, 3]),
        side=np.concatenate([solid.side for solid in solids]).astype(np.float64),
        y_start=np.concatenate([solid.y_start_mm for solid in solids]),
        y_end=np.concatenate([solid.y_end_mm for solid in solids]),
        outer=each([float(solid.outer_radius_mm) for solid in solids]),
        inner=each([float(solid.inner_radius_mm) for solid in solids]),
        notched=np.concatenate([solid.notched for solid in solids]),
        centres=np.concatenate([centres for centres, _ in spheres]),
        radii=np.concatenate([radii for _, radii in spheres]),
        axes=np.ascontiguousarray(np.concatenate([solid.poses[:, :3, 1] for solid in solids])),
    )


@njit(nogil=True, cache=True)
def near_pieces(table, source, d, pitch, near):
    """Lists the pieces that some ray within a pixel of the one along d may meet; returns how many.

    A ray half a pixel's diagonal away is at most 0.75 pitch (1 + distance) further off. A piece is met only within its
    bounding sphere and within the outer radius of its axis: the sphere alone says nothing of a long shaft.
    """
    count = 0
    for p in range(table.radii.shape[0]):
        ox = table.centres[p, 0] - source[0]
        oy = table.centres[p, 1] - source[1]
        oz = table.centres[p, 2] - source[2]
        along = ox * d[0] + oy * d[1] + oz * d[2]
        distance2 = ox * ox + oy * oy + oz * oz
        radius = table.radii[p]
        margin = 0.75 * pitch * (math.sqrt(distance2) + radius)
        if distance2 - along * along > (radius + margin) ** 2:
            continue
        # distance of two lines: the triple product of the offset with the normal to both, over that normal's length
        nx = d[1] * table.axes[p, 2] - d[2] * table.axes[p, 1]
        ny = d[2] * table.axes[p, 0] - d[0] * table.axes[p, 2]
        nz = d[0] * table.axes[p, 1] - d[1] * table.axes[p, 0]
        across = math.sqrt(nx * nx + ny * ny + nz * nz)
        if abs(ox * nx + oy * ny + oz * nz) > (table.outer[p] + margin) * across and across > 1e-3:
            continue
        near[count] = p
        count += 1
    return count


@njit(nogil=True, cache=True)
def piece_intervals(table, p, d, limit, starts, stops, count):
    """Appends where the ray along the unit direction d (world), 0..limit mm, lies inside piece p.

    Returns:
        The new count.
    """
    dx = table.rotation[p, 0, 0] * d[0] + table.rotation[p, 0, 1] * d[1] + table.rotation[p, 0, 2] * d[2]
    dy = table.rotation[p, 1, 0] * d[0] + table.rotation[p, 1, 1] * d[1] + table.rotation[p, 1, 2] * d[2]
    dz = table.rotation[p, 2, 0] * d[0] + table.rotation[p, 2, 1] * d[1] + table.rotation[p, 2, 2] * d[2]
    ox, oy, oz = table.source[p, 0], table.source[p, 1], table.source[p, 2]
    outer2, inner2 = table.outer[p] ** 2, table.inner[p] ** 2
    a = dx * dx + dz * dz
    b = ox * dx + oz * dz
    c = ox * ox + oz * oz
    low, high = clip_to_slab(oy, dy, table.y_start[p], table.y_end[p], 0.0, limit)
    side = table.side[p]
    if side != 0:
        low, high = clip_to_slab(side * ox, side * dx, 0.0, 1e30, low, high)
    if low >= high:
        return count
    if a < 1e-12:
        if c >= outer2 or c < inner2:
            return count
        starts[count], stops[count] = low, high
        return count + 1
    outer_disc = b * b - a * (c - outer2)
    if outer_disc <= 0.0:
        return count
    root = math.sqrt(outer_disc)
    low = max(low, (-b - root) / a)
    high = min(high, (-b + root) / a)
    if low >= high:
        return count
    inner_disc = b * b - a * (c - inner2)
    hole_start, hole_stop = high, high
    if inner_disc > 0.0:
        root = math.sqrt(inner_disc)
        hole_start, hole_stop = (-b - root) / a, (-b + root) / a
    if min(high, hole_start) > low:
        starts[count], stops[count] = low, min(high, hole_start)
        count += 1
    if high > max(low, hole_stop) and hole_stop < high:
        starts[count], stops[count] = max(low, hole_stop), high
        count += 1
    return count


@njit(nogil=True, cache=True)
def unite(starts, stops, first, count):
    """Sorts intervals first..count-1 by start and merges those that touch, in place; returns the new end."""
    for i in range(first + 1, count):
        s, e = starts[i], stops[i]
        j = i - 1
        while j >= first and starts[j] > s:
            starts[j + 1], stops[j + 1] = starts[j], stops[j]
            j -= 1
        starts[j + 1], stops[j + 1] = s, e
    kept = first
    for i in range(first, count):
        if kept > first and starts[i] <= stops[kept - 1]:
            stops[kept - 1] = max(stops[kept - 1], stops[i])
        else:
            starts[kept], stops[kept] = starts[i], stops[i]
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def length_of(starts, stops, first, count):
    """Sum of the lengths of intervals first..count-1."""
    total = 0.0
    for i in range(first, count):
        total += stops[i] - starts[i]
    return total
