"""Tube spectra from SpekPy (Poludniowski et al. 2021): photons per energy behind the tube's filtration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import spekpy
import xraydb
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from synthex_sim.carm.tube_settings import TubeSettings

#: 1 keV / g in µGy: 1.602e-16 J / 1e-3 kg, in units of 1e-6 J / kg.
_UGY_PER_KEV_G = 1.602176634e-7


@dataclass(frozen=True, eq=False)
class Spectrum:
    """An X-ray spectrum.

    Attributes:
        energies_kev: (n,) float64, bin centres.
        weights: (n,) float64, share of photons in each bin; sums to 1.
        photons_per_mm2_mas: fluence at ``distance_mm`` from the source for 1 mA s.
        distance_mm: where the fluence is stated.
        description: for people and logs.
    """

    energies_kev: np.ndarray
    weights: np.ndarray
    photons_per_mm2_mas: float
    distance_mm: float
    description: str

    @classmethod
    def from_array(
        cls,
        table: ArrayLike,
        photons_per_mm2_mas: float,
        distance_mm: float = 1000.0,
        description: str = "given spectrum",
    ) -> Spectrum:
        """A spectrum of one's own.

        Args:
            table: (n, 2), energy in keV and photons in its bin, in any unit; energies rising, 1 to 500 keV.
            photons_per_mm2_mas: fluence at ``distance_mm`` for 1 mA s.

        Raises:
            ValueError: another shape, energies that do not rise or are not in keV, negative photons or none at all.
        """
        table = np.asarray(table, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != 2 or not len(table) or not np.isfinite(table).all():
            raise ValueError(f"a spectrum is a finite (n, 2) array of keV and photons, got shape {table.shape}")
        energies, photons = table.T
        if not (np.diff(energies) > 0).all() or energies[0] < 1.0 or energies[-1] > 500.0:
            raise ValueError(f"energies must rise within 1..500 keV, got {energies[0]:g} to {energies[-1]:g}")
        if (photons < 0).any() or not photons.sum() > 0 or not 0.0 < photons_per_mm2_mas < np.inf:
            raise ValueError("photons of a spectrum must not be negative, and there must be some")
        return cls(energies, photons / photons.sum(), float(photons_per_mm2_mas), float(distance_mm), description)

    @property
    def mean_energy_kev(self) -> float:
        """Mean photon energy."""
        return float(self.energies_kev @ self.weights)

    @property
    def air_kerma_ugy_per_mas(self) -> float:
        """Air kerma in µGy at ``distance_mm`` for 1 mA s: sum_E N(E) E (mu_en/rho)(E)."""
        energy_per_gram = float(self.weights @ (self.energies_kev * air_energy_absorption(self.energies_kev)))
        return self.photons_per_mm2_mas * 100.0 * energy_per_gram * _UGY_PER_KEV_G

    def at_distance(self, distance_mm: float) -> Spectrum:
        """The same spectrum where the beam is ``distance_mm`` from the source (inverse square law, no air)."""
        scale = (self.distance_mm / distance_mm) ** 2
        return replace(self, photons_per_mm2_mas=self.photons_per_mm2_mas * scale, distance_mm=float(distance_mm))

    def behind(self, symbol: str, thickness_mm: float) -> Spectrum:
        """The spectrum behind another filter of a pure element, by its chemical symbol."""
        passed = self.weights * np.exp(-_attenuation_per_mm(symbol, self.energies_kev) * thickness_mm)
        return replace(
            self,
            weights=passed / passed.sum(),
            photons_per_mm2_mas=self.photons_per_mm2_mas * float(passed.sum()),
            description=f"{self.description} + {thickness_mm:g} mm {symbol}",
        )

    def half_value_layer_mm(self, symbol: str = "Al", fraction: float = 0.5) -> float:
        """Thickness of a pure element that lets ``fraction`` of the air kerma through (narrow beam)."""
        kerma = self.weights * self.energies_kev * air_energy_absorption(self.energies_kev)
        attenuation = _attenuation_per_mm(symbol, self.energies_kev)
        target = fraction * kerma.sum()
        upper = -np.log(fraction) / attenuation.min()
        return float(brentq(lambda mm: kerma @ np.exp(-attenuation * mm) - target, 0.0, upper))

    @property
    def homogeneity(self) -> float:
        """First half-value layer of aluminium divided by the second; 1 for a single energy."""
        first = self.half_value_layer_mm()
        return first / (self.half_value_layer_mm(fraction=0.25) - first)


@lru_cache(maxsize=512)
def tube_spectrum(tube: TubeSettings, distance_mm: float = 1000.0, bin_kev: float = 2.0) -> Spectrum:
    """The spectrum of a tungsten tube at the central ray.

    A voltage that was not asked for before costs SpekPy about 0.3 s, whatever the bins; other filters or distances at a
    known voltage cost a millisecond. Voltages of whole kilovolts, as generators have them, keep data sets quick.

    Args:
        tube: voltage, anode angle, filtration.
        distance_mm: where the fluence is wanted (usually the detector).
        bin_kev: width of an energy bin; 2 keV changes detected intensities by less than 0.1 % against 0.5 keV.

    Raises:
        ValueError: a filter is no chemical element.
    """
    spek = filtered_tube(tube, bin_kev)
    energies, fluence_per_kev = spek.get_spectrum(edges=False)
    photons = np.clip(fluence_per_kev, 0.0, None) * bin_kev
    keep = photons > photons.max() * 1e-6
    total = photons[keep].sum()
    spectrum = Spectrum(
        energies_kev=energies[keep],
        weights=photons[keep] / total,
        photons_per_mm2_mas=float(total) / 100.0,
        distance_mm=1000.0,
        description=f"SpekPy {tube.description}",
    )
    return spectrum.at_distance(distance_mm)


def filtered_tube(tube: TubeSettings, bin_kev: float) -> spekpy.Spek:
    """SpekPy's object for a tube behind its filters, at one metre and 1 mA s.

    Raises:
        ValueError: a filter is no chemical element.
    """
    spek = spekpy.Spek.clone(_bare_tube(tube.kvp, tube.anode_angle_deg, bin_kev))
    for symbol, thickness_mm in tube.filtration_mm:
        _attenuation_per_mm(symbol, np.array([50.0]))  # its error names the filter, SpekPy's does not
        spek.filter(symbol, thickness_mm)
    return spek


@lru_cache(maxsize=256)
def _bare_tube(kvp: float, anode_angle_deg: float, bin_kev: float) -> spekpy.Spek:
    """The unfiltered tube: the slow part, the same for all filters."""
    return spekpy.Spek(kvp=kvp, th=anode_angle_deg, dk=bin_kev, z=100.0)


def air_energy_absorption(energies_kev: np.ndarray) -> np.ndarray:
    """(n,) mass energy-absorption coefficient of air in cm^2/g, from SpekPy's tables (PENELOPE)."""
    return _bare_tube(100.0, 12.0, 2.0).muen_air_data.get_muen_over_rho_air(np.asarray(energies_kev, dtype=np.float64))


def _attenuation_per_mm(symbol: str, energies_kev: np.ndarray) -> np.ndarray:
    try:
        return xraydb.mu_elam(symbol, energies_kev * 1000.0) * xraydb.atomic_density(symbol) / 10.0
    except ValueError as error:
        raise ValueError(f"tube: filter '{symbol}' is no chemical element") from error
