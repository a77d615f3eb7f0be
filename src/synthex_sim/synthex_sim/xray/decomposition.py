"""Material decomposition: from Hounsfield units (and labels, where there are any) to material densities.

Every voxel is of one material. A decomposition is a small frozen object; the volume it is applied to is only ever
touched through its table, which has one entry for every possible int16 value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthex_sim.xray.materials import AIR, BONE, SOFT_TISSUE, TITANIUM, WATER, Material

#: Marks in the material table what is as good as vacuum.
NOTHING = -1
#: Where an overlay has at most this many Hounsfield units it is empty, whatever the physics: the threshold of air.
EMPTY_UP_TO_HU = -800
#: Energy at which a Hounsfield value is taken to be measured.
CT_ENERGY_KEV = np.array([70.0])


class Decomposition(Protocol):
    """What projectors need of a decomposition. Hashable: a prepared volume is kept under (patient, decomposition)."""

    @property
    def materials(self) -> tuple[Material, ...]:
        """At most four materials that a voxel can be of."""

    @property
    def nothing_below_hu(self) -> int:
        """Voxels of at most this value are as good as vacuum."""

    def table(self, in_bone: bool) -> tuple[np.ndarray, np.ndarray]:
        """Density and material of every Hounsfield value, entry hu + 32768.

        Args:
            in_bone: for voxels whose label names a bone.

        Returns:
            density: (65536,) float32, g/cm^3, zero where there is nothing.
            material: (65536,) int8, index into ``materials``, NOTHING where there is nothing.
        """


@dataclass(frozen=True)
class TissueThresholds:
    """Soft tissue and bone by thresholds on Hounsfield units, DeepDRR's.

    A voxel is air up to ``air_up_to_hu``, soft tissue up to ``bone_above_hu``, else bone. Air counts as nothing: a
    metre of it attenuates less than half a millimetre of water. Density is DeepDRR's line with a knee at water:
    rho = max(min(0.001029 HU + 1.030, 0.0005886 HU + 1.03), 0) g/cm^3.

    Where the label map says bone, DeepDRR's densities would make a jump of a third at the threshold, and trabecular
    bone, whose values lie about it, fall apart into patches. There the density is the one with which the material has
    the attenuation that defines its Hounsfield value, rho = (1 + HU / 1000) mu_water / (mu / rho) at 70 keV, near the
    mean energy of a scanner at 120 kV; marrow and trabecular bone harden the beam like soft tissue, denser bone like
    bone.

    Attributes:
        air_up_to_hu, bone_above_hu: DeepDRR's thresholds (``load_dicom.py`` of version 1.2.2).
        bone_above_in_bone_hu: half way between marrow and cortical bone: the nearer one in mineral content.
        metal_above_hu: voxels above are titanium of its own density, None: they are bone. Scanners clip metal at 3071.
    """

    air_up_to_hu: int = -800
    bone_above_hu: int = 350
    bone_above_in_bone_hu: int = 450
    metal_above_hu: int | None = None

    @property
    def materials(self) -> tuple[Material, ...]:
        return (SOFT_TISSUE, BONE) if self.metal_above_hu is None else (SOFT_TISSUE, BONE, TITANIUM)

    @property
    def nothing_below_hu(self) -> int:
        return self.air_up_to_hu

    def table(self, in_bone: bool) -> tuple[np.ndarray, np.ndarray]:
        hu = np.arange(-32768, 32768)
        if in_bone:
            material = (hu > self.bone_above_in_bone_hu).astype(np.int8)
            water, *others = (m.mass_attenuation(CT_ENERGY_KEV)[0] for m in (WATER, SOFT_TISSUE, BONE))
            density = np.maximum(1.0 + hu / 1000.0, 0.0) * WATER.density_g_cm3 * water / np.array(others)[material]
        else:
            material = (hu > self.bone_above_hu).astype(np.int8)
            density = np.maximum(np.minimum(0.001029 * hu + 1.030, 0.0005886 * hu + 1.03), 0.0)
        if self.metal_above_hu is not None:
            metal = hu > self.metal_above_hu
            material[metal], density[metal] = 2, TITANIUM.density_g_cm3
        air = hu <= self.air_up_to_hu
        material[air], density[air] = NOTHING, 0.0
        return density.astype(np.float32), material


@dataclass(frozen=True)
class WaterEquivalent:
    """Everything is water of the density that its Hounsfield value says: rho = (HU - zero_hu) / 1000 g/cm^3.

    With mu = 0.02683 / mm of water this is xreg's linear map from HU to attenuation (its ``HU_lo`` is ``zero_hu``).
    """

    zero_hu: int = -1000

    @property
    def materials(self) -> tuple[Material, ...]:
        return (WATER,)

    @property
    def nothing_below_hu(self) -> int:
        return self.zero_hu

    def table(self, in_bone: bool) -> tuple[np.ndarray, np.ndarray]:
        hu = np.arange(-32768, 32768)
        density = np.maximum(hu - self.zero_hu, 0) / 1000.0
        return density.astype(np.float32), np.where(density > 0, 0, NOTHING).astype(np.int8)


@dataclass(frozen=True)
class OfOverlay:
    """What another decomposition makes of an overlay: empty is what is air, all else is there.

    What an overlay hides must not depend on the physics. By its own threshold ``WaterEquivalent`` would let air of
    -990 HU blank the patient, and with xreg's ``zero_hu`` fat would let the patient shine through. What is not empty is
    at least as dense as air, so that its code is not that of nothing.

    Attributes:
        of: the decomposition of the patient below.
    """

    of: Decomposition

    @property
    def materials(self) -> tuple[Material, ...]:
        return self.of.materials

    @property
    def nothing_below_hu(self) -> int:
        return EMPTY_UP_TO_HU

    def table(self, in_bone: bool) -> tuple[np.ndarray, np.ndarray]:
        density, material = self.of.table(in_bone)
        empty = np.arange(-32768, 32768) <= EMPTY_UP_TO_HU
        there = np.maximum(density, np.float32(AIR.density_g_cm3))
        return (
            np.where(empty, np.float32(0.0), there),
            np.where(empty, NOTHING, np.maximum(material, 0)).astype(np.int8),
        )
