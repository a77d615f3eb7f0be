"""Detector: from expected absorbed energy to 16-bit counts.

The chain, each part of which can be left out: quantum noise, blur of the scintillator, lag, saturation, read-out noise,
gain, rounding. Counts are proportional to absorbed energy, bone dark::

    counts = energy / kev_per_count,    transmission = counts / open_field    wherever counts < saturated
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from synthex_sim.carm.detector_settings import DetectorSettings
from synthex_sim.carm.tube_settings import TubeSettings
from synthex_sim.xray.blur import blur_kernel
from synthex_sim.xray.detector_cpu import CpuPanel
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.materials import Material
from synthex_sim.xray.radiograph import OPEN_FIELD_COUNTS
from synthex_sim.xray.spectrum import Spectrum, tube_spectrum

CSI = Material("caesium_iodide", {"Cs": 0.5115, "I": 0.4885}, 4.51)
_LARGEST_COUNT = 65535
#: IEC 61267's RQA 5, in which the settings state doses: 70 kV behind 23.5 mm of aluminium in all (PTB Dos-34, 2000).
_RQA5 = TubeSettings(70.0, 12.0, {"Al": 23.5})

Gain = Literal["auto", "fixed"]


@dataclass(frozen=True, eq=False)
class DetectorImage:
    """What the panel gives for a batch of views. Arrays of the panel's kind (numpy, or cupy on a GPU).

    Attributes:
        counts: (V, R, C) uint16.
        open_field: (V,) float64, counts of an unattenuated pixel on the central ray; above ``saturated`` where the
            exposure is more than the panel can take.
        kev_per_count: (V,) float64, absorbed energy of one pixel and count.
        saturated: (V,) uint16; a pixel with so many counts or more may have had any more energy.
    """

    counts: np.ndarray
    open_field: np.ndarray
    kev_per_count: np.ndarray
    saturated: np.ndarray

    @property
    def transmission(self) -> np.ndarray:
        """(V, R, C) float64: energy detected over energy detected with nothing in the beam."""
        return self.counts / self.open_field[:, None, None]

    @property
    def absorbed_energy_kev(self) -> np.ndarray:
        """(V, R, C) float64: absorbed energy of each pixel, keV."""
        return self.counts * self.kev_per_count[:, None, None]


class Panel(Protocol):
    """The heavy parts of the chain on one kind of processor: ``detector_cpu.CpuPanel``, ``cuda.panel.CudaPanel``."""

    def array(self, values: ArrayLike, dtype: Any) -> Any:
        """The values as a contiguous array of that processor, without a copy where they are one already."""

    def absorbed_energy(self, energy: Any, variance: Any, seed: int, samples: Sequence[int]) -> Any:
        """(V, R, C) float32 energies drawn as ``noise.absorbed_energy`` draws them."""

    def blurred(self, energy: Any, kernel: np.ndarray) -> Any:
        """(V, R, C) float32 energies convolved with a symmetric kernel, edges continued."""

    def digitised(self, energy: Any, conversion: Conversion, seed: int, samples: Sequence[int]) -> Any:
        """(V, R, C) uint16: saturation, read-out noise, gain, rounding."""


@dataclass(frozen=True, eq=False)
class Conversion:
    """Numbers of the analogue-to-digital converter.

    Attributes:
        limit_kev: energy at which a pixel saturates.
        deviation_kev: standard deviation of the read-out noise, 0 for none.
        steps_per_kev: (V,) float32.
        most_steps: (V,) int32, steps of a saturated pixel.
        step: counts of one step.
    """

    limit_kev: float
    deviation_kev: float
    steps_per_kev: np.ndarray
    most_steps: np.ndarray
    step: int


class Detector:
    """One device's flat panel."""

    def __init__(self, settings: DetectorSettings, panel: Panel | None = None) -> None:
        """A panel with these settings.

        Args:
            panel: where images are worked on; ``None``: the CPU. Arrays given to ``read`` must be of its kind.
        """
        self.settings = settings
        self.panel = CpuPanel() if panel is None else panel

    def absorbed_fraction(self, energies_kev: ArrayLike) -> np.ndarray:
        """(n,) float64: share eta(E) of the photons that the scintillator absorbs, 1 - exp(-mu(E) t)."""
        energies = np.asarray(energies_kev, dtype=np.float64)
        thickness_mm = self.settings.csi_thickness_mm
        if math.isinf(thickness_mm):
            return np.ones_like(energies)
        return 1.0 - np.exp(-CSI.mass_attenuation(energies) * CSI.density_g_cm3 * thickness_mm / 10.0)

    def open_field_kev(self, spectrum: Spectrum, mas: float, pixel_spacing_mm: float) -> float:
        """Energy that a pixel absorbs with nothing in the beam, keV; the spectrum must be that at the detector."""
        detected = spectrum.weights * self.absorbed_fraction(spectrum.energies_kev)
        photons = spectrum.photons_per_mm2_mas * mas * pixel_spacing_mm**2
        return photons * float(detected @ spectrum.energies_kev)

    def saturation_kev(self, pixel_spacing_mm: float) -> float:
        """Absorbed energy at which a pixel of that size (one or more of the panel's own) saturates, keV."""
        return self.settings.saturation_ugy * self._kev_per_ugy_mm2 * pixel_spacing_mm**2

    def readout_noise_kev(self, pixel_spacing_mm: float) -> float:
        """Standard deviation of the electronic noise of a pixel of that size, keV.

        A coarser pixel is the sum of the panel's own, each with its own noise.
        """
        own = self.settings.pixel_spacing_mm
        return self.settings.readout_noise_ugy * self._kev_per_ugy_mm2 * own**2 * (pixel_spacing_mm / own)

    def read(
        self,
        energy_kev: np.ndarray,
        variance_kev2: np.ndarray,
        open_field_kev: ArrayLike,
        pixel_spacing_mm: float,
        *,
        seed: int,
        samples: Sequence[int],
        noise: bool = True,
        blur: bool = True,
        gain: Gain = "auto",
        lag: Lag | None = None,
        interval_s: float = 1.0,
    ) -> DetectorImage:
        """One exposure of each view.

        Args:
            energy_kev: (V, R, C) expected absorbed energy of each pixel, keV: sum_E n(E) eta(E) E.
            variance_kev2: (V, R, C) its variance, keV^2: sum_E n(E) eta(E) E^2; unused without noise.
            open_field_kev: (V,) or one number: energy of an unattenuated pixel on the central ray.
            pixel_spacing_mm: of the views' pixels.
            seed, samples: address of the noise: one seed, (V,) sample numbers.
            noise: quantum noise and read-out noise.
            blur: the scintillator's.
            gain: ``"auto"`` gives 60000 counts to the open field or, where that saturates the panel, to the saturated
                panel; ``"fixed"`` gives 65535 to the saturated panel.
            lag: what the panel remembers, ``None`` for single shots; the views are then its next frames, in order.
            interval_s: time between two frames; used with ``lag`` only.

        Raises:
            ValueError: shapes that do not fit, an open field that is not positive, energies that are negative or not
                finite, an unknown gain, or fixed gain on a panel that never saturates.
        """
        panel = self.panel
        energy = panel.array(energy_kev, np.float32)
        if energy.ndim != 3:
            raise ValueError(f"energies must be (V, R, C), got {energy.shape}")
        open_field = np.broadcast_to(np.asarray(open_field_kev, dtype=np.float64), (len(energy),))
        if noise:
            # the light yield's fluctuation counts as fewer quanta
            variance = panel.array(variance_kev2, np.float32) * np.float32(1.0 / self.settings.swank_factor)
            energy = panel.absorbed_energy(energy, variance, seed, samples)
        elif energy.size and not (float(energy.min()) >= 0.0 and float(energy.max()) < math.inf):
            raise ValueError("energies must be finite and not negative everywhere")
        if blur:
            kernel = blur_kernel(self.settings.mtf_half_per_mm, round(pixel_spacing_mm, 6))
            energy = energy if kernel.size == 1 else panel.blurred(energy, kernel)
        if lag is not None:
            energy = energy.copy()
            for frame in range(len(energy)):
                energy[frame] = lag.read(energy[frame], interval_s)
        limit = self.saturation_kev(pixel_spacing_mm)
        scale = self._counts_per_kev(open_field, limit, gain)
        step = 1 << (16 - self.settings.bits)
        conversion = Conversion(
            limit_kev=limit,
            deviation_kev=self.readout_noise_kev(pixel_spacing_mm) if noise else 0.0,
            steps_per_kev=(scale / step).astype(np.float32),
            # a saturated panel's counts are whole by the choice of the gain: no rounding error may cost one of them
            most_steps=np.floor(np.minimum(limit * scale, _LARGEST_COUNT) / step + 1e-6).astype(np.int32),
            step=step,
        )
        return DetectorImage(
            counts=panel.digitised(energy, conversion, seed, samples),
            open_field=panel.array(open_field * scale, np.float64),
            kev_per_count=panel.array(1.0 / scale, np.float64),
            saturated=panel.array(conversion.most_steps * step, np.uint16),
        )

    def _counts_per_kev(self, open_field: np.ndarray, limit: float, gain: Gain) -> np.ndarray:
        """(V,) float64."""
        if not (np.isfinite(open_field) & (open_field > 0)).all():
            raise ValueError(f"the open field must absorb some energy, got {open_field} keV")
        if gain == "auto":
            return OPEN_FIELD_COUNTS / np.minimum(open_field, limit)
        if gain != "fixed":
            raise ValueError(f"gain must be 'auto' or 'fixed', got '{gain}'")
        if math.isinf(limit):
            raise ValueError("fixed gain needs a panel that saturates (detector_response: saturation_ugy)")
        return np.full(open_field.shape, _LARGEST_COUNT / limit)

    @property
    def _kev_per_ugy_mm2(self) -> float:
        """Absorbed energy per mm^2 and µGy of the RQA 5 beam."""
        return _rqa5_response(self.settings)


@lru_cache(maxsize=16)
def _rqa5_response(settings: DetectorSettings) -> float:
    spectrum = tube_spectrum(_RQA5)
    return Detector(settings).open_field_kev(spectrum, 1.0, 1.0) / spectrum.air_kerma_ugy_per_mas
