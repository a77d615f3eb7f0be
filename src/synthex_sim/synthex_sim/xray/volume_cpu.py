"""A patient made ready for the CPU projector: material densities and labels, cut to the body and padded with air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.patient import Patient
from synthex_sim.xray.materials import AIR_BELOW_HU, tissue_densities


@dataclass(frozen=True, eq=False)
class PreparedVolume:
    """What the projector marches through.

    Attributes:
        density: (I, J, K, 2) float32, g/cm^3 of soft tissue and bone, one layer of air all around.
        labels: (I, J, K) uint8 on the same grid (zeros where the patient has none).
        affine: (4, 4) voxel index of these arrays -> patient LPS millimetres.
    """

    density: np.ndarray
    labels: np.ndarray
    affine: np.ndarray


def prepare_volume(patient: Patient) -> PreparedVolume:
    """Splits a CT into materials and cuts away the air around the body.

    Raises:
        ValueError: the volume holds nothing but air.
    """
    solid = patient.hu > AIR_BELOW_HU
    if not solid.any():
        raise ValueError(
            f"patient {patient.name}: no voxel is denser than {AIR_BELOW_HU} HU; is the volume in Hounsfield units?"
        )
    box = []
    for axis in range(3):
        used = np.flatnonzero(solid.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    window = tuple(box)
    soft, bone = tissue_densities(patient.hu[window])
    density = np.zeros(tuple(n + 2 for n in soft.shape) + (2,), dtype=np.float32)
    density[1:-1, 1:-1, 1:-1, 0] = soft
    density[1:-1, 1:-1, 1:-1, 1] = bone
    labels = np.zeros(density.shape[:3], dtype=np.uint8)
    if patient.labels is not None:
        labels[1:-1, 1:-1, 1:-1] = patient.labels[window]
    offset = np.array([b.start - 1 for b in box], dtype=np.float64)
    affine = patient.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ offset
    return PreparedVolume(density, labels, affine)
