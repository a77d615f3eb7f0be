"""Joseph's ray caster on the CPU (Joseph 1982, IEEE TMI 1:192), all materials of a packed volume at once.

Along each ray the voxel planes across its dominant index axis are visited once; densities are interpolated bilinearly
within a plane. One sample a plane makes steps of at most sqrt(3) voxels and the integral exact for functions that are
linear between planes.

What makes it fast (docs/benchmarks/render.md):
- the loop along one ray is free of stores and of 64-bit indices, so LLVM turns it into vector gathers, eight planes at
  a time on AVX2 and AVX-512;
- one look-up of 32 bits gives two of the four neighbours with their materials (``packed_volume``);
- that loop is inlined: as a function of its own numba would run one translation of it when it has just been compiled
  and another, which rounds otherwise, when it comes from the cache;
- rays go in square tiles and tiles in slabs of planes, so that what a tile needs stays in the first-level cache.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from synthex_sim.xray.pixel_ray import axes_across, direction_through, planes_crossed, squared_length
from synthex_sim.xray.raw_access import mul_add, take_word
from synthex_sim.xray.tiles import SLAB, TILE, part_of_image, tiles_of

#: Rays end so many voxels before the outermost layer, which holds nothing, that neighbours stay on the grid: a
#: constant, and what 64 steps in float32 may be off for every voxel of a side.
_EDGE, _EDGE_OF_SIDE = 1e-3, 2.0**-18
_I, _U, _F = np.int32, np.uint32, np.float32


def _make_along_ray(material_bits: int, paired: bool):
    """Makes the loop along one ray for volumes with so many material bits.

    Args:
        paired: whether the second axis across the ray is k, along which a word holds both neighbours.
    """
    mask = _U((1 << (16 - material_bits)) - 1)
    bits = _U(material_bits)
    materials = _U((1 << material_bits) - 1)

    @njit(inline="always")
    def bilinear(v00, v01, v10, v11, wb, wc):
        low = v00 + wc * (v01 - v00)
        return low + wb * (v10 + wc * (v11 - v10) - low)

    @njit(inline="always")
    def of_material(material, v00, v01, v10, v11, k00, k01, k10, k11, wb, wc):
        v00 = v00 if (k00 & materials) == material else _F(0.0)
        v01 = v01 if (k01 & materials) == material else _F(0.0)
        v10 = v10 if (k10 & materials) == material else _F(0.0)
        v11 = v11 if (k11 & materials) == material else _F(0.0)
        return bilinear(v00, v01, v10, v11, wb, wc)

    @njit(fastmath=True, nogil=True, forceinline=True)
    def along_ray(codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c):
        """Over ``count`` planes: sums of the density codes of all, of the second, third and fourth material."""
        total = _F(0.0)
        second = _F(0.0)
        third = _F(0.0)
        fourth = _F(0.0)
        b, c, row = b0, c0, _I(start)
        for _ in range(_I(count)):
            ib = _I(b)
            ic = _I(c)
            wb = b - _F(ib)
            wc = c - _F(ic)
            at = mul_add(ib, _I(stride_b), mul_add(_I(1), ic, row) if paired else mul_add(ic, _I(stride_c), row))
            b += slope_b
            c += slope_c
            row = mul_add(_I(1), row, _I(stride_a))
            next_b = mul_add(_I(1), at, _I(stride_b))
            if paired:
                near = take_word(codes, at)
                far = take_word(codes, next_b)
                k00 = near & _U(0xFFFF)
                k01 = near >> _U(16)
                k10 = far & _U(0xFFFF)
                k11 = far >> _U(16)
            else:
                k00 = take_word(codes, at) & _U(0xFFFF)
                k01 = take_word(codes, mul_add(_I(1), at, _I(stride_c))) & _U(0xFFFF)
                k10 = take_word(codes, next_b) & _U(0xFFFF)
                k11 = take_word(codes, mul_add(_I(1), next_b, _I(stride_c))) & _U(0xFFFF)
            v00 = _F(_I((k00 >> bits) & mask))
            v01 = _F(_I((k01 >> bits) & mask))
            v10 = _F(_I((k10 >> bits) & mask))
            v11 = _F(_I((k11 >> bits) & mask))
            total += bilinear(v00, v01, v10, v11, wb, wc)
            if material_bits >= 1:
                second += of_material(1, v00, v01, v10, v11, k00, k01, k10, k11, wb, wc)
            if material_bits >= 2:
                third += of_material(2, v00, v01, v10, v11, k00, k01, k10, k11, wb, wc)
                fourth += of_material(3, v00, v01, v10, v11, k00, k01, k10, k11, wb, wc)
        return total, second, third, fourth

    return along_ray


# Functions with names of their own, chosen by number: numba finds nothing in its cache that closes over functions.
_paired_0, _unpaired_0 = _make_along_ray(0, paired=True), _make_along_ray(0, paired=False)
_paired_1, _unpaired_1 = _make_along_ray(1, paired=True), _make_along_ray(1, paired=False)
_paired_2, _unpaired_2 = _make_along_ray(2, paired=True), _make_along_ray(2, paired=False)


@njit(nogil=True, forceinline=True)
def _along_ray(bits, paired, codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c):
    """The loop for a number of material bits, with or without codes."""
    if bits == 0:
        if paired:
            return _paired_0(codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c)
        return _unpaired_0(codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c)
    if bits == 1:
        if paired:
            return _paired_1(codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c)
        return _unpaired_1(codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c)
    if paired:
        return _paired_2(codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c)
    return _unpaired_2(codes, count, start, b0, c0, slope_b, slope_c, stride_a, stride_b, stride_c)


@njit(inline="always")
def _set_up_ray(pixel_to_direction, world_direction, origin, size, reach_mm, column, row, ray):
    """Fills one row of the ray table; returns axis, first and last plane (first > last: the ray misses the volume).

    ray: (5,) position along b and c at plane 0, their change from plane to plane, cm of ray from plane to plane.
    """
    d = direction_through(pixel_to_direction, column, row)
    a, first, last = planes_crossed(origin, d, size, reach_mm, _EDGE, _EDGE_OF_SIDE)
    if first <= last:
        b, c = axes_across(a)
        ray[2] = d[b] / d[a]
        ray[3] = d[c] / d[a]
        ray[0] = origin[b] - origin[a] * ray[2]
        ray[1] = origin[c] - origin[a] * ray[3]
        ray[4] = 0.1 * math.sqrt(squared_length(direction_through(world_direction, column, row))) / abs(d[a])
    return a, first, last


@njit(parallel=True, nogil=True, cache=True, fastmath={"contract", "arcp", "nsz"})
def march(codes, material_bits, origin, pixel_to_direction, world_direction, reach_mm, density_step, areas):
    """Casts one ray through every pixel centre and adds the area densities to ``areas``.

    One call without the GIL: handing out parts from Python would wait for the GIL of a busy node at every part.

    Args:
        codes, material_bits, density_step: of a PackedVolume.
        origin: (3,) float64, the source in voxel indices.
        pixel_to_direction: (3, 3) homogeneous pixel -> ray direction in voxel indices, camera z component one mm.
        world_direction: (3, 3) homogeneous pixel -> ray direction in mm, same parameter.
        reach_mm: camera z at which rays end: the detector's.
        areas: (M, R, C) float32, g/cm^2.
    """
    materials, rows, columns = areas.shape
    size = codes.shape
    strides = (size[1] * size[2], size[2], 1)
    for tile in prange(tiles_of(rows, columns)):
        row0, column0, height, width = part_of_image(tile, rows, columns)
        axes = np.empty(TILE * TILE, np.int64)
        firsts = np.empty(TILE * TILE, np.int64)
        lasts = np.empty(TILE * TILE, np.int64)
        rays = np.empty((TILE * TILE, 5))
        sums = np.zeros((TILE * TILE, 4), np.float32)
        begin = 1 << 30
        end = -1
        for q in range(height * width):
            axes[q], firsts[q], lasts[q] = _set_up_ray(
                pixel_to_direction, world_direction, origin, size, reach_mm,
                column0 + q % width, row0 + q // width, rays[q],
            )
            if firsts[q] <= lasts[q]:
                begin = min(begin, firsts[q])
                end = max(end, lasts[q])
        for slab in range(begin, end + 1, SLAB):
            for q in range(height * width):
                first = max(slab, firsts[q])
                count = min(slab + SLAB - 1, lasts[q]) - first + 1
                if count <= 0:
                    continue
                b0 = _F(rays[q, 0] + first * rays[q, 2])
                c0 = _F(rays[q, 1] + first * rays[q, 3])
                slope_b, slope_c = _F(rays[q, 2]), _F(rays[q, 3])
                a = axes[q]
                b, c = axes_across(a)
                part = _along_ray(
                    material_bits, a != 2, codes, count, first * strides[a], b0, c0, slope_b, slope_c, strides[a],
                    strides[b], strides[c],
                )
                for m in range(4):
                    sums[q, m] += part[m]
        for q in range(height * width):
            if firsts[q] <= lasts[q]:
                scale = rays[q, 4] * density_step
                row, column = row0 + q // width, column0 + q % width
                rest = sums[q, 0]
                for m in range(1, materials):
                    areas[m, row, column] += scale * sums[q, m]
                    rest -= sums[q, m]
                areas[0, row, column] += scale * max(rest, _F(0.0))
