"""Radiograph: the picture a detector gives, with what is needed to get back from counts to transmission and energy."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from synthex_sim.xray.collimation import Collimator
from synthex_sim.xray.physics import Physics

#: Tube voltages of diagnostic radiology, kV.
KVP_RANGE = (30.0, 150.0)
#: Largest tube current-time product of one frame, mA s.
MAX_MAS = 1000.0
#: Counts, with automatic gain, of an unattenuated pixel or, where such a pixel saturates, of a saturated one; the head
#: room to 65535 keeps noise from being clipped.
OPEN_FIELD_COUNTS = 60000


@dataclass(frozen=True, eq=False)
class Exposure:
    """Settings of one exposure.

    Attributes:
        kvp: tube peak voltage, kV.
        mas: tube current-time product, mA s.
        collimator: blades or iris in the beam; None: the whole detector is in the field.

    Raises:
        ValueError: a setting that no diagnostic generator has, or that is no number.
    """

    kvp: float
    mas: float
    collimator: Collimator | None = None

    def __post_init__(self) -> None:
        for name, value in (("tube voltage", self.kvp), ("tube current-time product", self.mas)):
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ValueError(f"{name} must be a number, got {value!r}")
        low, high = KVP_RANGE
        if not low <= self.kvp <= high:
            raise ValueError(f"tube voltage must lie in {low:g}..{high:g} kV, got {self.kvp:g}")
        if not 0.0 < self.mas <= MAX_MAS:
            raise ValueError(f"tube current-time product must lie in 0..{MAX_MAS:g} mA s (not 0), got {self.mas:g}")


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One image.

    Attributes:
        counts: (R, C) uint16, detected energy, bone dark. Where the detector is not saturated, transmission (energy
            detected / energy detected with nothing in the beam) = counts / open_field.
        open_field: counts of an unattenuated pixel; above ``saturation`` where such a pixel saturates.
        kev_per_count: energy absorbed in the pixel for one count, keV; None: the renderer knows no energy.
        saturation: counts at and above which a pixel says only that it is saturated.
        exposure: its settings.
        spectrum: description of the tube spectrum.
        physics: what of the physics asked for the image does show.
        lag: whether it shows what the panel remembered.
    """

    counts: np.ndarray
    open_field: float
    kev_per_count: float | None
    saturation: int
    exposure: Exposure
    spectrum: str
    physics: Physics
    lag: bool

    @property
    def transmission(self) -> np.ndarray:
        """(R, C) float64, 0..1 and a little above by noise and scatter."""
        return self.counts / self.open_field

    @property
    def energy_kev(self) -> np.ndarray:
        """(R, C) float64, energy absorbed in each pixel, keV.

        Raises:
            ValueError: the renderer knows no energy.
        """
        if self.kev_per_count is None:
            raise ValueError(f"an image with {self.spectrum} has no absorbed energy; use its transmission")
        return self.counts * self.kev_per_count


@dataclass(frozen=True, eq=False)
class Radiographs:
    """A batch of V images of one exposure setting.

    Attributes:
        counts: (V, R, C) uint16, numpy's or, from a GPU, cupy's.
        open_field: (V,) float64.
        kev_per_count: (V,) float64, or None.
        saturation: counts at which a pixel saturates.
        exposure: settings of all of them.
        spectrum: description of the tube spectrum.
        physics: what of the physics asked for the images do show; by default the primary beam alone.
        lag: whether they show what the panel remembered.
    """

    counts: Any
    open_field: np.ndarray
    exposure: Exposure
    spectrum: str
    kev_per_count: np.ndarray | None = None
    saturation: int = 65535
    physics: Physics = Physics.ideal()
    lag: bool = False

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, n: int) -> Radiograph:
        """Image n, on the CPU."""
        counts = self.counts[n]
        return Radiograph(
            counts=counts if isinstance(counts, np.ndarray) else counts.get(),
            open_field=float(self.open_field[n]),
            kev_per_count=None if self.kev_per_count is None else float(self.kev_per_count[n]),
            saturation=self.saturation,
            exposure=self.exposure,
            spectrum=self.spectrum,
            physics=self.physics,
            lag=self.lag,
        )
