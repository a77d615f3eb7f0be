"""The 14 hip landmarks by their definitions, found on the smooth surfaces of both hip bones before there are voxels.

"Anterior", "superior" and "medial" are those of the person's own anterior pelvic plane frame, which ASIS and IPS
define: both are found in turns. An edge that runs straight across the direction in question has no single highest
place; there the middle of what is as high counts, and the place of the mean bone's landmark decides between far ones.
"""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import hip_bone
from synthex_sim.patient.phantom.frame import Pelvis

# On the mean left bone, pelvic frame, mm.
_ASIS, _GSN = np.array([117.7, -0.5, -0.6]), np.array([67.0, -43.5, -87.0])
# In the anterior pelvic plane frame of the mean of 337 pelves (the shape model of Pelphix, Killeen et al. 2023): IOF
# and MOF, and what this mean pelvis is laid over. The foramen's borders are nearly straight: this says which part of
# them is meant.
_MEAN_RIM = np.array([(49.0, -125.0, -48.0), (26.0, -101.0, -12.0)])
_MEAN_OTHERS = {
    "GSN": (64.0, -39.0, -78.0),
    "SPS": (6.0, -87.0, 18.0),
    "IPS": (5.0, -113.0, 0.0),
    "ASIS": (116.0, 0.0, 0.0),
}
_SPS, _IPS, _FACE = np.array([8.0, -83.0, 16.0]), np.array([8.0, -116.0, -1.0]), np.array([6.5, -99.0, 9.0])
_FORAMEN, _THROUGH = np.array([50.0, -105.0, -22.0]), np.array([0.61, -0.5, 0.61])
_NEAR_MM = 22.0
#: What is lower by this counts e times less; a place d from where it is expected counts as d^2 / (2 charge) lower.
_TOLERANCE_MM, _CHARGE_MM = 0.6, 60.0
_STEPS = 3  # of subdivision: vertices lie about 1.2 mm apart


class _Half:
    """One hip bone in the frame x lateral, y superior, z anterior."""

    def __init__(self, pelvis: Pelvis, side: int, frame: np.ndarray) -> None:
        self.to_lps = frame * np.array([side, 1.0, 1.0])
        self._pelvis, self._side = pelvis, side
        points, faces = hip_bone.surface(pelvis, side, _STEPS)
        self.points = points @ self.to_lps
        self.normals = _normals(self.points, faces)
        self.size = float(np.mean(pelvis.person.scale))

    def mean(self, point: np.ndarray) -> np.ndarray:
        """(3,) where a point of the mean bone is expected."""
        return self._pelvis.place(point[None], self._side)[0][0] @ self.to_lps

    def lps(self, point: np.ndarray) -> np.ndarray:
        """(3,) LPS mm of the vertex that is nearest."""
        return self.to_lps @ self.points[np.argmin(((self.points - point) ** 2).sum(axis=1))]

    def near(self, point: np.ndarray, within_mm: float) -> np.ndarray:
        """(V,) bool."""
        return ((self.points - point) ** 2).sum(axis=1) < (within_mm * self.size) ** 2


def landmarks(pelvis: Pelvis) -> dict[str, np.ndarray]:
    """The landmarks of both hip bones.

    Returns:
        FH, GSN, IOF, MOF, SPS, IPS, ASIS with -l and -r -> (3,) LPS mm. FH is the head's centre; ASIS the most anterior
        point of its spine; GSN the apex of the notch's edge as seen from the side; IOF and MOF the lowest and the most
        medial point of the foramen's rim as seen along its own normal; SPS and IPS the corners of the medial outline
        as seen from the front, farthest from the line between the middle of the face and the outline 12 mm beside it.
    """
    frame = pelvis.rotation
    for _ in range(2):
        halves = {"l": _Half(pelvis, 1, frame), "r": _Half(pelvis, -1, frame)}
        found = {f"ASIS-{s}": half.lps(_asis(half)) for s, half in halves.items()}
        found |= {f"IPS-{s}": half.lps(_symphysis_end(half, _IPS, -1)) for s, half in halves.items()}
        frame = anterior_pelvic_plane(found)
    for (name, half), side in zip(halves.items(), (1, -1), strict=True):
        found |= {f"FH-{name}": pelvis.hip_center(side), f"GSN-{name}": half.lps(_notch(half)),
                  f"SPS-{name}": half.lps(_symphysis_end(half, _SPS, 1))}  # fmt: skip
    there = np.array([[found[f"{key}-{s}"] @ half.to_lps for s, half in halves.items()] for key in _MEAN_OTHERS])
    expected = _laid_over(there.mean(axis=1))
    for name, half in halves.items():
        iof, mof = _foramen(half, *expected)
        found |= {f"IOF-{name}": half.lps(iof), f"MOF-{name}": half.lps(mof)}
    return found


def anterior_pelvic_plane(points: dict[str, np.ndarray]) -> np.ndarray:
    """(3, 3): x left, y superior, z anterior as columns in LPS, from ASIS and IPS of both sides."""
    x = points["ASIS-l"] - points["ASIS-r"]
    x = x / np.linalg.norm(x)
    y = points["ASIS-l"] + points["ASIS-r"] - points["IPS-l"] - points["IPS-r"]
    y = y - x * (x @ y)
    y = y / np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    area = np.cross(b - a, c - a)
    total = np.stack([np.bincount(faces.ravel(), np.repeat(area[:, k], 3), len(points)) for k in range(3)], axis=1)
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def _highest(points: np.ndarray, height: np.ndarray, expected: np.ndarray | None = None) -> np.ndarray:
    if expected is not None:
        height = height - ((points - expected) ** 2).sum(axis=1) / (2 * _CHARGE_MM)
    weight = np.exp((height - height.max()) / _TOLERANCE_MM)
    return weight @ points / weight.sum()


def _laid_over(there: np.ndarray) -> np.ndarray:
    """IOF and MOF of the mean pelvis, scaled and shifted so that its other landmarks meet (4, 3) given ones best."""
    mean = np.array(list(_MEAN_OTHERS.values()))
    a, b = mean - mean.mean(axis=0), there - there.mean(axis=0)
    return there.mean(axis=0) + (a * b).sum() / (a * a).sum() * (_MEAN_RIM - mean.mean(axis=0))


def _asis(half: _Half) -> np.ndarray:
    points = half.points[half.near(half.mean(_ASIS), _NEAR_MM)]
    return _highest(points, points[:, 2])


def _notch(half: _Half) -> np.ndarray:
    """Where the edge runs level the surface looks straight down."""
    expected = half.mean(_GSN)
    near = half.near(expected, _NEAR_MM)
    points, down = half.points[near], -half.normals[near, 1]
    tilted_mm = 15.0 * (1 - down)  # as much lower as on a sphere of this radius
    return _highest(points, -tilted_mm - ((points - expected) ** 2).sum(axis=1) / 400.0)


def _symphysis_end(half: _Half, mean: np.ndarray, up: int) -> np.ndarray:
    expected, face = half.mean(mean), half.mean(_FACE)
    points = half.points[half.near(expected, 30.0)]
    level = points[np.abs(points[:, 1] - face[1]) < 2.0]
    start = level[np.argmin(level[:, 0]), :2]
    beside = points[np.abs(points[:, 0] - start[0] - 12.0 * half.size) < 1.5]
    end = beside[np.argmax(up * beside[:, 1]), :2]
    along = (end - start) / np.linalg.norm(end - start)
    outward = up * np.array([-along[1], along[0]])
    between = ((points[:, :2] - start) @ along > 0) & ((points[:, :2] - end) @ along < 0)
    return _highest(points[between], points[between, :2] @ outward)


def _foramen(half: _Half, iof: np.ndarray, mof: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    middle, through = half.mean(_FORAMEN), _THROUGH
    near = half.points[half.near(middle, 52.0)]
    for _ in range(3):
        rim = _rim(near, middle, through)
        middle = rim.mean(axis=0)
        normal = np.linalg.svd(rim - middle, full_matrices=False)[2][2]
        through = normal * np.sign(normal @ through)
    return _highest(rim, -rim[:, 1], iof), _highest(rim, -rim[:, 0], mof)


def _rim(points: np.ndarray, middle: np.ndarray, through: np.ndarray) -> np.ndarray:
    """(N, 3) the point nearest to the axis in every direction about it; few directions have none."""
    through = through / np.linalg.norm(through)
    up = np.array([0.0, 1.0, 0.0]) - through[1] * through
    up /= np.linalg.norm(up)
    right = np.cross(up, through)
    local = points - middle
    u, v, depth = local @ right, local @ up, local @ through
    inner = np.abs(depth) < 20.0
    bins = ((np.arctan2(v, u) + np.pi) / (2 * np.pi) * 90).astype(int) % 90
    radius = np.where(inner, np.hypot(u, v), np.inf)
    order = np.lexsort((radius, bins))
    first = np.unique(bins[order], return_index=True)[1]
    chosen = order[first]
    return points[chosen[np.isfinite(radius[chosen])]]
