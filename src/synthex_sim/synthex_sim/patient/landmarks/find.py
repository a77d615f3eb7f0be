"""The landmarks of a pelvis from its label map alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.patient.landmarks.bone_shape import bone_shape
from synthex_sim.patient.landmarks.field_of_view import field_of_view
from synthex_sim.patient.landmarks.orientation import check_orientation, label_centers
from synthex_sim.patient.landmarks.pelvic_frame import PelvicFrame, anterior_pelvic_plane
from synthex_sim.patient.landmarks.search import Search

_HIPS = {"l": anatomy.LEFT_HEMIPELVIS, "r": anatomy.RIGHT_HEMIPELVIS}
_FEMURS = {"l": anatomy.LEFT_FEMUR, "r": anatomy.RIGHT_FEMUR}
#: What defines the anterior pelvic plane.
_PLANE = ("ASIS-l", "ASIS-r", "IPS-l", "IPS-r")


@dataclass(frozen=True, eq=False)
class PelvicLandmarks:
    """What was found.

    Attributes:
        points: name of ``anatomy.HIP_LANDMARKS`` -> (3,) LPS mm.
        quality_mm: name -> how far off the point may be, as a standard deviation in mm; small is good. For points of a
            surface: the spread of the places that fit the definition about as well, a quarter of a voxel, and 2 mm
            where the pelvic frame had to be estimated. For FH: the standard error of the sphere's centre, a tenth of a
            voxel, and what head and socket, left and right say against it.
        refused: name -> why there is no such point.
        frame: the anterior pelvic plane frame; None where one of the four landmarks that define it is missing.
    """

    points: Mapping[str, np.ndarray]
    quality_mm: Mapping[str, float]
    refused: Mapping[str, str]
    frame: PelvicFrame | None


def find_landmarks(labels: np.ndarray, affine: np.ndarray) -> PelvicLandmarks:
    """Finds the 14 hip landmarks on the bones' surfaces.

    How the pelvis lies is first guessed from both hip bones, then known better from the landmarks that are found; with
    the better frame they are found anew until nothing moves. Both hip bones are needed; femora help.

    Args:
        labels: (I, J, K) integers, ids of ``anatomy``; voxels up to about 3 mm.
        affine: (4, 4) voxel index -> LPS mm; any orientation of the grid.

    Raises:
        ValueError: no label map or affine, or one whose bones lie where they cannot lie (mirrored, upside down).
    """
    affine = _checked_affine(labels, affine)
    check_orientation(label_centers(labels, affine))
    boxes = _boxes(labels)
    view = field_of_view(labels, affine, tuple(_HIPS.values()), [boxes[label] for label in _HIPS.values()])
    seen = labels[view.box]
    bones = {label: bone_shape(seen, label, view.affine, box) for label, box in _boxes(seen).items()}
    missing = [anatomy.LABEL_NAMES[label] for label in _HIPS.values() if bones[label] is None]
    if missing:
        reason = f"the label map has no {' and no '.join(missing)}"
        return PelvicLandmarks({}, {}, dict.fromkeys(anatomy.HIP_LANDMARKS, reason), None)
    hips = {side: bones[label] for side, label in _HIPS.items()}
    found, refused = Search(view, hips, {side: bones[label] for side, label in _FEMURS.items()}).run()
    names = [name for name in anatomy.HIP_LANDMARKS if name in found]
    points = {name: found[name].point for name in names}
    return PelvicLandmarks(
        points,
        {name: found[name].spread_mm for name in names},
        {name: refused[name] for name in anatomy.HIP_LANDMARKS if name in refused},
        anterior_pelvic_plane(points) if all(name in points for name in _PLANE) else None,
    )


def _checked_affine(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    if labels.ndim != 3 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"a label map is a 3D array of integers, got {labels.dtype} {labels.shape}")
    if 0 in labels.shape or labels.min() < 0:
        raise ValueError("a label map has voxels, and their labels are 0 and above")
    affine = np.asarray(affine, dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ValueError("the affine must be a finite, invertible 4x4 matrix")
    return affine


def _boxes(labels: np.ndarray) -> dict[int, tuple[slice, ...] | None]:
    """Label of a hip bone or femur -> the box around it, or None."""
    boxes = ndimage.find_objects(labels, max_label=max(anatomy.BONE_LABELS))
    return {label: boxes[label - 1] for label in (*_HIPS.values(), *_FEMURS.values())}
