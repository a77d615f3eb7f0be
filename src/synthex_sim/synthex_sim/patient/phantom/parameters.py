"""Who the phantom is: all drawn numbers of one person, separate from what is built of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SidePose:
    """How one femur lies about the centre of its hip joint, in degrees.

    Attributes:
        flexion_deg: knee forward; a supine patient with a knee roll has 5 to 20.
        abduction_deg: knee outward; the shaft of a neutral leg leans about -6 (knees together, hips apart).
        external_rotation_deg: foot outward.
        anteversion_deg: change of the neck's torsion against the mean femur (12 degrees).
        neck_shaft_deg: change of the neck-shaft angle against the modelled femur (133 degrees).
        neck_mm: change of the neck's length, for a head radius of 23.5 mm.
    """

    flexion_deg: float
    abduction_deg: float
    external_rotation_deg: float
    anteversion_deg: float
    neck_shaft_deg: float
    neck_mm: float = 0.0


@dataclass(frozen=True)
class Person:
    """The drawn parameters of one phantom. "Pelvic frame" is the anterior pelvic plane frame: x left, y superior,
    z anterior, origin midway between the ASIS.

    Attributes:
        seed: the person's number.
        sex: 0 for male-typical to 1 for female-typical proportions (subpubic angle, pelvic inlet, wing flare).
        scale: (3,) size along the pelvic frame's axes against the mean pelvis of 231 mm inter-ASIS width.
        flare_deg: iliac wings tipped outward about the acetabular roof.
        ischial_spread_mm: ischia moved outward, which opens the subpubic angle.
        inlet_mm: added width of the pelvic inlet.
        sacrum_forward_mm: end plate of S1 moved towards the front, the sacrum's lower end staying.
        symphysis_mm: added width of the symphysis gap, whose mean model has 11.5 mm.
        bumps_mm: (2, K, 3) amplitudes of the smooth shape variation: [0] both sides alike, [1] left minus right.
        bump_centers_mm: (K, 3) where these act, in the pelvic frame of a left half.
        tilt_deg: anterior pelvic tilt, ASIS forward of the pubic bones.
        roll_deg: frontal-plane obliquity (left side up).
        yaw_deg: turn about the body's long axis.
        head_radius_mm: femoral head.
        hip_gap_mm: radiographic joint space of the hip.
        lordosis: 1 for the mean curve of the lumbar spine.
        scoliosis_mm: lateral drift of the spine over the shown levels.
        vertebra_scale: size of vertebrae against the mean.
        disc_mm: height of the L4/L5 disc.
        cortex_hu, trabecular_hu: densities of the cortical shell and the cancellous bone.
        cortex_scale: thickness of the cortical shell against the mean.
        texture_hu: strength of the cancellous texture.
        fat_mm: subcutaneous fat at the flank.
        femurs: pose and shape of the left and the right femur.
        shaft_scale: width of the femoral shafts against that of a femur with such a head.
        trochanter_mm: how much farther out and up the greater trochanters reach.
    """

    seed: int
    sex: float
    scale: np.ndarray
    flare_deg: float
    ischial_spread_mm: float
    inlet_mm: float
    sacrum_forward_mm: float
    symphysis_mm: float
    bumps_mm: np.ndarray
    bump_centers_mm: np.ndarray
    tilt_deg: float
    roll_deg: float
    yaw_deg: float
    head_radius_mm: float
    hip_gap_mm: float
    lordosis: float
    scoliosis_mm: float
    vertebra_scale: float
    disc_mm: float
    cortex_hu: float
    trabecular_hu: float
    cortex_scale: float
    texture_hu: float
    fat_mm: float
    femurs: tuple[SidePose, SidePose]
    shaft_scale: float
    trochanter_mm: float


def draw_person(seed: int, rng: np.random.Generator) -> Person:
    """Draws one person.

    The numbers here are set so that what is measured on the finished bones (``measurements``) has the means and the
    spreads of published samples; docs/phantoms.md has the table with its sources.
    """
    sex = float(np.clip(rng.choice((0.2, 0.8)) + rng.normal(0, 0.15), 0, 1))
    size = rng.normal(1.0 - 0.02 * (sex - 0.5), 0.035)
    scale = size * np.array([rng.normal(0.985 + 0.03 * (sex - 0.5), 0.045), rng.normal(1.0 - 0.04 * (sex - 0.5), 0.035),
                             rng.normal(1.0 + 0.05 * (sex - 0.5), 0.035)])
    centers = np.stack([rng.uniform(15, 135, 10), rng.uniform(-150, 45, 10), rng.uniform(-130, 20, 10)], axis=1)
    bumps = np.stack([rng.normal(0, 2.2, (10, 3)), rng.normal(0, 1.0, (10, 3))])
    density = rng.normal(0, 1)
    flexion, turn = rng.normal(8, 6), rng.normal(0, 8)
    femurs = tuple(
        SidePose(
            flexion_deg=float(np.clip(flexion + rng.normal(0, 3), -10, 30)),
            abduction_deg=float(np.clip(rng.normal(-2, 4), -10, 7)),
            external_rotation_deg=float(np.clip(turn + rng.normal(0, 6), -25, 35)),
            anteversion_deg=float(np.clip(rng.normal(4 * (sex - 0.5) - 1, 8), -20, 22)),
            neck_shaft_deg=float(np.clip(rng.normal(-8.0, 5.8), -15.5, 7)),
            neck_mm=float(np.clip(rng.normal(0.5, 4.5), -7, 9)),
        )
        for _ in range(2)
    )
    return Person(
        seed=seed,
        sex=sex,
        scale=scale,
        flare_deg=float(rng.normal(0, 4)),
        ischial_spread_mm=float(11 * (sex - 0.5) - 10.0 + rng.normal(0, 2.2 + 3.3 * sex)),
        inlet_mm=float(8 * (sex - 0.5) - 13.5 + rng.normal(0, 4)),
        sacrum_forward_mm=float(np.clip(5 - 15 * (sex - 0.5) + rng.normal(0, 6.5), -13, 20)),
        symphysis_mm=float(np.clip(rng.normal(-7.2, 1.2), -9.5, -4)),
        bumps_mm=bumps,
        bump_centers_mm=centers,
        tilt_deg=float(np.clip(rng.normal(17.5, 6), 1, 34)),
        roll_deg=float(rng.normal(0, 1.5)),
        yaw_deg=float(rng.normal(0, 2)),
        head_radius_mm=float(np.clip(rng.normal(24.9 - 3.2 * sex, 1.15) * (0.5 + 0.5 * size), 19.5, 28.0)),
        hip_gap_mm=float(np.clip(rng.normal(3.6, 0.7), 1.8, 5.0)),
        lordosis=float(np.clip(rng.normal(1.0, 0.3), 0.3, 1.8)),
        scoliosis_mm=float(rng.normal(0, 5)),
        vertebra_scale=float(size * rng.normal(1.03 - 0.08 * (sex - 0.5), 0.04)),
        disc_mm=float(np.clip(rng.normal(11, 2), 5, 15)),
        cortex_hu=float(np.clip(1120 + 140 * density + rng.normal(0, 80), 750, 1550)),
        trabecular_hu=float(np.clip(165 + 60 * density + rng.normal(0, 25), 40, 360)),
        cortex_scale=float(np.clip(1 + 0.16 * density + rng.normal(0, 0.08), 0.6, 1.45)),
        texture_hu=float(rng.uniform(35, 80)),
        fat_mm=float(np.clip(rng.lognormal(np.log(22), 0.45), 7, 45)),
        femurs=femurs,
        shaft_scale=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.18)),
        trochanter_mm=float(np.clip(rng.normal(0, 2.5), -6, 6)),
    )
