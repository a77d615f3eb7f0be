"""Signed distances of labels that were drawn slice by slice, for interpolation between the slices."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: Distance in slices without an outline, in slice distances.
_PLAIN = 1.5


def slice_distances(mask: np.ndarray, axis: int, spacing_mm: np.ndarray, slices_reached: float = 1.5) -> np.ndarray:
    """Distance to the outline within each slice.

    Interpolated linearly between the slices these give smooth slopes, where a label interpolated as such would make
    terraces (Raya and Udupa, IEEE Trans. Med. Imaging 1990).

    Args:
        mask: (I, J, K) bool.
        axis: across the slices.
        spacing_mm: (3,) voxel size.
        slices_reached: distances are true up to so many slice distances either way. Outlines that are moved by more
            from slice to slice make a step.

    Returns:
        (I, J, K) float32 mm, negative inside; slices that are empty or full have one and a half slice distances
        throughout.
    """
    slices = np.moveaxis(mask, axis, 0)
    plane_mm = np.delete(spacing_mm, axis)
    reach, plain = slices_reached * spacing_mm[axis], _PLAIN * spacing_mm[axis]
    half = 0.5 * plane_mm.mean()
    margin = np.ceil((reach + half) / plane_mm).astype(int)  # beyond it all is out of reach
    distance = np.empty(slices.shape, np.float32)
    for out, part in zip(distance, slices, strict=True):
        if part.all() or not part.any():
            out[:] = -plain if part.all() else plain
            continue
        out[:] = reach
        near = _within(part, margin)
        part = part[near]
        inside = ndimage.distance_transform_edt(part, sampling=plane_mm)
        outside = ndimage.distance_transform_edt(~part, sampling=plane_mm)
        out[near] = np.clip(np.where(part, half - inside, outside - half), -reach, reach)
    return np.moveaxis(distance, 0, axis)


def _within(part: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """The box around what is set in a slice, with so many pixels beside it as there are."""
    return tuple(slice(max(side.start - more, 0), side.stop + more)
                 for side, more in zip(ndimage.find_objects(part.view(np.uint8))[0], margin, strict=True))
