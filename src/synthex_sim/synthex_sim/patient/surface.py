"""Bone surfaces of a patient as triangle meshes, coarse enough to be sent to a viewer and drawn at once.

For small blocks of voxels the share that belongs to a structure is found, smoothed and resampled to a grid of one
spacing; the surface is where the share is one half (marching cubes). Bone that is no labelled structure (coccyx, ribs,
all of it in a CT without a label map) is told by its Hounsfield units and has no name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from synthex_sim import anatomy
from synthex_sim.patient.patient import Patient

#: Unlabelled voxels above this are bone: low, as thin cortical bone is blurred in a coarse CT. Contrast medium passes.
_BONE_HU = 150
#: Gaps of unlabelled bone that are closed: foramina and thin places, so that marrow is inside and not another surface.
_LARGEST_GAP_MM = 12.0
#: Smaller unlabelled pieces are noise, calcified vessels, or the rim that a label map left out: mm^3.
_SMALLEST_PIECE_MM3 = 1500.0
#: Standard deviation of the smoothing, in grid spacings: the label map's steps vanish, thin plates of bone do not.
_SMOOTHING = 0.4
#: Empty blocks around each structure, so that its surface is closed where the volume ends.
_MARGIN = 2


@dataclass(frozen=True, eq=False)
class BoneSurface:
    """The closed surface of one structure.

    Attributes:
        label: id of ``anatomy``; ``anatomy.BACKGROUND`` for bone that is no labelled structure.
        vertices: (V, 3) float64, patient LPS mm.
        triangles: (T, 3) int32 indices of vertices, counter-clockwise seen from outside.
    """

    label: int
    vertices: np.ndarray
    triangles: np.ndarray

    @property
    def name(self) -> str:
        """Name of the structure in ``anatomy``; ``bone`` where it has none."""
        return "bone" if self.label == anatomy.BACKGROUND else anatomy.LABEL_NAMES[self.label]

    @property
    def volume_mm3(self) -> float:
        """Volume inside, one sixth of the sum of a . (b x c) over the triangles; negative if they are inside out."""
        a, b, c = np.moveaxis(self.vertices[self.triangles], 1, 0)
        return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6.0


def bone_surfaces(patient: Patient, spacing_mm: float = 4.0, max_triangles: int = 40_000) -> tuple[BoneSurface, ...]:
    """Surfaces of all bones of a patient: labelled structures in the order of their ids, then the unlabelled rest.

    Args:
        patient: with or without a label map.
        spacing_mm: of the grid on which surfaces are found; finer detail is lost.
        max_triangles: of all surfaces together; where there are more, the grid is made coarser until they fit.

    Returns:
        one surface for each structure that is there and not too small for the grid; none for a patient without bone.

    Raises:
        ValueError: the spacing is not a positive, finite number, or fewer than 1000 triangles are allowed.
    """
    if not (math.isfinite(spacing_mm) and spacing_mm > 0):
        raise ValueError(f"the spacing of a surface must be a positive number of millimetres, got {spacing_mm}")
    if max_triangles < 1000:
        raise ValueError(f"bones take at least 1000 triangles, got max_triangles={max_triangles}")
    blocks, shares = (), ()
    while True:
        fitting = tuple(int(max(1, spacing_mm // voxel_mm)) for voxel_mm in patient.spacing_mm)
        if fitting != blocks:
            blocks, shares = fitting, tuple(_bone_shares(patient, fitting))
        found = (_surface(patient, share, np.array(blocks), spacing_mm) for share in shares)
        surfaces = tuple(surface for surface in found if surface is not None)
        count = sum(len(surface.triangles) for surface in surfaces)
        if count <= max_triangles:
            return surfaces
        # Triangles go with the inverse square of the spacing.
        spacing_mm *= 1.02 * math.sqrt(count / max_triangles)


@dataclass(frozen=True, eq=False)
class _BoneShare:
    """How much of each block of voxels belongs to one structure.

    Attributes:
        label: as of ``BoneSurface``.
        first: (3,) index of the voxel at the corner of the first block.
        share: (I, J, K) float32 in 0..1.
    """

    label: int
    first: np.ndarray
    share: np.ndarray


def _bone_shares(patient: Patient, blocks: tuple[int, ...]) -> Iterator[_BoneShare]:
    if patient.labels is not None:
        for label, box in enumerate(ndimage.find_objects(patient.labels), start=1):
            if box is not None and label in anatomy.BONE_LABELS:
                yield _BoneShare(label, _corner(box), _block_means(patient.labels[box] == label, blocks))
    bone = _block_means(patient.hu > _BONE_HU, blocks) > 0.5
    if patient.labels is not None:
        # The rim of a labelled bone is bone by its Hounsfield units too; it needs no second surface.
        named = (patient.labels > 0) & (patient.labels <= max(anatomy.BONE_LABELS))
        bone &= ~ndimage.binary_dilation(_block_means(named, blocks) > 0)
    for box in ndimage.find_objects(bone.view(np.uint8)):
        whole = _whole_bones(bone[box], blocks * patient.spacing_mm)
        yield _BoneShare(anatomy.BACKGROUND, _corner(box) * blocks, whole.astype(np.float32))


def _corner(box: tuple[slice, ...]) -> np.ndarray:
    """(3,) index of the first element of a box."""
    return np.array([side.start for side in box])


def _whole_bones(bone: np.ndarray, block_mm: np.ndarray) -> np.ndarray:
    """(I, J, K) bool: blocks that are bone by their Hounsfield units, with the marrow and without small pieces."""
    gap = max(1, round(_LARGEST_GAP_MM / 2 / block_mm.mean()))
    # With a margin: closing takes what lies beyond the edge for no bone, and would eat into what touches the edge.
    solid = ndimage.binary_closing(np.pad(bone, gap), iterations=gap)
    solid = ndimage.binary_fill_holes(solid)[gap:-gap, gap:-gap, gap:-gap]
    pieces, count = ndimage.label(solid)
    kept = np.bincount(pieces.ravel(), minlength=count + 1) * block_mm.prod() >= _SMALLEST_PIECE_MM3
    kept[0] = False
    return kept[pieces]


def _block_means(mask: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """(I, J, K) float32: mean of each block of a boolean volume; what lies beyond its end counts as False."""
    whole = np.pad(mask, [(0, -n % block) for n, block in zip(mask.shape, blocks, strict=True)])
    # Every block's first voxel, then every block's second, ...: three times as fast as a mean over axes of a reshape.
    parts = (whole[tuple(slice(at, None, block) for at, block in zip(corner, blocks, strict=True))]
             for corner in np.ndindex(*blocks))
    return sum(parts, np.zeros((), np.float32)) / np.float32(math.prod(blocks))


def _surface(patient: Patient, bone: _BoneShare, blocks: np.ndarray, spacing_mm: float) -> BoneSurface | None:
    """The surface of one structure, or None where no place is more than half of it."""
    step = spacing_mm / (blocks * patient.spacing_mm)  # grid spacing in blocks
    grid = _resampled(np.pad(bone.share, _MARGIN), step)
    if grid.max() <= 0.5:
        return None
    # "ascent" gives triangles that are counter-clockwise from outside where the axes are right-handed.
    at, triangles, _, _ = marching_cubes(grid, 0.5, gradient_direction="ascent")
    if np.linalg.det(patient.affine[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    voxels = bone.first + (at * step - _MARGIN) * blocks + (blocks - 1) / 2
    vertices = voxels @ patient.affine[:3, :3].T + patient.affine[:3, 3]
    return BoneSurface(bone.label, vertices, np.ascontiguousarray(triangles, dtype=np.int32))


def _resampled(share: np.ndarray, step: np.ndarray) -> np.ndarray:
    """(I, J, K) float32: the smoothed share at every (3,) step from its first element until beyond its last."""
    smooth = ndimage.gaussian_filter(share, _SMOOTHING * step, mode="constant")
    size = tuple(int(n) for n in np.ceil((np.array(share.shape) - 1) / step) + 1)
    return ndimage.affine_transform(smooth, step, output_shape=size, order=1, mode="constant")
