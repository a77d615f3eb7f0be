"""The CUDA projector: views of a scene -> area densities and label hits that stay on the GPU.

The same rays, planes, weights and formulas as the CPU projector's; ``march.cu``, ``labels.cu``, ``overlap.cu`` and
``tools.cu`` say how. ``torch.from_dlpack(projection.areas)`` hands an array to torch without a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synthex_sim.patient.patient import Patient
from synthex_sim.xray.cuda.device import CudaDevice, blocks_over
from synthex_sim.xray.cuda.device_volume import VOLUME, DeviceVolume, upload
from synthex_sim.xray.cuda.processor import CudaProcessor
from synthex_sim.xray.cuda.tool_table import piece_records
from synthex_sim.xray.cuda.view_table import view_table
from synthex_sim.xray.decomposition import Decomposition
from synthex_sim.xray.overlap_cpu import sample_step_mm
from synthex_sim.xray.packed_volume import pack
from synthex_sim.xray.projector import Batch, Projector, refuse_sources_in_volume
from synthex_sim.xray.tool_boxes import tool_boxes
from synthex_sim.xray.tool_cpu import DISPLACED_STEP_MM, refuse_sources_inside

SOURCES = ("march", "labels", "overlap", "tools")
#: Threads of a block along columns and rows: a warp is a tile of 8 x 4 pixels, as tools.cu expects.
_BLOCK = (8, 16)
_TOOL_BLOCK = (8, 8)
_TILE = (8, 4)
_FIND_THREADS = 64
_I = np.int32


class CudaProjector(Projector[DeviceVolume]):
    """Casts rays on a GPU, a batch of views in one launch. The last few volumes stay there.

    Attributes:
        device: what runs the kernels.
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
        super().__init__(CudaProcessor(self.device), kept_volumes)
        self._kernels = self.device.kernels(*SOURCES)

    def _made_ready(self, patient: Patient, decomposition: Decomposition) -> DeviceVolume:
        return upload(pack(patient, decomposition), self.device)

    def _passes(self, batch: Batch[DeviceVolume]) -> _CudaPasses:
        return _CudaPasses(batch, self.device, self._kernels)


class _CudaPasses:
    """``projector.Passes`` by kernels, all views in one launch."""

    def __init__(self, batch: Batch[DeviceVolume], device: Any, kernels: Any) -> None:
        self._batch, self._device, self._kernels = batch, device, kernels
        self._views = view_table(batch.views)
        self._worlds = device.array(self._views.worlds())
        to_index = batch.index_from_world()
        #: for each volume its ``IndexView`` structures
        self._indexed = [self._views.in_indices(to) for to in to_index]
        for volume, indexed in zip(batch.volumes, self._indexed, strict=True):
            refuse_sources_in_volume(indexed[:, :3], volume.shape)
        self._records = np.array([v.record(to) for v, to in zip(batch.volumes, to_index, strict=True)], VOLUME)
        rows, columns = self._views.shape
        self._shape = (len(batch.views), rows, columns)
        self._size = (_I(rows), _I(columns))
        self._planes = (_I(len(batch.out.materials)), _I(batch.of_tissue))

    def march(self, number: int) -> None:
        volume = self._batch.volumes[number]
        self._kernels[f"march_{volume.material_bits}"](blocks_over(self._shape, _BLOCK), _BLOCK, (
            np.uint64(volume.words.ptr), *map(_I, volume.shape), np.float32(volume.density_step), self._worlds,
            self._device.array(self._indexed[number]), *self._size, *self._planes, self._batch.out.areas,
        ))

    def cast_labels(self, number: int) -> None:
        out, of_labels = self._batch.out, self._label_arguments(number)
        wanted = out.depth_labels
        for a, b in self._batch.depth_pairs():
            self._kernels["cast_labels"](blocks_over(self._shape, _BLOCK), _BLOCK, (
                *of_labels, np.uint32(wanted[a]), np.uint32(wanted[b]), _I(a), _I(b), _I(len(wanted)), out.hits,
                out.depths_mm,
            ))

    def cast_covered_labels(self, number: int) -> None:
        out, above = self._batch.out, self._records[number + 1 :]
        wanted = np.array(out.depth_labels, np.int32)
        self._kernels["cast_covered_labels"](blocks_over(self._shape, _BLOCK), _BLOCK, (
            *self._label_arguments(number), self._device.array(above), _I(len(above)), self._device.array(wanted),
            _I(len(wanted)), out.hits, out.depths_mm,
        ))

    def _label_arguments(self, number: int) -> tuple[Any, ...]:
        """What the kernels of labels need to know of a volume's labels and of the views."""
        labels, moved = self._batch.volumes[number].labels, self._indexed[number].copy()
        moved[:, :3] -= labels.first
        texture = (np.uint64(labels.cells.ptr), *map(_I, labels.shape))
        return *texture, self._worlds, self._device.array(moved), *self._size

    def subtract_hidden(self) -> None:
        volumes = self._batch.volumes
        self._kernels["subtract_hidden"](blocks_over(self._shape, _BLOCK), _BLOCK, (
            self._device.array(self._records), _I(len(volumes)), _I(volumes[0].material_bits), self._worlds,
            *self._size, *self._planes, np.float64(sample_step_mm(volumes)), self._batch.out.areas,
        ))

    def cast_tools(self) -> None:
        batch = self._batch
        refuse_sources_inside(batch.scene.tools, self._views.sources)
        pieces, sources = piece_records(batch.scene.tools, batch.plane_of_tool, self._views.sources)
        boxes = tool_boxes(batch.views, pieces["centre"], pieces["radius"])
        if not boxes.any():
            return
        views, rows, columns = self._shape
        tiles, words = -(-columns // _TILE[0]) * -(-rows // _TILE[1]), -(-len(pieces) // 32)
        near = self._device.xp.empty((views, tiles, words), np.uint32)
        on_device, boxes = self._device.array(pieces), self._device.array(boxes)
        self._kernels["find_pieces"]((-(-tiles // _FIND_THREADS), views), (_FIND_THREADS,), (
            on_device, _I(len(pieces)), self._worlds, boxes, *self._size, near,
        ))
        records = self._records if len(self._records) else np.zeros(1, VOLUME)
        bits = batch.volumes[0].material_bits if batch.volumes else 0
        self._kernels["cast_tools"](blocks_over(self._shape, _TOOL_BLOCK), _TOOL_BLOCK, (
            on_device, _I(len(pieces)), self._device.array(sources), near, boxes, self._device.array(records),
            _I(len(batch.volumes)), _I(bits), np.float64(DISPLACED_STEP_MM), self._worlds, *self._size, *self._planes,
            batch.out.areas, batch.out.tool_coverage,
        ))
