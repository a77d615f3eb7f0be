"""The label map and the body mask that are to be dressed, with axes along those of the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.label_map import LabelMap
from synthex_sim.patient.volume import Volume, same_grid

#: Axes may be off those of the patient by this much, as a sine.
_OBLIQUE = 0.02


@dataclass(frozen=True, eq=False)
class InputLabels:
    """What was drawn.

    Attributes:
        labels: (I, J, K) uint8 of ``anatomy`` ids and those of ``structures``; the axes are x, y and z of LPS.
        structures: label -> name of what is none of the six bones.
        body: (I, J, K) bool, or None where no mask was given.
        origin_mm: (3,) LPS mm of the first voxel.
        spacing_mm: (3,) voxel size.
    """

    labels: np.ndarray
    structures: Mapping[int, str]
    body: np.ndarray | None
    origin_mm: np.ndarray
    spacing_mm: np.ndarray


def input_labels(named: LabelMap, affine: np.ndarray, mask: Volume | None) -> InputLabels:
    """Label map and mask on their common grid.

    Args:
        named: the label map in the project's labels.
        affine: (4, 4) voxel index -> LPS mm of its grid.
        mask: of the body, on the same grid, above 0 inside; or None.

    Raises:
        ValueError: oblique axes, a mask on another grid, or an empty one.
    """
    if mask is not None:
        grid = Volume(named.labels.astype(np.int16), affine, "label map")
        if not same_grid(grid, mask):
            raise ValueError("the body mask has another grid than the label map; resample it to the label map's grid")
        if not (mask.values > 0).any():
            raise ValueError("the body mask is empty")
    labels, origin, spacing = _along_lps(named.labels, affine)
    body = None if mask is None else _along_lps(mask.values > 0, affine)[0]
    return InputLabels(labels, named.structures, body, origin, spacing)


def _along_lps(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values with axes turned and flipped so that they run along x, y, z of LPS; (3,) origin; (3,) spacing."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / spacing
    order = [int(np.argmax(np.abs(row))) for row in axes]
    main = [axes[n, a] for n, a in enumerate(order)]
    if len(set(order)) < 3 or min(np.abs(main)) < 1 - _OBLIQUE**2 / 2:
        raise ValueError("the label map has oblique axes; resample it to slices at right angles to the patient's axes")
    first = np.zeros(3)
    for n, a in enumerate(order):
        if main[n] < 0:
            first[a] = values.shape[a] - 1
    turned = np.transpose(values, order)[tuple(slice(None, None, 1 if m > 0 else -1) for m in main)]
    return turned, affine[:3, :3] @ first + affine[:3, 3], spacing[order]
