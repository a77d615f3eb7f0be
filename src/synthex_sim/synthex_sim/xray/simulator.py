"""XraySimulator: scene, views and exposure in; radiographs and annotations out, both from the same rays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from synthex_sim import anatomy
from synthex_sim.annotation.annotation import Annotation, annotate
from synthex_sim.carm.carm import CArm
from synthex_sim.carm.view import View
from synthex_sim.xray.cuda.projector import CudaProjector
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.radiograph import Exposure, Radiograph, Radiographs
from synthex_sim.xray.renderer import RENDERERS
from synthex_sim.xray.scene import Scene

PROJECTORS = {CpuProjector.name: CpuProjector, CudaProjector.name: CudaProjector}


class XraySimulator:
    """A projector and a renderer put together."""

    def __init__(self, carm: CArm, renderer: str = "realistic", projector: str = "cpu") -> None:
        """Chooses both by name.

        Args:
            carm: gives the tube and the detector.

        Raises:
            ValueError: an unknown name; the message lists the known ones.
            RuntimeError: what it takes is missing: a GPU, CuPy, DeepDRR; the message says what and how to get it.
        """
        for kind, name, known in (("renderer", renderer, RENDERERS), ("projector", projector, PROJECTORS)):
            if name not in known:
                raise ValueError(f"unknown {kind} '{name}'; known: {', '.join(sorted(known))}")
        self.projector = PROJECTORS[projector]()
        self.renderer = RENDERERS[renderer](carm, self.projector.processor)

    def render(
        self,
        scene: Scene,
        views: Sequence[View],
        exposure: Exposure,
        physics: Physics | None = None,
        seed: int = 0,
        samples: Sequence[int] | None = None,
        labels: bool = True,
        lag: Lag | None = None,
        interval_s: float = 1.0,
    ) -> tuple[Radiographs, Projection]:
        """One exposure of a scene in each of V views of one detector shape.

        A view whose beam misses everything gives an open field; ``carm.beam.why_missed`` says why.

        Args:
            physics: what the images show; None: everything but heel effect and lag.
            seed, samples: addresses of the noise; the same pair gives the same pixels, whatever the batch. Default
                samples: 0, 1, ...
            labels: whether the projection is to hold labels; one without cannot be annotated.
            lag, interval_s: what the panel remembers of earlier frames, and the time since the last one, for
                fluoroscopy; None: single shots.

        Returns:
            The images, and the projection that annotations are made from (``annotate``). Their arrays stay where the
            projector works, on the GPU for ``cuda``.

        Raises:
            ValueError: no views or of different shapes, as many samples as views were not given, the source lies inside
                the patient, a volume is all air, a collimator leaves nothing open, or an exposure setting is out of
                range.
        """
        if isinstance(views, View):
            raise ValueError("views must be a list of views, got a single one; put it into a list, or call acquire")
        samples = range(len(views)) if samples is None else samples
        if len(samples) != len(views):
            raise ValueError(f"{len(views)} views need as many samples, got {len(samples)}")
        projection = self.projector.project(scene, views, self.renderer.decomposition, labels)
        physics = Physics() if physics is None else physics
        images = self.renderer.expose(projection, scene, views, exposure, physics, seed, samples, lag, interval_s)
        return images, projection if labels else replace(projection, hits=None, depths_mm=None)

    def acquire(
        self,
        scene: Scene,
        view: View,
        exposure: Exposure,
        physics: Physics | None = None,
        seed: int = 0,
        sample: int = 0,
        landmark_names: tuple[str, ...] = anatomy.SESSION_LANDMARKS,
        lag: Lag | None = None,
        interval_s: float = 1.0,
    ) -> tuple[Radiograph, Annotation]:
        """One exposure and its labels, on the CPU; arguments and errors as for ``render``."""
        images, projection = self.render(
            scene, (view,), exposure, physics, seed, (sample,), lag=lag, interval_s=interval_s
        )
        return images[0], annotate(scene, view, projection, 0, landmark_names)
