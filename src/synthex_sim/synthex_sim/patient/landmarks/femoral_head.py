"""FH: the centre of the femoral head, by a sphere fitted to the head or, without one, to the socket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synthex_sim.patient.landmarks.bone_shape import BoneShape

#: Radii of heads and sockets, mm.
_SMALLEST_MM, _GREATEST_MM = 16.0, 34.0
#: Some of the head is nearer to the hip bone than this.
_JOINT_MM = 9.0
#: Shares of a full sphere that are enough of a head and of a socket.
_HEAD_COVERAGE, _SOCKET_COVERAGE = 0.3, 0.2
#: Of a typical socket, and how much others differ.
_SOCKET_MM, _SOCKET_SD_MM = 26.0, 2.5
#: More surface points than this make the fit no better.
_POINTS = 6000
#: Normals point away from the centre within 30 degrees.
_FACING = 0.866


@dataclass(frozen=True, eq=False)
class Sphere:
    """A sphere fitted to part of a surface.

    Attributes:
        center: (3,) LPS mm.
        radius_mm: of the sphere.
        coverage: share of the full sphere's directions in which it was met.
        spread_mm: standard error of the centre, if the surface is off by the same within a voxel.
    """

    center: np.ndarray
    radius_mm: float
    coverage: float
    spread_mm: float


def head_sphere(femur: BoneShape, hip: BoneShape) -> Sphere | None:
    """The sphere of the part of the femur that faces the hip bone; None if there is none, or too little that is round.

    Args:
        femur, hip: the bones of one side.
    """
    points, normals = _thinned(*femur.surface)
    distance, _ = cKDTree(hip.surface[0][::3]).query(points, distance_upper_bound=_JOINT_MM)
    near = np.isfinite(distance)
    if near.sum() < 50:
        return None
    sphere = _refined(points, normals, *_algebraic_sphere(points[near]), femur.spacing_mm)
    return sphere if sphere and sphere.coverage > _HEAD_COVERAGE else None


def socket_sphere(hip: BoneShape, expected: np.ndarray, lateral: np.ndarray) -> Sphere | None:
    """The sphere of the acetabulum's joint face, which its normals meet inside; None if there is too little of it.

    The floor of the acetabular fossa is round too, and lies deeper with a smaller radius. So the search starts from
    several places, and the sphere is taken that covers most for a socket of its size.

    Args:
        hip: the bone.
        expected: (3,) LPS mm, within some 15 mm of the centre.
        lateral: (3,) unit vector away from the other side, LPS.
    """
    points, normals = hip.surface
    near = np.linalg.norm(points - expected, axis=1) < 70
    points, normals = _thinned(points[near], -normals[near])
    starts = [(expected + shift * lateral, radius) for shift in (0.0, 8.0, 16.0) for radius in (24.0, 28.0)]
    spheres = [_refined(points, normals, *start, hip.spacing_mm) for start in starts]
    fit = [s for s in spheres if s and s.coverage > _SOCKET_COVERAGE]
    likely = lambda s: s.coverage * np.exp(-(((s.radius_mm - _SOCKET_MM) / _SOCKET_SD_MM) ** 2) / 2)  # noqa: E731
    return max(fit, key=likely, default=None)


def _thinned(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step = max(1, -(-len(points) // _POINTS))
    return points[::step], normals[::step]


def _refined(
    points: np.ndarray, normals: np.ndarray, center: np.ndarray, radius: float, spacing_mm: float
) -> Sphere | None:
    """Keeps what lies on the sphere and faces away from its centre, fits anew, with a narrowing tolerance."""
    finest = max(0.7, 0.45 * spacing_mm)
    for tolerance in (*np.geomspace(8.0, finest, 12), finest, finest, finest):
        radial = points - center
        distance = np.linalg.norm(radial, axis=1)
        facing = (normals * radial).sum(axis=1) > _FACING * distance
        use = (np.abs(distance - radius) < tolerance) & facing
        if use.sum() < 30:
            return None
        center, radius = _geometric_sphere(points[use], center, radius)
        if not _SMALLEST_MM / 1.5 < radius < _GREATEST_MM * 1.5:
            return None
    if not _SMALLEST_MM < radius < _GREATEST_MM:
        return None
    return _measured(points[use] - center, center, radius, spacing_mm)


def _measured(radial: np.ndarray, center: np.ndarray, radius: float, spacing_mm: float) -> Sphere:
    distance = np.linalg.norm(radial, axis=1)
    variance = np.mean((distance - radius) ** 2)
    coverage = _coverage(radial)
    # Points within two voxels are off together: as many are independent as such squares fit on what is covered.
    independent = 4 * np.pi * radius**2 * coverage / (2 * spacing_mm) ** 2
    jacobian = np.column_stack([radial / distance[:, None], np.ones(len(radial))])
    inverse = np.linalg.inv(jacobian.T @ jacobian)[:3, :3] * len(radial)
    return Sphere(center, float(radius), coverage, float(np.sqrt(variance * np.trace(inverse) / max(independent, 1.0))))


def _algebraic_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius by |p|^2 = 2 p.c + (r^2 - |c|^2), linear in c and the bracket."""
    middle = points.mean(axis=0)
    p = points - middle
    solution, *_ = np.linalg.lstsq(np.column_stack([2 * p, np.ones(len(p))]), (p**2).sum(axis=1), rcond=None)
    return middle + solution[:3], float(np.sqrt(max(1.0, solution[3] + solution[:3] @ solution[:3])))


def _geometric_sphere(points: np.ndarray, center: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Gauss-Newton on the sum of (|p - c| - r)^2."""
    for _ in range(2):
        radial = points - center
        distance = np.linalg.norm(radial, axis=1)
        jacobian = np.column_stack([radial / distance[:, None], np.ones(len(points))])
        step = np.linalg.lstsq(jacobian.T @ jacobian, jacobian.T @ (distance - radius), rcond=None)[0]
        center, radius = center + step[:3], radius + step[3]
    return center, float(radius)


def _coverage(radial: np.ndarray) -> float:
    """Share of 300 even directions with a point within about 8 degrees."""
    n = np.arange(300) + 0.5
    polar, turn = np.arccos(1 - 2 * n / 300), np.pi * (1 + 5**0.5) * n
    even = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1)
    directions = radial / np.linalg.norm(radial, axis=1, keepdims=True)
    distance, _ = cKDTree(directions).query(even)
    return float(np.mean(distance < 0.14))
