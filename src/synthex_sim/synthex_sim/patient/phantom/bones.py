"""All bones of one person, put into the volume one after the other, and the landmarks on them."""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.phantom import femur, hip_bone, sacrum, shapes, spine
from synthex_sim.patient.phantom.dress import Dresser
from synthex_sim.patient.phantom.frame import Pelvis

_LANDMARK_SPACING_MM = 1.5
_SI_GAP_MM, _FACET_GAP_MM = 2.0, 1.0


def add_bones(dress: Dresser, pelvis: Pelvis, vertebrae: list[spine.Vertebra], grid: shapes.Grid) -> dict:
    """Writes every bone; returns the 14 landmarks, name -> (3,) LPS mm."""
    person = dress.person
    thin = person.cortex_scale
    hips = np.full(grid.shape, shapes.REACH_MM, dtype=np.float32)
    landmarks = {}
    for side, name, bone, leg in (
        (1, "l", anatomy.LEFT_HEMIPELVIS, anatomy.LEFT_FEMUR),
        (-1, "r", anatomy.RIGHT_HEMIPELVIS, anatomy.RIGHT_FEMUR),
    ):
        block, part, field = hip_bone.build(pelvis, side, grid)
        hips[block] = np.minimum(hips[block], field)
        dress(block, field, bone, 0.95 * thin)
        if grid.spacing_mm != _LANDMARK_SPACING_MM:  # landmarks must not depend on the voxels
            _, part, field = hip_bone.build(pelvis, side, _finer(grid))
        landmarks |= {f"{key}-{name}": p for key, p in hip_bone.landmarks(pelvis, side, part, field).items()}
        femur_block, _, shaft, cortex, spongy = femur.build(pelvis, side, grid)
        shaft = np.maximum(shaft, 1.5 - hips[femur_block])
        marrow = np.clip((cortex / thin - 2.0) / 3.0, 0, 1)
        dress(femur_block, shaft, leg, cortex, marrow=marrow, cancellous=spongy)
    block, _, field, upper = sacrum.build(pelvis, grid)
    field = np.maximum(field, _SI_GAP_MM - hips[block])
    sacral = np.full(grid.shape, shapes.REACH_MM, dtype=np.float32)
    sacral[block] = field
    dress(block, field, anatomy.UPPER_SACRUM, 0.6 * thin, cancellous=0.75, where=upper)
    for vertebra in vertebrae:
        block, _, field = spine.body(vertebra, grid)
        field = np.maximum(field, _FACET_GAP_MM - sacral[block])
        field = np.maximum(field, _FACET_GAP_MM - hips[block])
        dress(block, field, anatomy.VERTEBRAE, 0.65 * thin, cancellous=0.95)
    return {name: landmarks[name] for name in anatomy.HIP_LANDMARKS}


def _finer(grid: shapes.Grid) -> shapes.Grid:
    size = np.array(grid.shape) * grid.spacing_mm / _LANDMARK_SPACING_MM
    return shapes.Grid(grid.origin_mm, _LANDMARK_SPACING_MM, tuple(int(n) for n in np.ceil(size) + 1))
