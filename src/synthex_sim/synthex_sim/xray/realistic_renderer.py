"""The realistic renderer: tube spectrum, Beer-Lambert law for every energy, scatter, and the flat panel's response.

    absorbed energy of a pixel = sum_E E n(E) eta(E) exp(-sum_m (mu/rho)_m(E) a_m)  +  scatter

n(E): photons of energy E that arrive with nothing in the beam, eta(E): share that the scintillator absorbs, a_m: area
density of material m in g/cm^2. The variance of that energy, sum_E E^2 n(E) ..., is what the quanta make noise of.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.air_gap import BodyOutline, air_gap_mm, aspect
from synthex_sim.xray.collimation import field_masks
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.detector import Detector
from synthex_sim.xray.heel import beam_profile
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.materials import Material
from synthex_sim.xray.monte_carlo.material_grid import MaterialGrid
from synthex_sim.xray.monte_carlo.reference import monte_carlo_scatter
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.processor import Processor
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.radiograph import Exposure, Radiographs
from synthex_sim.xray.scatter import KernelScatter, ScatterImage, water_equivalent_factors
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.spectrum import Spectrum, tube_spectrum

#: Volumes whose outlines are kept.
_OUTLINES = 8


@dataclass(frozen=True, eq=False)
class _Beam:
    """What reaches the detector with nothing in the beam, for one voltage.

    Attributes:
        spectrum: at the detector.
        absorbed: (n,) share of photons that the scintillator absorbs.
        kernels: scatter of this spectrum.
    """

    spectrum: Spectrum
    absorbed: np.ndarray
    kernels: KernelScatter


class RealisticRenderer:
    """Projections of soft tissue, bone and tools -> radiographs of one device."""

    name = "realistic"

    def __init__(self, carm: CArm, processor: Processor) -> None:
        self.decomposition = TissueThresholds()
        self._tube = carm.tube
        self._grid = carm.grid
        self._processor = processor
        self._detector = Detector(carm.detector, processor.panel)
        self._beam = lru_cache(maxsize=256)(self._make_beam)
        self._outlines: OrderedDict[int, tuple[Patient, BodyOutline]] = OrderedDict()

    def expose(
        self, projection: Projection, scene: Scene, views: Sequence[View], exposure: Exposure, physics: Physics,
        seed: int, samples: Sequence[int], lag: Lag | None = None, interval_s: float = 1.0,
    ) -> Radiographs:
        """The images of a projection; see ``Renderer``.

        Raises:
            ValueError: views of different pixel size or source-to-detector distance, a collimator that leaves nothing
                open, photon transport in a scene without a patient, or what the parts refuse (``Detector.read``,
                ``beam_profile``).
        """
        spacing_mm, distance_mm = _one_detector(views)
        beam = self._beam(exposure.kvp, distance_mm)
        photons = beam.spectrum.photons_per_mm2_mas * exposure.mas * spacing_mm**2
        weights = beam.spectrum.weights * beam.absorbed * photons
        open_kev = float(weights @ beam.spectrum.energies_kev)
        energy, variance = self._processor.attenuate(
            projection.areas, _attenuation(projection.materials, beam.spectrum), beam.spectrum.energies_kev, weights
        )
        field = self._field(views, exposure, physics)
        if field is not None:
            energy *= field
            variance *= field
        scatter = self._scatter(projection, scene, views, beam, physics, energy, photons, field, seed, samples)
        grid = self._grid if physics.grid else None
        if grid is not None:
            open_kev *= grid.primary_transmission
            energy *= np.float32(grid.primary_transmission)
            variance *= np.float32(grid.primary_transmission)
        if scatter is not None:
            passed = np.float32(1.0 if grid is None else grid.scatter_transmission)
            scattered = passed * scatter.energy_kev
            energy += scattered
            variance += scattered * scatter.energy_ratio_kev
        image = self._detector.read(
            energy, variance, open_kev, spacing_mm, seed=seed, samples=samples, noise=physics.noise, blur=physics.blur,
            gain=physics.gain, lag=lag, interval_s=interval_s,
        )
        return Radiographs(
            image.counts, image.open_field, exposure, beam.spectrum.description, image.kev_per_count,
            saturation=int(image.saturated[0]),
            physics=replace(physics, grid=grid is not None, scatter="none" if scatter is None else physics.scatter),
            lag=lag is not None,
        )

    def _make_beam(self, kvp: float, distance_mm: float) -> _Beam:
        spectrum = tube_spectrum(replace(self._tube, kvp=float(kvp)), distance_mm)
        absorbed = self._detector.absorbed_fraction(spectrum.energies_kev)
        kernels = KernelScatter(spectrum.energies_kev, spectrum.weights, absorbed, xp=self._processor.xp)
        return _Beam(spectrum, absorbed, kernels)

    def _field(self, views: Sequence[View], exposure: Exposure, physics: Physics) -> Any | None:
        """(V, R, C) float32 share of the beam that reaches each pixel with nothing in it, or None for all of it."""
        parts = []
        if physics.heel_effect:
            tube = replace(self._tube, kvp=exposure.kvp)
            parts.append(np.stack([beam_profile(view, tube) for view in views]))
        if exposure.collimator is not None:
            parts.append(field_masks(exposure.collimator, views))
        return self._processor.xp.asarray(np.prod(parts, axis=0)) if parts else None

    def _scatter(
        self, projection: Projection, scene: Scene, views: Sequence[View], beam: _Beam, physics: Physics, energy: Any,
        photons: float, field: Any | None, seed: int, samples: Sequence[int],
    ) -> ScatterImage | None:
        if physics.scatter == "none" or not scene.volumes:
            return None
        if physics.scatter == "monte_carlo":
            if scene.patient is None:
                raise ValueError("photons are followed through a patient, and the scene has none; use scatter 'kernel'")
            return self._photon_transport(scene, views, beam, physics, photons, field, seed, samples)
        factors = water_equivalent_factors(self.decomposition.materials)
        water_cm = sum(np.float32(f) * projection.areas[:, m] for m, f in enumerate(factors))
        points = np.concatenate([self._outline(volume).posed(pose) for volume, pose in scene.volumes])
        gaps = np.stack([air_gap_mm(points, view) for view in views])
        widths = [aspect(points, view) for view in views]
        return beam.kernels.estimate(energy, water_cm, views[0], gaps, widths)

    def _photon_transport(
        self, scene: Scene, views: Sequence[View], beam: _Beam, physics: Physics, photons: float, field: Any | None,
        seed: int, samples: Sequence[int],
    ) -> ScatterImage:
        """Scatter of the patient by Monte Carlo, view after view. Overlays and tools do not scatter."""
        grid = MaterialGrid.from_patient(scene.patient, self.decomposition, scene.patient_pose)
        images = [
            monte_carlo_scatter(
                grid, view, beam.spectrum, beam.absorbed, physics.monte_carlo_photons, seed, sample,
                photons_per_pixel=photons, field=None if field is None else _on_cpu(field[n]),
                transport=self._processor.transport,
            )
            for n, (view, sample) in enumerate(zip(views, samples, strict=True))
        ]
        xp = self._processor.xp
        parts = [[image.energy_kev for image in images], [image.energy_ratio_kev for image in images]]
        return ScatterImage(*(xp.asarray(np.concatenate(part)) for part in parts))

    def _outline(self, volume: Patient) -> BodyOutline:
        """The volume's outline, kept for the next image."""
        if id(volume) not in self._outlines:
            self._outlines[id(volume)] = (volume, BodyOutline.of(volume))
            while len(self._outlines) > _OUTLINES:
                self._outlines.popitem(last=False)
        return self._outlines[id(volume)][1]


def _on_cpu(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()


def _one_detector(views: Sequence[View]) -> tuple[float, float]:
    """Pixel size and source-to-detector distance that all views share, mm.

    Raises:
        ValueError: they differ.
    """
    known = {(round(view.pixel_spacing_mm, 6), round(view.source_to_detector_mm, 3)) for view in views}
    if len(known) != 1:
        raise ValueError(
            f"views of one batch must share pixel size and source-to-detector distance, got {sorted(known)}"
        )
    return known.pop()


def _attenuation(materials: tuple[Material, ...], spectrum: Spectrum) -> np.ndarray:
    """(M, n) mu/rho of each material at the spectrum's energies, cm^2/g."""
    energies = tuple(spectrum.energies_kev)
    return np.stack([_coefficients(m.name, tuple(sorted(m.mass_fractions.items())), energies) for m in materials])


@lru_cache(maxsize=1024)
def _coefficients(name: str, mass_fractions: tuple, energies_kev: tuple[float, ...]) -> np.ndarray:
    return Material(name, dict(mass_fractions), 1.0).mass_attenuation(np.array(energies_kev))
