"""Which labelled structures each pixel's ray meets, and how deep two of them begin, on the CPU.

Labels are those of the voxel nearest to the ray in every plane across its dominant axis. As in ``march_cpu`` the loop
along a ray has no stores, so that it becomes vector gathers, and rays go in tiles and slabs.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from synthex_sim.xray.ray_range import clip_to_slab, dominant_axis, planes_between
from synthex_sim.xray.raw_access import mul_add, take_word

_TILE = 16
_SLAB = 64
_NEVER = 1 << 30
_I, _U, _F = np.int32, np.uint32, np.float32


@njit(fastmath=True, nogil=True, forceinline=True)
def _along_ray(cells, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c, label_a, label_b):
    """Over ``count`` planes: bits of the labels met, first plane (counted from 0) with label_a and with label_b."""
    seen = _U(0)
    first_a = _I(_NEVER)
    first_b = _I(_NEVER)
    for plane in range(_I(count)):
        n = _F(plane)
        ib = _I(b0 + n * slope_b)
        ic = _I(c0 + n * slope_c)
        at = mul_add(_I(plane), _I(stride_a), mul_add(ib, _I(stride_b), mul_add(ic, _I(stride_c), _I(start))))
        label = take_word(cells, at) & _U(0xFF)
        seen |= _U(1) << label
        first_a = min(first_a, _I(plane) if label == _U(label_a) else _I(_NEVER))
        first_b = min(first_b, _I(plane) if label == _U(label_b) else _I(_NEVER))
    return seen, first_a, first_b


@njit(parallel=True, nogil=True, cache=True)
def cast_labels(cells, size, origin, pixel_to_direction, reach_mm, label_a, label_b, hits, depth_a, depth_b):
    """Follows one ray through every pixel centre and adds what it meets.

    Args:
        cells, size: of a LabelVolume.
        origin: (3,) float64, the source in indices of ``cells``.
        pixel_to_direction: (3, 3) homogeneous pixel -> ray direction in voxel indices, camera z component one mm.
        reach_mm: camera z at which rays end: the detector's.
        label_a, label_b: labels whose depth is wanted.
        hits: (R, C) uint32; bit l of a pixel is set where the ray meets label l (0..31).
        depth_a, depth_b: (R, C) float32, lowered to the camera z (mm) of the first plane at which the label is met.
    """
    rows, columns = hits.shape
    strides = (size[1] * size[2], size[2], 1)
    tiles_x = (columns + _TILE - 1) // _TILE
    tiles_y = (rows + _TILE - 1) // _TILE
    for tile in prange(tiles_x * tiles_y):
        row0 = (tile // tiles_x) * _TILE
        column0 = (tile % tiles_x) * _TILE
        height = min(_TILE, rows - row0)
        width = min(_TILE, columns - column0)
        axes = np.empty(_TILE * _TILE, np.int64)
        # the ray's first plane seen from the source, the step to the next one, and how many there are
        firsts = np.empty(_TILE * _TILE, np.int64)
        steps = np.empty(_TILE * _TILE, np.int64)
        counts = np.zeros(_TILE * _TILE, np.int64)
        rays = np.empty((_TILE * _TILE, 5))
        longest = 0
        for q in range(height * width):
            row, column = row0 + q // width, column0 + q % width
            d = (
                pixel_to_direction[0, 0] * column + pixel_to_direction[0, 1] * row + pixel_to_direction[0, 2],
                pixel_to_direction[1, 0] * column + pixel_to_direction[1, 1] * row + pixel_to_direction[1, 2],
                pixel_to_direction[2, 0] * column + pixel_to_direction[2, 1] * row + pixel_to_direction[2, 2],
            )
            low, high = 0.0, reach_mm
            for axis in range(3):
                low, high = clip_to_slab(origin[axis], d[axis], -0.499, size[axis] - 0.501, low, high)
            if low >= high:
                continue
            a = dominant_axis(d)
            b = 1 if a == 0 else 0
            c = 1 if a == 2 else 2
            first, last = planes_between(origin[a], d[a], low, high)
            axes[q] = a
            steps[q] = 1 if d[a] > 0 else -1
            firsts[q] = first if d[a] > 0 else last
            counts[q] = max(last - first + 1, 0)
            longest = max(longest, counts[q])
            rays[q, 2] = d[b] / d[a] * steps[q]
            rays[q, 3] = d[c] / d[a] * steps[q]
            # half a voxel more, so that cutting off decimals finds the nearest voxel
            rays[q, 0] = origin[b] + (firsts[q] - origin[a]) * d[b] / d[a] + 0.5
            rays[q, 1] = origin[c] + (firsts[q] - origin[a]) * d[c] / d[a] + 0.5
            rays[q, 4] = d[a]
        for slab in range(0, longest, _SLAB):
            for q in range(height * width):
                count = min(_SLAB, counts[q] - slab)
                if count <= 0:
                    continue
                a = axes[q]
                b = 1 if a == 0 else 0
                c = 1 if a == 2 else 2
                seen, first_a, first_b = _along_ray(
                    cells, count, (firsts[q] + steps[q] * slab) * strides[a],
                    _F(rays[q, 0] + slab * rays[q, 2]), _F(rays[q, 1] + slab * rays[q, 3]), _F(rays[q, 2]), _F(rays[q, 3]),
                    steps[q] * strides[a], strides[b], strides[c], label_a, label_b,
                )
                row, column = row0 + q // width, column0 + q % width
                hits[row, column] |= seen
                if first_a < _NEVER:
                    depth = (firsts[q] + steps[q] * (slab + first_a) - origin[a]) / rays[q, 4]
                    depth_a[row, column] = min(depth_a[row, column], _F(depth))
                if first_b < _NEVER:
                    depth = (firsts[q] + steps[q] * (slab + first_b) - origin[a]) / rays[q, 4]
                    depth_b[row, column] = min(depth_b[row, column], _F(depth))
