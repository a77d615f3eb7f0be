"""Puts one person together: grid, soft tissue, bones with cortex and cancellous texture, labels, landmarks."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import shapes, soft_tissue, spine
from synthex_sim.patient.phantom.bones import add_bones
from synthex_sim.patient.phantom.dress import Dresser
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.random_streams import Purpose, stream

_BOTTOM_MM, _TOP_MM = -135.0, 200.0  # LPS z, hip centres at 0: upper third of the femora to L2/L3


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
    dress = Dresser(hu, labels, grid, person, texture)
    landmarks = add_bones(dress, pelvis, vertebrae, grid)

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
