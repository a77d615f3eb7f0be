"""The anterior pelvic plane frame, and how a pelvis lies before its landmarks are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from synthex_sim.patient.landmarks.bone_shape import BoneShape

#: Mean positions in the anterior pelvic plane frame of a pelvis with 231 mm between the ASIS: x lateral, y superior,
#: z anterior, mm. From the mean of 337 pelves (the shape model of Pelphix, Killeen et al. 2023); FH and the middle of
#: the obturator foramen from the mean hip bone of the I-STAR shape model (Han et al., Phys. Med. Biol. 2019).
MEAN_MM: Mapping[str, tuple[float, float, float]] = {
    "FH": (93, -82, -27),
    "GSN": (64, -39, -78),
    "IOF": (49, -125, -48),
    "MOF": (26, -101, -12),
    "SPS": (6, -87, 18),
    "IPS": (5, -113, 0),
    "ASIS": (116, 0, 0),
    "foramen": (50, -105, -22),
}
_MEAN_WIDTH_MM = 2 * MEAN_MM["ASIS"][0]
#: A landmark that is off by this counts half in a fit.
_FAR_MM = 10.0
#: Bones of which one has less than this share of the other's surface are not seen alike.
_ALIKE = 0.75
#: The plane on which a pelvis rests face down touches the pubic tubercles, not the IPS: it leans this much more.
_TABLE_LEAN_DEG = 12.0


@dataclass(frozen=True, eq=False)
class PelvicFrame:
    """An anterior pelvic plane frame: x left, y superior, z anterior, origin midway between the ASIS.

    Attributes:
        axes: (3, 3) its axes as columns, in LPS.
        origin: (3,) LPS mm.
        size: of this pelvis over the mean one.
    """

    axes: np.ndarray
    origin: np.ndarray
    size: float

    @property
    def matrix(self) -> np.ndarray:
        """(4, 4) rigid transform from the frame to LPS, mm."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.axes, self.origin
        return matrix

    def expected(self, name: str) -> np.ndarray:
        """(3,) LPS mm: where a landmark (``FH-l``) would lie if this were the mean pelvis."""
        return self.origin + self.size * self.axes @ mean_position(name)

    def tilted(self, tilt_deg: float) -> PelvicFrame:
        """The frame turned about its x by an angle: y towards z; the middle between the hip centres stays."""
        a = np.radians(tilt_deg)
        turn = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(a), -np.sin(a)], [0.0, np.sin(a), np.cos(a)]])
        hips = self.size * np.array(MEAN_MM["FH"]) * (0.0, 1.0, 1.0)
        axes = self.axes @ turn
        return PelvicFrame(axes, self.origin + self.axes @ hips - axes @ hips, self.size)

    def half(self, side: int) -> HalfFrame:
        """The half of the pelvis on one side, +1 left, -1 right."""
        return HalfFrame(self.axes * np.array([side, 1.0, 1.0]), self.origin, self.size)


@dataclass(frozen=True, eq=False)
class HalfFrame:
    """A pelvic frame whose x points laterally, so that a left and a right bone look alike.

    Attributes:
        axes: (3, 3) lateral, superior, anterior as columns, in LPS; left-handed for the right side.
        origin: (3,) LPS mm.
        size: as of ``PelvicFrame``.
    """

    axes: np.ndarray
    origin: np.ndarray
    size: float

    def local(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) LPS mm -> lateral, superior, anterior mm."""
        return (points - self.origin) @ self.axes

    def lps(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) lateral, superior, anterior mm -> LPS mm."""
        return points @ self.axes.T + self.origin

    def lattice(self, bone: BoneShape, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """(X, Y, Z) occupancy of a bone at evenly spaced lateral, superior and anterior mm."""
        steps = np.array([axis[1] - axis[0] for axis in (x, y, z)])
        corner = self.lps(np.array([x[0], y[0], z[0]]))
        return bone.sample_lattice(corner, self.axes * steps, (len(x), len(y), len(z)))


def anterior_pelvic_plane(points: Mapping[str, np.ndarray]) -> PelvicFrame:
    """The frame that four landmarks define: x along the ASIS, y from the IPS up to them and across x, z = x cross y.

    Args:
        points: LPS mm of at least ASIS-l, ASIS-r, IPS-l and IPS-r.

    Raises:
        ValueError: one of the four is missing, or they lie on a line.
    """
    missing = [name for name in ("ASIS-l", "ASIS-r", "IPS-l", "IPS-r") if name not in points]
    if missing:
        raise ValueError(f"the anterior pelvic plane needs {', '.join(missing)}")
    left, right = np.asarray(points["ASIS-l"], float), np.asarray(points["ASIS-r"], float)
    middle = (left + right) / 2
    up = middle - (np.asarray(points["IPS-l"], float) + np.asarray(points["IPS-r"], float)) / 2
    return frame_of(left - right, up, middle, float(np.linalg.norm(left - right)) / _MEAN_WIDTH_MM)


def frame_of(left: np.ndarray, up: np.ndarray, origin: np.ndarray, size: float) -> PelvicFrame:
    """The frame with x along ``left`` and y in the plane of ``left`` and ``up``.

    Raises:
        ValueError: the two are parallel.
    """
    z = np.cross(left, up)
    if np.linalg.norm(z) < 1e-6 * np.linalg.norm(left) * np.linalg.norm(up) or not np.linalg.norm(left):
        raise ValueError("landmarks on a line define no pelvic frame")
    x, z = left / np.linalg.norm(left), z / np.linalg.norm(z)
    return PelvicFrame(np.stack([x, np.cross(z, x), z], axis=1), np.asarray(origin, float), float(size))


def fitted_frame(points: Mapping[str, np.ndarray]) -> PelvicFrame | None:
    """The frame in which the mean pelvis fits the given landmarks best, by similarity; None if they do not fix it.

    Landmarks that are far from where the others put them count little (weights 1 / (1 + (distance / 10 mm)^2)).

    Args:
        points: name (``FH-l``) -> (3,) LPS mm.
    """
    if len(points) < 3:
        return None
    there = np.array(list(points.values()), dtype=float)
    mean = np.array([mean_position(name) for name in points])
    weight = np.ones(len(points))
    for _ in range(5):
        frame = _similarity(mean, there, weight / weight.sum())
        if frame is None:
            return None
        apart = np.linalg.norm(frame.origin + frame.size * mean @ frame.axes.T - there, axis=1)
        weight = 1 / (1 + (apart / _FAR_MM) ** 2)
    return frame


def _similarity(mean: np.ndarray, there: np.ndarray, weight: np.ndarray) -> PelvicFrame | None:
    """Umeyama, IEEE Trans. PAMI 1991, with weights."""
    a, b = mean - weight @ mean, there - weight @ there
    u, s, vt = np.linalg.svd((b * weight[:, None]).T @ a)
    if s[1] < 0.02 * s[0]:
        return None
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    axes = (u * sign) @ vt
    size = float((s * sign).sum() / (weight @ (a**2).sum(axis=1)))
    return PelvicFrame(axes, weight @ there - size * axes @ (weight @ mean), size)


def mean_position(name: str) -> np.ndarray:
    """(3,) mm in the frame of the mean pelvis of a landmark with its side, for example ``FH-l``."""
    key, side = name.rsplit("-", 1)
    return np.array(MEAN_MM[key]) * ((1 if side == "l" else -1), 1, 1)


def resting_frame(left: np.ndarray, right: np.ndarray, heads: Mapping[str, np.ndarray]) -> PelvicFrame:
    """A first guess from the bones alone: how the pelvis would lie face down on a table.

    The convex hull of both hip bones is met from its middle along anterior; the facet there spans the ASIS and the
    pubic bones. Bones of which one is cut off more than the other tell little about left and right: then it is x of
    LPS.

    Args:
        left, right: (V, 3) evenly spread surface points of the hip bones, LPS mm.
        heads: centres of femoral heads that are known, ``FH-l`` and ``FH-r``.

    Raises:
        ValueError: all the points lie in one plane, which no bones do.
    """
    whole = min(len(left), len(right)) > _ALIKE * max(len(left), len(right))
    middle = (left.mean(axis=0) + right.mean(axis=0)) / 2
    across = left.mean(axis=0) - right.mean(axis=0) if whole else np.array([1.0, 0.0, 0.0])
    if len(heads) == 2:
        across = heads["FH-l"] - heads["FH-r"]
    flat = frame_of(across, np.cross(_table(np.concatenate([left, right]), middle), across), middle, 1.0).axes
    axes = PelvicFrame(flat, middle, 1.0).tilted(_TABLE_LEAN_DEG).axes
    anchors = dict(heads)
    if len(heads) < 2:
        spines = {"ASIS-l": _foremost(left, middle, axes), "ASIS-r": _foremost(right, middle, axes)}
        greater = "ASIS-l" if len(left) > len(right) else "ASIS-r"
        anchors = spines if whole else dict(heads) or {greater: spines[greater]}
    mean = np.array([mean_position(name) for name in anchors])
    there = np.array(list(anchors.values()))
    size = float(np.linalg.norm(there[0] - there[1]) / np.linalg.norm(mean[0] - mean[1])) if len(there) == 2 else 1.0
    return PelvicFrame(axes, there.mean(axis=0) - size * axes @ mean.mean(axis=0), size)


def _table(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """(3,) outward normal of the convex hull's facet that one meets from the middle along anterior (LPS -y).

    Raises:
        ValueError: the points lie in one plane.
    """
    try:
        equations = ConvexHull(points).equations
    except QhullError as error:  # of many lines, none of them for users
        raise ValueError("the surface of the hip bones is one plane: the label map shows no bones there") from error
    speed = equations[:, :3] @ np.array([0.0, -1.0, 0.0])
    way = np.where(speed > 1e-9, -(equations[:, :3] @ middle + equations[:, 3]) / np.maximum(speed, 1e-9), np.inf)
    return equations[np.argmin(way), :3]


def _foremost(points: np.ndarray, middle: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(3,) the most anterior point of the upper half."""
    upper = points[(points - middle) @ axes[:, 1] > 0]
    upper = upper if len(upper) else points
    return upper[np.argmax(upper @ axes[:, 2])]
