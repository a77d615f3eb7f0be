"""What a scene's upper volumes hide of the lower ones, on the CPU.

Each volume is marched through as if it were alone. Where an upper volume is not empty it replaces what lies below:
along every ray, within the boxes of the upper volumes, the difference between the sum of all and what is seen
(``visible``) is integrated by the midpoint rule and returned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from synthex_sim.carm.view import View
from synthex_sim.xray.packed_volume import PackedVolume
from synthex_sim.xray.pixel_ray import direction_through, point_at, squared_length
from synthex_sim.xray.ray_range import clip_to_slab
from synthex_sim.xray.tissue_cpu import Tissue, visible

if TYPE_CHECKING:
    from synthex_sim.xray.cuda.device_volume import DeviceVolume


@njit(parallel=True, nogil=True, cache=True)
def _integrate(codes, index_from_world, steps, bits, source, pixel_to_world, reach_mm, step_mm, hidden):
    materials, rows, columns = hidden.shape
    for row in prange(rows):
        densities, alone = np.empty(4), np.empty(4)
        for column in range(columns):
            d = direction_through(pixel_to_world, column, row)
            # one interval from the first upper box entered to the last one left
            begin, end = reach_mm, 0.0
            for k in range(1, len(codes)):
                low, high = 0.0, reach_mm
                for axis in range(3):
                    origin, direction = index_from_world[k, axis, 3], 0.0
                    for other in range(3):
                        origin += index_from_world[k, axis, other] * source[other]
                        direction += index_from_world[k, axis, other] * d[other]
                    low, high = clip_to_slab(origin, direction, 0.0, codes[k].shape[axis] - 1.0, low, high)
                if low < high:
                    begin, end = min(begin, low), max(end, high)
            if begin >= end:
                continue
            norm = math.sqrt(squared_length(d))
            samples = int(math.ceil((end - begin) * norm / step_mm))
            weight = 0.1 * (end - begin) * norm / samples
            for s in range(samples):
                t = begin + (s + 0.5) * (end - begin) / samples
                visible(codes, index_from_world, steps, bits, point_at(source, t, d), densities, alone)
                for m in range(materials):
                    hidden[m, row, column] += weight * (alone[m] - densities[m])


def sample_step_mm(volumes: Sequence[PackedVolume | DeviceVolume]) -> float:
    """Distance of samples where volumes overlap: half of the finest spacing."""
    return min(float(np.linalg.norm(volume.affine[:3, :3], axis=0).min()) for volume in volumes) / 2


def hidden_tissue(volumes: list[PackedVolume], tissue: Tissue, view: View) -> np.ndarray:
    """(M, R, C) float32 g/cm^2 that marching through every volume alone counts too much.

    Args:
        volumes: of the scene, bottom first, two or more.
        tissue: the same, with their poses.
    """
    hidden = np.zeros((len(volumes[0].materials), *view.shape), np.float32)
    _integrate(
        *tissue, view.source, view.pixel_to_direction, view.source_to_detector_mm, sample_step_mm(volumes), hidden
    )
    return hidden
