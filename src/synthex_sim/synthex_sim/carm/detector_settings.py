"""DetectorSettings: how a device's flat panel turns absorbed X-ray energy into counts."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from synthex_sim.yaml_file import check_keys


@dataclass(frozen=True)
class LagComponent:
    """Charge that is held back: a fraction of each frame's signal, released with a time constant."""

    fraction: float
    time_constant_s: float


@dataclass(frozen=True)
class DetectorSettings:
    """An indirect flat panel: CsI scintillator on amorphous silicon.

    Attributes:
        pixel_spacing_mm: of the panel's own pixels; noise and saturation are theirs.
        csi_thickness_mm: of the scintillator as solid CsI; ``math.inf`` absorbs everything.
        swank_factor: information that the scintillator's fluctuating light yield leaves over, 0..1; it raises the
            variance of the quantum noise to 1 / swank_factor times that of the absorbed quanta.
        mtf_half_per_mm: frequency f0 at which the scintillator's MTF 1 / (1 + (f / f0)^2) is one half; ``math.inf``
            for no blur. The pixel's own aperture is not in it.
        readout_noise_ugy: standard deviation of one pixel's electronic noise, as air kerma of the RQA 5 beam, µGy.
        saturation_ugy: air kerma of the RQA 5 beam at which a pixel saturates, µGy a frame; ``math.inf``: never.
        bits: of the analogue-to-digital converter, 8..16.
        lag: components of the charge that is held back, in any order.

    Raises:
        ValueError: a number is out of range.
    """

    pixel_spacing_mm: float
    csi_thickness_mm: float
    swank_factor: float
    mtf_half_per_mm: float
    readout_noise_ugy: float
    saturation_ugy: float
    bits: int
    lag: tuple[LagComponent, ...]

    def __post_init__(self) -> None:
        for name in ("csi_thickness_mm", "mtf_half_per_mm", "saturation_ugy"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"detector_response: {name} must be positive, got {getattr(self, name)}")
        if not 0.0 < self.pixel_spacing_mm < math.inf:
            raise ValueError(f"detector: pixel_spacing_mm must be positive and finite, got {self.pixel_spacing_mm}")
        if not 0.0 < self.swank_factor <= 1.0:
            raise ValueError(f"detector_response: swank_factor must lie in 0..1 (not 0), got {self.swank_factor}")
        if not 0.0 <= self.readout_noise_ugy < math.inf:
            raise ValueError(f"detector_response: readout_noise_ugy must not be negative, got {self.readout_noise_ugy}")
        if self.bits not in range(8, 17):
            raise ValueError(f"detector_response: bits must lie in 8..16, got {self.bits}")
        if not all(c.fraction >= 0.0 and 0.0 < c.time_constant_s < math.inf for c in self.lag):
            raise ValueError("detector_response: lag needs fractions of at least 0 and positive time constants")
        if not sum(c.fraction for c in self.lag) < 1.0:
            raise ValueError("detector_response: the fractions of lag must sum to less than 1")

    @classmethod
    def from_section(cls, section: Any, pixel_spacing_mm: float) -> DetectorSettings:
        """Reads the ``detector_response`` section of a device profile.

        Args:
            section: the section as read from YAML.
            pixel_spacing_mm: from the profile's ``detector`` section.

        Raises:
            ValueError: a key is missing, unknown or out of range.
        """
        known = {field.name for field in fields(cls)} - {"pixel_spacing_mm"}
        values = dict(check_keys(section, known, "detector_response"))
        components = values.pop("lag")
        if not isinstance(components, list):
            raise ValueError("detector_response: lag must be a list of {fraction, time_constant_s}, empty for none")
        names = {field.name for field in fields(LagComponent)}
        lag = (check_keys(component, names, "detector_response: lag") for component in components)
        return cls(
            pixel_spacing_mm=pixel_spacing_mm,
            lag=tuple(LagComponent(**{name: float(value) for name, value in component.items()}) for component in lag),
            bits=_whole(values.pop("bits")),
            **{name: float(value) for name, value in values.items()},
        )

    @classmethod
    def ideal(cls, pixel_spacing_mm: float) -> DetectorSettings:
        """A panel that absorbs every photon, blurs nothing, adds no noise, never saturates and forgets at once."""
        return cls(pixel_spacing_mm, math.inf, 1.0, math.inf, 0.0, math.inf, 16, ())


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(f"detector_response: bits must be a whole number, got {value}")
    return int(value)
