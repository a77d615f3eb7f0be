"""Radiograph: the picture a detector gives, with what is needed to get back from counts to transmission."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Exposure:
    """Settings of one exposure.

    Attributes:
        kvp: tube peak voltage, kV.
        mas: tube current-time product, mA s.
        noise: whether the detector counts single quanta.
    """

    kvp: float
    mas: float
    noise: bool = True


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
