"""The landmarks of a pelvis from its label map alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.patient.landmarks.agreement import disagreeing
from synthex_sim.patient.landmarks.bone_shape import BoneShape, bone_shape
from synthex_sim.patient.landmarks.estimate import Estimate, LandmarkNotFound
from synthex_sim.patient.landmarks.femoral_head import Sphere, head_sphere, socket_sphere
from synthex_sim.patient.landmarks.field_of_view import FieldOfView, field_of_view
from synthex_sim.patient.landmarks.iliac_spine import iliac_spine
from synthex_sim.patient.landmarks.obturator_foramen import obturator_foramen
from synthex_sim.patient.landmarks.orientation import check_orientation, label_centers
from synthex_sim.patient.landmarks.pelvic_frame import (
    PelvicFrame,
    anterior_pelvic_plane,
    fitted_frame,
    resting_frame,
)
from synthex_sim.patient.landmarks.sciatic_notch import sciatic_notch
from synthex_sim.patient.landmarks.symphysis import symphysis_end

_SIDES = {"l": 1, "r": -1}
_HIPS = {"l": anatomy.LEFT_HEMIPELVIS, "r": anatomy.RIGHT_HEMIPELVIS}
_FEMURS = {"l": anatomy.LEFT_FEMUR, "r": anatomy.RIGHT_FEMUR}
_ON_HIP = ("GSN", "IOF", "MOF", "SPS", "IPS", "ASIS")
_ROUNDS = 5
_SETTLED_MM = 0.2
#: Landmarks on a surface need this much of the volume around them.
_MARGIN_MM = 4.0
#: A hip bone has one hole and may have a few more where its wing is thin; more are the marks of metal or of noise.
_MOST_HOLES = 10
#: So many landmarks confirm each other.
_ENOUGH = 4
#: What is added to the spread of a centre that only the socket tells, and of points in an estimated frame.
_SOCKET_SPREAD_MM, _FRAME_SPREAD_MM = 3.0, 2.0
_VOXEL_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class PelvicLandmarks:
    """What was found.

    Attributes:
        points: name of ``anatomy.HIP_LANDMARKS`` -> (3,) LPS mm.
        quality_mm: name -> how far off the point may be, as a standard deviation in mm; small is good. The spread of
            the places that fit the definition about as well, together with a quarter of a voxel.
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
    the better frame they are found anew until nothing moves.

    Args:
        labels: (I, J, K) integers, ids of ``anatomy``; voxels up to about 3 mm.
        affine: (4, 4) voxel index -> LPS mm; any orientation.

    Raises:
        ValueError: no label map or affine, or one whose bones lie where they cannot lie (mirrored, upside down).
    """
    affine = _checked_affine(labels, affine)
    check_orientation(label_centers(labels, affine))
    boxes = _boxes(labels)
    view = field_of_view(labels, affine, tuple(_HIPS.values()), [boxes[label] for label in _HIPS.values()])
    seen = labels[view.box]
    boxes = _boxes(seen)
    bones = {label: bone_shape(seen, label, view.affine, box) for label, box in boxes.items()}
    hips = {side: bones[label] for side, label in _HIPS.items()}
    missing = [anatomy.LABEL_NAMES[_HIPS[side]] for side, hip in hips.items() if hip is None]
    if missing:
        reason = f"the label map has no {' and no '.join(missing)}"
        return PelvicLandmarks({}, {}, dict.fromkeys(anatomy.HIP_LANDMARKS, reason), None)
    return _Search(view, hips, {side: bones[label] for side, label in _FEMURS.items()}).run()


def _boxes(labels: np.ndarray) -> dict[int, tuple[slice, ...] | None]:
    """Label of a hip bone or femur -> the box around it, or None."""
    boxes = ndimage.find_objects(labels, max_label=max(anatomy.BONE_LABELS))
    return {label: boxes[label - 1] for label in (*_HIPS.values(), *_FEMURS.values())}


def _checked_affine(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    if labels.ndim != 3 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"a label map is a 3D array of integers, got {labels.dtype} {labels.shape}")
    if 0 in labels.shape or labels.min() < 0:
        raise ValueError("a label map has voxels, and their labels are 0 and above")
    affine = np.asarray(affine, dtype=np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ValueError("the affine must be a finite, invertible 4x4 matrix")
    return affine


class _Search:
    """Rounds of finding all landmarks in a frame and a frame from the landmarks."""

    def __init__(
        self, view: FieldOfView, hips: Mapping[str, BoneShape], femurs: Mapping[str, BoneShape | None]
    ) -> None:
        self.view, self.hips = view, hips
        self.lateral = {side: sign * np.array([1.0, 0.0, 0.0]) for side, sign in _SIDES.items()}
        heads = {side: head_sphere(femur, hips[side]) if femur else None for side, femur in femurs.items()}
        self.heads = self._head_centers(heads)

    def _head_centers(self, heads: Mapping[str, Sphere | None]) -> dict[str, Estimate]:
        """Head centres with what speaks against each: another radius than on the other side, and another socket."""
        both = all(heads.values())
        centers = {}
        for side, head in heads.items():
            if head is None:
                continue
            socket = socket_sphere(self.hips[side], head.center, self.lateral[side])
            apart = np.linalg.norm(socket.center - head.center) / 2 if socket else 0.0
            unlike = abs(heads["l"].radius_mm - heads["r"].radius_mm) if both else np.inf
            centers[f"FH-{side}"] = Estimate(head.center, float(np.hypot(head.spread_mm, min(apart, unlike))))
        return centers

    def run(self) -> PelvicLandmarks:
        points = {name: estimate.point for name, estimate in self.heads.items()}
        frame = resting_frame(self.hips["l"].surface[0], self.hips["r"].surface[0], points)
        expected = frame
        for turn in range(_ROUNDS):
            before = points
            found, refused = self._round(frame, expected, 2.0 if turn == 0 else 1.0)
            points = {name: estimate.point for name, estimate in found.items()}
            expected = fitted_frame(points) or expected
            frame, measured = _frame_of(points, expected)
            if points.keys() == before.keys() and all(
                np.linalg.norm(points[name] - before[name]) < _SETTLED_MM for name in points
            ):
                break
        if len(points) < _ENOUGH:
            alone = [name for name in points if name not in self.heads]
            refused |= dict.fromkeys(alone, "too few other landmarks are there to confirm it")
            points = {name: point for name, point in points.items() if name in self.heads}
        return PelvicLandmarks(
            {name: points[name] for name in anatomy.HIP_LANDMARKS if name in points},
            {name: self._quality(name, found[name], measured) for name in anatomy.HIP_LANDMARKS if name in points},
            {name: refused[name] for name in anatomy.HIP_LANDMARKS if name in refused},
            anterior_pelvic_plane(points) if measured else None,
        )

    def _round(
        self, frame: PelvicFrame, expected: PelvicFrame, tolerance: float
    ) -> tuple[dict[str, Estimate], dict[str, str]]:
        found, refused = {}, {}
        for side in _SIDES:
            for names, find in self._algorithms(side, frame, expected):
                try:
                    self._check_whole(side, names)
                    found |= dict(zip(names, find(), strict=True))
                except LandmarkNotFound as error:
                    refused |= dict.fromkeys(names, str(error))
        for name, estimate in list(found.items()):
            margin = self.view.margin_mm(estimate.point)
            if margin < (0 if name.startswith("FH") else _MARGIN_MM):
                refused[name] = "the bone is cut off there by the edge of the scan"
                del found[name]
        places = {name: estimate.point for name, estimate in found.items()}
        for name, reason in disagreeing(places, self.heads, tolerance).items():
            refused[name] = reason
            del found[name]
        for name in refused:
            if self.view.margin_mm(expected.expected(name)) < -_MARGIN_MM:
                refused[name] = "it lies beyond the edge of the scan"
        return found, refused

    def _algorithms(
        self, side: str, frame: PelvicFrame, expected: PelvicFrame
    ) -> list[tuple[tuple[str, ...], Callable[[], tuple[Estimate, ...]]]]:
        """Names, and what finds them, of one side."""
        hip, half = self.hips[side], frame.half(_SIDES[side])
        near = {key: expected.expected(f"{key}-{side}") for key in ("FH", *_ON_HIP)}
        near["foramen"] = expected.expected(f"foramen-{side}")
        symphysis = (near["SPS"] + near["IPS"]) / 2
        return [
            ((f"FH-{side}",), lambda: (self._head_center(side, near["FH"]),)),
            ((f"ASIS-{side}",), lambda: (iliac_spine(hip, half, near["ASIS"], self.view),)),
            ((f"GSN-{side}",), lambda: (sciatic_notch(hip, half, near["GSN"]),)),
            ((f"IOF-{side}", f"MOF-{side}"),
             lambda: obturator_foramen(hip, half, near["foramen"], near["IOF"], near["MOF"])),
            ((f"SPS-{side}",), lambda: (symphysis_end(hip, half, symphysis, up=True),)),
            ((f"IPS-{side}",), lambda: (symphysis_end(hip, half, symphysis, up=False),)),
        ]

    def _check_whole(self, side: str, names: tuple[str, ...]) -> None:
        holes = self.hips[side].tunnels
        if holes > _MOST_HOLES and f"FH-{side}" not in names:
            raise LandmarkNotFound(f"the label of the hip bone is broken up, with {holes} holes and gaps")

    def _head_center(self, side: str, near: np.ndarray) -> Estimate:
        if f"FH-{side}" in self.heads:
            return self.heads[f"FH-{side}"]
        socket = socket_sphere(self.hips[side], near, self.lateral[side])
        if socket is None:
            raise LandmarkNotFound("neither a femoral head nor a round acetabulum is there")
        return Estimate(socket.center, float(np.hypot(socket.spread_mm, _SOCKET_SPREAD_MM)))

    def _quality(self, name: str, estimate: Estimate, measured: bool) -> float:
        if name.startswith("FH"):
            return estimate.spread_mm
        voxel = _VOXEL_SHARE * self.hips["l"].spacing_mm
        return float(np.sqrt(estimate.spread_mm**2 + voxel**2 + (0 if measured else _FRAME_SPREAD_MM) ** 2))


def _frame_of(points: Mapping[str, np.ndarray], expected: PelvicFrame) -> tuple[PelvicFrame, bool]:
    """The anterior pelvic plane, and whether it is measured.

    Where IPS are cut off they are put where the mean pelvis has them below the SPS; where more is missing the frame is
    that of the fitted mean pelvis.
    """
    known = dict(points)
    for side in _SIDES:
        if f"IPS-{side}" not in known and f"SPS-{side}" in known:
            face = expected.expected(f"IPS-{side}") - expected.expected(f"SPS-{side}")
            known[f"IPS-{side}"] = known[f"SPS-{side}"] + face
    try:
        frame = anterior_pelvic_plane(known)
    except ValueError:
        return expected, False
    measured = all(f"{key}-{side}" in points for key in ("ASIS", "IPS") for side in _SIDES)
    return replace(frame, size=expected.size), measured
