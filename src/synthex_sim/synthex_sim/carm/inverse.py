"""From a picture's geometry back to the positioner: which joints give this source pose, this view, this beam.

The chain of ``carm.py`` read backwards. The angles follow from the orientation M = R_source C^T (C: the camera axes at
zero angles), M = Rz(w) Ry(a) Rx(o)::

    a = atan2(-M20, |(M21, M22)|),  w = atan2(M10, M00),  o = atan2(M21, M22)       and   (w + 180, 180 - a, o + 180)

each plus any full turn that its limits allow; where a = +-90 degrees w and o turn about the same line and w stays where
it is. The isocentre is source + SAD z; along the arm only transverse + in_out is determined, and in_out stays where it
is as long as the wheels can do the rest. Of all solutions within the limits the one nearest to the present joints is
taken.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from synthex_sim.carm.carm import CAMERA_AXES, CArm, CArmJoints
from synthex_sim.carm.view import View
from synthex_sim.carm.view_checks import checked_rigid

_ANGLES = ("wig_wag_deg", "angular_deg", "orbital_deg")
#: Below this sine from +-90 degrees of the angular joint, wig-wag and orbital are not told apart.
_GIMBAL = 1e-7


def joints_from_source_pose(carm: CArm, source_pose: ArrayLike, near: CArmJoints | None = None) -> CArmJoints:
    """Joints that bring ``carm_source_optical`` to a pose.

    Args:
        source_pose: (4, 4) camera -> world, millimetres, as ``CArm.source_pose`` gives it.
        near: present joints: of several solutions the nearest is taken. Default: ``CArm.rest``.

    Raises:
        ValueError: no joints within the limits give the pose; the message names the joint that ends too early.
    """
    pose = checked_rigid(source_pose, "source_pose")
    near = carm.rest if near is None else near
    rotation = pose[:3, :3] @ CAMERA_AXES.T
    solutions = [_within(carm, angles, near) for angles in _angles(rotation, near)]
    possible = [replace(near, **angles) for angles, missing in solutions if not missing]
    if not possible:
        angles, missing = min(solutions, key=lambda solution: sum(solution[1].values()))
        raise ValueError(f"no joints of {carm.name} give this orientation: {_outside(carm, angles, missing)}")
    return _placed(carm, pose[:3, 3], min(possible, key=lambda joints: _apart(joints, near)))


def joints_from_view(carm: CArm, view: View, near: CArmJoints | None = None) -> CArmJoints:
    """Joints at which this device takes this view, at whatever read-out size.

    Raises:
        ValueError: the view is not one of this device's detector, or see ``joints_from_source_pose``.
    """
    check_same_detector(carm, view)
    return joints_from_source_pose(carm, view.camera_to_world, near)


def joints_from_beam(
    carm: CArm, source: ArrayLike, direction: ArrayLike, near: CArmJoints | None = None
) -> CArmJoints:
    """Joints that put the source there and the central ray along the direction; the picture may be turned.

    Here wig_wag is free, and stays where it is, as in_out does.

    Args:
        source: (3,) world millimetres.
        direction: (3,) from the source to the detector, world frame; any length.

    Raises:
        ValueError: the beam is out of the device's reach.
    """
    near = carm.rest if near is None else near
    beam = np.asarray(direction, dtype=np.float64).reshape(3)
    length = np.linalg.norm(beam)
    if not 0 < length < math.inf:
        raise ValueError(f"the beam's direction must be finite and not zero, got {beam.tolist()}")
    w = math.radians(near.wig_wag_deg)
    x, y, z = (beam / length) @ [[math.cos(w), -math.sin(w), 0], [math.sin(w), math.cos(w), 0], [0, 0, 1]]
    orbital = math.degrees(math.asin(max(-1.0, min(1.0, -y))))
    # straight across the table every angular value gives the beam: it stays where it is
    angular = math.degrees(math.atan2(x, z)) if math.hypot(x, z) > _GIMBAL else near.angular_deg
    solutions, reasons = [], []
    for turn in ({"orbital_deg": orbital, "angular_deg": angular},
                 {"orbital_deg": 180.0 - orbital, "angular_deg": angular + 180.0}):
        angles, missing = _within(carm, {"wig_wag_deg": near.wig_wag_deg} | turn, near)
        if missing:
            reasons.append(_outside(carm, angles, missing))
        else:
            solutions.append(replace(near, **angles))
    if not solutions:
        raise ValueError(f"no joints of {carm.name} give this beam: {', or '.join(reasons)}")
    return _placed(carm, np.asarray(source, dtype=np.float64).reshape(3), min(solutions, key=lambda s: _apart(s, near)))


def check_same_detector(carm: CArm, view: View) -> None:
    """Raises ValueError where a view is none of this device's detector, saying what differs."""
    if view.shape[0] * carm.shape[1] != view.shape[1] * carm.shape[0]:
        raise ValueError(f"a picture of {view.shape} pixels is none of {carm.name}'s detector, {carm.shape}")
    full, own = view.resized(carm.shape), carm.intrinsics
    if full.intrinsics[1, 1] < 0:
        raise ValueError("the view's rows count upwards, ours down: read a DeepFluoro camera by View.from_deepfluoro")
    if full.intrinsics[0, 0] > 0:
        raise ValueError("the view is as seen from the source, ours from the detector: use view.mirrored()")
    if abs(full.source_to_detector_mm - carm.source_to_detector_mm) > 1e-3 * carm.source_to_detector_mm:
        raise ValueError(f"the view's source-to-detector distance is {full.source_to_detector_mm:.1f} mm, that of "
                         f"{carm.name} {carm.source_to_detector_mm:.1f} mm")
    if not np.allclose(full.intrinsics, own, rtol=1e-3, atol=0.1):
        raise ValueError(
            f"the view's intrinsics {full.intrinsics.tolist()} are not those of {carm.name}, {own.tolist()}"
        )


def _angles(rotation: np.ndarray, near: CArmJoints) -> list[dict[str, float]]:
    """The solutions of M = Rz(w) Ry(a) Rx(o) in degrees, without full turns."""
    cosine = math.hypot(rotation[2, 1], rotation[2, 2])
    angular = math.atan2(-rotation[2, 0], cosine)
    if cosine < _GIMBAL:
        pairs = [(math.radians(near.wig_wag_deg), angular)]
    else:
        wig_wag = math.atan2(rotation[1, 0], rotation[0, 0])
        pairs = [(wig_wag, angular), (wig_wag + math.pi, math.pi - angular)]
    solutions = []
    for w, a in pairs:
        turned = Rotation.from_euler("ZY", [w, a]).as_matrix().T @ rotation
        o = math.atan2(turned[2, 1], turned[2, 2])
        solutions.append(dict(zip(_ANGLES, map(math.degrees, (w, a, o)), strict=True)))
    return solutions


def _within(carm: CArm, angles: dict[str, float], near: CArmJoints) -> tuple[dict[str, float], dict[str, float]]:
    """The angles with the full turns that bring them into their limits, and by how much which of them miss these."""
    chosen, missing = {}, {}
    for name, angle in angles.items():
        low, high = carm.limits[name]
        first, last = math.floor((low - angle) / 360.0), math.ceil((high - angle) / 360.0)
        turns = [angle + 360.0 * n for n in range(first, last + 1)]
        outside = {value: max(low - value, value - high, 0.0) for value in turns}
        chosen[name] = min(turns, key=lambda v: (max(outside[v] - 1e-6, 0.0), abs(v - getattr(near, name))))
        if outside[chosen[name]] > 1e-6:
            missing[name] = outside[chosen[name]]
    return chosen, missing


def _apart(joints: CArmJoints, near: CArmJoints) -> float:
    return sum(abs(getattr(joints, name) - getattr(near, name)) for name in _ANGLES)


def _outside(carm: CArm, angles: dict[str, float], missing: dict[str, float]) -> str:
    limits = {name: "[{:g}, {:g}]".format(*carm.limits[name]) for name in missing}
    return "; ".join(f"{name} would have to be {angles[name]:.1f}, its limits are {limits[name]}" for name in missing)


def _placed(carm: CArm, source: np.ndarray, turned: CArmJoints) -> CArmJoints:
    """The joints with wheels and column such that the source stands where it shall."""
    beam = carm.source_pose(turned)[:3, 2]
    isocenter = source + carm.source_to_isocenter_mm * beam
    low, high = carm.limits["transverse_mm"]
    # what the wheels cannot do, the arm has to
    transverse = min(max(float(isocenter[1]) - turned.in_out_mm, low), high)
    joints = replace(
        turned,
        longitudinal_mm=float(isocenter[0]),
        transverse_mm=transverse,
        in_out_mm=float(isocenter[1]) - transverse,
        lift_mm=float(isocenter[2]) - carm.isocenter_height_mm,
    )
    carm.check_limits(joints)
    return joints
