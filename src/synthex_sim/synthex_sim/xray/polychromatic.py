"""The polychromatic renderer: tube spectrum, Beer-Lambert law for every energy, energy-integrating detector, quanta.

    I = sum_E  E N(E) exp(-sum_m (mu/rho)_m(E) a_m)          a_m: area density of material m, g/cm^2

Noise is that of the detected quanta: a pixel with signal I = sum E n(E) has the variance sum E^2 n(E), the same as a
Poisson count of  n_eff = (sum E n)^2 / sum E^2 n  quanta of equal energy, which is what is drawn.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numba import njit, prange

from synthex_sim.carm.carm import TubeSettings
from synthex_sim.carm.view import View
from synthex_sim.random_streams import Purpose, stream
from synthex_sim.xray.materials import BONE, SOFT_TISSUE, Material
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.radiograph import Exposure, Radiograph
from synthex_sim.xray.spectrum import Spectrum, tube_spectrum

#: Counts of an unattenuated pixel; the head room to 65535 keeps its noise from being clipped.
OPEN_FIELD_COUNTS = 60000


@njit(parallel=True, nogil=True, cache=True, fastmath=True)
def _beer_lambert(areas, coefficients, energies, weights, signal, signal2):
    """signal = sum_E w E T(E), signal2 = sum_E w E^2 T(E) for every pixel; areas (M, P), coefficients (M, n)."""
    materials, pixels = areas.shape
    bins = energies.shape[0]
    for pixel in prange(pixels):
        total = 0.0
        total2 = 0.0
        for e in range(bins):
            depth = np.float32(0.0)
            for m in range(materials):
                depth += areas[m, pixel] * coefficients[m, e]
            detected = weights[e] * energies[e] * math.exp(-depth)
            total += detected
            total2 += detected * energies[e]
        signal[pixel] = total
        signal2[pixel] = total2


class PolychromaticRenderer:
    """Projections -> radiographs for one X-ray tube."""

    name = "polychromatic"

    def __init__(self, tube: TubeSettings) -> None:
        self.tube = tube
        self._known: dict[tuple, np.ndarray] = {}

    def expose(
        self, projection: Projection, view: View, exposure: Exposure, tool_materials: tuple[Material, ...], seed: int,
        sample: int,
    ) -> Radiograph:
        """Makes the image of one projection.

        Args:
            projection: from a projector.
            view: the same view; gives pixel size and source-to-detector distance.
            exposure: kVp, mAs, noise.
            tool_materials: material of each tool of the scene, in order.
            seed, sample: address of the noise (``random_streams``).
        """
        tube = replace(self.tube, kvp=float(exposure.kvp))
        spectrum = tube_spectrum(tube, round(view.source_to_detector_mm, 3))
        materials = (SOFT_TISSUE, BONE, *tool_materials)
        coefficients = self._attenuation(spectrum, materials)
        areas = np.stack([projection.soft, projection.bone, *projection.tools]).reshape(len(materials), -1)
        signal, signal2 = np.empty(areas.shape[1]), np.empty(areas.shape[1])
        _beer_lambert(areas, coefficients, spectrum.energies_kev, spectrum.weights, signal, signal2)
        if exposure.noise:
            photons = spectrum.photons_per_mm2_mas * exposure.mas * view.pixel_spacing_mm**2
            # a pixel with no signal at all would divide by zero; it stays at zero
            effective = photons * signal**2 / np.maximum(signal2, 1e-300)
            drawn = stream(seed, sample, Purpose.QUANTUM_NOISE).poisson(effective)
            signal *= drawn / np.maximum(effective, 1e-300)
        counts = signal * (OPEN_FIELD_COUNTS / spectrum.mean_energy_kev)
        return Radiograph(
            np.clip(np.rint(counts), 0, 65535).astype(np.uint16).reshape(view.shape),
            OPEN_FIELD_COUNTS,
            exposure,
            spectrum.description,
        )

    def _attenuation(self, spectrum: Spectrum, materials: tuple[Material, ...]) -> np.ndarray:
        """(M, n) float32 mu/rho of each material at the spectrum's energies; looked up once for each pair."""
        key = (spectrum.description, *(tuple(m.mass_fractions.items()) for m in materials))
        if key not in self._known:
            rows = [m.mass_attenuation(spectrum.energies_kev) for m in materials]
            self._known[key] = np.stack(rows).astype(np.float32)
        return self._known[key]
