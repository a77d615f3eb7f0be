"""Tissue at a point of a scene whose volumes lie over one another, on the CPU.

Later volumes replace earlier ones where they are not empty. With occ_j(p) the trilinear share of non-empty voxels of
volume j around p, what is seen of material m at p is

    T_m(p) = sum_k rho_km(p) prod_(j > k) (1 - occ_j(p)).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from synthex_sim.xray.packed_volume import PackedVolume


class Tissue(NamedTuple):
    """The volumes of a scene, bottom first, all packed by one decomposition.

    Attributes:
        codes: K arrays (I, J, K) uint16.
        index_from_world: (K, 4, 4) float64.
        density_steps: (K,) float64, g/cm^3.
        material_bits: of every volume.
    """

    codes: tuple[np.ndarray, ...]
    index_from_world: np.ndarray
    density_steps: np.ndarray
    material_bits: int


def tissue_of(volumes: list[PackedVolume], poses: list[np.ndarray]) -> Tissue:
    """Puts volumes with their (4, 4) poses (LPS -> world, mm) together; an empty scene gets one empty volume."""
    if not volumes:
        return Tissue((np.zeros((2, 2, 2), np.uint16),), np.eye(4)[None], np.ones(1), 0)
    return Tissue(
        tuple(volume.codes for volume in volumes),
        np.stack([np.linalg.inv(pose @ volume.affine) for volume, pose in zip(volumes, poses, strict=True)]),
        np.array([volume.density_step for volume in volumes]),
        volumes[0].material_bits,
    )


@njit(inline="always")
def to_index(index_from_world, point):
    """(i, j, k) of a (3,) world point; ``index_from_world`` is (4, 4)."""
    x, y, z = point[0], point[1], point[2]
    m = index_from_world
    return (
        m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3],
        m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3],
        m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3],
    )


@njit(nogil=True, cache=True)
def visible(codes, index_from_world, steps, bits, point, densities, alone):
    """Sets densities[m] to T_m at a world point and alone[m] to the sum of all volumes as if each were alone, g/cm^3.

    Args:
        codes, index_from_world, steps, bits: the fields of a Tissue (numba's parallel loops take no nested tuples).
        point: (3,) world mm.
        densities, alone: (4,) float64.
    """
    densities[:] = 0.0
    alone[:] = 0.0
    uncovered = 1.0
    for k in range(len(codes) - 1, -1, -1):
        volume = codes[k]
        position = to_index(index_from_world[k], point)
        last_i, last_j, last_n = volume.shape[0] - 1, volume.shape[1] - 1, volume.shape[2] - 1
        if not (0.0 <= position[0] < last_i and 0.0 <= position[1] < last_j and 0.0 <= position[2] < last_n):
            continue
        i, j, n = int(position[0]), int(position[1]), int(position[2])
        fi, fj, fn = position[0] - i, position[1] - j, position[2] - n
        occupied = 0.0
        for corner in range(4):
            di, dj = corner >> 1, corner & 1
            weight = (fi if di else 1.0 - fi) * (fj if dj else 1.0 - fj)
            for half in range(2):
                code = np.int64(volume[i + di, j + dj, n + half])
                if code == 0:
                    continue
                share = weight * (fn if half else 1.0 - fn)
                occupied += share
                density = share * steps[k] * (code >> bits)
                material = code & ((1 << bits) - 1)
                densities[material] += uncovered * density
                alone[material] += density
        uncovered *= 1.0 - occupied
