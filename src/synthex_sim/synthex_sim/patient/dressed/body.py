"""The skin of a patient that is dressed: of the body mask, or around what was labelled."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from synthex_sim import anatomy
from synthex_sim.patient.dressed.input_labels import InputLabels
from synthex_sim.patient.phantom.shapes import Grid

#: Flesh around bones where no muscle was labelled, mm.
_FLESH_MM = 35.0
_HIPS = (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS)
#: Skin is smoother than what it covers: standard deviation over slices, mm.
_SMOOTHING_MM = 6.0
_AIR_AROUND_MM = 12.0


def body_of(drawn: InputLabels, fat_mm: float) -> np.ndarray:
    """(I, J, K) bool: the mask, without table and cables beside it, or what lies around the labels.

    Without a mask the body is, in each slice, the convex hull of all labels, with ``fat_mm`` around it and flesh where
    only bones were labelled; below the hip bones each leg has a hull of its own.
    """
    if drawn.body is not None:
        parts, count = ndimage.label(drawn.body)
        if count == 1:
            return drawn.body
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        return (sizes >= 0.1 * sizes.max())[parts]
    body = np.zeros(drawn.labels.shape, bool)
    hips = np.flatnonzero(np.isin(drawn.labels, _HIPS).any(axis=(0, 1)))
    some = np.argwhere(drawn.labels > 0)
    middle = int(np.median(some[:, 0]))
    for k in np.flatnonzero((drawn.labels > 0).any(axis=(0, 1))):
        halves = (slice(None),) if len(hips) and k >= hips[0] else (slice(0, middle), slice(middle, None))
        for half in halves:
            part = drawn.labels[half, :, k] > 0
            if part.sum() > 4:
                body[half, :, k] = convex_hull_image(part)
    reach = fat_mm + (0.0 if drawn.structures else _FLESH_MM)
    outside = ndimage.distance_transform_edt(~body, sampling=drawn.spacing_mm)
    rounded = ndimage.gaussian_filter(outside.astype(np.float32), _SMOOTHING_MM / drawn.spacing_mm, mode="nearest")
    return rounded < reach


def grid_around(body: np.ndarray, drawn: InputLabels, spacing_mm: float) -> Grid:
    """The cubes that hold the body with some air beside it; they end where the slices do."""
    box = ndimage.find_objects(body.view(np.uint8))[0]
    low = np.array([side.start for side in box]) * drawn.spacing_mm + drawn.origin_mm
    high = np.array([side.stop - 1 for side in box]) * drawn.spacing_mm + drawn.origin_mm
    low[:2] -= _AIR_AROUND_MM
    high[:2] += _AIR_AROUND_MM
    return Grid(low, spacing_mm, tuple(int(n) for n in np.floor((high - low) / spacing_mm) + 1))


def skin_distances(body: np.ndarray, drawn: InputLabels, grid: Grid) -> np.ndarray:
    """(I, J, K) float32 mm on the grid: distance to the skin within each slice, negative inside, true to its depth."""
    distance = np.empty(body.shape, np.float32)
    plane = drawn.spacing_mm[:2]
    for k in range(body.shape[2]):
        part = np.pad(body[:, :, k], 1)
        inside = ndimage.distance_transform_edt(part, sampling=plane)[1:-1, 1:-1]
        outside = ndimage.distance_transform_edt(~body[:, :, k], sampling=plane) if body[:, :, k].any() else 99.0
        half = 0.5 * plane.mean()
        distance[:, :, k] = np.where(body[:, :, k], half - inside, outside - half)
    steps = grid.spacing_mm / drawn.spacing_mm
    first = (grid.origin_mm - drawn.origin_mm) / drawn.spacing_mm
    field = ndimage.affine_transform(distance, steps, first, output_shape=grid.shape, order=1, cval=20.0)
    return ndimage.gaussian_filter(field, 2.0 / grid.spacing_mm, mode="nearest")
