"""MaterialGrid: what photons travel through. One material and one density per voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from synthex_sim import anatomy
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import Decomposition
from synthex_sim.xray.materials import Material
from synthex_sim.xray.monte_carlo.right_angles import has_right_angles, with_right_angles

#: Steps of a low-discrepancy sequence along i, j, k (powers of the root of x^4 = x + 1): spreads materials evenly.
_SPREAD = (0.8191725134, 0.6710436067, 0.5497004779)


@dataclass(frozen=True, eq=False)
class MaterialGrid:
    """A volume of voxels, each of one material; outside it is vacuum.

    Attributes:
        material: (I, J, K) uint8, index into ``materials``.
        density: (I, J, K) float32, g/cm^3; 0 is vacuum.
        materials: what the indices mean.
        affine: (4, 4) voxel index -> world millimetres, voxel centres at integers. Axes at right angles.

    Raises:
        ValueError: arrays that do not fit each other, an index without a material, a density that is negative or not
            finite, sheared axes.
    """

    material: np.ndarray
    density: np.ndarray
    materials: tuple[Material, ...]
    affine: np.ndarray

    def __post_init__(self) -> None:
        if self.material.ndim != 3 or 0 in self.material.shape or self.material.shape != self.density.shape:
            raise ValueError(
                f"material and density need one non-empty 3D shape, got {self.material.shape} and {self.density.shape}"
            )
        if self.material.dtype != np.uint8 or self.density.dtype != np.float32:
            kinds = f"{self.material.dtype} and {self.density.dtype}"
            raise ValueError(f"material must be uint8 and density float32, got {kinds}")
        if self.material.max() >= len(self.materials):
            raise ValueError(f"voxel of material {self.material.max()}, but there are {len(self.materials)} materials")
        if not (np.isfinite(self.density).all() and (self.density >= 0).all()):
            raise ValueError("densities must be finite and not negative")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError("the affine must be a finite 4x4 matrix")
        if not has_right_angles(affine):
            raise ValueError("the axes of a material grid must be at right angles to each other; resample the volume")
        object.__setattr__(self, "affine", affine)

    @property
    def spacing_mm(self) -> np.ndarray:
        """(3,) voxel size along i, j, k."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def box_mm(self) -> np.ndarray:
        """(3,) size of the whole volume along i, j, k."""
        return self.spacing_mm * self.material.shape

    @property
    def world_from_box(self) -> np.ndarray:
        """(4, 4): millimetres along i, j, k from the volume's corner (0..``box_mm``) -> world."""
        frame = np.eye(4)
        frame[:3, :3] = self.affine[:3, :3] / self.spacing_mm
        frame[:3, 3] = self.affine[:3, 3] - 0.5 * self.affine[:3, :3].sum(axis=1)
        return frame

    @classmethod
    def from_patient(
        cls, patient: Patient, decomposition: Decomposition, pose: ArrayLike | None = None, voxel_mm: float = 3.0
    ) -> MaterialGrid:
        """A patient's materials, made coarser for speed.

        Scatter is smooth: voxels of 3 mm change it by about a percent and keep the volume in the processor's cache.
        A coarse voxel holds the whole mass of the fine ones; where materials meet it becomes one of them, chosen by a
        low-discrepancy sequence in proportion to their mass, so that no material gains or loses on average. Sheared
        axes are straightened first (``with_right_angles``).

        Args:
            decomposition: which material and density a voxel has; the one that the images are made with.
            pose: (4, 4) patient LPS -> world, mm; None for the identity.
            voxel_mm: voxels are joined in whole numbers up to about this size.
        """
        patient = with_right_angles(patient)
        factors = np.maximum(1, np.rint(voxel_mm / patient.spacing_mm)).astype(np.int64)
        tables = [decomposition.table(in_bone) for in_bone in (False, True)]
        density, material = (np.stack([table[part] for table in tables]) for part in (0, 1))
        in_bone = np.zeros(256, dtype=np.uint8)
        in_bone[list(anatomy.BONE_LABELS)] = 1
        labels = patient.hu[:0].view(np.uint8) if patient.labels is None else patient.labels
        coarse = (-(-n // f) for n, f in zip(patient.hu.shape, factors, strict=True))
        mass = np.zeros((*coarse, len(decomposition.materials)))
        _coarse_densities(patient.hu, labels, in_bone, density, material, factors, mass)
        affine = (np.eye(4) if pose is None else np.asarray(pose, dtype=np.float64)) @ patient.affine
        moved = affine.copy()
        moved[:3, :3] *= factors
        moved[:3, 3] += affine[:3, :3] @ ((factors - 1) / 2)
        total = mass.sum(axis=3)
        return cls(_one_material(mass, total), total.astype(np.float32), tuple(decomposition.materials), moved)


@njit(nogil=True, cache=True)
def _coarse_densities(hu, labels, in_bone, density, material, factors, mass):
    """Adds every fine voxel's density to its coarse voxel's mean; voxels past the edge count as vacuum."""
    share = 1.0 / (factors[0] * factors[1] * factors[2])
    labelled = labels.shape[0] > 0
    for i in range(hu.shape[0]):
        for j in range(hu.shape[1]):
            for k in range(hu.shape[2]):
                table = in_bone[labels[i, j, k]] if labelled else 0
                entry = np.int64(hu[i, j, k]) + 32768
                m = material[table, entry]
                if m >= 0:
                    mass[i // factors[0], j // factors[1], k // factors[2], m] += share * density[table, entry]


def _one_material(mass: np.ndarray, total: np.ndarray) -> np.ndarray:
    """(I, J, K) uint8: one material for each voxel of (I, J, K, M) densities, by the spread sequence."""
    i, j, k = np.ogrid[tuple(slice(0, n) for n in total.shape)]
    draw = (_SPREAD[0] * i + _SPREAD[1] * j + _SPREAD[2] * k) % 1.0
    chosen = np.zeros(total.shape, dtype=np.uint8)
    below = np.zeros(total.shape)
    for m in range(mass.shape[3] - 1):
        below += mass[..., m]
        chosen += draw * total >= np.maximum(below, 1e-12)
    return chosen
