"""Bones of a patient that is dressed: cortex of varying thickness, cancellous inside, marrow, discs, joint gaps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.patient.dressed.input_labels import InputLabels
from synthex_sim.patient.dressed.solid import MARGIN_MM, filled, solid_distances, true_distances
from synthex_sim.patient.phantom.dress import Dresser
from synthex_sim.patient.phantom.shapes import Grid
from synthex_sim.patient.phantom.texture import noise

_HIPS = {anatomy.LEFT_HEMIPELVIS: "l", anatomy.RIGHT_HEMIPELVIS: "r"}
_FEMURS = {anatomy.LEFT_FEMUR: "l", anatomy.RIGHT_FEMUR: "r"}
#: Gaps that joints have at least, mm: what was drawn touching is parted.
_HIP_GAP_MM, _SI_GAP_MM, _FACET_GAP_MM = 1.6, 1.6, 1.0
_FAR_MM = 1e3
_DISC_HU, _HIGHEST_DISC_MM = 80.0, 16.0
#: Mean cortex, mm.
_HIP_CORTEX_MM, _SACRUM_CORTEX_MM, _VERTEBRA_CORTEX_MM = 1.15, 0.75, 0.75


def bone_solids(drawn: InputLabels, grid: Grid) -> dict[int, tuple]:
    """Label -> block, its grid and true depths of each bone; where bones touch a gap is made."""
    solids = {}
    for label, outer in enumerate(ndimage.find_objects(drawn.labels, max(anatomy.BONE_LABELS)), 1):
        if outer is None or label not in anatomy.BONE_LABELS:
            continue
        around, origin = drawn.around(outer, MARGIN_MM)
        labels = drawn.labels[around]
        mask = labels == label
        box = ndimage.find_objects(mask.view(np.uint8))[0]
        whole = np.zeros_like(mask)
        whole[box] = filled(mask[box], drawn.spacing_mm)
        whole &= (labels == 0) | mask
        block, part, field = solid_distances(whole, origin, drawn.spacing_mm, grid)
        solids[label] = block, part, true_distances(field, grid.spacing_mm)
    return _parted(solids, grid)


def _parted(solids: dict[int, tuple], grid: Grid) -> dict[int, tuple]:
    others = np.full(grid.shape, _FAR_MM, np.float32)

    def keep(labels, gap_mm: float) -> None:
        for label in labels:
            if label in solids:
                block, part, field = solids[label]
                solids[label] = block, part, np.maximum(field, gap_mm - others[block])
        for label in labels:
            if label in solids:
                block, _, field = solids[label]
                others[block] = np.minimum(others[block], field)

    keep(_HIPS, 0.0)
    keep(_FEMURS, _HIP_GAP_MM)
    keep((anatomy.UPPER_SACRUM,), _SI_GAP_MM)
    keep((anatomy.VERTEBRAE,), _FACET_GAP_MM)
    return solids


def add_discs(hu: np.ndarray, solids: Mapping[int, tuple], grid: Grid) -> None:
    """Writes discs and ligaments: what lies between vertebrae, and between these and the sacrum."""
    if anatomy.VERTEBRAE not in solids:
        return
    bone = np.zeros(grid.shape, bool)
    for label in (anatomy.VERTEBRAE, anatomy.UPPER_SACRUM):
        if label in solids:
            block, _, field = solids[label]
            bone[block] |= field < 0
    half = int(np.ceil(0.5 * _HIGHEST_DISC_MM / grid.spacing_mm))
    box = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in ndimage.find_objects(bone.view(np.uint8))[0])
    column = np.pad(bone[box], ((0, 0), (0, 0), (half, half)))
    closed = ndimage.maximum_filter1d(column.view(np.uint8), 2 * half + 1, axis=2)
    closed = ndimage.minimum_filter1d(closed, 2 * half + 1, axis=2)[:, :, half:-half] > 0
    between = ndimage.gaussian_filter((closed & ~bone[box]).astype(np.float32), 0.8)
    hu[box] += (_DISC_HU - hu[box]) * np.clip(1.4 * between - 0.2, 0, 1)


def add_bones(dress: Dresser, solids: Mapping[int, tuple], heads_mm: Mapping[str, np.ndarray], grid: Grid,
              rng: np.random.Generator) -> None:  # fmt: skip
    """Writes all bones.

    Args:
        dress: writes into the volume and its label map.
        solids: of ``bone_solids``.
        heads_mm: ``l`` and ``r`` -> (3,) LPS mm, centre of the femoral head, where it is known.
        grid: of the volume.
        rng: of the patient.
    """
    thin = dress.person.cortex_scale
    vary = np.clip(1 + 0.28 * noise(rng, grid, 7.0), 0.45, 1.8)
    for label, (block, part, field) in solids.items():
        cortex, marrow, cancellous = vary[block], 0.0, 1.0
        if label in _FEMURS:
            cortex, marrow, cancellous = _femur(part, field, heads_mm.get(_FEMURS[label]))
            cortex = cortex * (0.75 + 0.25 * vary[block])
        elif label in _HIPS:
            cortex, cancellous = _HIP_CORTEX_MM * _subchondral(part, heads_mm.get(_HIPS[label]), vary[block]), 1.0
        elif label == anatomy.UPPER_SACRUM:
            cortex, cancellous = _SACRUM_CORTEX_MM * cortex, 0.75
        else:
            cortex, cancellous = _VERTEBRA_CORTEX_MM * cortex, 0.95
        dress(block, field, label, cortex * thin, marrow=marrow, cancellous=cancellous)


def _femur(part: Grid, field: np.ndarray, head_mm: np.ndarray | None) -> tuple:
    """Cortex in mm, share of marrow and factor on cancellous density: thick along the shaft, which is hollow."""
    x, y, z = part.axes()
    if head_mm is None:
        inside = np.argwhere(field < 0)
        head_mm = part.origin_mm + part.spacing_mm * inside[np.argmax(inside[:, 2])] - (0, 0, 23.0)
    down = float(head_mm[2]) - z
    cortex = np.broadcast_to(1.0 + 3.6 * np.clip((down - 48.0) / 60.0, 0, 1), field.shape)
    away = np.sqrt((x - head_mm[0]) ** 2 + (y - head_mm[1]) ** 2 + (z - head_mm[2]) ** 2)
    dense = 0.55 + 1.1 * np.clip(2.0 - away / 23.0, 0, 1)
    return cortex, np.clip((cortex - 2.0) / 3.0, 0, 1), dense


def _subchondral(part: Grid, head_mm: np.ndarray | None, vary: np.ndarray) -> np.ndarray:
    """Factor on the hip bone's cortex, which is thicker over the head."""
    if head_mm is None:
        return vary
    x, y, z = part.axes()
    away = np.sqrt((x - head_mm[0]) ** 2 + (y - head_mm[1]) ** 2 + (z - head_mm[2]) ** 2)
    roof = np.clip(1 - np.abs(away - 28.0) / 6.0, 0, 1) * np.clip((z - head_mm[2] + 8) / 20, 0, 1)
    return vary * (1 + 0.8 * roof)
