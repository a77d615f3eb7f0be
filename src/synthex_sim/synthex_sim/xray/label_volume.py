"""Labels made ready for ray casting: cut to the part of a volume that has any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """Labels of the part of a volume that has any.

    Attributes:
        cells: (I * J * K + 3,) uint8, the labels in C order; the three bytes more let words be read anywhere.
        shape: (I, J, K).
        first: (3,) int64, index of the first voxel in the packed volume's grid.
    """

    cells: np.ndarray
    shape: tuple[int, int, int]
    first: np.ndarray


def label_volume(labels: np.ndarray, offset: int) -> LabelVolume | None:
    """Prepares a (I, J, K) uint8 label map whose voxel (0, 0, 0) is the packed volume's (offset, offset, offset).

    Returns:
        None where nothing is labelled.
    """
    used = [np.flatnonzero(labels.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    if not used[0].size:
        return None
    window = tuple(slice(int(u[0]), int(u[-1]) + 1) for u in used)
    inner = labels[window]
    cells = np.zeros(inner.size + 3, np.uint8)
    cells[:-3] = inner.ravel()
    return LabelVolume(cells, inner.shape, np.array([part.start + offset for part in window], dtype=np.int64))
