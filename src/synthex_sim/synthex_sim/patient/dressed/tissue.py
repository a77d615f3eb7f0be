"""Skin, fat and muscles of a patient that is dressed."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from synthex_sim.patient.dressed.input_labels import InputLabels
from synthex_sim.patient.dressed.solid import MARGIN_MM, solid_distances
from synthex_sim.patient.patient import FIRST_STRUCTURE
from synthex_sim.patient.phantom.parameters import Person
from synthex_sim.patient.phantom.shapes import Grid
from synthex_sim.patient.phantom.texture import noise

AIR_HU, _SKIN_HU, _FAT_HU, _MUSCLE_HU = -1000.0, 20.0, -100.0, 55.0
_SKIN_MM = 1.8
#: A muscle ends so much before the line that was drawn: between neighbours a sheet of fat remains.
_FASCIA_MM = 0.5
#: Hounsfield units of structures by a word in their names; muscle where none fits.
_BY_NAME = {
    "bladder": 8, "colon": -60, "bowel": 0, "duodenum": 25, "stomach": 20, "liver": 60, "spleen": 50, "kidney": 35,
    "aorta": 45, "vena": 45, "iliac_art": 45, "iliac_ven": 45, "fat": -100, "prostate": 40, "rectum": -30, "rib": 350,
}


def muscle_solids(drawn: InputLabels, grid: Grid) -> dict[int, tuple]:
    """Label of each structure that is no bone and is there -> block, its grid and distances (``solid_distances``)."""
    solids = {}
    for label, box in enumerate(ndimage.find_objects(drawn.labels), 1):
        if box is not None and label >= FIRST_STRUCTURE:
            part, origin = drawn.around(box, MARGIN_MM)
            solids[label] = solid_distances(drawn.labels[part] == label, origin, drawn.spacing_mm, grid)
    return solids


def fill_tissue(hu: np.ndarray, skin: np.ndarray, solids: dict[int, tuple], drawn: InputLabels, person: Person,
                grid: Grid, rng: np.random.Generator) -> None:  # fmt: skip
    """Writes air, skin, fat and muscles into the float32 volume.

    What lies deep and was not labelled (small muscles, vessels, nerves, joint capsules in fat) is a mixture. Where no
    muscle was labelled at all, everything under the fat is muscle with sheets of fat.

    Args:
        hu: (I, J, K), written to.
        skin: (I, J, K) distance to the skin, mm.
        solids: of ``muscle_solids``.
        drawn: with the structures' names.
        person: whose fat it is.
        grid: of the volume.
        rng: of the patient.
    """
    grain, coarse = noise(rng, grid, 1.2 * grid.spacing_mm), noise(rng, grid, 8.0)
    if solids:
        deep = np.clip((-skin - 12) / 15, 0, 1) * np.clip(0.35 + 0.55 * coarse, 0, 1)
        inside = _FAT_HU + 12 * grain + 125 * deep
    else:
        sheets = np.clip(1 - np.abs(coarse) / (0.1 + 0.008 * person.fat_mm), 0, 1) * (skin < -person.fat_mm - 4)
        inside = np.where(skin > -person.fat_mm, _FAT_HU + 12 * grain, _MUSCLE_HU + 9 * grain - 130 * sheets)
    inside = np.where(skin > -_SKIN_MM, np.float32(_SKIN_HU), inside)
    np.copyto(hu, AIR_HU + (inside - AIR_HU) * np.clip(0.5 - skin / grid.spacing_mm, 0, 1))
    fatty = np.clip(person.fat_mm / 22.0, 0.5, 2.0)
    for label, (block, _, field) in solids.items():
        mean = next((value for word, value in _BY_NAME.items() if word in drawn.structures[label]), None)
        if mean is None:
            mean = _MUSCLE_HU + rng.normal(0, 4)
        streaks = 55 * fatty * np.clip(coarse[block] + 0.7 * grain[block] - 1.2, 0, 1)
        cover = np.clip(0.5 - (field + _FASCIA_MM) / grid.spacing_mm, 0, 1)
        cover *= np.clip(0.5 - (skin[block] + 1.0) / grid.spacing_mm, 0, 1)
        hu[block] += (mean + 8 * grain[block] - streaks - hu[block]) * cover
