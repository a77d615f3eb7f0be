"""Analytic ray casting of a notched tube, with the tissue it displaces, on the CPU.

A piece is a (half) annulus between two planes. In the piece's frame (axis y) a ray meets

    the outer cylinder in one interval, from the quadratic |o_xz + t d_xz|^2 = R^2,
    the slab between its planes in one interval, the half space side * x >= 0 in one,
    and loses the interval inside the lumen's cylinder of radius r:

at most two intervals. Intervals of all pieces are united along the ray, so slivers where neighbouring pieces overlap
count once. A pixel is split into sub-rays fine enough for the slits; densities are averaged over them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from cm_kinematics.solid import TubePieces
from synthex_sim.carm.view import View
from synthex_sim.xray.volume_cpu import PreparedVolume

_MAX_INTERVALS = 96
#: Tissue inside the tool is sampled at least this finely, mm: well under a voxel and under the wall's thickness.
_DISPLACED_STEP_MM = 0.7
_MAX_SUBRAYS_PER_AXIS = 6


@njit(inline="always")
def _clip(o, d, low, high, start, stop):
    """[start, stop] cut to where low <= o + t d <= high."""
    if abs(d) < 1e-12:
        if o < low or o > high:
            return 1.0, 0.0
        return start, stop
    a = (low - o) / d
    b = (high - o) / d
    return max(start, min(a, b)), min(stop, max(a, b))


@njit
def _piece_intervals(o, d, side, y0, y1, outer, inner, starts, stops, count):
    """Appends the ray's intervals (mm along unit direction d) inside one piece; returns the new count."""
    a = d[0] * d[0] + d[2] * d[2]
    b = o[0] * d[0] + o[2] * d[2]
    c = o[0] * o[0] + o[2] * o[2]
    low, high = _clip(o[1], d[1], y0, y1, 0.0, 1e30)
    if side != 0:
        low, high = _clip(side * o[0], side * d[0], 0.0, 1e30, low, high)
    if low >= high:
        return count
    if a < 1e-12:
        if c >= outer * outer or c < inner * inner:
            return count
        starts[count], stops[count] = low, high
        return count + 1
    outer_disc = b * b - a * (c - outer * outer)
    if outer_disc <= 0.0:
        return count
    root = math.sqrt(outer_disc)
    low = max(low, (-b - root) / a)
    high = min(high, (-b + root) / a)
    if low >= high:
        return count
    inner_disc = b * b - a * (c - inner * inner)
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


@njit
def _unite(starts, stops, count):
    """Sorts intervals by start and merges those that touch, in place; returns how many remain."""
    for i in range(1, count):
        s, e = starts[i], stops[i]
        j = i - 1
        while j >= 0 and starts[j] > s:
            starts[j + 1], stops[j + 1] = starts[j], stops[j]
            j -= 1
        starts[j + 1], stops[j + 1] = s, e
    kept = 0
    for i in range(count):
        if kept > 0 and starts[i] <= stops[kept - 1]:
            stops[kept - 1] = max(stops[kept - 1], stops[i])
        else:
            starts[kept], stops[kept] = starts[i], stops[i]
            kept += 1
    return kept


@njit
def _tissue(density, point, channel):
    """Trilinear density in g/cm^3 at a voxel-index point; zero outside."""
    i, j, k = math.floor(point[0]), math.floor(point[1]), math.floor(point[2])
    if i < 0 or j < 0 or k < 0 or i > density.shape[0] - 2 or j > density.shape[1] - 2 or k > density.shape[2] - 2:
        return 0.0
    i, j, k = int(i), int(j), int(k)
    fx, fy, fz = point[0] - i, point[1] - j, point[2] - k
    total = 0.0
    for di in range(2):
        wx = fx if di else 1.0 - fx
        for dj in range(2):
            wy = fy if dj else 1.0 - fy
            total += wx * wy * ((1.0 - fz) * density[i + di, j + dj, k, channel] + fz * density[i + di, j + dj, k + 1, channel])
    return total


@njit
def _ray(pixel_to_world, u, v, d):
    """Sets d to the unit direction of the ray through a pixel position."""
    norm = 0.0
    for axis in range(3):
        d[axis] = pixel_to_world[axis, 0] * u + pixel_to_world[axis, 1] * v + pixel_to_world[axis, 2]
        norm += d[axis] * d[axis]
    norm = math.sqrt(norm)
    for axis in range(3):
        d[axis] /= norm


@njit
def _near(source, d, pitch, centres, radii, axes, outer, near):
    """Lists the pieces that some ray within a pixel of the one along d may meet; returns how many.

    A ray half a pixel's diagonal away is at most 0.75 pitch (1 + distance) further off. A piece is met only within its
    bounding sphere and within the outer radius of its axis: the sphere alone says nothing of a long shaft.
    """
    count = 0
    for p in range(radii.shape[0]):
        along = 0.0
        distance2 = 0.0
        for axis in range(3):
            offset = centres[p, axis] - source[axis]
            along += offset * d[axis]
            distance2 += offset * offset
        margin = 0.75 * pitch * (math.sqrt(distance2) + radii[p])
        if distance2 - along * along > (radii[p] + margin) ** 2:
            continue
        # distance of two lines: the triple product of the offset with the normal to both, over that normal's length
        nx = d[1] * axes[p, 2] - d[2] * axes[p, 1]
        ny = d[2] * axes[p, 0] - d[0] * axes[p, 2]
        nz = d[0] * axes[p, 1] - d[1] * axes[p, 0]
        across = math.sqrt(nx * nx + ny * ny + nz * nz)
        apart = abs(
            (centres[p, 0] - source[0]) * nx + (centres[p, 1] - source[1]) * ny + (centres[p, 2] - source[2]) * nz
        )
        if apart > (outer + margin) * across and across > 1e-3:
            continue
        near[count] = p
        count += 1
    return count


@njit(parallel=True, nogil=True, cache=True)
def _cast(
    source, pixel_to_world, box, subrays, piece_from_world, side, y0, y1, outer, inner, notched, centres, radii, axes,
    density, index_from_world, length, coverage, soft, bone,
):
    """Fills length (cm of solid), coverage (share of sub-rays that meet notched pieces) and displaced soft and bone."""
    row0, row1, col0, col1 = box
    share = 1.0 / (subrays * subrays)
    pieces = side.shape[0]
    # how far apart the rays of neighbouring pixels are at unit distance, at most
    pitch = max(np.linalg.norm(pixel_to_world[:, 0]), np.linalg.norm(pixel_to_world[:, 1]))
    for row in prange(row0, row1):
        starts = np.empty(_MAX_INTERVALS)
        stops = np.empty(_MAX_INTERVALS)
        d = np.empty(3)
        o_local = np.empty(3)
        d_local = np.empty(3)
        point = np.empty(3)
        near = np.empty(pieces, np.int64)
        for col in range(col0, col1):
            _ray(pixel_to_world, col, row, d)
            candidates = _near(source, d, pitch, centres, radii, axes, outer, near)
            if candidates == 0:
                continue
            for sub in range(subrays * subrays):
                v = row - 0.5 + (sub // subrays + 0.5) / subrays
                u = col - 0.5 + (sub % subrays + 0.5) / subrays
                _ray(pixel_to_world, u, v, d)
                count = 0
                hit_notched = False
                for candidate in range(candidates):
                    p = near[candidate]
                    for axis in range(3):
                        o_local[axis] = piece_from_world[p, axis, 3]
                        d_local[axis] = 0.0
                        for k in range(3):
                            o_local[axis] += piece_from_world[p, axis, k] * source[k]
                            d_local[axis] += piece_from_world[p, axis, k] * d[k]
                    if count + 2 > _MAX_INTERVALS:
                        count = _unite(starts, stops, count)
                    before = count
                    count = _piece_intervals(
                        o_local, d_local, side[p], y0[p], y1[p], outer, inner, starts, stops, count
                    )
                    if count > before and notched[p]:
                        hit_notched = True
                if hit_notched:
                    coverage[row, col] += share
                if count == 0:
                    continue
                count = _unite(starts, stops, count)
                for i in range(count):
                    span = stops[i] - starts[i]
                    length[row, col] += 0.1 * span * share
                    samples = int(math.ceil(span / _DISPLACED_STEP_MM))
                    weight = 0.1 * span / samples * share
                    for s in range(samples):
                        t = starts[i] + (s + 0.5) * span / samples
                        for axis in range(3):
                            point[axis] = index_from_world[axis, 3]
                            for k in range(3):
                                point[axis] += index_from_world[axis, k] * (source[k] + t * d[k])
                        soft[row, col] += weight * _tissue(density, point, 0)
                        bone[row, col] += weight * _tissue(density, point, 1)


def cast_tool(
    pieces: TubePieces, view: View, volume: PreparedVolume | None, volume_pose: np.ndarray, finest_detail_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Solid length, coverage and displaced tissue of a tool in one view.

    Args:
        pieces: the tool in the world, mm.
        view: the exposure.
        volume: the tissue around, or None.
        volume_pose: (4, 4) patient LPS -> world, mm.
        finest_detail_mm: smallest feature to resolve; sub-rays are at most half of it apart at the tool.

    Returns:
        length: (R, C) float32, cm of solid along the ray, mean over the pixel.
        coverage: (R, C) float32, share of the pixel covered by notched pieces.
        soft, bone: (R, C) float32, g/cm^2 of tissue displaced.
    """
    rows, cols = view.shape
    length, coverage, soft, bone = (np.zeros((rows, cols), dtype=np.float32) for _ in range(4))
    centres, radii = pieces.bounding_spheres()
    box, footprint_mm = _pixel_box(view, centres, radii)
    if box is None:
        return length, coverage, soft, bone
    subrays = int(np.clip(np.ceil(2 * footprint_mm / finest_detail_mm), 1, _MAX_SUBRAYS_PER_AXIS))
    if volume is None:
        density, index_from_world = np.zeros((2, 2, 2, 2), dtype=np.float32), np.eye(4)
    else:
        density = volume.density
        index_from_world = np.linalg.inv(np.asarray(volume_pose) @ volume.affine)
    _cast(
        view.source, view.pixel_to_direction, box, subrays, np.linalg.inv(pieces.poses), pieces.side.astype(np.int64),
        pieces.y_start_mm, pieces.y_end_mm, float(pieces.outer_radius_mm), float(pieces.inner_radius_mm),
        pieces.notched, centres, radii, np.ascontiguousarray(pieces.poses[:, :3, 1]), density, index_from_world, length, coverage, soft, bone,
    )
    return length, coverage, soft, bone


def _pixel_box(view: View, centres: np.ndarray, radii: np.ndarray) -> tuple[tuple[int, int, int, int] | None, float]:
    """(row0, row1, col0, col1) around all spheres in front of the source, and a pixel's size at the nearest, mm."""
    pixels, depth = view.project(centres)
    ahead = depth > radii + 1.0
    if not ahead.any():
        return None, 0.0
    focal = np.array([abs(view.intrinsics[0, 0]), abs(view.intrinsics[1, 1])])
    # a sphere's shadow reaches at most focal * r / (z - r) from its centre's, and is stretched off the central ray
    tilt = np.hypot(1.0, np.linalg.norm((pixels - view.intrinsics[:2, 2]) / focal, axis=-1))
    reach = (radii * tilt / (depth - radii))[:, None] * focal * 1.1 + 1.0
    low = np.floor((pixels - reach)[ahead].min(axis=0)).astype(int)
    high = np.ceil((pixels + reach)[ahead].max(axis=0)).astype(int) + 1
    rows, cols = view.shape
    row0, row1 = max(low[1], 0), min(high[1], rows)
    col0, col1 = max(low[0], 0), min(high[0], cols)
    if row0 >= row1 or col0 >= col1:
        return None, 0.0
    return (int(row0), int(row1), int(col0), int(col1)), float(depth[ahead].min() / focal.max())
