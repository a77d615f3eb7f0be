"""The label ids and the landmark order that every image, message, data set and network of this project uses.

Both are those of the DeepFluoro data (Grupp et al. 2020), so files in its layout need no translation; the
manipulator is added behind them. These are fixed for good: shipped weights and recorded bags depend on them.
"""

from __future__ import annotations

BACKGROUND = 0
LEFT_HEMIPELVIS = 1
RIGHT_HEMIPELVIS = 2
VERTEBRAE = 3
UPPER_SACRUM = 4
LEFT_FEMUR = 5
RIGHT_FEMUR = 6
MANIPULATOR = 7

BONE_LABELS: tuple[int, ...] = (1, 2, 3, 4, 5, 6)

LABEL_NAMES: tuple[str, ...] = (
    "background",
    "left_hemipelvis",
    "right_hemipelvis",
    "vertebrae",
    "upper_sacrum",
    "left_femur",
    "right_femur",
    "continuum_manipulator",
)

#: Fixed channel order of the DeepFluoro training files: FH, GSN, IOF, MOF, SPS, IPS, ASIS, left before right.
HIP_LANDMARKS: tuple[str, ...] = tuple(
    f"{name}-{side}" for name in ("FH", "GSN", "IOF", "MOF", "SPS", "IPS", "ASIS") for side in ("l", "r")
)
MANIPULATOR_LANDMARKS: tuple[str, ...] = ("CM-base", "CM-tip")
SESSION_LANDMARKS: tuple[str, ...] = HIP_LANDMARKS + MANIPULATOR_LANDMARKS
