"""A CT as files that every contestant reads, in whatever environment it runs: the very same float32 for all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class VolumeFiles:
    """A folder with one CT.

    Attributes:
        folder: holds density.npy, hu.npy, labels.npy and affine.npy.
    """

    folder: Path

    @property
    def density(self) -> np.ndarray:
        """(I, J, K) float32, water-equivalent g/cm^3: what is integrated."""
        return np.load(self.folder / "density.npy")

    @property
    def hu(self) -> np.ndarray:
        """(I, J, K) int16, from which the densities were made."""
        return np.load(self.folder / "hu.npy")

    @property
    def labels(self) -> np.ndarray:
        """(I, J, K) uint8."""
        return np.load(self.folder / "labels.npy")

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) float64, voxel index -> patient LPS mm."""
        return np.load(self.folder / "affine.npy")

    @classmethod
    def write(cls, folder: Path, hu: np.ndarray, labels: np.ndarray, affine: np.ndarray) -> VolumeFiles:
        """Writes a CT of int16 Hounsfield units and its uint8 labels, and its densities beside them."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"density": density_g_cm3(hu), "hu": hu, "labels": labels, "affine": affine}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        return cls(folder)


def density_g_cm3(hu: np.ndarray) -> np.ndarray:
    """(...,) float32: water of the density that each Hounsfield value says, nothing at -1000 HU and below."""
    return np.maximum(hu.astype(np.float32) + np.float32(1000.0), np.float32(0.0)) / np.float32(1000.0)
