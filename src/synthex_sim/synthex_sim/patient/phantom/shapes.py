"""Implicit shapes on a voxel grid: signed distances in millimetres, negative inside.

A bone is a "sphere mesh": control spheres joined by triangles and edges whose radius runs linearly between the
corners, which is enough for a curved shell (iliac wing), a strut (pubic ramus) and a solid (sacral body) alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

#: Distances are exact up to here outside a shape; farther away they are only known to be larger.
REACH_MM = 7.0


@dataclass(frozen=True)
class Grid:
    """An axis-parallel block of voxel centres.

    Attributes:
        origin_mm: (3,) centre of voxel (0, 0, 0).
        spacing_mm: edge of the cubic voxels.
        shape: number of voxels along x, y, z.
    """

    origin_mm: np.ndarray
    spacing_mm: float
    shape: tuple[int, int, int]

    def block(self, low_mm: np.ndarray, high_mm: np.ndarray) -> tuple[tuple[slice, slice, slice], Grid]:
        """The smallest part of this grid that holds the box, as slices of it and as a grid of its own.

        A box outside of the grid gives one border voxel layer, never an empty block.
        """
        last = np.array(self.shape) - 1
        first = np.clip(np.floor((np.asarray(low_mm) - self.origin_mm) / self.spacing_mm).astype(int), 0, last)
        end = np.clip(np.ceil((np.asarray(high_mm) - self.origin_mm) / self.spacing_mm).astype(int), first, last) + 1
        part = Grid(self.origin_mm + first * self.spacing_mm, self.spacing_mm, tuple(int(n) for n in end - first))
        return tuple(slice(int(a), int(b)) for a, b in zip(first, end, strict=True)), part

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y, z of the voxel centres in mm as float32 arrays that broadcast to the grid's shape."""
        x, y, z = (
            (self.origin_mm[a] + self.spacing_mm * np.arange(self.shape[a])).astype(np.float32) for a in range(3)
        )
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def coordinates(self, rotation: np.ndarray, origin_mm: np.ndarray) -> list[np.ndarray]:
        """The voxel centres in a local frame: three arrays, rotation @ (voxel - origin), mm."""
        x, y, z = self.axes()
        x, y, z = (v - np.float32(o) for v, o in zip((x, y, z), origin_mm, strict=True))
        r = np.asarray(rotation, dtype=np.float32)
        return [r[a, 0] * x + r[a, 1] * y + r[a, 2] * z for a in range(3)]


@numba.njit(cache=True, fastmath=True, nogil=True)
def _paint(field, low, spacing, corners, radii, reach):
    """Lowers ``field`` to the distance of every rounded triangle within its reach (closest point after Ericson,
    Real-Time Collision Detection, 2005, 5.1.5; the radius is interpolated at the closest point)."""
    for t in range(corners.shape[0]):
        a0, a1, a2 = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
        ux, uy, uz = corners[t, 1, 0] - a0, corners[t, 1, 1] - a1, corners[t, 1, 2] - a2
        vx, vy, vz = corners[t, 2, 0] - a0, corners[t, 2, 1] - a1, corners[t, 2, 2] - a2
        ra, rb, rc = radii[t, 0], radii[t, 1], radii[t, 2]
        edge = max(ra, max(rb, rc)) + reach
        uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
        area = uu * vv - uv * uv
        first = np.empty(3, np.int64)
        end = np.empty(3, np.int64)
        for k in range(3):
            lo = min(corners[t, 0, k], min(corners[t, 1, k], corners[t, 2, k])) - edge
            hi = max(corners[t, 0, k], max(corners[t, 1, k], corners[t, 2, k])) + edge
            first[k] = max(0, int(np.ceil((lo - low[k]) / spacing)))
            end[k] = min(field.shape[k], int(np.floor((hi - low[k]) / spacing)) + 1)
        for i in range(first[0], end[0]):
            px = low[0] + i * spacing - a0
            for j in range(first[1], end[1]):
                py = low[1] + j * spacing - a1
                for k in range(first[2], end[2]):
                    pz = low[2] + k * spacing - a2
                    pu = px * ux + py * uy + pz * uz
                    pv = px * vx + py * vy + pz * vz
                    s, r = 0.0, 0.0
                    inside = False
                    if area > 1e-6 * uu * vv:
                        s = (vv * pu - uv * pv) / area
                        r = (uu * pv - uv * pu) / area
                        inside = s >= 0 and r >= 0 and s + r <= 1
                    if inside:
                        qx, qy, qz = px - s * ux - r * vx, py - s * uy - r * vy, pz - s * uz - r * vz
                        best = np.sqrt(qx * qx + qy * qy + qz * qz) - (ra + s * (rb - ra) + r * (rc - ra))
                    else:
                        w = min(1.0, max(0.0, pu / uu)) if uu > 0 else 0.0
                        qx, qy, qz = px - w * ux, py - w * uy, pz - w * uz
                        d1, r1 = qx * qx + qy * qy + qz * qz, ra + w * (rb - ra)
                        w = min(1.0, max(0.0, pv / vv)) if vv > 0 else 0.0
                        qx, qy, qz = px - w * vx, py - w * vy, pz - w * vz
                        d2 = qx * qx + qy * qy + qz * qz
                        if d2 < d1:
                            d1, r1 = d2, ra + w * (rc - ra)
                        ee = uu - 2 * uv + vv
                        w = min(1.0, max(0.0, (pv - pu - uv + uu) / ee)) if ee > 0 else 0.0
                        qx = px - ux - w * (vx - ux)
                        qy = py - uy - w * (vy - uy)
                        qz = pz - uz - w * (vz - uz)
                        d2 = qx * qx + qy * qy + qz * qz
                        if d2 < d1:
                            d1, r1 = d2, rb + w * (rc - rb)
                        best = np.sqrt(d1) - r1
                    if best < field[i, j, k]:
                        field[i, j, k] = best


@numba.njit(cache=True, nogil=True)
def lattice_line(coarse, a, b):
    """The values of a float32 lattice along its last axis, bilinear between its first two at (a, b)."""
    i, j = min(int(a), coarse.shape[0] - 2), min(int(b), coarse.shape[1] - 2)
    fi, fj = np.float32(a - i), np.float32(b - j)
    near = coarse[i, j] * (1 - fj) + coarse[i, j + 1] * fj
    far = coarse[i + 1, j] * (1 - fj) + coarse[i + 1, j + 1] * fj
    return near * (1 - fi) + far * fi


@numba.njit(cache=True, nogil=True)
def _upsample(coarse, step, offset, out):
    """Trilinear interpolation: out[i] = coarse[i / step + offset] along every axis."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            line = lattice_line(coarse, i / step + offset, j / step + offset)
            for k in range(out.shape[2]):
                c = k / step + offset
                k0 = min(int(c), coarse.shape[2] - 2)
                fk = np.float32(c - k0)
                out[i, j, k] = line[k0] * (1 - fk) + line[k0 + 1] * fk


def upsample(coarse: np.ndarray, step: float, shape: tuple[int, int, int], offset: float = 0.0) -> np.ndarray:
    """A smooth float32 field from a lattice ``step`` times coarser; voxel i lies at lattice index i / step + offset."""
    out = np.empty(shape, dtype=np.float32)
    _upsample(np.ascontiguousarray(coarse, dtype=np.float32), float(step), float(offset), out)
    return out


def sphere_mesh(grid: Grid, points_mm: np.ndarray, radii_mm: np.ndarray, faces: np.ndarray, smooth_mm: float = 0.0):
    """Signed distance of a sphere mesh.

    Args:
        grid: where to evaluate.
        points_mm: (N, 3) control points.
        radii_mm: (N,) radii.
        faces: (T, 3) int; an edge repeats its last point, a lone sphere repeats it twice.
        smooth_mm: Gaussian blur that rounds the creases between neighbouring faces.

    Returns:
        float32 array of the grid's shape, mm, at most ``REACH_MM``.
    """
    field = np.full(grid.shape, REACH_MM, dtype=np.float32)
    faces = np.asarray(faces, dtype=np.int64)
    _paint(
        field,
        np.asarray(grid.origin_mm, dtype=np.float64),
        float(grid.spacing_mm),
        np.ascontiguousarray(np.asarray(points_mm, dtype=np.float64)[faces]),
        np.ascontiguousarray(np.asarray(radii_mm, dtype=np.float64)[faces]),
        REACH_MM,
    )
    return ndimage.gaussian_filter(field, smooth_mm / grid.spacing_mm) if smooth_mm > 0 else field


def tube(grid: Grid, points_mm: np.ndarray, radii_mm: np.ndarray) -> np.ndarray:
    """Signed distance of a tube of varying radius through (N, 3) points."""
    n = np.arange(len(points_mm) - 1)
    return sphere_mesh(grid, points_mm, radii_mm, np.stack([n, n + 1, n + 1], axis=1))


def sphere(grid: Grid, center_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    """Signed distance of a sphere, exact everywhere."""
    x, y, z = grid.axes()
    c = np.asarray(center_mm, dtype=np.float32)
    return np.sqrt((x - c[0]) ** 2 + (y - c[1]) ** 2 + (z - c[2]) ** 2) - np.float32(radius_mm)


def ellipsoid(grid: Grid, center_mm: np.ndarray, semi_axes_mm: np.ndarray, rotation: np.ndarray | None = None):
    """First-order distance of an ellipsoid: (q - 1) q / |grad q|-like, good near its surface."""
    u = grid.coordinates(np.eye(3) if rotation is None else rotation, center_mm)
    a = np.asarray(semi_axes_mm, dtype=np.float32)
    q = np.sqrt(sum((v / s) ** 2 for v, s in zip(u, a, strict=True)))
    slope = np.sqrt(sum((v / s**2) ** 2 for v, s in zip(u, a, strict=True)))
    return (q - 1) * q / np.maximum(slope, 1e-3)


def curve_distance(grid: Grid, points_mm: np.ndarray, step_mm: float = 5.0) -> np.ndarray:
    """Distance to a polyline, float32 mm: found every ``step_mm`` and interpolated, for what varies slowly.

    Args:
        grid: where to evaluate.
        points_mm: (N, 3) corners of the polyline.
        step_mm: of the coarse lattice.
    """
    fine = np.linspace(0, len(points_mm) - 1, 12 * (len(points_mm) - 1) + 1)
    line = np.stack([np.interp(fine, np.arange(len(points_mm)), np.asarray(points_mm)[:, a]) for a in range(3)], axis=1)
    step = max(1, int(round(step_mm / grid.spacing_mm)))
    shape = tuple(int(np.ceil(n / step)) + 2 for n in grid.shape)
    coarse = Grid(grid.origin_mm, grid.spacing_mm * step, shape)
    places = np.stack(np.broadcast_arrays(*coarse.axes()), axis=-1)
    return upsample(cKDTree(line).query(places)[0], step, grid.shape)


def smooth_union(a: np.ndarray, b: np.ndarray, width_mm: float) -> np.ndarray:
    """The union of two solids with a fillet where they meet: distances closer than ``width_mm`` are blended."""
    share = np.clip(0.5 + (a - b) / (2 * width_mm), 0, 1)
    return b * share + a * (1 - share) - width_mm * share * (1 - share)


def bounds(points_mm: np.ndarray, radii_mm: np.ndarray, margin_mm: float = REACH_MM) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corner of the box around all spheres."""
    r = np.asarray(radii_mm)[:, None] + margin_mm
    return (points_mm - r).min(axis=0), (points_mm + r).max(axis=0)
