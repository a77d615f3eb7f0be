"""All bones of one person, put into the volume one after the other, and the landmarks on them."""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.phantom import femur, hip_bone, sacrum, shapes, spine
from synthex_sim.patient.phantom.dress import Dresser
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.pelvic_bones import PelvicBones

#: Least distance between neighbouring bones.
_HIP_GAP_MM, SI_GAP_MM, _FACET_GAP_MM = 1.5, 2.0, 1.0


def add_bones(
    dress: Dresser, pelvis: Pelvis, bones: PelvicBones, vertebrae: list[spine.Vertebra], grid: shapes.Grid
) -> dict[str, np.ndarray]:
    """Writes every bone; returns the hip landmarks that these bones know exactly, name -> (3,) LPS mm."""
    person = dress.person
    thin = person.cortex_scale
    hips = np.full(grid.shape, shapes.REACH_MM, dtype=np.float32)
    for side, bone, leg in (
        (1, anatomy.LEFT_HEMIPELVIS, anatomy.LEFT_FEMUR),
        (-1, anatomy.RIGHT_HEMIPELVIS, anatomy.RIGHT_FEMUR),
    ):
        block, part, field = bones.hip(side, grid)
        hips[block] = np.minimum(hips[block], field)
        cortex, spongy = hip_bone.dressing(pelvis, side, part)
        dress(block, field, bone, cortex * thin, cancellous=spongy)
        block, part, field = femur.build(pelvis, side, grid)
        keep_off(field, hips[block], _HIP_GAP_MM)
        cortex, marrow, spongy = femur.dressing(pelvis, side, part)
        dress(block, field, leg, cortex * thin, marrow=marrow, cancellous=spongy)
    block, part, field, upper = bones.sacrum(grid)
    keep_off(field, hips[block], SI_GAP_MM)
    sacral = np.full(grid.shape, shapes.REACH_MM, dtype=np.float32)
    sacral[block] = field
    cortex, spongy = sacrum.dressing(pelvis, part)
    dress(block, field, anatomy.UPPER_SACRUM, cortex * thin, cancellous=spongy, where=upper)
    others = np.minimum(hips, sacral)
    for vertebra in vertebrae:
        block, part, field = spine.build(vertebra, grid)
        keep_off(field, others[block], _FACET_GAP_MM)
        others[block] = np.minimum(others[block], field)
        cortex, spongy = spine.dressing(vertebra, part)
        lumbar = vertebra.number != spine.T12
        dress(block, field, anatomy.VERTEBRAE if lumbar else 0, cortex * thin, cancellous=spongy)
    landmarks = bones.landmarks()
    return {name: landmarks[name] for name in anatomy.HIP_LANDMARKS if name in landmarks}


def keep_off(field: np.ndarray, other: np.ndarray, gap_mm: float) -> None:
    """Takes from a bone what is closer than the gap to another; distances far from that one stay as they are."""
    near = other < gap_mm + 1.0
    field[near] = np.maximum(field[near], gap_mm - other[near])
