"""A packed volume on the GPU: uploaded once, marched through from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthex_sim.xray.packed_volume import PackedVolume

#: ``Volume`` of tissue.cuh.
VOLUME = np.dtype(
    [("index_from_world", np.float64, 12), ("words", np.uint64), ("density_step", np.float32), ("size", np.int32, 3)],
    align=True,
)
#: Texels along one direction of a 3D texture, at most, on every GPU since 2012.
MAX_SIDE = 16384


@dataclass(frozen=True, eq=False)
class DeviceLabels:
    """Labels of the part of a volume that has any.

    Attributes:
        cells: texture of bytes.
        shape: (I, J, K).
        first: (3,) int64, index of the first voxel in the volume's grid.
    """

    cells: Any
    shape: tuple[int, int, int]
    first: np.ndarray


@dataclass(frozen=True, eq=False)
class DeviceVolume:
    """What stays of a PackedVolume when its voxels have gone to the GPU.

    Attributes:
        words: texture of the 32-bit words.
        shape: (I, J, K).
        affine, material_bits, density_step: as of the PackedVolume.
        labels: or None.
    """

    words: Any
    shape: tuple[int, int, int]
    affine: np.ndarray
    material_bits: int
    density_step: float
    labels: DeviceLabels | None

    def record(self, index_from_world: np.ndarray) -> np.ndarray:
        """() VOLUME structure of the volume in a pose."""
        record = np.zeros((), VOLUME)
        record["index_from_world"] = index_from_world[:3].ravel()
        record["words"] = self.words.ptr
        record["density_step"] = self.density_step
        record["size"] = self.shape
        return record


def upload(volume: PackedVolume, device: Any) -> DeviceVolume:
    """Sends voxels and labels to the device.

    Raises:
        ValueError: the volume is longer than textures can be.
    """
    if max(volume.codes.shape) > MAX_SIDE:
        raise ValueError(
            f"{volume.codes.shape} voxels: a GPU takes at most {MAX_SIDE} along each axis; crop or resample the volume"
        )
    labels = None
    if volume.labels is not None:
        cells = volume.labels.cells[: np.prod(volume.labels.shape)].reshape(volume.labels.shape)
        labels = DeviceLabels(device.texture(cells), volume.labels.shape, volume.labels.first)
    return DeviceVolume(
        words=device.texture(_words(volume.codes)),
        shape=volume.codes.shape,
        affine=volume.affine,
        material_bits=volume.material_bits,
        density_step=volume.density_step,
        labels=labels,
    )


def _words(codes: np.ndarray) -> np.ndarray:
    """(I, J, K) uint32: a voxel's code in the low half, that of its neighbour along k in the high one.

    A texture gives one texel a look-up; the CPU reads two neighbours of 16 bits with one unaligned load.
    """
    words = codes.astype(np.uint32)
    words[..., :-1] |= codes[..., 1:].astype(np.uint32) << np.uint32(16)
    return words
