"""Puts one person together: grid, soft tissue, bones with cortex and cancellous texture, labels, landmarks."""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import femur, hip_bone, sacrum, shapes, soft_tissue, spine
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.random_streams import Purpose, stream

_BOTTOM_MM, _TOP_MM = -135.0, 200.0  # LPS z, hip centres at 0: upper third of the femora to L2/L3
_LANDMARK_SPACING_MM = 1.5
_MARROW_HU = -30.0
_SI_GAP_MM, _FACET_GAP_MM = 2.0, 1.0


def make_phantom(seed: int, spacing_mm: float = 1.5) -> Patient:
    """Builds the patient that belongs to a seed.

    Args:
        seed: which person, 0 <= seed < 2**64.
        spacing_mm: edge of the cubic voxels, 0.5 to 6.

    Returns:
        a Patient named ``phantom-<seed>`` in LPS mm (origin midway between the hip centres) with int16 HU, uint8
        labels of all six bones and the 14 hip landmarks. The lower sacrum and coccyx are bone without a label.

    Raises:
        ValueError: the spacing is out of range, or the seed is not an integer in range.
    """
    if not 0.5 <= spacing_mm <= 6.0:
        raise ValueError(f"spacing_mm must be within 0.5 and 6, got {spacing_mm}")
    rng = stream(seed, 0, Purpose.ANATOMY)
    person = draw_person(seed, rng)
    pelvis = Pelvis.of(person)
    outline = soft_tissue.outline_of(pelvis, rng)
    grid = _grid_around(outline, spacing_mm, float(rng.uniform(-10, 10)))
    vertebrae = spine.stack(pelvis, float(grid.origin_mm[2] + grid.spacing_mm * grid.shape[2]))

    hu = np.empty(grid.shape, dtype=np.float32)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    soft_tissue.fill(hu, pelvis, outline, vertebrae, grid, rng)
    texture = 0.6 * soft_tissue.noise(rng, grid, 1.2) + 0.8 * soft_tissue.noise(rng, grid, 4.0)
    dress = _Dresser(hu, labels, grid, person, texture)
    landmarks = _bones(dress, pelvis, vertebrae, grid)

    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = grid.origin_mm
    volume = np.clip(np.rint(hu), -1024, 3000).astype(np.int16)
    return Patient(f"phantom-{seed}", volume, affine, labels, landmarks)


def _grid_around(outline: soft_tissue.Outline, spacing_mm: float, shift_mm: float) -> shapes.Grid:
    thigh = max(float(np.max(np.abs(path[:, 0]) + radii)) for path, radii in outline.thighs)
    half_x = max(outline.half_width_mm, thigh) + 12
    front, back = outline.center_y_mm - outline.half_depth_mm, outline.center_y_mm + outline.half_depth_mm
    for path, radii in outline.thighs:
        front = min(front, float(np.min(path[:, 1] - soft_tissue.THIGH_DEPTH * radii)))
        back = max(back, float(np.max(path[:, 1] + soft_tissue.THIGH_DEPTH * radii)))
    low = np.array([-half_x, front - 12, _BOTTOM_MM + shift_mm])
    high = np.array([half_x, back + 12, _TOP_MM + shift_mm])
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm) + 1)
    return shapes.Grid(low, spacing_mm, shape)


def _finer(grid: shapes.Grid) -> shapes.Grid:
    size = np.array(grid.shape) * grid.spacing_mm / _LANDMARK_SPACING_MM
    return shapes.Grid(grid.origin_mm, _LANDMARK_SPACING_MM, tuple(int(n) for n in np.ceil(size) + 1))


class _Dresser:
    """Writes bones into the volume: partial volume at the surface, cortex by depth, cancellous bone inside."""

    def __init__(self, hu, labels, grid, person, texture) -> None:
        self.hu, self.labels, self.grid, self.person, self.texture = hu, labels, grid, person, texture

    def __call__(self, block, field, label, cortex_mm, marrow=0.0, cancellous=1.0, where=None) -> None:
        """Args:
        block: slices of the volume.
        field: signed distance of the bone there, mm.
        label: anatomy id, or 0 for bone without one.
        cortex_mm: thickness of the shell, scalar or array.
        marrow: 0 to 1, share of fat instead of cancellous bone, scalar or array.
        cancellous: factor on the person's cancellous density.
        where: voxels that take the label (all of the bone if None).
        """
        person, h = self.person, self.grid.spacing_mm
        cover = np.clip(0.5 - field / h, 0, 1)
        shell = np.clip((cortex_mm + field) / h + 0.5, 0, 1)
        spongy = person.trabecular_hu * cancellous + person.texture_hu * self.texture[block]
        spongy = spongy * (1 - marrow) + _MARROW_HU * marrow
        bone = spongy + (person.cortex_hu + 0.6 * person.texture_hu * self.texture[block] - spongy) * shell
        view = self.hu[block]
        view += (bone - view) * cover
        inside = field < 0 if where is None else (field < 0) & where
        self.labels[block][inside] = label


def _bones(dress: _Dresser, pelvis: Pelvis, vertebrae: list[spine.Vertebra], grid: shapes.Grid) -> dict:
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
