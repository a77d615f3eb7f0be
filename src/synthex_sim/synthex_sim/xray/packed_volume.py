"""A patient made ready for ray casting: densities and materials packed into 16 bits a voxel, cut to the body.

A voxel's code is ``density_code << material_bits | material``; density = density_code * density_step. A look-up of 32
bits gives a voxel and its neighbour along k, both of which a bilinear interpolation needs, with their materials.
The resolution of density is 1/32767 of the densest voxel with two materials: 1e-4 g/cm^3 for bone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from synthex_sim import anatomy
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import NOTHING, Decomposition
from synthex_sim.xray.label_volume import LabelVolume, label_volume
from synthex_sim.xray.materials import Material

#: Offsets into a volume are 32-bit signed.
MAX_VOXELS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class PackedVolume:
    """What projectors march through.

    Attributes:
        codes: (I, J, K) uint16 as above, one layer of nothing all around.
        material_bits: 0, 1 or 2 low bits of a code that say which material.
        density_step: g/cm^3 of one density code.
        materials: what the voxels can be of.
        affine: (4, 4) float64, voxel index of ``codes`` -> patient LPS millimetres.
        labels: which structures are where, or None.
    """

    codes: np.ndarray
    material_bits: int
    density_step: float
    materials: tuple[Material, ...]
    affine: np.ndarray
    labels: LabelVolume | None

    def densities(self) -> np.ndarray:
        """(M, I, J, K) float32 g/cm^3 of each material: unpacked, for tests and for codes that want plain arrays."""
        code = self.codes.astype(np.int32)
        density = (code >> self.material_bits).astype(np.float32) * np.float32(self.density_step)
        material = code & ((1 << self.material_bits) - 1)
        return np.stack([np.where(material == m, density, np.float32(0.0)) for m in range(len(self.materials))])


def pack(patient: Patient, decomposition: Decomposition) -> PackedVolume:
    """Splits a CT into materials and cuts away the air around the body.

    Raises:
        ValueError: the volume holds nothing but air, or has more voxels than 32-bit offsets reach.
    """
    window = _body_window(patient, decomposition)
    hu = patient.hu[window]
    shape = tuple(n + 2 for n in hu.shape)
    if np.prod(shape, dtype=np.int64) > MAX_VOXELS:
        raise ValueError(f"patient {patient.name}: {shape} voxels are more than {MAX_VOXELS}; crop or resample it")
    labels = None if patient.labels is None else patient.labels[window]
    bits = (len(decomposition.materials) - 1).bit_length()
    tables, step = _code_tables(decomposition, int(hu.max()), bits)
    codes = np.zeros(shape, dtype=np.uint16)
    in_bone = np.zeros(256, dtype=np.uint8)
    in_bone[list(anatomy.BONE_LABELS)] = 1
    _pack(hu, hu[:0].view(np.uint8) if labels is None else labels, in_bone, tables, codes)
    offset = np.array([part.start - 1 for part in window], dtype=np.float64)
    affine = patient.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ offset
    return PackedVolume(
        codes, bits, step, decomposition.materials, affine, None if labels is None else label_volume(labels, offset=1)
    )


def _body_window(patient: Patient, decomposition: Decomposition) -> tuple[slice, slice, slice]:
    """The smallest box that holds everything denser than air."""
    used = _used(patient.hu, decomposition.nothing_below_hu)
    if not used[0].any():
        raise ValueError(
            f"patient {patient.name}: no voxel is denser than {decomposition.nothing_below_hu} HU; is the volume in "
            "Hounsfield units?"
        )
    ends = [np.flatnonzero(u)[[0, -1]] for u in used]
    return tuple(slice(int(first), int(last) + 1) for first, last in ends)


@njit(nogil=True, cache=True)
def _used(hu, floor):
    """Whether a slice across each axis holds any value above ``floor``."""
    ni, nj, nk = hu.shape
    along_i, along_j, along_k = np.zeros(ni, np.uint8), np.zeros(nj, np.uint8), np.zeros(nk, np.uint8)
    for i in range(ni):
        for j in range(nj):
            any_in_row = 0
            for k in range(nk):
                above = np.uint8(hu[i, j, k] > floor)
                along_k[k] |= above
                any_in_row |= above
            along_i[i] |= any_in_row
            along_j[j] |= any_in_row
    return along_i, along_j, along_k


def _code_tables(decomposition: Decomposition, highest_hu: int, bits: int) -> tuple[np.ndarray, float]:
    """(2, 65536) uint16 code of each Hounsfield value outside and inside bone labels, and the density of one step."""
    tables = [decomposition.table(in_bone) for in_bone in (False, True)]
    densest = max(float(density[: highest_hu + 32769].max()) for density, _ in tables)
    most = (1 << (16 - bits)) - 1
    step = densest / most
    codes = []
    for density, material in tables:
        code = np.minimum(np.rint(density / step), most).astype(np.uint16) << np.uint16(bits)
        codes.append(np.where(material == NOTHING, 0, code | np.maximum(material, 0)).astype(np.uint16))
    return np.stack(codes), step


@njit(parallel=True, nogil=True, cache=True)
def _pack(hu, labels, in_bone, tables, codes):
    ni, nj, nk = hu.shape
    labelled = labels.shape[0] > 0
    for i in prange(ni):
        for j in range(nj):
            for k in range(nk):
                inside = in_bone[labels[i, j, k]] if labelled else np.uint8(0)
                codes[i + 1, j + 1, k + 1] = tables[inside, np.int64(hu[i, j, k]) + 32768]
