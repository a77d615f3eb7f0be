"""Projector: views of a scene -> area densities and label hits; what the CPU's and the GPU's have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from synthex_sim import anatomy
from synthex_sim.carm.view import View, rigid_inverse
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import Decomposition, OfOverlay
from synthex_sim.xray.materials import Material
from synthex_sim.xray.processor import Processor
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.scene import Scene

#: Labels whose depth is always found: the nearer hemipelvis gives its label to a pixel (``annotation``).
HEMIPELVES = (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS)

#: A volume as a projector keeps it.
Volume = TypeVar("Volume")


@dataclass(frozen=True, eq=False)
class Batch(Generic[Volume]):
    """What one call asks for, and what it fills.

    Attributes:
        scene: what the beam passes through.
        views: of one detector shape.
        volumes: of the scene, bottom first, made ready.
        of_tissue: how many of the materials are the tissue's.
        plane_of_tool: which of the materials each tool is of.
        out: all zeros, depths infinite, to begin with.
    """

    scene: Scene
    views: Sequence[View]
    volumes: list[Volume]
    of_tissue: int
    plane_of_tool: list[int]
    out: Projection

    def index_from_world(self) -> list[np.ndarray]:
        """(4, 4) world mm -> voxel index of each volume."""
        poses = [pose for _, pose in self.scene.volumes]
        return [np.linalg.inv(v.affine) @ rigid_inverse(pose) for v, pose in zip(self.volumes, poses, strict=True)]

    def depth_pairs(self) -> Iterator[tuple[int, int]]:
        """Numbers of the depth labels, two for each pass over the rays: most callers want the hemipelves alone.

        An odd one out comes twice.
        """
        count = len(self.out.depth_labels)
        return ((first, min(first + 1, count - 1)) for first in range(0, count, 2))


class Passes(Protocol):
    """The passes of one batch over its views: each adds its share to ``out``. Volumes are named by number."""

    def march(self, number: int) -> None:
        """Adds the area densities of a volume as if it were alone."""

    def cast_labels(self, number: int) -> None:
        """Adds the labels of the uppermost volume."""

    def cast_covered_labels(self, number: int) -> None:
        """Adds the labels of a volume where none of those above it is occupied."""

    def subtract_hidden(self) -> None:
        """Takes off what upper volumes hide of the lower ones."""

    def cast_tools(self) -> None:
        """Adds the tools and their coverage, takes off the tissue that they displace."""


class Projector(ABC, Generic[Volume]):
    """Keeps the last few volumes ready, so that each is split into materials once.

    Attributes:
        name: by which it is chosen.
        processor: what renderers need of it.
    """

    name: str

    def __init__(self, processor: Processor, kept_volumes: int) -> None:
        self.processor = processor
        self._kept = kept_volumes
        self._volumes: OrderedDict[tuple[int, Decomposition], tuple[Patient, Volume]] = OrderedDict()

    def project(
        self,
        scene: Scene,
        views: Sequence[View],
        decomposition: Decomposition,
        labels: bool = True,
        depth_labels: tuple[int, ...] = HEMIPELVES,
    ) -> Projection:
        """Area densities and label hits of views with one detector shape, as arrays of the processor.

        Args:
            decomposition: what the volumes are made of.
            labels: whether structures are looked for; without, ``hits`` and ``depths_mm`` stay empty.
            depth_labels: labels whose depth is wanted besides the hemipelves.

        Raises:
            ValueError: no views, or of different shapes; the source lies inside a volume or a tool; a volume is all
                air.
        """
        shape = one_shape(views)
        volumes = [self.prepare(volume, of) for volume, of in _volumes_to_prepare(decomposition, scene)]
        materials, plane_of_tool = _materials_in_beam(decomposition, scene)
        depth_labels = tuple(dict.fromkeys((*HEMIPELVES, *depth_labels)))
        xp, count = self.processor.xp, len(views)
        out = Projection(
            materials=materials,
            areas=xp.zeros((count, len(materials), *shape), np.float32),
            hits=xp.zeros((count, *shape), np.uint32),
            depths_mm=xp.full((count, len(depth_labels), *shape), np.inf, np.float32),
            depth_labels=depth_labels,
            tool_coverage=xp.zeros((count, *shape), np.float32),
        )
        passes = self._passes(Batch(scene, views, volumes, len(decomposition.materials), plane_of_tool, out))
        top = len(volumes) - 1
        for number, volume in enumerate(volumes):
            passes.march(number)
            if labels and volume.labels is not None:
                (passes.cast_labels if number == top else passes.cast_covered_labels)(number)
        if top > 0:
            passes.subtract_hidden()
        if scene.tools:
            passes.cast_tools()
        # what is taken away is sampled off the march's planes: differences of some 1e-4 g/cm^2 must not turn negative
        xp.maximum(out.areas, np.float32(0.0), out=out.areas)
        return out

    def prepare(self, patient: Patient, decomposition: Decomposition) -> Volume:
        """The volume split into materials, where the processor wants it; kept for the next call.

        Raises:
            ValueError: it is all air or too large.
        """
        key = (id(patient), decomposition)
        if key not in self._volumes:
            self._volumes[key] = (patient, self._made_ready(patient, decomposition))
            while len(self._volumes) > self._kept:
                self._volumes.popitem(last=False)
        self._volumes.move_to_end(key)
        return self._volumes[key][1]

    @abstractmethod
    def _made_ready(self, patient: Patient, decomposition: Decomposition) -> Volume:
        """The volume as this projector marches through it."""

    @abstractmethod
    def _passes(self, batch: Batch[Volume]) -> Passes:
        """What fills a batch.

        Raises:
            ValueError: a source lies inside a volume.
        """


def refuse_sources_in_volume(sources: np.ndarray, shape: tuple[int, int, int]) -> None:
    """Raises ValueError where any of the sources, (..., 3) voxel indices, lies inside a volume of this shape."""
    if ((sources > 0) & (sources < np.array(shape) - 1)).all(axis=-1).any():
        raise ValueError("the X-ray source lies inside the patient's volume; move the C-arm away from the patient")


def one_shape(views: Sequence[View]) -> tuple[int, int]:
    """The detector shape that all views share.

    Raises:
        ValueError: there are no views, or they differ.
    """
    shapes = {view.shape for view in views}
    if not shapes:
        raise ValueError("there are no views to project")
    if len(shapes) > 1:
        raise ValueError(f"views of one batch must have one shape, got {sorted(shapes)}")
    return shapes.pop()


def _volumes_to_prepare(decomposition: Decomposition, scene: Scene) -> list[tuple[Patient, Decomposition]]:
    """The volumes of a scene, bottom first, each with its decomposition: in overlays air is nothing, in all physics."""
    patient = [] if scene.patient is None else [(scene.patient, decomposition)]
    return patient + [(overlay.volume, OfOverlay(decomposition)) for overlay in scene.overlays]


def _materials_in_beam(decomposition: Decomposition, scene: Scene) -> tuple[tuple[Material, ...], list[int]]:
    """All materials of a projection, the tissue's first, and which of them each tool is of."""
    # by all that a material is: two alloys of one name may differ in composition
    materials = list(dict.fromkeys((*decomposition.materials, *(tool.material for tool in scene.tools))))
    return tuple(materials), [materials.index(tool.material) for tool in scene.tools]
