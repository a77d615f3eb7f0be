"""Whether landmarks agree: with the mean pelvis that fits the others, and with each other's mirror images."""

from __future__ import annotations

from collections.abc import Container, Mapping

import numpy as np

from synthex_sim.patient.landmarks.pelvic_frame import fitted_frame

#: Farther from where the others put it a landmark is wrong; mm for the mean pelvis. Of whole pelves (phantoms, and two
#: real ones) no landmark was farther off than 75 % of this. Pelves differ most in their iliac wings.
_FARTHEST_MM = {"FH": 24.0, "GSN": 24.0, "IOF": 24.0, "MOF": 24.0, "SPS": 18.0, "IPS": 18.0, "ASIS": 42.0}
#: Left and right were mirror images of each other up to 6 mm.
_UNLIKE_MM = 12.0


def disagreeing(points: Mapping[str, np.ndarray], sure: Container[str], tolerance: float = 1.0) -> dict[str, str]:
    """Names and reasons of landmarks that cannot be right; none where too few others tell.

    Args:
        points: name (``FH-l``) -> (3,) LPS mm.
        sure: names that are not questioned.
        tolerance: factor on what is allowed.
    """
    wrong = _far_from_others(points, sure, tolerance)
    return wrong | _no_mirror_images({k: p for k, p in points.items() if k not in wrong}, sure, tolerance)


def _far_from_others(points: Mapping[str, np.ndarray], sure: Container[str], tolerance: float) -> dict[str, str]:
    """One after the other, the worst first: it may be what makes others look wrong."""
    left, wrong = dict(points), {}
    while True:
        excess, worst = 1.0, ""
        for name in left:
            others = fitted_frame({other: point for other, point in left.items() if other != name})
            if others is None or name in sure:
                continue
            apart = float(np.linalg.norm(others.expected(name) - left[name]))
            limit = tolerance * others.size * _FARTHEST_MM[name.split("-")[0]]
            if apart > excess * limit:
                excess, worst = apart / limit, name
                wrong[name] = f"what was found is {apart:.0f} mm from where the other landmarks put it"
        if not worst:
            return {name: reason for name, reason in wrong.items() if name not in left}
        del left[worst]


def _no_mirror_images(points: Mapping[str, np.ndarray], sure: Container[str], tolerance: float) -> dict[str, str]:
    """Pairs of which one is on damaged bone, and it is not known which."""
    frame = fitted_frame(points)
    wrong = {}
    for key in _FARTHEST_MM if frame else ():
        pair = (f"{key}-l", f"{key}-r")
        if all(name in points and name not in sure for name in pair):
            left, right = frame.half(1).local(points[pair[0]]), frame.half(-1).local(points[pair[1]])
            apart = float(np.linalg.norm(left - right))
            if apart > tolerance * _UNLIKE_MM:
                wrong |= dict.fromkeys(pair, f"left and right are {apart:.0f} mm from being mirror images")
    return wrong
