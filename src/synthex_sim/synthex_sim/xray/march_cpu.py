"""Joseph's ray caster for two materials and a label map, on the CPU (Joseph 1982, IEEE TMI 1:192).

Along each ray the voxel planes across its dominant index axis are visited once; densities are interpolated bilinearly
within a plane, labels are the nearest voxel's. One sample a plane makes steps of at most sqrt(3) voxels and the
integral exact for functions that are linear between planes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

_TILE = 8
# Array indices are unsigned: numba wraps signed ones around, which costs this loop a quarter of its time.
_U = np.uint64


@njit(inline="always")
def _plane_range(origin, direction, size, low, high):
    """Narrows [low, high] of the ray parameter to where 0 <= origin + t direction <= size - 1."""
    if abs(direction) < 1e-12:
        if origin < 0.0 or origin > size - 1:
            return 1.0, 0.0
        return low, high
    a = -origin / direction
    b = (size - 1 - origin) / direction
    return max(low, min(a, b)), min(high, max(a, b))


@njit(parallel=True, nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"})
def march(density, labels, origin, pixel_to_direction, world_norm, reach_mm, soft, bone, hits, right_first):
    """Casts one ray through every pixel centre, in square tiles: neighbouring rays share cache lines.

    One call without the GIL: handing out parts from Python would wait for the GIL of a busy node at every part.

    Args:
        density, labels: of a PreparedVolume.
        origin: (3,) float64, the source in voxel indices.
        pixel_to_direction: (3, 3) homogeneous pixel -> ray direction in voxel indices, camera z component one mm.
        world_norm: (3, 3) homogeneous pixel -> ray direction in mm, same parameter.
        reach_mm: camera z at which rays end: the detector's.
        soft, bone: (R, C) float32, filled with area densities in g/cm^2.
        hits: (R, C) uint8, filled with the labels met, bit by bit.
        right_first: (R, C) uint8, filled with 1 where the right hemipelvis is met before the left.
    """
    rows, cols = soft.shape
    tiles_x = (cols + _TILE - 1) // _TILE
    tiles_y = (rows + _TILE - 1) // _TILE
    nx, ny, nz = labels.shape
    size = (nx, ny, nz)
    stride = (ny * nz, nz, 1)
    flat_density = density.reshape(-1)
    flat_labels = labels.reshape(-1)
    for tile in prange(tiles_x * tiles_y):
        row0 = (tile // tiles_x) * _TILE
        col0 = (tile % tiles_x) * _TILE
        d = np.empty(3)
        for row in range(row0, min(row0 + _TILE, rows)):
            for col in range(col0, min(col0 + _TILE, cols)):
                length2 = 0.0
                for axis in range(3):
                    d[axis] = (
                        pixel_to_direction[axis, 0] * col + pixel_to_direction[axis, 1] * row + pixel_to_direction[axis, 2]
                    )
                    w = world_norm[axis, 0] * col + world_norm[axis, 1] * row + world_norm[axis, 2]
                    length2 += w * w
                a = 0
                if abs(d[1]) > abs(d[a]):
                    a = 1
                if abs(d[2]) > abs(d[a]):
                    a = 2
                b = (a + 1) % 3
                c = (a + 2) % 3
                stride_b, stride_c = _U(stride[b]), _U(stride[c])
                low, high = _plane_range(origin[a], d[a], size[a], 0.0, reach_mm)
                low, high = _plane_range(origin[b], d[b], size[b], low, high)
                low, high = _plane_range(origin[c], d[c], size[c], low, high)
                sum_soft = 0.0
                sum_bone = 0.0
                seen = 0
                first = 0
                if low < high:
                    at_low = origin[a] + low * d[a]
                    at_high = origin[a] + high * d[a]
                    start = int(math.ceil(min(at_low, at_high) - 1e-9))
                    stop = int(math.floor(max(at_low, at_high) + 1e-9))
                    slope_b = d[b] / d[a]
                    slope_c = d[c] / d[a]
                    if d[a] > 0:
                        plane, step = start, 1
                    else:
                        plane, step = stop, -1
                    for _ in range(stop - start + 1):
                        pb = origin[b] + (plane - origin[a]) * slope_b
                        pc = origin[c] + (plane - origin[a]) * slope_c
                        ib = min(int(pb), size[b] - 2)
                        ic = min(int(pc), size[c] - 2)
                        fb = np.float32(pb - ib)
                        fc = np.float32(pc - ic)
                        w11 = fb * fc
                        w10 = fb - w11
                        w01 = fc - w11
                        w00 = np.float32(1.0) - fb - w01
                        base = _U(plane * stride[a] + ib * stride[b] + ic * stride[c])
                        i00 = base * _U(2)
                        i01 = i00 + stride_c * _U(2)
                        i10 = i00 + stride_b * _U(2)
                        i11 = i10 + stride_c * _U(2)
                        sum_soft += (
                            w00 * flat_density[i00]
                            + w01 * flat_density[i01]
                            + w10 * flat_density[i10]
                            + w11 * flat_density[i11]
                        )
                        sum_bone += (
                            w00 * flat_density[i00 + _U(1)]
                            + w01 * flat_density[i01 + _U(1)]
                            + w10 * flat_density[i10 + _U(1)]
                            + w11 * flat_density[i11 + _U(1)]
                        )
                        nearest = base
                        if fb >= 0.5:
                            nearest += stride_b
                        if fc >= 0.5:
                            nearest += stride_c
                        label = flat_labels[nearest]
                        if label != 0 and label < 8:
                            if first == 0 and label <= 2:
                                first = label
                            seen |= 1 << label
                        plane += step
                    # one plane step is 1/|d_a| of the ray parameter, which is worth |w| mm; 0.1 makes centimetres
                    scale = 0.1 * math.sqrt(length2) / abs(d[a])
                    sum_soft *= scale
                    sum_bone *= scale
                soft[row, col] = sum_soft
                bone[row, col] = sum_bone
                hits[row, col] = seen
                right_first[row, col] = 1 if first == 2 else 0
