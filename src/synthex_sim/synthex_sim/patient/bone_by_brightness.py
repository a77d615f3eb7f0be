"""Bone of a CT without a label map: what is bright inside the body, in connected parts, named only where that is sure.

Contrast medium is as bright as bone and is taken for it; where there is much of it, that is said. What cannot be named
for sure is called ``bone``: in most CTs the hip bones, the sacrum, the spine and the femora touch and are one part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.femur_by_joint import side_of_femur
from synthex_sim.patient.label_map import LabelMap
from synthex_sim.patient.patient import FIRST_STRUCTURE

#: Name of what is bone and nothing more is known of.
UNNAMED = "bone"
#: As low as thin cortical bone of a coarse CT needs it; metal is above all bone.
_BONE_HU, _METAL_HU = 150, 2500
_BODY_HU = -300
#: Parts are found on voxels of about these sizes: bone and the body.
_BONE_MM, _BODY_MM = 2.0, 4.0
#: What is thinner is no body: covers, wires and the shells of tables.
_THIN_MM = 10.0
#: Smaller parts of the body (arms, hands) are left out: share of the largest.
_SMALLEST_BODY = 0.02
#: Bone whose middle lies nearer to the surface is the edge of a table that the body lies on.
_SKIN_MM = 3.0
_SMALLEST_BONE_MM3 = 1500.0
#: Cross-sections of marrow are not larger; those of the spinal canal hold what is neither fat nor bone.
_MARROW_MM2 = 2000.0
_CANAL_HU = (0, 70)
#: An even region of so much volume is no marrow (the phantom's vertebrae: 25 cm^3) but contrast medium.
_EVEN_HU, _EVEN_MM, _EVEN_MM3 = 60.0, 3.0, 30_000.0


@dataclass(frozen=True, eq=False)
class BoneFound:
    """What was labelled in a CT without a label map.

    Attributes:
        map: ``anatomy`` ids of what could be named, and ``UNNAMED``; on the CT's grid.
        notes: sentences for whoever loads the CT.
    """

    map: LabelMap
    notes: tuple[str, ...]


def with_bone(loaded: LoadedPatient) -> LoadedPatient:
    """A patient without a label map with that of its bone, and the notes that go with it."""
    patient = loaded.patient
    found = None if patient is None or patient.labels is not None else find_bone(patient.hu, patient.affine)
    if found is None:
        return loaded
    patient = replace(patient, labels=found.map.labels, structures=found.map.structures)
    return replace(loaded, patient=patient, notes=(*loaded.notes, *found.notes))


def find_bone(hu: np.ndarray, affine: np.ndarray) -> BoneFound | None:
    """Labels bone by its brightness.

    Bone is what is brighter than 150 HU inside the body and connected to at least 1.5 cm^3 of such, with the marrow it
    encloses; metal (2500 HU) is left out. A part is named left or right femur if it is a bone by itself whose head lies
    in a hip's socket; nothing else is named.

    Args:
        hu: (I, J, K) int16.
        affine: (4, 4) voxel index -> LPS mm.

    Returns:
        None where there is no bone.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    blocks = np.maximum(1, (_BONE_MM / spacing + 0.01).astype(int))
    coarse = _block_means(hu, blocks)
    step = spacing * blocks
    bone = (coarse > _BONE_HU) & (coarse < _METAL_HU)
    parts, kept = _parts(bone, _depth_in_body(coarse, step), step)
    if not kept:
        return None
    local = affine.copy()
    local[:3, :3] *= blocks
    local[:3, 3] += affine[:3, :3] @ ((blocks - 1) / 2)
    femora = dict(_femora(parts, kept, local))
    labels = _labels_of_parts(parts, kept, femora, coarse, local)
    names = [anatomy.LABEL_NAMES[label].replace("_", " ") for label in sorted(femora.values())]
    labels = _on_fine_grid(labels, hu, blocks)
    return BoneFound(LabelMap(labels, {FIRST_STRUCTURE: UNNAMED}), tuple(_notes(names, coarse, step)))


def _labels_of_parts(
    parts: np.ndarray, kept: list[int], named: Mapping[int, int], coarse: np.ndarray, affine: np.ndarray
) -> np.ndarray:
    """(I, J, K) uint8: each part's label, with its marrow."""
    labels = np.zeros(parts.shape, np.uint8)
    up = int(np.argmax(np.abs(affine[2, :3])))
    step = np.linalg.norm(affine[:3, :3], axis=0)
    boxes = ndimage.find_objects(parts)
    for part in kept:
        box = boxes[part - 1]
        inside = _filled(parts[box] == part, coarse[box], up, step, canal=part not in named)
        # no part's marrow covers another one's bone
        labels[box][inside & ((parts[box] == part) | (labels[box] == 0))] = named.get(part, FIRST_STRUCTURE)
    return labels


def _notes(named: list[str], coarse: np.ndarray, step: np.ndarray) -> Iterator[str]:
    yield ("no label map: bone is labelled by its brightness and "
           + (f"only {' and '.join(named)} could be named" if named else "could not be named")
           + "; masks of other structures stay empty")
    if _has_contrast(coarse, step):
        yield "large even regions are as bright as bone: contrast medium, which is labelled as bone too"


def _block_means(hu: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(I, J, K) float32 means of blocks of voxels; what does not fill a block at the end repeats the last voxel."""
    whole = np.pad(hu, [(0, -n % b) for n, b in zip(hu.shape, blocks, strict=True)], mode="edge")
    shares = [whole[tuple(slice(at, None, b) for at, b in zip(corner, blocks, strict=True))]
              for corner in np.ndindex(*blocks)]
    return sum(shares, np.zeros((), np.float32)) / np.float32(len(shares))


def _depth_in_body(coarse: np.ndarray, step: np.ndarray) -> np.ndarray:
    """(I, J, K) float32: how deep below the surface of the body a place lies, mm; 0 outside."""
    blocks = np.maximum(1, (_BODY_MM / step + 0.01).astype(int))
    body = np.pad(_block_means(coarse, blocks) > _BODY_HU, 1, mode="edge")
    sampling = step * blocks
    parts, count = ndimage.label(ndimage.distance_transform_edt(body, sampling) > _THIN_MM / 2)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    core = (sizes >= max(1, _SMALLEST_BODY * sizes.max()))[parts]
    body &= ndimage.distance_transform_edt(~core, sampling) <= _THIN_MM / 2 + sampling.max() / 2
    depth = ndimage.distance_transform_edt(body, sampling)[1:-1, 1:-1, 1:-1].astype(np.float32)
    for axis, block in enumerate(blocks):
        depth = np.repeat(depth, block, axis=axis)
    return depth[tuple(slice(0, n) for n in coarse.shape)]


def _parts(bone: np.ndarray, depth: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """(I, J, K) int32 numbers of connected parts, and those of bones, the largest first."""
    parts, count = ndimage.label(bone & (depth > 0))
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * step.prod()
    deep = np.bincount(parts[(depth > _SKIN_MM)], minlength=count + 1) * step.prod()
    sizes[0] = 0
    good = np.flatnonzero((sizes >= _SMALLEST_BONE_MM3) & (deep > sizes / 2))
    return parts, sorted((int(n) for n in good), key=lambda n: -sizes[n])


def _filled(part: np.ndarray, coarse: np.ndarray, up: int, step: np.ndarray, canal: bool) -> np.ndarray:
    """(I, J, K) bool: a part with the marrow that it encloses in slices, so that cortex may be open elsewhere.

    Args:
        part: (I, J, K) bool.
        coarse: its Hounsfield units.
        up: the axis across the slices.
        step: (3,) size of its voxels.
        canal: whether it may have a spinal canal, which stays open.
    """
    closed = ndimage.binary_closing(np.pad(part, 1))[1:-1, 1:-1, 1:-1] | part
    filled = closed.copy()
    area = np.delete(step, up).prod()
    for plane, values, out in zip(*(np.moveaxis(a, up, 0) for a in (closed, coarse, filled)), strict=True):
        holes, count = ndimage.label(~np.pad(plane, 1, constant_values=False))
        if count > 1:
            holes = holes[1:-1, 1:-1]
            numbers = np.arange(count + 1)
            sizes = np.bincount(holes.ravel(), minlength=count + 1) * area
            means = np.bincount(holes.ravel(), values.ravel(), count + 1) * area / np.maximum(sizes, area)
            marrow = sizes <= _MARROW_MM2
            if canal:
                marrow &= (means < _CANAL_HU[0]) | (means > _CANAL_HU[1])
            out |= (marrow & (numbers > 1))[holes]  # 0 is bone, 1 the outside, which begins in the first corner
    return filled


def _femora(parts: np.ndarray, kept: list[int], affine: np.ndarray) -> Iterator[tuple[int, int]]:
    """Parts that are surely femora, and their labels."""
    boxes = ndimage.find_objects(parts)
    found = []
    for part in kept:
        side = side_of_femur(parts, part, kept, boxes[part - 1], affine)
        if side is not None:
            found.append((part, side))
    for part, side in found:
        if sum(other == side for _, other in found) == 1:  # two left femora: one of them is none
            yield part, side


def _on_fine_grid(labels: np.ndarray, hu: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(I, J, K) uint8: blocks' labels for voxels: all of the inner blocks, and the bright ones at the surface."""
    if (blocks == 1).all():
        return np.where(hu < _METAL_HU, labels, np.uint8(0))
    inner = labels * ndimage.binary_erosion(labels > 0, border_value=1)
    grown = np.where(labels > 0, labels, ndimage.maximum_filter(labels, 3))
    for axis, block in enumerate(blocks):
        inner, grown = np.repeat(inner, block, axis=axis), np.repeat(grown, block, axis=axis)
    box = tuple(slice(0, n) for n in hu.shape)
    fine = np.where(hu > _BONE_HU, grown[box], inner[box])
    fine[hu >= _METAL_HU] = anatomy.BACKGROUND
    return fine


def _has_contrast(coarse: np.ndarray, step: np.ndarray) -> bool:
    """Whether there is a bright region too large and even for marrow."""
    clipped = np.clip(coarse, -200, 1500)
    size = np.maximum(1, np.rint(2 * _EVEN_MM / step).astype(int) | 1)
    mean = ndimage.uniform_filter(clipped, size)
    variance = ndimage.uniform_filter(clipped * clipped, size) - mean * mean
    even = (mean > _BONE_HU) & (variance < _EVEN_HU**2)
    parts, count = ndimage.label(ndimage.binary_erosion(even, np.ones(size, bool)))
    return count > 0 and np.bincount(parts.ravel())[1:].max() * step.prod() > _EVEN_MM3
