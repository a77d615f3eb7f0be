"""ASIS: the most anterior point of the anterior superior iliac spine, by which the pelvis rests on its front."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.landmarks.bone_shape import BoneShape
from synthex_sim.patient.landmarks.estimate import Estimate, LandmarkNotFound, extreme
from synthex_sim.patient.landmarks.field_of_view import FieldOfView
from synthex_sim.patient.landmarks.outline import edge_height, middle_of_bone, tops
from synthex_sim.patient.landmarks.pelvic_frame import HalfFrame

_STEP_MM = 1.0
#: The border falls back by at least this much above and below a spine.
_PROMINENCE_MM = 2.0
#: The spine reaches this far up and down.
_REACH_MM = 12.0
#: Above the spine the border recedes by this much and more; between the two spines it does not.
_CREST_MM = 12.0


def iliac_spine(hip: BoneShape, half: HalfFrame, expected: np.ndarray, view: FieldOfView) -> Estimate:
    """The uppermost top of the hip bone's anterior border as seen from the side.

    The border has two: the anterior superior spine and below it the anterior inferior one, which may reach as far
    forward. So the border must be seen to turn back into the iliac crest above: where the scan ends before, what is
    uppermost in it may be the inferior spine.

    Args:
        hip: the bone.
        half: its side of the pelvic frame.
        expected: (3,) LPS mm, where to look.
        view: what of the bone was scanned.

    Raises:
        LandmarkNotFound: the border has no such top, or the crest above it is cut off.
    """
    middle = half.local(expected)
    x = middle[0] + np.arange(-40.0, 40.1, _STEP_MM)
    y = middle[1] + np.arange(-45.0, 65.1, _STEP_MM)  # upwards to where the crest has receded
    z = middle[2] + np.arange(40.0, -40.1, -_STEP_MM)
    border = edge_height(half.lattice(hip, x, y, z).max(axis=0).T, z, rising=False)
    found = tops(border, _PROMINENCE_MM)
    if not len(found):
        raise LandmarkNotFound("the anterior border of the iliac bone has no spine")
    spine = found[-1]
    if _recedes(half, middle[0], y[spine:], border[spine:], view) < _CREST_MM:
        raise LandmarkNotFound("the iliac crest above the anterior superior spine is cut off")
    near = (np.abs(y - y[spine]) < _REACH_MM) & np.isfinite(border)
    (height,), spread = extreme(y[near, None], np.minimum(border[near], border[spine]))
    front = float(np.interp(height, y[near], border[near]))
    line = np.column_stack([x, np.full_like(x, height), np.full_like(x, front - 0.5)])
    lateral = middle_of_bone(hip.sample(half.lps(line)), x)
    if lateral is None:
        raise LandmarkNotFound("the anterior superior iliac spine is broken")
    return Estimate(half.lps(np.array([lateral, height, front])), spread)


def _recedes(half: HalfFrame, lateral: float, y: np.ndarray, border: np.ndarray, view: FieldOfView) -> float:
    """How far (mm) the border falls back from its first place as long as the scan shows it."""
    farthest = 0.0
    for height, front in zip(y, border, strict=True):
        if np.isfinite(front):
            if view.margin_mm(half.lps(np.array([lateral, height, front]))) < 0:
                break
            farthest = max(farthest, border[0] - front)
    return float(farthest)
