"""GSN: the apex of the greater sciatic notch, the most superior point of its edge."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.landmarks.bone_shape import BoneShape
from synthex_sim.patient.landmarks.estimate import Estimate, LandmarkNotFound, extreme
from synthex_sim.patient.landmarks.field_of_view import FieldOfView
from synthex_sim.patient.landmarks.outline import edge_height, middle_of_bone
from synthex_sim.patient.landmarks.pelvic_frame import HalfFrame

_STEP_MM = 1.0
#: The notch ends at the posterior inferior spine, at least this far behind its apex. Up to there its roof rises by less
#: than this share backwards; behind it the bone's back rises by more.
_TO_SPINE_MM, _ROOF_SLOPE = 12.0, 0.4
#: So much bone lateral of the apex belongs to the outline there.
_BESIDE_MM = 20.0
#: The roof is curved as a rule: what is expected weighs less (``estimate.extreme``).
_CHARGE_MM = 100.0


def sciatic_notch(hip: BoneShape, half: HalfFrame, expected: np.ndarray, view: FieldOfView) -> Estimate:
    """The top of the gap below the hip bone's outline as seen from the side.

    For every position along anterior-posterior the bone is followed down until its outline ends: this edge is highest
    at the apex and lower towards the posterior inferior spine and the body of the ischium.

    Args:
        hip: the bone.
        half: its side of the pelvic frame.
        expected: (3,) LPS mm, where to look.
        view: what of the bone was scanned.

    Raises:
        LandmarkNotFound: the outline has no such edge, or the scan does not show the bone lateral of it.
    """
    middle = half.local(expected)
    x = middle[0] + np.arange(-35.0, 35.1, _STEP_MM)
    y = middle[1] + np.arange(35.0, -35.1, -_STEP_MM)
    z = middle[2] + np.arange(-50.0, 35.1, _STEP_MM)
    edge = edge_height(half.lattice(hip, x, y, z).max(axis=0), y, rising=True)
    roof = np.isfinite(edge)
    if not roof.any():
        raise LandmarkNotFound("the hip bone's outline has no greater sciatic notch")
    back = roof & (z < middle[2] - _TO_SPINE_MM)
    if back.any():
        roof &= z >= z[np.argmin(np.where(back, edge + _ROOF_SLOPE * z, np.inf))]
    (behind,), spread = extreme(z[roof, None], edge[roof], middle[2:], _CHARGE_MM)
    height = float(np.interp(behind, z[roof], edge[roof]))
    line = np.column_stack([x, np.full_like(x, height + 0.5), np.full_like(x, behind)])
    lateral = middle_of_bone(hip.sample(half.lps(line)), x)
    if lateral is None:
        raise LandmarkNotFound("the edge of the greater sciatic notch is broken")
    if view.margin_mm(half.lps(np.array([lateral + _BESIDE_MM, height, behind]))) < 0:
        raise LandmarkNotFound("the hip bone is cut off beside the greater sciatic notch")
    return Estimate(half.lps(np.array([lateral, height, behind])), spread)
