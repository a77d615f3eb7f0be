"""Puts one person together: grid, soft tissue, bones with cortex and cancellous texture, labels, landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import shapes, spine
from synthex_sim.patient.phantom.body import Body, fill
from synthex_sim.patient.phantom.bones import add_bones
from synthex_sim.patient.phantom.dress import Dresser
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.implants import add_implants, check_implants
from synthex_sim.patient.phantom.outline import Outline
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.patient.phantom.pelvic_bones import DrawnBones, PelvicBones
from synthex_sim.patient.phantom.table import on_table
from synthex_sim.patient.phantom.texture import noise
from synthex_sim.random_streams import Purpose, stream

_BOTTOM_MM, _TOP_MM = -202.0, 280.0  # LPS z, hip centres at 0: upper half of the femora to L1


def make_phantom(seed: int, spacing_mm: float = 1.5, implants: Sequence[str] = (), table: bool = False) -> Patient:
    """Builds the patient that belongs to a seed.

    Args:
        seed: which person, 0 <= seed < 2**64.
        spacing_mm: edge of the cubic voxels, 0.5 to 6.
        implants: names of ``implants.IMPLANTS``.
        table: whether mattress and table top lie under the back.

    Returns:
        a Patient named ``phantom-<seed>`` (and its implants) in LPS mm (origin midway between the hip centres) with
        int16 HU, uint8 labels of all six bones and the 14 hip landmarks. The lower sacrum and coccyx are bone without a
        label.

    Raises:
        ValueError: the spacing is out of range, the seed is not an integer in range, or an implant is not known.
    """
    if not 0.5 <= spacing_mm <= 6.0:
        raise ValueError(f"spacing_mm must be within 0.5 and 6, got {spacing_mm}")
    check_implants(implants)
    rng = stream(seed, 0, Purpose.ANATOMY)
    person = draw_person(seed, rng)
    pelvis = Pelvis.of(person)
    name = "-".join([f"phantom-{seed}", *implants])
    return assemble(name, pelvis, DrawnBones(pelvis), rng, spacing_mm, implants, table)


def assemble(
    name: str, pelvis: Pelvis, bones: PelvicBones, rng: np.random.Generator, spacing_mm: float,
    implants: Sequence[str] = (), table: bool = False,
) -> Patient:  # fmt: skip
    """Puts a person's hip bones and sacrum together with femora, spine and soft tissue.

    Args:
        name: the patient's.
        pelvis: the person, and where the pelvis lies.
        bones: hip bones and sacrum in the same frame.
        rng: of the person.
        spacing_mm, implants, table: as of ``make_phantom``.

    Returns:
        a Patient with the landmarks that ``bones`` knows.
    """
    person = pelvis.person
    shift = float(rng.uniform(-10, 10))
    bottom, top = _BOTTOM_MM + shift, _TOP_MM + shift
    vertebrae = [replace(v, center=v.center + bones.s1_shift_mm) for v in spine.stack(pelvis, top)]
    body = Body(pelvis, vertebrae, bottom, top)
    grid = _grid_around(body.outline, spacing_mm, bottom, top)

    hu = np.empty(grid.shape, dtype=np.float32)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    fill(hu, body, grid)
    texture = 0.6 * noise(rng, grid, 1.2) + 0.8 * noise(rng, grid, 4.0)
    dress = Dresser(hu, labels, grid, person, texture)
    landmarks = add_bones(dress, pelvis, bones, vertebrae, grid)
    add_implants(implants, hu, labels, pelvis, grid)
    if table:
        hu, labels = on_table(hu, labels, grid, body.outline.back_y_mm)

    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = grid.origin_mm
    volume = np.clip(np.rint(hu), -1024, 3000).astype(np.int16)
    return Patient(name, volume, affine, labels, landmarks)


def _grid_around(outline: Outline, spacing_mm: float, bottom_mm: float, top_mm: float) -> shapes.Grid:
    low, high = outline.box()
    low[2], high[2] = bottom_mm, top_mm
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm) + 1)
    return shapes.Grid(low, spacing_mm, shape)
