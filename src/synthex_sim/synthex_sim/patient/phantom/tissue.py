"""Soft tissue of given Hounsfield units, blended into a volume where a signed distance says that it is.

Values: published means of adult CT at 120 kV (subcutaneous fat -100 +- 15, skeletal muscle 50 +- 10, urine 0 to 15,
unenhanced blood 40, skin 20 to 50), checked against a real CT (docs/phantoms.md).
"""

from __future__ import annotations

import numba
import numpy as np

from synthex_sim.patient.phantom import shapes

AIR_HU, FAT_HU, GAS_HU = -1000.0, -104.0, -950.0
MUSCLE_HU, SKIN_HU, WALL_HU, BLOOD_HU = 54.0, 30.0, 38.0, 42.0
FLUID_HU, URINE_HU, ORGAN_HU, DISC_HU = 18.0, 8.0, 48.0, 85.0
#: Step of the lattice on which large smooth shapes are evaluated, mm.
LATTICE_MM = 3.0


@numba.njit(cache=True, nogil=True)
def _blend_smooth(hu, coarse, offset, first, step, spacing, rim_mm, rim_value, value, strands, streak):
    """Trilinear distance at every voxel; fat rim, then the tissue with streaks of fat in it."""
    n0, n1, n2 = strands.shape
    for i in range(hu.shape[0]):
        for j in range(hu.shape[1]):
            line = shapes.lattice_line(coarse, i / step + offset[0], j / step + offset[1])
            for k in range(hu.shape[2]):
                c = k / step + offset[2]
                k0 = min(int(c), coarse.shape[2] - 2)
                fk = np.float32(c - k0)
                distance = line[k0] * (1 - fk) + line[k0 + 1] * fk
                cover = 0.5 - (distance - rim_mm) / spacing
                if cover <= 0:
                    continue
                old = hu[i, j, k]
                if rim_mm > 0:
                    old += (rim_value - old) * min(cover, 1.0)
                cover = min(0.5 - distance / spacing, 1.0)
                if cover > 0:
                    fat = streak * max(strands[(i + first[0]) % n0, (j + first[1]) % n1, (k + first[2]) % n2] - 1.0, 0)
                    old += (value - min(fat, 120.0) - old) * cover
                hu[i, j, k] = old


def blend_smooth(
    hu, block, grid, coarse, step, value, rim_mm=0.0, rim_value=FAT_HU, strands=None, streak=0.0, offset=(0.0, 0.0, 0.0)
) -> None:
    """Blends a tissue into a volume whose signed distance is known on a coarser lattice.

    Args:
        hu: (I, J, K) float32 volume, written to.
        block: slices of it.
        grid: its voxels.
        coarse: float32 distance, mm, on a lattice ``step`` times coarser that begins at the block's first voxel and
            reaches past its last one.
        step: voxels per lattice step.
        value: HU of the tissue.
        rim_mm: width of a rim of ``rim_value`` around it: the fat plane between two muscles.
        strands: (P, Q, R) float32 periodic noise of unit variance; where it exceeds 1 there is fat, ``streak`` HU per
            unit.
        offset: (3,) where the block's first voxel lies on the lattice.
    """
    first = np.array([s.start for s in block], dtype=np.int64)
    tile = np.zeros((1, 1, 1), dtype=np.float32) if strands is None else strands
    coarse = np.ascontiguousarray(coarse, dtype=np.float32)
    offset = np.array(offset, dtype=np.float64)
    numbers = (float(v) for v in (step, grid.spacing_mm, rim_mm, rim_value, value))
    _blend_smooth(hu[block], coarse, offset, first, *numbers, tile, float(streak))


def lattice(part: shapes.Grid, step: int) -> shapes.Grid:
    """A lattice ``step`` times coarser that covers a block of voxels and begins at its first one."""
    shape = tuple(int(np.ceil(n / step)) + 2 for n in part.shape)
    return shapes.Grid(part.origin_mm, part.spacing_mm * step, shape)


def lattice_step(grid: shapes.Grid) -> int:
    """Voxels per step of the usual lattice."""
    return max(1, int(round(LATTICE_MM / grid.spacing_mm)))


def blend(hu: np.ndarray, block: tuple, field: np.ndarray, value, grid: shapes.Grid) -> None:
    """Blends a value (scalar or array of the block's shape) in where ``field`` (mm, of the block) is negative."""
    cover = np.clip(0.5 - field / np.float32(grid.spacing_mm), 0, 1)
    hu[block] += (value - hu[block]) * cover
