"""Rounds of finding all landmarks in a pelvic frame, and a better frame from the landmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from synthex_sim.patient.landmarks.agreement import disagreeing
from synthex_sim.patient.landmarks.bone_shape import BoneShape
from synthex_sim.patient.landmarks.estimate import Estimate, LandmarkNotFound
from synthex_sim.patient.landmarks.femoral_head import Sphere, head_sphere, socket_sphere
from synthex_sim.patient.landmarks.field_of_view import FieldOfView
from synthex_sim.patient.landmarks.iliac_spine import iliac_spine
from synthex_sim.patient.landmarks.obturator_foramen import obturator_foramen
from synthex_sim.patient.landmarks.pelvic_frame import (
    PelvicFrame,
    anterior_pelvic_plane,
    fitted_frame,
    resting_frame,
)
from synthex_sim.patient.landmarks.sciatic_notch import sciatic_notch
from synthex_sim.patient.landmarks.symphysis import symphysis_end

_SIDES = {"l": 1, "r": -1}
_LATERAL = {side: sign * np.array([1.0, 0.0, 0.0]) for side, sign in _SIDES.items()}
#: The frame is settled when no landmark moves by more than this from round to round.
_ROUNDS, _SETTLED_MM = 5, 0.2
#: In the first round, in a guessed frame, landmarks may disagree by this factor more.
_FIRST_TOLERANCE = 2.0
#: Landmarks on a surface need this much of the volume around them.
_MARGIN_MM = 4.0
#: A hip bone has one hole and may have a few more where its wing is thin; more are the marks of metal or of noise.
_MOST_HOLES = 10
#: So many landmarks confirm each other, and with so many there is no better start to be looked for.
_ENOUGH, _MANY = 4, 10
_TILTS_DEG = (-20.0, 20.0)
#: What is added to the spread of a centre that only the socket tells, and of points in an estimated frame.
_SOCKET_SPREAD_MM, _FRAME_SPREAD_MM = 3.0, 2.0
_VOXEL_SHARE, _HEAD_VOXEL_SHARE = 0.25, 0.1


class Search:
    """The search on one pelvis.

    Args:
        view: what was scanned.
        hips: ``l`` and ``r`` -> hip bone.
        femurs: ``l`` and ``r`` -> femur, or None.
    """

    def __init__(
        self, view: FieldOfView, hips: Mapping[str, BoneShape], femurs: Mapping[str, BoneShape | None]
    ) -> None:
        self._view, self._hips = view, hips
        heads = {side: head_sphere(femur, hips[side]) if femur else None for side, femur in femurs.items()}
        self._heads = {f"FH-{side}": self._head(side, heads) for side, head in heads.items() if head}

    def run(self) -> tuple[dict[str, Estimate], dict[str, str]]:
        """Name (``FH-l``) -> estimate of all that was found, and name -> reason of the rest.

        A pelvis that is cut off may rest otherwise than a whole one: where little is found the search starts again with
        the first guess tilted, and the best of the searches counts.
        """
        points = {name: estimate.point for name, estimate in self._heads.items()}
        guess = resting_frame(self._hips["l"].surface[0], self._hips["r"].surface[0], points)
        best, best_refused = self._search_from(guess)
        for tilt_deg in _TILTS_DEG:
            if len(best) >= _MANY:
                break
            found, refused = self._search_from(guess.tilted(tilt_deg))
            if len(found) > len(best):
                best, best_refused = found, refused
        if len(best) < _ENOUGH:
            alone = [name for name in best if name not in self._heads]
            best_refused |= dict.fromkeys(alone, "too few other landmarks are there to confirm it")
            best = {name: estimate for name, estimate in best.items() if name in self._heads}
        return best, best_refused

    def _search_from(self, frame: PelvicFrame) -> tuple[dict[str, Estimate], dict[str, str]]:
        expected, points = frame, {}
        for turn in range(_ROUNDS):
            before = points
            found, refused = self._round(frame, expected, _FIRST_TOLERANCE if turn == 0 else 1.0)
            points = {name: estimate.point for name, estimate in found.items()}
            expected = fitted_frame(points) or expected
            frame, measured = _frame_of(points, expected)
            moves = [np.linalg.norm(points[name] - before[name]) for name in points if name in before]
            if points.keys() == before.keys() and max(moves, default=0.0) < _SETTLED_MM:
                break
        return {name: self._with_doubts(name, estimate, measured) for name, estimate in found.items()}, refused

    def _head(self, side: str, heads: Mapping[str, Sphere | None]) -> Estimate:
        """The centre of a head. Two things may speak against it: another radius than on the other side, and a socket
        with another centre. Each is often wrong alone; the smaller of the two counts as spread."""
        head = heads[side]
        socket = socket_sphere(self._hips[side], head.center, _LATERAL[side])
        apart = np.linalg.norm(socket.center - head.center) / 2 if socket else 0.0
        unlike = abs(heads["l"].radius_mm - heads["r"].radius_mm) if all(heads.values()) else np.inf
        return Estimate(head.center, float(np.hypot(head.spread_mm, min(apart, unlike))))

    def _round(
        self, frame: PelvicFrame, expected: PelvicFrame, tolerance: float
    ) -> tuple[dict[str, Estimate], dict[str, str]]:
        found: dict[str, Estimate] = {}
        refused: dict[str, str] = {}
        for side in _SIDES:
            for names, find in self._algorithms(side, frame, expected):
                try:
                    found |= dict(zip(names, find(), strict=True))
                except LandmarkNotFound as error:
                    refused |= dict.fromkeys(names, str(error))
        cut = [name for name, estimate in found.items() if self._is_cut_off(name, estimate.point)]
        refused |= dict.fromkeys(cut, "the bone is cut off there by the edge of the scan")
        points = {name: estimate.point for name, estimate in found.items() if name not in cut}
        refused |= disagreeing(points, self._heads, tolerance)
        for name in refused:
            if self._view.margin_mm(expected.expected(name)) < -_MARGIN_MM:
                refused[name] = "it lies beyond the edge of the scan"
        return {name: estimate for name, estimate in found.items() if name not in refused}, refused

    def _algorithms(
        self, side: str, frame: PelvicFrame, expected: PelvicFrame
    ) -> list[tuple[tuple[str, ...], Callable[[], tuple[Estimate, ...]]]]:
        """Names, and what finds them, of one side."""
        hip, half = self._hips[side], frame.half(_SIDES[side])

        def near(key: str) -> np.ndarray:
            return expected.expected(f"{key}-{side}")

        center = (f"FH-{side}",), lambda: (self._head_center(side, near("FH")),)
        if hip.tunnels > _MOST_HOLES:
            names = tuple(f"{key}-{side}" for key in ("GSN", "IOF", "MOF", "SPS", "IPS", "ASIS"))
            return [center, (names, lambda: _broken(hip))]
        face = (near("SPS") + near("IPS")) / 2
        return [
            center,
            ((f"ASIS-{side}",), lambda: (iliac_spine(hip, half, near("ASIS"), self._view),)),
            ((f"GSN-{side}",), lambda: (sciatic_notch(hip, half, near("GSN"), self._view),)),
            (
                (f"IOF-{side}", f"MOF-{side}"),
                lambda: obturator_foramen(hip, half, near("foramen"), near("IOF"), near("MOF")),
            ),
            ((f"SPS-{side}",), lambda: (symphysis_end(hip, half, face, up=True),)),
            ((f"IPS-{side}",), lambda: (symphysis_end(hip, half, face, up=False),)),
        ]

    def _head_center(self, side: str, near: np.ndarray) -> Estimate:
        if f"FH-{side}" in self._heads:
            return self._heads[f"FH-{side}"]
        socket = socket_sphere(self._hips[side], near, _LATERAL[side])
        if socket is None:
            raise LandmarkNotFound("neither a femoral head nor a round acetabulum is there")
        return Estimate(socket.center, float(np.hypot(socket.spread_mm, _SOCKET_SPREAD_MM)))

    def _is_cut_off(self, name: str, point: np.ndarray) -> bool:
        """A sphere's centre is known where it is inside; a point of a surface needs what is around it."""
        return self._view.margin_mm(point) < (0.0 if name.startswith("FH") else _MARGIN_MM)

    def _with_doubts(self, name: str, estimate: Estimate, measured: bool) -> Estimate:
        """The spread together with what voxels and an estimated frame add to it."""
        head = name.startswith("FH")
        voxel = (_HEAD_VOXEL_SHARE if head else _VOXEL_SHARE) * self._hips[name[-1]].spacing_mm
        frame = 0.0 if measured or head else _FRAME_SPREAD_MM
        return replace(estimate, spread_mm=float(np.linalg.norm([estimate.spread_mm, voxel, frame])))


def _broken(hip: BoneShape) -> tuple[Estimate, ...]:
    raise LandmarkNotFound(f"the label of the hip bone is broken up, with {hip.tunnels} holes and gaps")


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
