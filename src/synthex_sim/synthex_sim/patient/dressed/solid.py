"""Labels drawn on coarse slices as smooth signed distances on a grid of cubes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from synthex_sim.patient.phantom.shapes import Grid
from synthex_sim.patient.slice_distances import slice_distances

#: Longer voxels than this (over the shortest) are slices, between which distances are interpolated.
_ANISOTROPY = 1.5
#: Standard deviation of the smoothing that takes the voxels' steps off the surface, in their sizes.
_SMOOTHING = 0.55
#: Outlines of slopes are followed over so many slice distances from slice to slice.
_SLICES_REACHED = 4.0
#: Gaps in the shell of a bone through which its hollow inside would leak when it is filled, mm.
_LEAK_MM = 1.5
#: Enclosed in so many of the three planes is inside.
_PLANES = 2
#: Around a label, so that its distances are known beside it.
MARGIN_MM = 9.0


def solid_distances(mask: np.ndarray, origin_mm: np.ndarray, spacing_mm: np.ndarray, grid: Grid) -> tuple:
    """The smooth solid of one label.

    Args:
        mask: (I, J, K) bool, axes along x, y, z of LPS.
        origin_mm: (3,) LPS mm of its first voxel.
        spacing_mm: (3,) of its voxels.
        grid: whose voxels are wanted.

    Returns:
        slices of the grid, the grid of this block, and the block's float32 distances in mm, negative inside, good near
        the surface; None if the mask is empty.
    """
    box = ndimage.find_objects(mask.view(np.uint8))
    if not box:
        return None
    margin = np.ceil(MARGIN_MM / spacing_mm).astype(int)
    low = np.maximum([side.start for side in box[0]] - margin, 0)
    high = np.minimum([side.stop for side in box[0]] + margin, mask.shape)
    part = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    distance = _distances(part, spacing_mm)
    block, sub = grid.block(origin_mm + low * spacing_mm, origin_mm + (high - 1) * spacing_mm)
    first = (sub.origin_mm - origin_mm) / spacing_mm - low
    field = ndimage.affine_transform(
        distance, sub.spacing_mm / spacing_mm, first, output_shape=sub.shape, order=1, mode="nearest")
    width = _SMOOTHING * np.maximum(spacing_mm, sub.spacing_mm) / sub.spacing_mm
    return block, sub, ndimage.gaussian_filter(field, width, mode="nearest")


def _distances(mask: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    if spacing_mm.max() >= _ANISOTROPY * spacing_mm.min():
        return slice_distances(mask, int(np.argmax(spacing_mm)), spacing_mm, _SLICES_REACHED)
    half = 0.5 * spacing_mm.mean()
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    return np.where(mask, half - inside, outside - half).astype(np.float32)


def filled(mask: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """A bone of which only the shell was labelled, with its inside.

    What is enclosed in all three directions' planes, or in two of them where the shell has a gap, is inside; a canal
    or a foramen is enclosed in the one plane across it and stays open.

    Args:
        mask: (I, J, K) bool, axes x, y, z.
        spacing_mm: (3,) of its voxels.

    Returns:
        (I, J, K) bool.
    """
    reach = np.maximum(1, np.rint(_LEAK_MM / spacing_mm)).astype(int)
    # a bone that the scan cuts is closed by the cut
    margin = [(n + 1, n + 1) for n in reach[:2]] + [(1, 1)]
    whole = np.pad(np.pad(mask, [*margin[:2], (0, 0)]), [(0, 0), (0, 0), (1, 1)], constant_values=True)
    closed = ndimage.binary_closing(whole, _ellipsoid(reach)) | whole
    votes = np.zeros(whole.shape, np.int8)
    for axis in range(3):
        for plane, vote in zip(np.moveaxis(closed, axis, 0), np.moveaxis(votes, axis, 0), strict=True):
            vote += ndimage.binary_fill_holes(plane) & ~plane
    holes = votes >= _PLANES
    inside = holes | (ndimage.binary_dilation(holes, _ellipsoid(reach)) & closed)
    return (whole | inside)[tuple(slice(a, -b) for a, b in margin)]


def _ellipsoid(reach: np.ndarray) -> np.ndarray:
    axes = [np.arange(-n, n + 1) / (n + 0.5) for n in reach]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return x * x + y * y + z * z <= 1.0


def true_distances(field: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Euclidean depths inside a solid that is known by any smooth function negative within it.

    Args:
        field: (I, J, K) float32; zero at the surface.
        spacing_mm: of its voxels.

    Returns:
        (I, J, K) float32 mm, negative inside; outside good within some voxels of the surface.
    """
    slope = np.zeros_like(field)
    for axis in range(3):
        slope += np.gradient(field, spacing_mm, axis=axis) ** 2
    near = field / np.maximum(np.sqrt(slope), 0.3)
    inside = field < 0
    if not inside.any() or inside.all():
        return near
    depth, nearest = ndimage.distance_transform_edt(inside, sampling=spacing_mm, return_indices=True)
    beyond = np.minimum(near[tuple(nearest)], spacing_mm)
    deep = np.minimum(beyond - depth, 0).astype(np.float32)
    return np.where(inside & (near < -0.7 * spacing_mm), deep, near)
