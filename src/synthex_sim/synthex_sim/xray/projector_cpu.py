"""The CPU projector: views of a scene -> area densities and label hits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from synthex_sim import anatomy
from synthex_sim.carm.view import View, rigid_inverse
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.covered_labels_cpu import cast_covered_labels
from synthex_sim.xray.decomposition import Decomposition, OfOverlay
from synthex_sim.xray.label_volume import LabelVolume
from synthex_sim.xray.labels_cpu import cast_labels
from synthex_sim.xray.march_cpu import march
from synthex_sim.xray.materials import Material
from synthex_sim.xray.overlap_cpu import hidden_tissue
from synthex_sim.xray.packed_volume import PackedVolume, pack
from synthex_sim.xray.processor import CpuProcessor
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.tissue_cpu import Tissue, tissue_of
from synthex_sim.xray.tool_cpu import cast_tools

#: Labels whose depth is always found: the nearer hemipelvis gives its label to a pixel (``annotation``).
HEMIPELVES = (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS)


class CpuProjector:
    """Casts rays on all CPU cores. Keeps the last few volumes ready, so that each is split into materials once."""

    name = "cpu"

    def __init__(self, kept_volumes: int = 4) -> None:
        self.processor = CpuProcessor()
        self._kept = kept_volumes
        self._volumes: OrderedDict[tuple[int, Decomposition], tuple[Patient, PackedVolume]] = OrderedDict()

    def project(
        self,
        scene: Scene,
        views: Sequence[View],
        decomposition: Decomposition,
        labels: bool = True,
        depth_labels: tuple[int, ...] = HEMIPELVES,
    ) -> Projection:
        """Area densities and label hits of views with one detector shape.

        Args:
            decomposition: what the volumes are made of.
            labels: whether structures are looked for; without, ``hits`` and ``depths_mm`` stay empty.
            depth_labels: labels whose depth is wanted besides the hemipelves.

        Raises:
            ValueError: no views, or of different shapes; the source lies inside a volume or a tool; a volume is all
                air.
        """
        shape = one_shape(views)
        volumes = [self.prepare(volume, of) for volume, of in volumes_to_prepare(decomposition, scene)]
        poses = [pose for _, pose in scene.volumes]
        materials, plane_of_tool = materials_in_beam(decomposition, scene)
        depth_labels = tuple(dict.fromkeys((*HEMIPELVES, *depth_labels)))
        areas = np.zeros((len(views), len(materials), *shape), np.float32)
        hits = np.zeros((len(views), *shape), np.uint32)
        depths = np.full((len(views), len(depth_labels), *shape), np.inf, np.float32)
        coverage = np.zeros((len(views), *shape), np.float32)
        tissue = tissue_of(volumes, poses)
        of_tissue = len(decomposition.materials)
        for n, view in enumerate(views):
            for k, (volume, pose) in enumerate(zip(volumes, poses, strict=True)):
                _march(volume, pose, view, areas[n, :of_tissue])
                if labels and volume.labels is not None and k + 1 < len(volumes):
                    _cast_covered_labels(volume, volume.labels, pose, view, tissue, k, depth_labels, hits[n], depths[n])
                elif labels and volume.labels is not None:
                    _cast_labels(volume, volume.labels, pose, view, depth_labels, hits[n], depths[n])
            if len(volumes) > 1:
                areas[n, :of_tissue] -= hidden_tissue(volumes, tissue, view)
            if scene.tools:
                lengths, coverage[n], displaced = cast_tools(scene.tools, view, tissue, of_tissue)
                areas[n, :of_tissue] -= displaced
                for tool, plane, length in zip(scene.tools, plane_of_tool, lengths, strict=True):
                    areas[n, plane] += length * np.float32(tool.material.density_g_cm3)
        # what is taken away is sampled off the march's planes: differences of some 1e-4 g/cm^2 must not turn negative
        np.maximum(areas, 0.0, out=areas)
        return Projection(materials, areas, hits, depths, depth_labels, coverage)

    def prepare(self, patient: Patient, decomposition: Decomposition) -> PackedVolume:
        """The volume split into materials; kept for the next call.

        Raises:
            ValueError: it is all air or too large.
        """
        key = (id(patient), decomposition)
        if key not in self._volumes:
            self._volumes[key] = (patient, pack(patient, decomposition))
            while len(self._volumes) > self._kept:
                self._volumes.popitem(last=False)
        self._volumes.move_to_end(key)
        return self._volumes[key][1]


def one_shape(views: Sequence[View]) -> tuple[int, int]:
    """The detector shape that all views share.

    Raises:
        ValueError: there are no views, or they differ.
    """
    shapes = {view.shape for view in views}
    if len(shapes) != 1:
        raise ValueError(
            "there are no views to project" if not shapes else f"views of one batch must have one shape, got {sorted(shapes)}"
        )
    return shapes.pop()


def volumes_to_prepare(decomposition: Decomposition, scene: Scene) -> list[tuple[Patient, Decomposition]]:
    """The volumes of a scene, bottom first, each with its decomposition: in overlays air is nothing, in all physics."""
    patient = [] if scene.patient is None else [(scene.patient, decomposition)]
    return patient + [(overlay.volume, OfOverlay(decomposition)) for overlay in scene.overlays]


def materials_in_beam(decomposition: Decomposition, scene: Scene) -> tuple[tuple[Material, ...], list[int]]:
    """All materials of a projection, the tissue's first, and which of them each tool is of."""
    # by all that a material is: two alloys of one name may differ in composition
    materials = list(dict.fromkeys((*decomposition.materials, *(tool.material for tool in scene.tools))))
    return tuple(materials), [materials.index(tool.material) for tool in scene.tools]


def ray_geometry(affine: np.ndarray, shape: tuple[int, int, int], pose: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """The source (3,) and the (3, 3) pixel -> direction map in voxel indices of a posed volume.

    Raises:
        ValueError: the source lies inside the volume.
    """
    index_from_world = np.linalg.inv(affine) @ rigid_inverse(pose)
    origin = index_from_world[:3, :3] @ view.source + index_from_world[:3, 3]
    if ((origin > 0) & (origin < np.array(shape) - 1)).all():
        raise ValueError("the X-ray source lies inside the patient's volume; move the C-arm away from the patient")
    return origin, index_from_world[:3, :3] @ view.pixel_to_direction


def _march(volume: PackedVolume, pose: np.ndarray, view: View, areas: np.ndarray) -> None:
    origin, directions = ray_geometry(volume.affine, volume.codes.shape, pose, view)
    march(
        volume.codes, volume.material_bits, origin, directions, view.pixel_to_direction, view.source_to_detector_mm,
        volume.density_step, areas,
    )


def _cast_labels(
    volume: PackedVolume, labels: LabelVolume, pose: np.ndarray, view: View, depth_labels: tuple[int, ...], hits: np.ndarray,
    depths: np.ndarray,
) -> None:
    origin, directions = ray_geometry(volume.affine, volume.codes.shape, pose, view)
    # two depths a pass: the hemipelves come first, most callers want no others
    for first in range(0, len(depth_labels), 2):
        second = min(first + 1, len(depth_labels) - 1)
        cast_labels(
            labels.cells, labels.shape, origin - labels.first, directions, view.source_to_detector_mm,
            depth_labels[first], depth_labels[second], hits, depths[first], depths[second],
        )


def _cast_covered_labels(
    volume: PackedVolume, labels: LabelVolume, pose: np.ndarray, view: View, tissue: Tissue, below: int,
    depth_labels: tuple[int, ...], hits: np.ndarray, depths: np.ndarray,
) -> None:
    """The labels of volume number ``below`` where none above it is occupied."""
    origin, directions = ray_geometry(volume.affine, volume.codes.shape, pose, view)
    cast_covered_labels(
        labels.cells, labels.shape, origin - labels.first, directions, view.source, view.pixel_to_direction,
        view.source_to_detector_mm, tissue.codes[below + 1 :], tissue.index_from_world[below + 1 :],
        np.array(depth_labels), hits, depths,
    )
