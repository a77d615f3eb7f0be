"""Everything around the bones of one person, put together: where the body ends, and what fills it."""

from __future__ import annotations

import numba
import numpy as np

from synthex_sim.patient.phantom import bowel, organs, shapes, spine, vessels
from synthex_sim.patient.phantom.cavity import Cavity
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.muscles import add_muscles, placed_muscles
from synthex_sim.patient.phantom.outline import Outline, outline_of
from synthex_sim.patient.phantom.posture import Posture
from synthex_sim.patient.phantom.soft_parameters import SoftTissue, draw_soft_tissue
from synthex_sim.patient.phantom.texture import add_tiled, tile
from synthex_sim.patient.phantom.tissue import (
    AIR_HU,
    DISC_HU,
    FAT_HU,
    MUSCLE_HU,
    SKIN_HU,
    blend,
    blend_smooth,
    lattice,
    lattice_step,
)
from synthex_sim.random_streams import Purpose, stream

_SKIN_MM = 1.8
_MOTTLE_MM = 2.0
_MEAN_CORTEX_HU, _CORTEX_SD_HU = 1120.0, 140.0


class Body:
    """The soft tissue of one person before it is put on a grid.

    Attributes:
        soft: the drawn parameters.
        posture: where the bones took it.
        cavity: of abdomen and pelvis.
        muscles: of ``placed_muscles``.
        outline: the skin.
        rng: the random stream of what is drawn while the volume is filled.
    """

    def __init__(self, pelvis: Pelvis, vertebrae: list[spine.Vertebra], low_z: float, high_z: float) -> None:
        person = pelvis.person
        density = (person.cortex_hu - _MEAN_CORTEX_HU) / _CORTEX_SD_HU
        self.soft: SoftTissue = draw_soft_tissue(person.seed, person.sex, density)
        self.rng = stream(person.seed, 1, Purpose.SOFT_TISSUE)
        self.posture = Posture(pelvis, vertebrae)
        self.cavity = Cavity(self.posture, self.soft)
        self.muscles = placed_muscles(self.posture, self.soft, self.rng)
        self.outline: Outline = outline_of(self.posture, self.cavity, self.muscles, self.soft, low_z, high_z)


def fill(hu: np.ndarray, body: Body, grid: shapes.Grid) -> None:
    """Writes all soft tissue into the float32 volume ``hu``."""
    soft, rng = body.soft, body.rng
    thread = 2.2 / grid.spacing_mm
    strands = tile(rng, (thread, thread, 4 * thread))
    _add_skin(hu, body.outline, grid, strands)
    _add_flesh(hu, body.outline, grid, soft, strands)
    _add_wall(hu, body.cavity, grid, soft, strands)
    vessels.add_mesentery(hu, body, grid)
    bowel.add_small_bowel(hu, body, grid)
    add_muscles(hu, grid, body.muscles, soft, strands)
    organs.add_organs(hu, body, grid)
    bowel.add_colon(hu, body, grid)
    vessels.add_vessels(hu, body, grid)
    for v in body.posture.vertebrae:  # a disc under every body
        low = v.center - v.axes[:, 1] * 19 * v.size
        block, part = grid.block(low - 30, low + 30)
        blend(hu, block, shapes.ellipsoid(part, low, np.array([25, 9, 18]) * v.size, v.axes.T), DISC_HU, grid)
    add_tiled(hu, tile(rng, 0.75), soft.grain_hu * min(1.0, 1.0 / grid.spacing_mm) ** 0.5, -980.0)
    add_tiled(hu, tile(rng, _MOTTLE_MM / grid.spacing_mm), soft.mottle_hu, -980.0)


@numba.njit(cache=True, nogil=True)
def _skin_and_fat(hu, coarse, offset, step, spacing, skin_mm, values, strands):
    """Air, skin, and fat with thin strands of connective tissue, by the distance to the skin."""
    air, skin, fat = values
    n0, n1, n2 = strands.shape
    for i in range(hu.shape[0]):
        for j in range(hu.shape[1]):
            line = shapes.lattice_line(coarse, i / step + offset[0], j / step + offset[1])
            for k in range(hu.shape[2]):
                c = k / step + offset[2]
                k0 = min(int(c), coarse.shape[2] - 2)
                fk = np.float32(c - k0)
                distance = line[k0] * (1 - fk) + line[k0 + 1] * fk
                cover = min(max(0.5 - distance / spacing, 0.0), 1.0)
                if cover == 0:
                    hu[i, j, k] = air
                    continue
                under = min(max(0.5 - (distance + skin_mm) / spacing, 0.0), 1.0)
                web = 26.0 * max(abs(strands[i % n0, j % n1, k % n2]) - 1.6, 0.0)
                inside = skin + (fat + web - skin) * under
                hu[i, j, k] = air + (inside - air) * cover


def _add_skin(hu: np.ndarray, outline: Outline, grid: shapes.Grid, strands: np.ndarray) -> None:
    coarse = outline.lattice
    offset = (grid.origin_mm - coarse.origin_mm) / coarse.spacing_mm
    if (offset < 0).any():
        raise ValueError("the volume begins outside of the room in which the skin is known")
    _skin_and_fat(hu, outline.distance, offset, coarse.spacing_mm / grid.spacing_mm, grid.spacing_mm, _SKIN_MM,
                  (AIR_HU, SKIN_HU, FAT_HU), strands)  # fmt: skip


def _add_flesh(hu, outline: Outline, grid: shapes.Grid, soft: SoftTissue, strands) -> None:
    """What fills the narrow gaps between muscles: small muscles and strands of fat."""
    coarse = outline.lattice
    offset = (grid.origin_mm - coarse.origin_mm) / coarse.spacing_mm
    block = tuple(slice(0, n) for n in grid.shape)
    step = coarse.spacing_mm / grid.spacing_mm
    blend_smooth(hu, block, grid, outline.flesh, step, MUSCLE_HU - 14.0 + 6 * soft.lean, strands=strands, streak=60.0,
                 offset=offset)  # fmt: skip


def _add_wall(hu, cavity: Cavity, grid: shapes.Grid, soft: SoftTissue, strands) -> None:
    """The layers of the abdominal wall and the fat within."""
    widest = float(cavity.half_width.max() + cavity.wall_mm.max() + 4)
    low = np.array([-widest, (cavity.center_y - cavity.front).min() - 25, cavity.z[0] - 8])
    high = np.array([widest, (cavity.center_y + cavity.back).max() + 25, cavity.z[-1]])
    block, part = grid.block(low, high)
    step = lattice_step(grid)
    coarse = lattice(part, step)
    distance = cavity.distance(coarse)
    x, y, z = coarse.axes()
    wall = cavity.wall(x, y, z)
    for depth, thick in ((1.0, True), (0.72, False), (0.40, False)):  # three layers with fat between them
        outer = distance - wall * np.float32(depth)
        rim = 0.0 if thick else 0.45 * soft.fat_plane_mm
        blend_smooth(hu, block, grid, outer, step, MUSCLE_HU, rim_mm=rim, strands=strands, streak=20.0)
    midline = np.maximum(np.abs(x) - np.float32(3.0 + 0.05 * soft.fat_mm), distance - wall)  # linea alba
    blend_smooth(hu, block, grid, np.maximum(midline, 40.0 - z), step, FAT_HU + 60.0)
    blend_smooth(hu, block, grid, distance, step, FAT_HU)
