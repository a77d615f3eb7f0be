"""Which labelled structures of a volume with others above it each pixel's ray meets, on the CPU.

The samples of ``labels_cpu``, one voxel in every plane across the ray's dominant axis. A voxel's label counts only
where no volume above is occupied, that is, has a voxel that is not empty nearest to the same point of the ray. Slower
than ``labels_cpu``, in double precision and without its tiles: few scenes have overlays.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from synthex_sim.xray.labels_cpu import LABEL_REACH
from synthex_sim.xray.pixel_ray import direction_through, planes_crossed, point_at
from synthex_sim.xray.tissue_cpu import to_index


@njit(inline="always")
def _nearest(position, size):
    """The index of the voxel nearest to a position along one axis; -1 outside of the volume."""
    index = int(math.floor(position + 0.5))
    return index if 0 <= index < size else -1


@njit(nogil=True, cache=True)
def _is_covered(codes, index_from_world, point):
    """Whether any of the volumes is occupied at a point of the world."""
    for k in range(len(codes)):
        position = to_index(index_from_world[k], point)
        i = _nearest(position[0], codes[k].shape[0])
        j = _nearest(position[1], codes[k].shape[1])
        n = _nearest(position[2], codes[k].shape[2])
        if i >= 0 and j >= 0 and n >= 0 and codes[k][i, j, n] != 0:
            return True
    return False


@njit(parallel=True, nogil=True, cache=True)
def cast_covered_labels(
    cells, size, origin, pixel_to_direction, source, world_direction, reach_mm, codes, index_from_world, wanted, hits,
    depths,
):
    """Follows one ray through every pixel centre and adds what it meets.

    Args:
        cells, size: of a LabelVolume.
        origin: (3,) float64, the source in indices of ``cells``.
        pixel_to_direction: (3, 3) homogeneous pixel -> ray direction in voxel indices, camera z component one mm.
        source, world_direction: the same ray in the world, mm.
        reach_mm: camera z at which rays end: the detector's.
        codes, index_from_world: of the volumes above, one or more; the fields of a Tissue.
        wanted: (D,) int64 labels whose depth is wanted.
        hits: (R, C) uint32; bit l of a pixel is set where the ray meets label l (0..31).
        depths: (D, R, C) float32, lowered to the camera z (mm) of the first plane at which each label is met.
    """
    rows, columns = hits.shape
    for row in prange(rows):
        index = np.empty(3, np.int64)
        for column in range(columns):
            d = direction_through(pixel_to_direction, column, row)
            w = direction_through(world_direction, column, row)
            a, first, last = planes_crossed(origin, d, size, reach_mm, -LABEL_REACH, 0.0)
            seen = np.uint32(0)
            for plane in range(first, last + 1):
                t = (plane - origin[a]) / d[a]
                place = point_at(origin, t, d)
                for axis in range(3):
                    index[axis] = min(max(int(math.floor(place[axis] + 0.5)), 0), size[axis] - 1)
                label = cells[(index[0] * size[1] + index[1]) * size[2] + index[2]]
                if label == 0 or _is_covered(codes, index_from_world, point_at(source, t, w)):
                    continue
                seen |= np.uint32(1) << np.uint32(label)
                for n in range(wanted.shape[0]):
                    if label == wanted[n]:
                        depths[n, row, column] = min(depths[n, row, column], np.float32(t))
            hits[row, column] |= seen
