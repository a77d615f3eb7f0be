"""SPS and IPS: the superior and the inferior end of the face that a pubic bone turns to the other."""

from __future__ import annotations

import numpy as np
from skimage.measure import find_contours

from synthex_sim.patient.landmarks.bone_shape import BoneShape
from synthex_sim.patient.landmarks.estimate import Estimate, LandmarkNotFound, extreme
from synthex_sim.patient.landmarks.outline import middle_of_bone
from synthex_sim.patient.landmarks.pelvic_frame import HalfFrame

_STEP_MM = 0.8
#: Of the mean pelvis: the outline is followed from the face until it is this much farther lateral.
_BEYOND_MM = 12.0
#: The face's middle is looked for within this height.
_MIDDLE_MM = 2.0
#: So many points along the outline it is clear which way is up.
_STEPS = 8


def symphysis_end(hip: BoneShape, half: HalfFrame, middle: np.ndarray, up: bool) -> Estimate:
    """SPS (up) or IPS of one hip bone: a corner of its medial outline as seen from the front.

    From the middle of the face the outline is followed until it has turned into the pubic crest or the inferior ramus.
    The corner is where the outline is farthest from the straight line between these two places: there it has turned by
    about half of the whole corner, however sharp or round this is.

    Args:
        hip: the bone.
        half: its side of the pelvic frame.
        middle: (3,) LPS mm, the middle of the face, within some 8 mm along it.
        up: whether the superior end is wanted.

    Raises:
        LandmarkNotFound: there is no pubic bone, or its outline does not turn.
    """
    at = half.local(middle)
    x = np.arange(-16.0, half.size * 40.0, _STEP_MM)
    y = at[1] + half.size * np.arange(-55.0, 48.0, _STEP_MM)
    z = at[2] + half.size * np.arange(-40.0, 40.0, _STEP_MM)
    occupancy = half.lattice(hip, x, y, z)
    path = _outline_from_face(occupancy.max(axis=2), x, y, at[1], up)
    turned = np.flatnonzero(path[:, 0] - path[0, 0] > half.size * _BEYOND_MM)
    if not len(turned):
        raise LandmarkNotFound("the medial outline of the pubic bone does not end where the symphysis should")
    path = path[: turned[0] + 1]
    along = path[-1] - path[0]
    outward = np.array([-along[1], along[0]]) * (1.0 if up else -1.0) / np.linalg.norm(along)
    corner, spread = extreme(path, (path - path[0]) @ outward)
    depth = middle_of_bone(hip.sample(half.lps(np.column_stack([np.tile(corner, (len(z), 1)), z]))), z)
    if depth is None:
        raise LandmarkNotFound("the end of the symphysis is not part of one surface")
    return Estimate(half.lps(np.array([*corner, depth])), spread)


def _outline_from_face(front: np.ndarray, x: np.ndarray, y: np.ndarray, middle: float, up: bool) -> np.ndarray:
    """(N, 2) x and y of the bone's outline, from the most medial place at the middle's height on, up or down.

    Args:
        front: (X, Y) occupancy as seen from the front.
        x, y: (X,) and (Y,) mm.
        middle: y of the middle of the face.
        up: which way.
    """
    best, first = None, 0
    # Without bone before the first column every outline is closed there, and is met from the medial side.
    for contour in find_contours(np.pad(front, ((1, 0), (0, 0))), 0.5):
        points = np.column_stack([x[0] + (contour[:, 0] - 1) * (x[1] - x[0]), y[0] + contour[:, 1] * (y[1] - y[0])])
        level = np.flatnonzero(np.abs(points[:, 1] - middle) < _MIDDLE_MM)
        if len(level) and (best is None or points[level, 0].min() < best[first, 0]):
            best, first = points, level[np.argmin(points[level, 0])]
    if best is None:
        raise LandmarkNotFound("no pubic bone where the symphysis should be")
    closed = np.allclose(best[0], best[-1])
    ahead = np.roll(best, -first, axis=0) if closed else best[first:]
    back = np.roll(best[::-1], first + 1, axis=0) if closed else best[first::-1]
    rises = ahead[min(_STEPS, len(ahead) - 1), 1] > back[min(_STEPS, len(back) - 1), 1]
    return ahead if rises == up else back
