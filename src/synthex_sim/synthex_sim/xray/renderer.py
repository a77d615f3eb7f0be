"""Renderers by name: what turns projections into radiographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.view import View
from synthex_sim.xray.decomposition import Decomposition
from synthex_sim.xray.deepdrr import DeepDrrRenderer
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.line_integral_renderer import LineIntegralRenderer
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.processor import Processor
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.radiograph import Exposure, Radiographs
from synthex_sim.xray.realistic_renderer import RealisticRenderer
from synthex_sim.xray.scene import Scene


class Renderer(Protocol):
    """What a renderer is.

    Attributes:
        name: by which it is chosen.
        decomposition: what materials its projections must hold.
    """

    name: str
    decomposition: Decomposition

    def expose(
        self,
        projection: Projection,
        scene: Scene,
        views: Sequence[View],
        exposure: Exposure,
        physics: Physics,
        seed: int,
        samples: Sequence[int],
        lag: Lag | None = None,
        interval_s: float = 1.0,
    ) -> Radiographs:
        """Makes the images of a projection.

        Args:
            projection: of ``scene`` in ``views``, by this renderer's decomposition.
            exposure: settings of the generator.
            physics: what the images show.
            seed, samples: address of the noise of each view (``random_streams``).
            lag: what the panel remembers of earlier frames, None for single shots.
            interval_s: time since the frame before; used with ``lag`` only.
        """


#: Renderers that take a patient alone: no tools, no overlays, no collimator.
PATIENT_ALONE = frozenset({"deepdrr"})

RENDERERS: Mapping[str, Callable[[CArm, Processor], Renderer]] = {
    "naive": LineIntegralRenderer.naive,
    "heuristic": LineIntegralRenderer.heuristic,
    "realistic": RealisticRenderer,
    "deepdrr": DeepDrrRenderer,
}
