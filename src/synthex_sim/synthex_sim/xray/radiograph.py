"""Radiograph: the picture a detector gives, with what is needed to get back from counts to transmission."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Tube voltages of diagnostic radiology, kV.
KVP_RANGE = (30.0, 150.0)
#: Largest tube current-time product of one frame, mA s.
MAX_MAS = 1000.0


@dataclass(frozen=True, eq=False)
class Exposure:
    """Settings of one exposure.

    Attributes:
        kvp: tube peak voltage, kV.
        mas: tube current-time product, mA s.
        noise: whether the detector counts single quanta.

    Raises:
        ValueError: a setting that no diagnostic generator has.
    """

    kvp: float
    mas: float
    noise: bool = True

    def __post_init__(self) -> None:
        low, high = KVP_RANGE
        if not low <= self.kvp <= high:
            raise ValueError(f"tube voltage must lie in {low:g}..{high:g} kV, got {self.kvp:g}")
        if not 0.0 < self.mas <= MAX_MAS:
            raise ValueError(f"tube current-time product must lie in 0..{MAX_MAS:g} mA s (not 0), got {self.mas:g}")


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One image.

    Attributes:
        counts: (R, C) uint16, detected energy, bone dark. Transmission (energy detected / energy detected with nothing
            in the beam) = counts / open_field, up to 65535 / open_field, where the detector saturates.
        open_field: counts of an unattenuated pixel.
        exposure: its settings.
        spectrum: description of the tube spectrum.
    """

    counts: np.ndarray
    open_field: int
    exposure: Exposure
    spectrum: str

    @property
    def transmission(self) -> np.ndarray:
        """(R, C) float64, 0..1."""
        return self.counts / self.open_field
