"""Which labelled structures each pixel's ray meets, and how deep two of them begin, on the CPU.

Labels are those of the voxel nearest to the ray in every plane across its dominant axis. As in ``march_cpu`` the loop
along a ray has no stores, so that it becomes vector gathers, and rays go in tiles and slabs.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from synthex_sim.xray.pixel_ray import axes_across, direction_through, planes_crossed
from synthex_sim.xray.raw_access import mul_add, take_word
from synthex_sim.xray.tiles import SLAB, TILE, part_of_image, tiles_of

#: Rays are followed out to so many voxels outside of the outermost voxels' centres: almost to their faces.
LABEL_REACH = 0.499
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


@njit(inline="always")
def _lower_depth(depths, row, column, met, begin, step, origin_a, d_a):
    """Lowers the depth of a pixel to that of the plane that is ``met`` steps behind plane ``begin``."""
    if met < _NEVER:
        depths[row, column] = min(depths[row, column], _F((begin + step * met - origin_a) / d_a))


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
    for tile in prange(tiles_of(rows, columns)):
        row0, column0, height, width = part_of_image(tile, rows, columns)
        axes = np.empty(TILE * TILE, np.int64)
        # the ray's first plane seen from the source, the step to the next one, and how many there are
        firsts = np.empty(TILE * TILE, np.int64)
        steps = np.empty(TILE * TILE, np.int64)
        counts = np.zeros(TILE * TILE, np.int64)
        rays = np.empty((TILE * TILE, 5))
        longest = 0
        for q in range(height * width):
            d = direction_through(pixel_to_direction, column0 + q % width, row0 + q // width)
            a, first, last = planes_crossed(origin, d, size, reach_mm, -LABEL_REACH, 0.0)
            if first > last:
                continue
            b, c = axes_across(a)
            axes[q] = a
            steps[q] = 1 if d[a] > 0 else -1
            firsts[q] = first if d[a] > 0 else last
            counts[q] = last - first + 1
            longest = max(longest, counts[q])
            rays[q, 2] = d[b] / d[a] * steps[q]
            rays[q, 3] = d[c] / d[a] * steps[q]
            # half a voxel more, so that cutting off decimals finds the nearest voxel
            rays[q, 0] = origin[b] + (firsts[q] - origin[a]) * d[b] / d[a] + 0.5
            rays[q, 1] = origin[c] + (firsts[q] - origin[a]) * d[c] / d[a] + 0.5
            rays[q, 4] = d[a]
        for slab in range(0, longest, SLAB):
            for q in range(height * width):
                count = min(SLAB, counts[q] - slab)
                if count <= 0:
                    continue
                a = axes[q]
                b, c = axes_across(a)
                seen, first_a, first_b = _along_ray(
                    cells, count, (firsts[q] + steps[q] * slab) * strides[a],
                    _F(rays[q, 0] + slab * rays[q, 2]), _F(rays[q, 1] + slab * rays[q, 3]),
                    _F(rays[q, 2]), _F(rays[q, 3]), steps[q] * strides[a], strides[b], strides[c], label_a, label_b,
                )
                row, column = row0 + q // width, column0 + q % width
                hits[row, column] |= seen
                begin = firsts[q] + steps[q] * slab
                _lower_depth(depth_a, row, column, first_a, begin, steps[q], origin[a], rays[q, 4])
                _lower_depth(depth_b, row, column, first_b, begin, steps[q], origin[a], rays[q, 4])
