"""The CPU projector: views of a scene -> area densities and label hits, by numba on all cores."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.patient import Patient
from synthex_sim.xray.covered_labels_cpu import cast_covered_labels
from synthex_sim.xray.decomposition import Decomposition
from synthex_sim.xray.labels_cpu import cast_labels
from synthex_sim.xray.march_cpu import march
from synthex_sim.xray.overlap_cpu import hidden_tissue
from synthex_sim.xray.packed_volume import PackedVolume, pack
from synthex_sim.xray.processor import CpuProcessor
from synthex_sim.xray.projector import Batch, Projector, refuse_sources_in_volume
from synthex_sim.xray.tissue_cpu import tissue_of
from synthex_sim.xray.tool_cpu import cast_tools


class CpuProjector(Projector[PackedVolume]):
    """Casts rays on all CPU cores, view after view."""

    name = "cpu"

    def __init__(self, kept_volumes: int = 4) -> None:
        super().__init__(CpuProcessor(), kept_volumes)

    def _made_ready(self, patient: Patient, decomposition: Decomposition) -> PackedVolume:
        return pack(patient, decomposition)

    def _passes(self, batch: Batch[PackedVolume]) -> _CpuPasses:
        return _CpuPasses(batch)


class _CpuPasses:
    """``projector.Passes`` on numpy arrays."""

    def __init__(self, batch: Batch[PackedVolume]) -> None:
        self._batch = batch
        self._tissue = tissue_of(batch.volumes, [pose for _, pose in batch.scene.volumes])
        #: for each volume the source (3,) and the map pixel -> direction (3, 3) of each view, in voxel indices
        self._rays = [
            [(to[:3, :3] @ view.source + to[:3, 3], to[:3, :3] @ view.pixel_to_direction) for view in batch.views]
            for to in batch.index_from_world()
        ]
        for volume, rays in zip(batch.volumes, self._rays, strict=True):
            refuse_sources_in_volume(np.stack([source for source, _ in rays]), volume.codes.shape)

    def march(self, number: int) -> None:
        volume = self._batch.volumes[number]
        for n, (view, (source, directions)) in enumerate(zip(self._batch.views, self._rays[number], strict=True)):
            march(
                volume.codes, volume.material_bits, source, directions, view.pixel_to_direction,
                view.source_to_detector_mm, volume.density_step, self._tissue_areas(n),
            )

    def cast_labels(self, number: int) -> None:
        labels, out = self._batch.volumes[number].labels, self._batch.out
        for n, (view, (source, directions)) in enumerate(zip(self._batch.views, self._rays[number], strict=True)):
            for a, b in self._batch.depth_pairs():
                cast_labels(
                    labels.cells, labels.shape, source - labels.first, directions, view.source_to_detector_mm,
                    out.depth_labels[a], out.depth_labels[b], out.hits[n], out.depths_mm[n, a], out.depths_mm[n, b],
                )

    def cast_covered_labels(self, number: int) -> None:
        labels, out, tissue = self._batch.volumes[number].labels, self._batch.out, self._tissue
        for n, (view, (source, directions)) in enumerate(zip(self._batch.views, self._rays[number], strict=True)):
            cast_covered_labels(
                labels.cells, labels.shape, source - labels.first, directions, view.source, view.pixel_to_direction,
                view.source_to_detector_mm, tissue.codes[number + 1 :], tissue.index_from_world[number + 1 :],
                np.array(out.depth_labels), out.hits[n], out.depths_mm[n],
            )

    def subtract_hidden(self) -> None:
        for n, view in enumerate(self._batch.views):
            areas = self._tissue_areas(n)
            areas -= hidden_tissue(self._batch.volumes, self._tissue, view)

    def cast_tools(self) -> None:
        tools, out = self._batch.scene.tools, self._batch.out
        for n, view in enumerate(self._batch.views):
            areas = self._tissue_areas(n)
            lengths, out.tool_coverage[n], displaced = cast_tools(tools, view, self._tissue, len(areas))
            areas -= displaced
            for tool, plane, length in zip(tools, self._batch.plane_of_tool, lengths, strict=True):
                out.areas[n, plane] += length * np.float32(tool.material.density_g_cm3)

    def _tissue_areas(self, view: int) -> np.ndarray:
        """(M, R, C) area densities of the tissue in one view."""
        return self._batch.out.areas[view, : self._batch.of_tissue]
