"""Area densities of a material grid along a view's rays, exactly: the primary that belongs to a Monte Carlo image."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from synthex_sim.carm.view import View
from synthex_sim.xray.monte_carlo.material_grid import MaterialGrid
from synthex_sim.xray.pixel_ray import direction_through, squared_length


def ray_sums(grid: MaterialGrid, view: View) -> np.ndarray:
    """(M, R, C) float32, g/cm^2 of each material along the ray through each pixel centre, voxel by voxel.

    The renderers have finer projectors; this one sees the very voxels that the photons travel through, so that a
    comparison of scatter does not compare volumes.
    """
    box_from_world = np.linalg.inv(grid.world_from_box)
    source = box_from_world[:3, :3] @ view.source + box_from_world[:3, 3]
    sums = np.zeros((len(grid.materials), *view.shape), dtype=np.float32)
    pixel_to_direction = np.ascontiguousarray(box_from_world[:3, :3] @ view.pixel_to_direction)
    _ray_sums(grid.material, grid.density, grid.spacing_mm, source, pixel_to_direction, sums)
    return sums


@njit(parallel=True, nogil=True, cache=True)
def _ray_sums(material, density, spacing, source, pixel_to_direction, sums):
    for row in prange(sums.shape[1]):
        direction, position = np.empty(3), np.empty(3)
        index, crossing = np.empty(3, np.int64), np.empty(3)
        for col in range(sums.shape[2]):
            near, far = 0.0, 1e30
            direction[0], direction[1], direction[2] = direction_through(pixel_to_direction, col, row)
            for a in range(3):
                if direction[a] == 0.0:  # a ray along a face has a number instead of a division by zero
                    direction[a] = 1e-12
                one, other = -source[a] / direction[a], (material.shape[a] * spacing[a] - source[a]) / direction[a]
                near, far = max(near, min(one, other)), min(far, max(one, other))
            if near >= far:
                continue
            centimetres = 0.1 * np.sqrt(squared_length(direction))
            for a in range(3):
                position[a] = (source[a] + near * direction[a]) / spacing[a]
                index[a] = min(max(int(position[a]), 0), material.shape[a] - 1)
                face = index[a] + 1 if direction[a] > 0 else index[a]
                crossing[a] = near + (face - position[a]) * spacing[a] / direction[a]
            at = near
            while at < far:
                a = 0
                if crossing[1] < crossing[a]:
                    a = 1
                if crossing[2] < crossing[a]:
                    a = 2
                until = min(crossing[a], far)
                i, j, k = index[0], index[1], index[2]
                sums[material[i, j, k], row, col] += density[i, j, k] * (until - at) * centimetres
                at = until
                index[a] += 1 if direction[a] > 0 else -1
                if index[a] < 0 or index[a] >= material.shape[a]:
                    break
                crossing[a] += spacing[a] / abs(direction[a])
