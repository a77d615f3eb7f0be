"""IOF and MOF: the most inferior and the most medial point of the obturator foramen's rim."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from synthex_sim.patient.landmarks.bone_shape import BoneShape
from synthex_sim.patient.landmarks.estimate import Estimate, LandmarkNotFound, extreme
from synthex_sim.patient.landmarks.pelvic_frame import HalfFrame

#: The direction in which one looks through the mean pelvis' left foramen.
_THROUGH = np.array([0.61, -0.50, 0.61])
_STEP_MM = 1.0
#: Of the mean pelvis: half the side of the window that one looks through, and how far before and behind the rim.
_WINDOW_MM, _DEPTH_MM = 48.0, 22.0
#: The medial border is nearly straight, and its middle is meant: what of it is as far medial up to this; what is
#: expected weighs less than at the inferior border (``estimate.extreme``).
_MEDIAL_MM, _MEDIAL_CHARGE_MM = 0.8, 120.0
#: A smaller gap is none.
_SMALLEST_MM2 = 150.0


def obturator_foramen(
    hip: BoneShape, half: HalfFrame, middle: np.ndarray, expected_iof: np.ndarray, expected_mof: np.ndarray
) -> tuple[Estimate, Estimate]:
    """IOF and MOF of one hip bone.

    Args:
        hip: the bone.
        half: its side of the pelvic frame.
        middle: (3,) LPS mm, the foramen's middle within some 15 mm.
        expected_iof, expected_mof: (3,) LPS mm, which part of a straight border is meant (``estimate.extreme``).

    Raises:
        LandmarkNotFound: there is no closed rim.
    """
    rim = foramen_rim(hip, half, middle)
    lowest, lowest_spread = extreme(rim, -rim[:, 1], half.local(expected_iof))
    medial, medial_spread = extreme(rim, -rim[:, 0], half.local(expected_mof), _MEDIAL_CHARGE_MM, _MEDIAL_MM)
    return Estimate(half.lps(lowest), lowest_spread), Estimate(half.lps(medial), medial_spread)


def foramen_rim(hip: BoneShape, half: HalfFrame, middle: np.ndarray) -> np.ndarray:
    """(N, 3) points of the rim, lateral, superior, anterior mm: the foramen's outline seen along its own normal.

    Raises:
        LandmarkNotFound: there is no closed rim.
    """
    at, through = half.local(middle), _THROUGH
    for _ in range(3):
        rim = _outline(hip, half, at, through)
        at = rim.mean(axis=0)
        normal = np.linalg.svd(rim - at, full_matrices=False)[2][2]
        through = normal * np.sign(normal @ through)
    return rim


def _outline(hip: BoneShape, half: HalfFrame, middle: np.ndarray, through: np.ndarray) -> np.ndarray:
    """(N, 3) lateral, superior, anterior mm: the edge of the gap seen along ``through``, each point as deep as the bone
    is there."""
    through = through / np.linalg.norm(through)
    up = np.array([0.0, 1.0, 0.0]) - through[1] * through
    up /= np.linalg.norm(up)
    axes = np.stack([np.cross(up, through), up, through], axis=1)
    at = half.size * np.arange(-_WINDOW_MM, _WINDOW_MM + 0.1, _STEP_MM)
    depth = half.size * np.arange(-_DEPTH_MM, _DEPTH_MM + 0.1, _STEP_MM)
    step = half.size * _STEP_MM
    corner = half.lps(middle + axes @ np.array([at[0], at[0], depth[0]]))
    occupancy = hip.sample_lattice(corner, half.axes @ axes * step, (len(at), len(at), len(depth)))
    edge = _hole(occupancy.max(axis=2))
    lines = np.repeat(edge[:, None], len(depth), axis=1)
    index = [lines[..., 0], lines[..., 1], np.tile(np.arange(len(depth)), (len(edge), 1))]
    bone = np.clip(ndimage.map_coordinates(occupancy, index, order=1, mode="nearest") - 0.3, 0, None)
    deep = (bone @ depth) / np.maximum(bone.sum(axis=1), 1e-6)
    return middle + np.column_stack([at[0] + step * edge, deep]) @ axes.T


def _hole(outline: np.ndarray) -> np.ndarray:
    """(N, 2) indices of the contour of the largest gap that the outline encloses.

    Raises:
        LandmarkNotFound: no gap is closed.
    """
    gaps, count = ndimage.label(outline < 0.5)
    sizes = np.bincount(gaps.ravel(), minlength=count + 1)
    sizes[0] = 0
    for side in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        sizes[side] = 0
    if sizes.max() * _STEP_MM**2 < _SMALLEST_MM2:
        raise LandmarkNotFound("the rim of the obturator foramen is not closed")
    gap = gaps == np.argmax(sizes)
    return max(find_contours(np.where(ndimage.binary_dilation(gap, iterations=2), outline, 1.0), 0.5), key=len)
