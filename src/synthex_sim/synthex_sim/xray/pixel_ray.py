"""The ray through a pixel, and the planes of a grid that it is followed across, on the CPU.

A ray is source + t direction with a camera z component of one: t is the depth, mm. It is followed from voxel plane to
voxel plane across a, the index axis along which it is longest; b < c are the other two. ``cuda/pixel_ray.cuh`` does
the same.
"""

from __future__ import annotations

from numba import njit

from synthex_sim.xray.ray_range import clip_to_slab, dominant_axis, planes_between


@njit(inline="always")
def direction_through(pixel_to_direction, column, row):
    """(x, y, z) of the direction through a pixel position: ``pixel_to_direction`` (3, 3) times (column, row, 1)."""
    return (
        pixel_to_direction[0, 0] * column + pixel_to_direction[0, 1] * row + pixel_to_direction[0, 2],
        pixel_to_direction[1, 0] * column + pixel_to_direction[1, 1] * row + pixel_to_direction[1, 2],
        pixel_to_direction[2, 0] * column + pixel_to_direction[2, 1] * row + pixel_to_direction[2, 2],
    )


@njit(inline="always")
def point_at(source, t, d):
    """(x, y, z) of source + t d."""
    return source[0] + t * d[0], source[1] + t * d[1], source[2] + t * d[2]


@njit(inline="always")
def squared_length(d):
    """x^2 + y^2 + z^2."""
    length2 = 0.0
    for axis in range(3):
        length2 += d[axis] * d[axis]
    return length2


@njit(inline="always")
def axes_across(a):
    """The axes b < c other than a."""
    return 1 if a == 0 else 0, 1 if a == 2 else 2


@njit(inline="always")
def planes_crossed(origin, d, size, reach_mm, inset, inset_of_side):
    """The axis a of a ray and the first and last plane across it; first > last where the ray misses the grid.

    Args:
        origin: (3,) float64, the source in voxel indices.
        d: (3,) the ray's direction in voxel indices.
        size: (3,) voxels of the grid.
        reach_mm: depth at which the ray ends.
        inset, inset_of_side: the ray is followed from ``inset + inset_of_side * n`` voxels within the centres of the
            outermost of n voxels along an axis; negative: outside of them.
    """
    low, high = 0.0, reach_mm
    for axis in range(3):
        edge = inset + inset_of_side * size[axis]
        low, high = clip_to_slab(origin[axis], d[axis], edge, size[axis] - 1.0 - edge, low, high)
    a = dominant_axis(d)
    if low >= high:
        return a, 1, 0
    first, last = planes_between(origin[a], d[a], low, high)
    return a, first, last
