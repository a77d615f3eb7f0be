"""Tables of what can happen to a photon: how likely photoelectric absorption, Compton and Rayleigh scattering are, and
into which angles they scatter.

    Compton:   dsigma/dOmega ~ KN(E, mu) S(x),    KN = (e^2 / 2) (e + 1/e - 1 + mu^2),   e = 1 / (1 + E/511 (1 - mu))
    Rayleigh:  dsigma/dOmega ~ (1 + mu^2)/2 F(x)^2,     x = E sin(theta/2) / 12.398 keV A,   mu = cos theta

Cross sections: Elam's tables (xraydb). Form factors F: Waasmaier and Kirfel 1995 (xraydb). Incoherent scattering
functions S: Hubbell et al. 1975, J. Phys. Chem. Ref. Data 4:471, as tabulated in xraylib. A mixture is the sum of its
atoms: interference between molecules, which lowers Rayleigh scatter below about 3 degrees, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import xraydb

from synthex_sim.xray.materials import Material

#: Photon energies of the tables, keV; linear interpolation in between.
ENERGY_MIN_KEV, ENERGY_MAX_KEV, ENERGY_STEP_KEV = 1.0, 160.0, 0.25
#: Photons below this energy are absorbed where they are: 5 keV travel less than 0.3 mm in water.
CUTOFF_KEV = 5.0
#: Momentum transfer x of the tables, 1/A: 0.01 steps up to backscatter at the highest energy.
X_STEP = 0.01
INVERSE_ANGSTROM_PER_KEV = 1.0 / 12.39842
ELECTRON_KEV = 510.99895
_FORM_FACTORS_END = 6.0  # 1/A, where the fits of Waasmaier and Kirfel end
_DATA = Path(__file__).with_name("incoherent_scattering.npz")


@dataclass(frozen=True, eq=False)
class InteractionTables:
    """Tables for M materials at n energies and m momentum transfers.

    Attributes:
        attenuation: (M, n, 3) float64: photoelectric, incoherent, coherent; 1/mm for a density of 1 g/cm^3.
        incoherent: (M, m) float64: S(x) / S(infinity).
        incoherent_norm: (M, n): integral of KN S over the sphere.
        coherent_cumulative: (M, m): integral of F^2 / F(0)^2 d(x^2) from 0.
    """

    attenuation: np.ndarray
    incoherent: np.ndarray
    incoherent_norm: np.ndarray
    coherent_cumulative: np.ndarray

    def total(self, material: int, energies_kev: np.ndarray) -> np.ndarray:
        """(k,) total attenuation of one material at (k,) energies, 1/mm for a density of 1 g/cm^3."""
        return np.interp(energies_kev, energy_grid(), self.attenuation[material].sum(axis=1))


def energy_grid() -> np.ndarray:
    """(n,) energies of the tables, keV."""
    return np.arange(ENERGY_MIN_KEV, ENERGY_MAX_KEV + ENERGY_STEP_KEV / 2, ENERGY_STEP_KEV)


def momentum_grid() -> np.ndarray:
    """(m,) momentum transfers of the tables, 1/A."""
    return np.arange(0.0, ENERGY_MAX_KEV * INVERSE_ANGSTROM_PER_KEV + 2 * X_STEP, X_STEP)


def interaction_tables(materials: tuple[Material, ...]) -> InteractionTables:
    """The tables of some materials; kept for the next call.

    Raises:
        ValueError: no material, or one that contains an element without data.
    """
    if not materials:
        raise ValueError("interaction tables need at least one material")
    parts = [_of_mixture(tuple(m.mass_fractions.items())) for m in materials]
    return InteractionTables(*(np.ascontiguousarray(np.stack(part)) for part in zip(*parts, strict=True)))


@lru_cache(maxsize=64)
def _of_mixture(fractions: tuple[tuple[str, float], ...]) -> tuple[np.ndarray, ...]:
    energies, x = energy_grid(), momentum_grid()
    attenuation = np.zeros((energies.size, 3))
    incoherent, coherent = np.zeros(x.size), np.zeros(x.size)
    electrons = 0.0
    for element, fraction in fractions:
        for column, kind in enumerate(("photo", "incoh", "coh")):
            attenuation[:, column] += fraction * xraydb.mu_elam(element, energies * 1000.0, kind=kind) * 0.1
        atoms = fraction / xraydb.atomic_mass(element)
        electrons += atoms * xraydb.atomic_number(element)
        incoherent += atoms * _incoherent_function(element, x)
        coherent += atoms * _form_factor(element, x) ** 2
    incoherent /= electrons
    coherent /= coherent[0]
    area = 0.5 * (coherent[1:] * x[1:] + coherent[:-1] * x[:-1]) * 2.0 * X_STEP
    cumulative = np.concatenate([[0.0], np.cumsum(area)])
    return attenuation, incoherent, _incoherent_norm(energies, x, incoherent), cumulative


def _incoherent_norm(energies: np.ndarray, x: np.ndarray, incoherent: np.ndarray) -> np.ndarray:
    """(n,) integral of KN S over the sphere, by the substitution t = sin(theta/2): dOmega = 8 pi t dt."""
    t, weights = np.polynomial.legendre.leggauss(400)
    t, weights = 0.5 * (t + 1.0), 0.5 * weights
    mu = 1.0 - 2.0 * t**2
    ratio = 1.0 / (1.0 + energies[:, None] / ELECTRON_KEV * (1.0 - mu))
    klein_nishina = 0.5 * ratio**2 * (ratio + 1.0 / ratio - 1.0 + mu**2)
    transfer = energies[:, None] * INVERSE_ANGSTROM_PER_KEV * t
    return (klein_nishina * np.interp(transfer, x, incoherent)) @ (8.0 * np.pi * t * weights)


def _incoherent_function(element: str, x: np.ndarray) -> np.ndarray:
    """S(x, Z), electrons."""
    with np.load(_DATA) as data:
        z = xraydb.atomic_number(element)
        if not 1 <= z <= data["s"].shape[0]:
            raise ValueError(f"no incoherent scattering function for {element}")
        # S ~ x^2 near zero: below the table's first point it is continued so
        first = data["x"][0]
        inside = np.interp(np.log(np.maximum(x, first)), np.log(data["x"]), data["s"][z - 1])
        return np.where(x < first, inside * (x / first) ** 2, inside)


def _form_factor(element: str, x: np.ndarray) -> np.ndarray:
    """F(x, Z), electrons; beyond the end of the fits it falls as x^-4, as an atom's does."""
    inside = xraydb.f0(element, np.minimum(x, _FORM_FACTORS_END))
    return inside * (_FORM_FACTORS_END / np.maximum(x, _FORM_FACTORS_END)) ** 4
