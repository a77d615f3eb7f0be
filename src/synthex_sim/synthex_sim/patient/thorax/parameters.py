"""Who the thorax phantom is: all drawn numbers of one person, separate from what is built of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: How the person is exposed: lying with the arms beside the body, standing with the shoulder blades turned outward,
#: or lying with the arms over the head, as in a CT scanner.
POSTURES = ("supine", "upright", "arms_raised")


@dataclass(frozen=True)
class ThoraxPerson:
    """The drawn parameters of one thorax.

    Attributes:
        seed: the person's number.
        sex: "female" or "male".
        posture: one of POSTURES.
        age_years: bone density falls and cartilage calcifies with it.
        scale: (3,) size along left, back and up against the mean man.
        inspiration: 0 (end of a quiet expiration) to 1 (full breath): ribs raised, diaphragm low, lungs dark.
        kyphosis_deg: Cobb angle from T1 to T12.
        scoliosis_mm: lateral drift of the spine at its apex.
        disc_mm: height of the disc under T12.
        heart: size against the mean.
        heart_turn_deg: how much steeper (positive) than the mean the heart's long axis stands.
        arch_mm: how much wider the aortic arch is than the mean; the aortas of the old unroll.
        right_dome_mm: height of the right diaphragm over the left one.
        trachea_mm: radius of the trachea.
        lung_hu: mean parenchyma at half height.
        gravity_hu_per_mm: how it rises towards the dependent side.
        vessels: calibre of pulmonary vessels against the mean.
        cortex_hu, trabecular_hu, texture_hu: of the bones.
        cartilage_calcium: 0 to 1, share of calcified costal cartilage.
        fat_mm: subcutaneous fat at the flank.
        muscle: thickness of the muscle layers against the mean.
        breast: size of the breasts against the mean woman's; 0 for men.
        stomach_gas: 0 to 1, how full of gas the stomach's fundus is.
    """

    seed: int
    sex: str
    posture: str
    age_years: float
    scale: np.ndarray
    inspiration: float
    kyphosis_deg: float
    scoliosis_mm: float
    disc_mm: float
    heart: float
    heart_turn_deg: float
    arch_mm: float
    right_dome_mm: float
    trachea_mm: float
    lung_hu: float
    gravity_hu_per_mm: float
    vessels: float
    cortex_hu: float
    trabecular_hu: float
    texture_hu: float
    cartilage_calcium: float
    fat_mm: float
    muscle: float
    breast: float
    stomach_gas: float


def draw_thorax_person(seed: int, rng: np.random.Generator) -> ThoraxPerson:
    """Draws one person; means, spreads and their sources stand in docs/thorax.md."""
    female = bool(rng.uniform() < 0.5)
    posture = POSTURES[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]
    age = float(rng.uniform(20, 90))
    old = (age - 55) / 35
    size = rng.normal(0.935 if female else 1.015, 0.03)
    girth = rng.normal(0, 1)
    scale = size * np.array([rng.normal(1.0, 0.025) + 0.02 * girth,
                             rng.normal(1.0, 0.03) + 0.03 * old + 0.03 * girth, rng.normal(1.0, 0.03)])  # fmt: skip
    density = rng.normal(0, 1) - 0.6 * old
    lying = posture != "upright"
    inspiration = float(np.clip(rng.normal(0.6 if posture == "supine" else 0.78, 0.16), 0.1, 1.0))
    return ThoraxPerson(
        seed=seed,
        sex="female" if female else "male",
        posture=posture,
        age_years=age,
        scale=scale,
        inspiration=inspiration,
        kyphosis_deg=float(np.clip(rng.normal(38 + 8 * old, 8), 18, 65)),
        scoliosis_mm=float(rng.normal(0, 3)),
        disc_mm=float(np.clip(rng.normal(6.5 - 0.8 * old, 0.8), 4, 9)),
        heart=float(np.clip(rng.normal(1.03 + 0.04 * old, 0.07), 0.8, 1.3)),
        heart_turn_deg=float(rng.normal(-5 * girth, 6)),
        arch_mm=float(np.clip(rng.normal(2 + 4 * old, 2), -2, 11)),
        right_dome_mm=float(np.clip(rng.normal(13, 5), 0, 25)),
        trachea_mm=float(np.clip(rng.normal(7.4 if female else 8.9, 0.8), 5.0, 12.0)),
        lung_hu=float(np.clip(rng.normal(-838 - 58 * inspiration, 16), -915, -790)),
        gravity_hu_per_mm=float(np.clip(rng.normal(0.36 if lying else 0.22, 0.1), 0.05, 0.9)),
        vessels=float(np.clip(rng.normal(1.0, 0.09), 0.75, 1.3)),
        cortex_hu=float(np.clip(1050 + 120 * density + rng.normal(0, 70), 700, 1450)),
        trabecular_hu=float(np.clip(165 + 45 * density + rng.normal(0, 20), 60, 300)),
        texture_hu=float(rng.uniform(30, 60)),
        cartilage_calcium=float(np.clip(rng.normal(0.25 + 0.4 * old, 0.25), 0, 1)),
        fat_mm=float(np.clip(rng.lognormal(np.log(15 if female else 11), 0.4) * (1 + 0.25 * girth), 4, 40)),
        muscle=float(np.clip(rng.normal(0.88 if female else 1.05, 0.1), 0.65, 1.35)),
        breast=float(np.clip(rng.normal(1.0 + 0.15 * girth, 0.25), 0.35, 1.7)) if female else 0.0,
        stomach_gas=float(rng.beta(1.6, 1.6)),
    )
