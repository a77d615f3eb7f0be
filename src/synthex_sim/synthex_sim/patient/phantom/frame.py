"""Where a person's pelvis is and how the mean pelvis is bent into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.phantom.parameters import Person

_BUMP_SIGMA_MM = 45.0
#: From the end plate of S1 down to the axis about which a sacrum is turned forward; that axis (y, z), pelvic frame, mm.
SACRUM_LENGTH_MM, _SACRUM_TURNS = 75.0, (-66.5, -131.0)
#: Where the inlet is widest, pelvic frame of a left half, and how far around a change of its width reaches.
_INLET, _INLET_SIGMA_MM = np.array([72.0, -55.0, -55.0]), 42.0

#: The models of ilium and sacrum were laid beside each other: so far the back of the ilium goes inward, and the ear
#: shaped face of the sacrum outward, until they meet.
_ILIUM_IN_MM, _AURICULAR_OUT_MM = 10.0, 2.5
#: Where the inferior ramus leaves the body of the pubis: pushed so far that both have one line from the front.
_RAMUS_ROOT, _RAMUS_SIGMA_MM, _RAMUS_MM = np.array([24.0, -123.0, -10.0]), 9.0, np.array([-1.0, -1.5, 0.0])


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def rotation(x_deg: float = 0.0, y_deg: float = 0.0, z_deg: float = 0.0) -> np.ndarray:
    """Rz @ Ry @ Rx, right-handed, degrees."""
    a, b, c = np.radians([x_deg, y_deg, z_deg])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rz @ ry @ rx


#: Pelvic frame (x left, y superior, z anterior) to LPS (x left, y posterior, z superior) without any tilt.
UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
#: Centre of the mean left acetabulum and so of the femoral head, pelvic frame, mm: a sphere fitted to the cup of the
#: mean hip bone (``hip_surface``; its radius is 26.5 mm).
HIP_CENTER = np.array([92.5, -84.5, -28.0])
#: The pelvis turns about the middle of the hip centres: that is the LPS origin.
_PIVOT = HIP_CENTER * np.array([0.0, 1.0, 1.0])


@dataclass(frozen=True)
class Pelvis:
    """A person's pelvic frame in LPS. The LPS origin lies midway between the mean hip centres.

    Attributes:
        person: the drawn parameters.
        rotation: (3, 3) pelvic axes as columns in LPS.
    """

    person: Person
    rotation: np.ndarray

    @staticmethod
    def of(person: Person) -> Pelvis:
        turn = rotation(x_deg=person.tilt_deg, y_deg=-person.roll_deg, z_deg=person.yaw_deg)
        return Pelvis(person, turn @ UPRIGHT)

    def direction(self, vector: np.ndarray, side: int) -> np.ndarray:
        """A direction given for the left half, for ``side`` (+1 left, -1 right), in LPS."""
        return self.rotation @ (np.asarray(vector) * np.array([side, 1, 1]))

    def place(self, points: np.ndarray, side: int = 1, sacrum: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Mean left-half points (N, 3), pelvic frame mm -> the person's, LPS mm; and (N,) growth of radii there.

        Points of the midline bones are given with x of either sign and side = 1. The sacrum is turned forward as a
        whole, of other bones what is close to it.
        """
        person = self.person
        p = np.array(points, dtype=np.float64)
        sign = np.where(p[:, 0] < 0, -1.0, 1.0)
        half = p.copy()
        half[:, 0] = np.abs(half[:, 0])
        half += self._shape_change(half, sign * side, sacrum)
        half[:, 0] *= sign * side
        half = half * person.scale
        growth = np.full(len(p), float(np.cbrt(np.prod(person.scale))))
        return (half - _PIVOT * person.scale) @ self.rotation.T, growth

    def _shape_change(self, half: np.ndarray, which_side: np.ndarray, sacrum: bool) -> np.ndarray:
        """Displacement of left-half mean points: named changes first, then smooth bumps."""
        person = self.person
        x, y = half[:, 0], half[:, 1]
        wing = _ramp(y, -60.0, 20.0) * _ramp(x, 60.0, 110.0)
        flare = np.radians(person.flare_deg) * wing
        move = np.zeros_like(half)
        move[:, 0] += np.sin(flare) * (y + 55.0)
        move[:, 1] -= np.sin(flare) * (x - 90.0) * 0.5
        move[:, 0] += person.ischial_spread_mm * _ramp(-y, 102.0, 150.0) * _ramp(x, 4.0, 30.0)
        root = np.exp(-0.5 * ((half - _RAMUS_ROOT) ** 2).sum(axis=1) / _RAMUS_SIGMA_MM**2)
        move += (root * _ramp(x, 8.0, 22.0))[:, None] * _RAMUS_MM
        inner = np.exp(-0.5 * ((half - _INLET) ** 2).sum(axis=1) / _INLET_SIGMA_MM**2)
        move[:, 0] += 0.5 * person.inlet_mm * inner
        close = 1.0 if sacrum else _ramp(-half[:, 2], 50.0, 105.0)  # the back of the ilium
        turn = person.sacrum_forward_mm / SACRUM_LENGTH_MM * close * np.clip((y - _SACRUM_TURNS[0]) / 30.0, 0, 1)
        move[:, 1] -= turn * (half[:, 2] - _SACRUM_TURNS[1])
        move[:, 2] += turn * (y - _SACRUM_TURNS[0])
        move[:, 0] += _joint(half, sacrum)
        d2 = ((half[:, None, :] - person.bump_centers_mm[None]) ** 2).sum(axis=2)
        weight = np.exp(-0.5 * d2 / _BUMP_SIGMA_MM**2)
        off_midline = _ramp(x, 0.0, 30.0)[:, None]  # left and right must agree where they meet
        bumps = weight @ person.bumps_mm[0] + which_side[:, None] * off_midline * (weight @ person.bumps_mm[1]) / 2
        bumps[:, 0] *= _ramp(x, 0.0, 40.0)
        move += bumps
        near_symphysis = (1 - _ramp(x, 15.0, 45.0)) * _ramp(-y, 70.0, 85.0)
        move[:, 0] += 0.5 * person.symphysis_mm * near_symphysis
        return move

    def hip_center(self, side: int) -> np.ndarray:
        """(3,) LPS mm: the true centre of the hip joint of one side."""
        return self.place(HIP_CENTER[None], side)[0][0]


def _joint(half: np.ndarray, sacrum: bool) -> np.ndarray:
    """(N,) mm outward that closes the sacroiliac joint of the mean left half; both spines of the ilium go along."""
    x, y, z = half.T
    if sacrum:
        return _AURICULAR_OUT_MM * _ramp(x, 25.0, 48.0) * _ramp(y, -65.0, -45.0)
    return -_ILIUM_IN_MM * _ramp(-z, 85.0, 138.0) * _ramp(y, -62.0, -30.0) * _ramp(x, 20.0, 45.0)
