"""XraySimulator: scene, view and exposure in; radiograph and annotation out, both from the same rays."""

from __future__ import annotations

from synthex_sim import anatomy
from synthex_sim.annotation.annotation import Annotation, annotate
from synthex_sim.carm.carm import TubeSettings
from synthex_sim.carm.view import View
from synthex_sim.xray.polychromatic import PolychromaticRenderer
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.radiograph import Exposure, Radiograph
from synthex_sim.xray.scene import Scene

RENDERERS = {PolychromaticRenderer.name: PolychromaticRenderer}
PROJECTORS = {CpuProjector.name: CpuProjector}


class XraySimulator:
    """A projector and a renderer put together."""

    def __init__(self, tube: TubeSettings, renderer: str = "polychromatic", projector: str = "cpu") -> None:
        """Chooses both by name.

        Raises:
            ValueError: an unknown name; the message lists the known ones.
        """
        for kind, name, known in (("renderer", renderer, RENDERERS), ("projector", projector, PROJECTORS)):
            if name not in known:
                raise ValueError(f"unknown {kind} '{name}'; known: {', '.join(sorted(known))}")
        self.projector = PROJECTORS[projector]()
        self.renderer = RENDERERS[renderer](tube)

    def acquire(
        self,
        scene: Scene,
        view: View,
        exposure: Exposure,
        seed: int,
        sample: int,
        landmark_names: tuple[str, ...] = anatomy.SESSION_LANDMARKS,
    ) -> tuple[Radiograph, Annotation]:
        """One exposure and its labels.

        Args:
            seed, sample: address of the noise; the same pair gives the same pixels.

        Raises:
            ValueError: the source lies inside the patient, or an exposure setting is out of range.
        """
        projection = self.projector.project(scene, view)
        materials = tuple(tool.material for tool in scene.tools)
        radiograph = self.renderer.expose(projection, view, exposure, materials, seed, sample)
        return radiograph, annotate(scene, view, projection, landmark_names)
