"""The CUDA projector: views of a scene -> area densities and label hits that stay on the GPU.

The same rays, planes, weights and formulas as the CPU projector's; ``march.cu``, ``labels.cu``, ``overlap.cu`` and
``tools.cu`` say how. ``torch.from_dlpack(projection.areas)`` hands an array to torch without a copy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray import tool_cpu
from synthex_sim.xray.cuda.device import CudaDevice
from synthex_sim.xray.cuda.device_volume import VOLUME, DeviceLabels, DeviceVolume, upload
from synthex_sim.xray.cuda.processor import CudaProcessor
from synthex_sim.xray.cuda.tool_table import piece_records, tool_boxes
from synthex_sim.xray.cuda.view_table import ViewTable, index_from_world, view_table
from synthex_sim.xray.decomposition import Decomposition
from synthex_sim.xray.packed_volume import pack
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.projector_cpu import HEMIPELVES, materials_in_beam, one_shape, volumes_to_prepare
from synthex_sim.xray.scene import Scene

SOURCES = ("march", "labels", "overlap", "tools")
#: Threads of a block along columns and rows: a warp is a tile of 8 x 4 pixels, as tools.cu expects.
_BLOCK = (8, 16)
_TOOL_BLOCK = (8, 8)
_TILE = (8, 4)
_FIND_THREADS = 64
_I = np.int32


class CudaProjector:
    """Casts rays on a GPU, a batch of views in one launch. Keeps the last few volumes there, so that each goes once.

    Attributes:
        device: what runs the kernels.
        processor: what renderers need of it.
    """

    name = "cuda"

    def __init__(self, kept_volumes: int = 4, device: Any = None) -> None:
        """Compiles the kernels.

        Args:
            kept_volumes: how many volumes stay on the GPU.
            device: what runs the kernels; CuPy's current device if not given.

        Raises:
            CudaUnavailableError: CuPy or a GPU is missing.
        """
        self.device = CudaDevice() if device is None else device
        self.processor = CudaProcessor(self.device)
        self._kernels = self.device.kernels(*SOURCES)
        self._kept = kept_volumes
        self._volumes: OrderedDict[tuple[int, Decomposition], tuple[Patient, DeviceVolume]] = OrderedDict()

    def project(
        self,
        scene: Scene,
        views: Sequence[View],
        decomposition: Decomposition,
        labels: bool = True,
        depth_labels: tuple[int, ...] = HEMIPELVES,
    ) -> Projection:
        """Area densities and label hits of views with one detector shape, as arrays on the GPU.

        Args:
            decomposition: what the volumes are made of.
            labels: whether structures are looked for; without, ``hits`` and ``depths_mm`` stay empty.
            depth_labels: labels whose depth is wanted besides the hemipelves.

        Raises:
            ValueError: no views, or of different shapes; the source lies inside a volume or a tool; a volume is all
                air.
        """
        rows, columns = one_shape(views)
        volumes = [self.prepare(volume, of) for volume, of in volumes_to_prepare(decomposition, scene)]
        to_index = [
            index_from_world(volume.affine, pose) for volume, (_, pose) in zip(volumes, scene.volumes, strict=True)
        ]
        materials, plane_of_tool = materials_in_beam(decomposition, scene)
        depth_labels = tuple(dict.fromkeys((*HEMIPELVES, *depth_labels)))
        xp, table = self.device.xp, view_table(views)
        of_views = [_outside(volume, table.in_indices(to)) for volume, to in zip(volumes, to_index, strict=True)]
        batch = _Batch(table, self.device.array(table.worlds()), len(decomposition.materials), Projection(
            materials,
            xp.zeros((len(views), len(materials), rows, columns), np.float32),
            xp.zeros((len(views), rows, columns), np.uint32),
            xp.full((len(views), len(depth_labels), rows, columns), np.inf, np.float32),
            depth_labels,
            xp.zeros((len(views), rows, columns), np.float32),
        ))
        records = np.array([volume.record(to) for volume, to in zip(volumes, to_index, strict=True)], VOLUME)
        for k, (volume, indexed) in enumerate(zip(volumes, of_views, strict=True)):
            self._march(batch, volume, indexed)
            if labels and volume.labels is not None and k + 1 < len(volumes):
                self._cast_covered_labels(batch, volume.labels, indexed, records[k + 1 :])
            elif labels and volume.labels is not None:
                self._cast_labels(batch, volume.labels, indexed)
        if len(volumes) > 1:
            self._subtract_hidden(batch, volumes, self.device.array(records))
        if scene.tools:
            self._cast_tools(batch, scene, plane_of_tool, records)
        # what is taken away is sampled off the march's planes: differences of some 1e-4 g/cm^2 must not turn negative
        xp.maximum(batch.out.areas, np.float32(0.0), out=batch.out.areas)
        return batch.out

    def prepare(self, patient: Patient, decomposition: Decomposition) -> DeviceVolume:
        """The volume split into materials, on the GPU; kept for the next call.

        Raises:
            ValueError: it is all air or too large.
        """
        key = (id(patient), decomposition)
        if key not in self._volumes:
            self._volumes[key] = (patient, upload(pack(patient, decomposition), self.device))
            while len(self._volumes) > self._kept:
                self._volumes.popitem(last=False)
        self._volumes.move_to_end(key)
        return self._volumes[key][1]

    def _march(self, batch: _Batch, volume: DeviceVolume, indexed: np.ndarray) -> None:
        self._kernels[f"march_{volume.material_bits}"](batch.grid(_BLOCK), _BLOCK, (
            np.uint64(volume.words.ptr), *map(_I, volume.shape), np.float32(volume.density_step), batch.worlds,
            self.device.array(indexed), *batch.size(), *batch.planes(), batch.out.areas,
        ))

    def _cast_labels(self, batch: _Batch, labels: DeviceLabels, indexed: np.ndarray) -> None:
        moved = indexed.copy()
        moved[:, :3] -= labels.first
        wanted, views = batch.out.depth_labels, self.device.array(moved)
        # two depths a pass: the hemipelves come first, most callers want no others
        for first in range(0, len(wanted), 2):
            second = min(first + 1, len(wanted) - 1)
            self._kernels["cast_labels"](batch.grid(_BLOCK), _BLOCK, (
                np.uint64(labels.cells.ptr), *map(_I, labels.shape), batch.worlds, views, *batch.size(),
                np.uint32(wanted[first]), np.uint32(wanted[second]), _I(first), _I(second), _I(len(wanted)),
                batch.out.hits, batch.out.depths_mm,
            ))

    def _cast_covered_labels(
        self, batch: _Batch, labels: DeviceLabels, indexed: np.ndarray, above: np.ndarray
    ) -> None:
        moved = indexed.copy()
        moved[:, :3] -= labels.first
        wanted = np.array(batch.out.depth_labels, np.int32)
        self._kernels["cast_covered_labels"](batch.grid(_BLOCK), _BLOCK, (
            np.uint64(labels.cells.ptr), *map(_I, labels.shape), batch.worlds, self.device.array(moved), *batch.size(),
            self.device.array(above), _I(len(above)), self.device.array(wanted), _I(len(wanted)), batch.out.hits,
            batch.out.depths_mm,
        ))

    def _subtract_hidden(self, batch: _Batch, volumes: list[DeviceVolume], records: Any) -> None:
        spacing = min(float(np.linalg.norm(volume.affine[:3, :3], axis=0).min()) for volume in volumes)
        self._kernels["subtract_hidden"](batch.grid(_BLOCK), _BLOCK, (
            records, _I(len(volumes)), _I(volumes[0].material_bits), batch.worlds, *batch.size(), *batch.planes(),
            np.float64(spacing / 2), batch.out.areas,
        ))

    def _cast_tools(self, batch: _Batch, scene: Scene, plane_of_tool: list[int], records: np.ndarray) -> None:
        tool_cpu.refuse_sources_inside(scene.tools, batch.views.sources)
        pieces, sources = piece_records(scene.tools, plane_of_tool, batch.views.sources)
        boxes = tool_boxes(batch.views, pieces["centre"], pieces["radius"])
        if not boxes.any():
            return
        rows, columns = batch.views.shape
        tiles, words = -(-columns // _TILE[0]) * -(-rows // _TILE[1]), -(-len(pieces) // 32)
        near = self.device.xp.empty((len(boxes), tiles, words), np.uint32)
        on_device, boxes = self.device.array(pieces), self.device.array(boxes)
        self._kernels["find_pieces"]((-(-tiles // _FIND_THREADS), len(boxes)), (_FIND_THREADS,), (
            on_device, _I(len(pieces)), batch.worlds, boxes, *batch.size(), near,
        ))
        bits = (batch.of_tissue - 1).bit_length()
        volumes = self.device.array(records if len(records) else np.zeros(1, VOLUME))
        self._kernels["cast_tools"](batch.grid(_TOOL_BLOCK), _TOOL_BLOCK, (
            on_device, _I(len(pieces)), self.device.array(sources), near, boxes, volumes, _I(len(records)), _I(bits),
            np.float64(tool_cpu.DISPLACED_STEP_MM), batch.worlds, *batch.size(), *batch.planes(), batch.out.areas,
            batch.out.tool_coverage,
        ))


@dataclass(frozen=True, eq=False)
class _Batch:
    """One call's views and what it fills.

    Attributes:
        views: the table.
        worlds: its ``WorldView`` structures on the device.
        of_tissue: how many of the materials are the tissue's.
        out: zeros to begin with.
    """

    views: ViewTable
    worlds: Any
    of_tissue: int
    out: Projection

    def grid(self, block: tuple[int, int]) -> tuple[int, int, int]:
        rows, columns = self.views.shape
        return -(-columns // block[0]), -(-rows // block[1]), len(self.views.sources)

    def size(self) -> tuple[np.int32, np.int32]:
        return _I(self.views.shape[0]), _I(self.views.shape[1])

    def planes(self) -> tuple[np.int32, np.int32]:
        return _I(len(self.out.materials)), _I(self.of_tissue)


def _outside(volume: DeviceVolume, indexed: np.ndarray) -> np.ndarray:
    """Passes the views of a volume on.

    Raises:
        ValueError: a source lies inside the volume.
    """
    sources = indexed[:, :3]
    if ((sources > 0) & (sources < np.array(volume.shape) - 1)).all(axis=1).any():
        raise ValueError("the X-ray source lies inside the patient's volume; move the C-arm away from the patient")
    return indexed
