"""The label map and the body mask that are to be dressed, with axes along those of the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthex_sim.patient.label_map import LabelMap
from synthex_sim.patient.volume import Volume, same_grid

#: Axes may be off those of the patient by this much, as a sine.
_OBLIQUE = 0.02
#: Air that is kept beside body and labels, mm: more than ``body.grid_around`` and ``solid.MARGIN_MM`` ask for.
_AIR_MM = 30.0


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

    def around(self, box: tuple[slice, ...], margin_mm: float) -> tuple[tuple[slice, ...], np.ndarray]:
        """A box of voxels with a margin, as far as there are voxels, and (3,) LPS mm of its first one."""
        margin = np.ceil(margin_mm / self.spacing_mm).astype(int)
        low = np.maximum([side.start for side in box] - margin, 0)
        high = np.minimum([side.stop for side in box] + margin, self.labels.shape)
        whole = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return whole, self.origin_mm + low * self.spacing_mm


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
    if mask is None:
        return InputLabels(np.ascontiguousarray(labels), named.structures, None, origin, spacing)
    body = _along_lps(mask.values > 0, affine)[0]
    return _without_air(InputLabels(labels, named.structures, body, origin, spacing))


def _without_air(drawn: InputLabels) -> InputLabels:
    """The same with less of what lies beside body and labels; all slices remain."""
    some = (drawn.body | (drawn.labels > 0)).any(axis=2)
    plane = ndimage.find_objects(some.view(np.uint8))[0]
    box, origin = drawn.around((*plane, slice(0, drawn.labels.shape[2])), _AIR_MM)
    labels, body = (np.ascontiguousarray(values[box]) for values in (drawn.labels, drawn.body))
    return InputLabels(labels, drawn.structures, body, origin, drawn.spacing_mm)


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
