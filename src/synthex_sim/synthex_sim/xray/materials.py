"""Materials: composition, density and mass attenuation.

Attenuation comes from xraydb (Elam tables); compositions of tissues are ICRU Report 44 (as in NIST's XCOM tables).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xraydb


@dataclass(frozen=True)
class Material:
    """A mixture of elements. Materials of one name, composition and density are equal; the name alone says nothing.

    Attributes:
        name: of the material.
        fractions: (element symbol, fraction by mass), sorted by symbol; they sum to 1. A mapping is accepted too.
        density_g_cm3: nominal density.

    Raises:
        ValueError: an unknown element, a fraction or density that is not finite and positive, or fractions that do not
            sum to 1 within 1 % (rounded tables do not sum to 1 exactly); the message names the material.
    """

    name: str
    fractions: tuple[tuple[str, float], ...]
    density_g_cm3: float

    def __post_init__(self) -> None:
        density = _positive(self.density_g_cm3, f"material '{self.name}': the density in g/cm^3")
        object.__setattr__(self, "fractions", _checked_fractions(self.fractions, self.name))
        object.__setattr__(self, "density_g_cm3", density)

    @property
    def mass_fractions(self) -> dict[str, float]:
        """Element symbol -> fraction by mass."""
        return dict(self.fractions)

    def mass_attenuation(self, energies_kev: np.ndarray) -> np.ndarray:
        """(n,) total mass attenuation coefficient mu/rho in cm^2/g at (n,) energies in keV."""
        energies_ev = np.asarray(energies_kev, dtype=np.float64) * 1000.0
        return sum(w * xraydb.mu_elam(element, energies_ev) for element, w in self.fractions)


def _checked_fractions(
    fractions: Mapping[str, float] | Iterable[tuple[str, float]], name: str
) -> tuple[tuple[str, float], ...]:
    pairs = fractions.items() if isinstance(fractions, Mapping) else fractions
    checked = []
    for element, part in pairs:
        if not _is_element(element):
            raise ValueError(f"material '{name}': unknown element {element!r}; give symbols up to Cf, such as 'Ti'")
        checked.append((element, _positive(part, f"material '{name}': the fraction of {element}")))
    total = sum(part for _, part in checked)
    if not abs(total - 1.0) <= 0.01:
        raise ValueError(f"material '{name}': its fractions by mass sum to {total:g}, they must sum to 1, not to 100 %")
    return tuple(sorted(checked))


def _positive(value: float, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{what} must be finite and positive, got {value!r}")
    return number


@lru_cache
def _is_element(symbol: str) -> bool:
    """Whether xraydb's tables hold an element of this symbol."""
    try:
        canonical = xraydb.atomic_symbol(xraydb.atomic_number(symbol))
        return canonical == symbol and bool(xraydb.mu_elam(symbol, [5e4])[0] > 0)
    except (ValueError, IndexError):
        return False


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
WATER = Material("water", {"H": 0.1119, "O": 0.8881}, 1.0)
AIR = Material("air", {"N": 0.7553, "O": 0.2318, "Ar": 0.0128, "C": 0.0001}, 0.001205)
TITANIUM = Material("titanium", {"Ti": 1.0}, 4.506)
#: Super-elastic nickel-titanium, 55.8 % nickel by mass (ASTM F2063: 54.5 to 57.0).
NITINOL = Material("nitinol", {"Ni": 0.558, "Ti": 0.442}, 6.45)
#: AISI 316L, nominal (ASTM F138).
STAINLESS_STEEL = Material(
    "stainless_steel", {"Fe": 0.655, "Cr": 0.17, "Ni": 0.12, "Mo": 0.025, "Mn": 0.02, "Si": 0.01}, 7.99
)
TUNGSTEN = Material("tungsten", {"W": 1.0}, 19.3)
#: Polyether ether ketone, C19 H12 O3.
PEEK = Material("peek", {"C": 0.7916, "H": 0.0420, "O": 0.1664}, 1.30)

_KNOWN = {
    material.name: material
    for material in (AIR, SOFT_TISSUE, BONE, WATER, NITINOL, TITANIUM, STAINLESS_STEEL, TUNGSTEN, PEEK)
}


def material(name: str) -> Material:
    """The material of that name.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    if name not in _KNOWN:
        raise ValueError(f"unknown material '{name}'; known: {', '.join(sorted(_KNOWN))}")
    return _KNOWN[name]
