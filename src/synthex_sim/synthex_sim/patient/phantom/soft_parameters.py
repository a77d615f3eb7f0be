"""How much fat, muscle and gas the phantom has: drawn numbers of its soft tissue, in a random stream of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.random_streams import Purpose, stream


@dataclass(frozen=True)
class SoftTissue:
    """The drawn parameters of one person's soft tissue.

    Attributes:
        bmi: body mass index, kg/m^2; what follows goes with it.
        fat_mm: subcutaneous fat at the flank.
        visceral_mm: how far the belly stands out by the fat within, against a slim one.
        girth: size of the muscles across, against the mean.
        lean: -1 wasted to 1 strong: muscle density, and how few streaks of fat are in it.
        fat_plane_mm: fat between two muscles.
        bladder: filling, 0 empty to 1 full (about 450 ml).
        gas: share of the bowel that holds gas.
        stool: share of the colon that holds stool.
        calcification: 0 no plaques in the arteries to 1 calcified all along.
        phleboliths: how many stones lie in the veins of the pelvis.
        grain_hu: standard deviation of the reconstruction's noise from voxel to voxel.
        mottle_hu: standard deviation of its coarser part and of the tissue itself, over a few millimetres.
    """

    bmi: float
    fat_mm: float
    visceral_mm: float
    girth: float
    lean: float
    fat_plane_mm: float
    bladder: float
    gas: float
    stool: float
    calcification: float
    phleboliths: int
    grain_hu: float
    mottle_hu: float


def draw_soft_tissue(seed: int, sex: float, density: float) -> SoftTissue:
    """Draws the soft tissue of one person.

    Spreads: body mass index of adults 27 +- 5, 18 to 40 (NHANES, rounded); subcutaneous fat grows with it and is a
    third thicker in women; phleboliths in about 40 % of adults, one to seven; calcified iliac or femoral arteries in
    about half of those with thin bone (the elderly), in a fifth of the others.

    Args:
        seed: the person's number.
        sex: 0 male-typical to 1 female-typical.
        density: of the bone, in standard deviations from the mean; low in old age.
    """
    rng = stream(seed, 0, Purpose.SOFT_TISSUE)
    bmi = float(np.clip(18.0 + rng.gamma(3.2, 2.8), 18.0, 40.0))
    fat = (5.0 + 1.3 * (bmi - 16.0)) * (0.82 + 0.36 * sex) * rng.lognormal(0.0, 0.15)
    visceral = 2.6 * (bmi - 20.0) * (1.2 - 0.4 * sex) + rng.normal(0, 6)
    calcified = rng.random() < np.clip(0.35 - 0.18 * density, 0.1, 0.8)
    stones = int(rng.integers(1, 8)) if rng.random() < 0.4 else 0
    return SoftTissue(
        bmi=bmi,
        fat_mm=float(np.clip(fat, 5.0, 48.0)),
        visceral_mm=float(np.clip(visceral, -8.0, 62.0)),
        girth=float(np.clip(1.04 - 0.08 * sex + 0.006 * (bmi - 26.0) + rng.normal(0, 0.05), 0.82, 1.2)),
        lean=float(np.clip(0.4 * density + rng.normal(0, 0.45), -1, 1)),
        fat_plane_mm=float(np.clip(1.3 + 0.05 * (bmi - 20.0) + rng.normal(0, 0.35), 0.8, 3.2)),
        bladder=float(rng.uniform(0, 1)),
        gas=float(rng.beta(2.0, 4.0)),
        stool=float(rng.uniform(0.2, 0.7)),
        calcification=float(rng.uniform(0.1, 1.0)) if calcified else 0.0,
        phleboliths=stones,
        grain_hu=float(rng.uniform(9, 16)),
        mottle_hu=float(rng.uniform(7, 15)),
    )
