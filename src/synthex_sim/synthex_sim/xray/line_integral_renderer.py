"""The two simple renderers of the paper: `naive` and `heuristic`, both exp(-mu L) of one material and one energy.

Everything in the beam is water of the density that its Hounsfield value says, with xreg's attenuation of water. They
differ in which Hounsfield value counts as nothing: air (naive), or everything up to fat and thin tissue (heuristic),
which is xreg's linear threshold and gives bone more contrast. A tool is water of the tool's own density.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.view import View
from synthex_sim.xray.collimation import field_masks
from synthex_sim.xray.decomposition import WaterEquivalent
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.processor import Processor
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.radiograph import OPEN_FIELD_COUNTS, Exposure, Radiographs
from synthex_sim.xray.scene import Scene

#: Mass attenuation of water, cm^2/g: xreg's 0.02683 per mm.
WATER_CM2_PER_G = 0.2683
#: Quanta of an unattenuated pixel in the heuristic images of the paper's hip generator (xreg's ``num_photons``).
HEURISTIC_QUANTA = 2000.0
#: xreg's ``HU_lo`` for DRR synthesis.
HEURISTIC_ZERO_HU = -130


class LineIntegralRenderer:
    """Projections of water -> radiographs.

    Args:
        name: of the renderer.
        zero_hu: Hounsfield value up to which there is nothing.
        quanta: of an unattenuated pixel, for Poisson noise; None: the renderer knows no noise.
        processor: where projections come from.
    """

    def __init__(self, name: str, zero_hu: int, quanta: float | None, processor: Processor) -> None:
        self.name = name
        self._processor = processor
        self.decomposition = WaterEquivalent(zero_hu)
        self._quanta = quanta

    @classmethod
    def naive(cls, carm: CArm, processor: Processor) -> LineIntegralRenderer:
        """Mono-energetic, one material, no noise."""
        return cls("naive", -1000, None, processor)

    @classmethod
    def heuristic(cls, carm: CArm, processor: Processor) -> LineIntegralRenderer:
        """xreg's linear threshold on Hounsfield units, Poisson noise where it is switched on."""
        return cls("heuristic", HEURISTIC_ZERO_HU, HEURISTIC_QUANTA, processor)

    def expose(
        self, projection: Projection, scene: Scene, views: Sequence[View], exposure: Exposure, physics: Physics,
        seed: int, samples: Sequence[int], lag: Lag | None = None, interval_s: float = 1.0,
    ) -> Radiographs:
        """The images of a projection; see ``Renderer``. Only noise and collimator are heeded.

        Raises:
            ValueError: the collimator leaves nothing open.
        """
        xp = self._processor.xp
        transmission = xp.exp(-np.float32(WATER_CM2_PER_G) * projection.areas.sum(axis=1))
        noisy = physics.noise and self._quanta is not None
        if noisy:
            # quanta of one energy: the variance is the count itself
            quanta = transmission * np.float32(self._quanta)
            drawn = self._processor.panel.absorbed_energy(quanta, quanta, seed, samples)
            transmission = drawn / np.float32(self._quanta)
        if exposure.collimator is not None:
            transmission *= xp.asarray(field_masks(exposure.collimator, views))
        return Radiographs(
            counts=xp.clip(xp.rint(transmission * np.float32(OPEN_FIELD_COUNTS)), 0, 65535).astype(np.uint16),
            open_field=np.full(len(views), float(OPEN_FIELD_COUNTS)),
            exposure=exposure,
            spectrum=f"one energy, mu of water {WATER_CM2_PER_G:g} cm^2/g",
            physics=replace(Physics.ideal(), noise=noisy),
        )
