"""Materials: composition, density and mass attenuation, and the way from Hounsfield units to material densities.

Attenuation comes from xraydb (Elam tables); compositions of tissues are ICRU Report 44 (as in NIST's XCOM tables).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Mapping

import numpy as np
import xraydb


@dataclass(frozen=True)
class Material:
    """A mixture of elements.

    Attributes:
        name: of the material.
        mass_fractions: element symbol -> fraction by mass; they sum to 1.
        density_g_cm3: nominal density.
    """

    name: str
    mass_fractions: Mapping[str, float]
    density_g_cm3: float

    def mass_attenuation(self, energies_kev: np.ndarray) -> np.ndarray:
        """(n,) total mass attenuation coefficient mu/rho in cm^2/g at (n,) energies in keV."""
        energies_ev = np.asarray(energies_kev, dtype=np.float64) * 1000.0
        return sum(w * xraydb.mu_elam(element, energies_ev) for element, w in self.mass_fractions.items())


SOFT_TISSUE = Material(
    "soft_tissue",
    {"H": 0.102, "C": 0.143, "N": 0.034, "O": 0.708, "Na": 0.002, "P": 0.003, "S": 0.003, "Cl": 0.002, "K": 0.003},
    1.06,
)
BONE = Material(
    "bone",
    {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003, "Ca": 0.225},
    1.92,
)
AIR_BELOW_HU = -800
BONE_ABOVE_HU = 350


@lru_cache(maxsize=1)
def _density_table() -> np.ndarray:
    """Density in g/cm^3 for every int16 Hounsfield value, index hu + 32768.

    rho = max(min(0.001029 HU + 1.030, 0.0005886 HU + 1.03), 0): DeepDRR's two lines with the knee at water.
    """
    hu = np.arange(-32768, 32768, dtype=np.float32)
    return np.maximum(np.minimum(0.001029 * hu + 1.030, 0.0005886 * hu + 1.03), 0.0)


def tissue_densities(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Soft-tissue and bone density of every voxel, by thresholds on HU.

    Air (HU <= -800) becomes nothing: a metre of it attenuates less than half a millimetre of water.

    Args:
        hu: (...,) int16.

    Returns:
        soft, bone: (...,) float32 in g/cm^3; one of the two is zero everywhere.
    """
    density = _density_table()[hu.astype(np.int32) + 32768]
    density[hu <= AIR_BELOW_HU] = 0.0
    is_bone = hu > BONE_ABOVE_HU
    return np.where(is_bone, 0.0, density).astype(np.float32), np.where(is_bone, density, 0.0).astype(np.float32)
