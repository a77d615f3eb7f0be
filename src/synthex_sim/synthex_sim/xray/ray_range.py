"""Where a ray crosses the voxel planes of a grid, on the CPU."""

from __future__ import annotations

import math

from numba import njit


@njit(inline="always")
def clip_to_slab(origin, direction, lowest, highest, low, high):
    """[low, high] of the ray parameter t narrowed to where lowest <= origin + t direction <= highest.

    Comes back empty, (1, 0), where a ray that runs along the slab lies outside of it.
    """
    if abs(direction) < 1e-12:
        if origin < lowest or origin > highest:
            return 1.0, 0.0
        return low, high
    a = (lowest - origin) / direction
    b = (highest - origin) / direction
    return max(low, min(a, b)), min(high, max(a, b))


@njit(inline="always")
def dominant_axis(d):
    """The axis along which a direction is longest; the first of equals."""
    a = 0
    if abs(d[1]) > abs(d[a]):
        a = 1
    if abs(d[2]) > abs(d[a]):
        a = 2
    return a


@njit(inline="always")
def planes_between(origin, direction, low, high):
    """First and last voxel plane (integers) that a ray crosses at t in [low, high]."""
    at_low = origin + low * direction
    at_high = origin + high * direction
    return (
        int(math.ceil(min(at_low, at_high) - 1e-9)),
        int(math.floor(max(at_low, at_high) + 1e-9)),
    )
