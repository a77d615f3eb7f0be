"""Closed triangle meshes as solids: Loop subdivision of a control mesh, and the signed distance on a voxel grid."""

from __future__ import annotations

import numba
import numpy as np

from synthex_sim.patient.phantom.shapes import REACH_MM, Grid


def subdivide(faces: np.ndarray, vertex_count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of Loop's subdivision (Loop 1987, weights of Warren) as a rule, so that it can be applied to any points.

    Args:
        faces: (T, 3) int vertex indices of a closed manifold, all turned the same way.
        vertex_count: V.

    Returns:
        faces of the finer mesh, (4 T, 3) int; the rule's rows and weights: new vertex i is
        ``weights[i] @ points[rows[i]]``, (V + E, N) each, padded with weight 0.

    Raises:
        ValueError: an edge that does not belong to exactly two faces.
    """
    corners = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    opposite = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]])
    edges, which = np.unique(np.sort(corners, axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    if not np.array_equal(np.bincount(which), np.full(len(edges), 2)):
        raise ValueError("the control mesh is not closed: an edge belongs to one face or to more than two")
    order = np.argsort(which, kind="stable").reshape(-1, 2)
    valence = np.bincount(edges.ravel(), minlength=vertex_count)
    width = max(4, int(valence.max()) + 1)
    rows = np.zeros((vertex_count + len(edges), width), dtype=np.int64)
    weights = np.zeros(rows.shape)
    beta = np.where(valence == 3, 3 / 16, 3 / (8 * np.maximum(valence, 1)))
    rows[:vertex_count, 0] = np.arange(vertex_count)
    weights[:vertex_count, 0] = 1 - valence * beta
    both = np.concatenate([edges, edges[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    place = 1 + np.arange(len(both)) - np.repeat(np.cumsum(valence) - valence, valence)
    rows[both[:, 0], place] = both[:, 1]
    weights[both[:, 0], place] = beta[both[:, 0]]
    rows[vertex_count:, :2], weights[vertex_count:, :2] = edges, 3 / 8
    rows[vertex_count:, 2:4], weights[vertex_count:, 2:4] = opposite[order], 1 / 8
    ab, bc, ca = (vertex_count + part for part in which.reshape(3, -1))
    a, b, c = faces.T
    finer = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([np.stack(f, axis=1) for f in finer]), rows, weights


class Subdivision:
    """A control mesh's subdivision, made once and applied to the points of many persons.

    Attributes:
        faces: (T, 3) int of the subdivided mesh.
    """

    def __init__(self, faces: np.ndarray, vertex_count: int, steps: int) -> None:
        self._rules = []
        for _ in range(steps):
            faces, rows, weights = subdivide(faces, vertex_count)
            self._rules.append((rows, weights))
            vertex_count = len(rows)
        self.faces = faces

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(V, 3) control points -> (N, 3) points of the smooth surface."""
        for rows, weights in self._rules:
            points = np.einsum("ij,ijk->ik", weights, points[rows])
        return points


def mesh_distance(grid: Grid, points_mm: np.ndarray, faces: np.ndarray, reach_mm: float = REACH_MM) -> np.ndarray:
    """Signed distance of the solid inside a closed mesh.

    Args:
        grid: where to evaluate.
        points_mm: (N, 3) vertices.
        faces: (T, 3) int; which way they are turned does not matter.
        reach_mm: how far from the surface distances are found, inside and outside.

    Returns:
        float32 array of the grid's shape, mm, negative inside, at most ``reach_mm`` in size.
    """
    corners = np.ascontiguousarray(np.asarray(points_mm, dtype=np.float64)[np.asarray(faces)])
    low = np.asarray(grid.origin_mm, dtype=np.float64)
    squared = np.full(grid.shape, reach_mm**2, dtype=np.float32)
    _lower_squared(squared, low, float(grid.spacing_mm), corners, float(reach_mm))
    inside = np.zeros(grid.shape, dtype=np.bool_)
    _crossings(inside, low, float(grid.spacing_mm), corners)
    return _signed(squared, inside)


@numba.njit(cache=True, nogil=True)
def _signed(squared, inside):
    for i in range(squared.shape[0]):
        for j in range(squared.shape[1]):
            within = False
            for k in range(squared.shape[2]):
                if inside[i, j, k]:
                    within = not within
                d = np.sqrt(squared[i, j, k])
                squared[i, j, k] = -d if within else d
    return squared


@numba.njit(cache=True, nogil=True)
def _crossings(inside, low, spacing, corners):
    """Flips ``inside`` at the first voxel above every place where a line along z goes through the mesh.

    Lines run a hair beside the voxel centres, so that none hits an edge shared by two triangles.
    """
    nx, ny, nz = inside.shape
    hair_x, hair_y = 1.7e-7 * spacing, 3.1e-7 * spacing
    for t in range(corners.shape[0]):
        ax, ay, az = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
        bx, by, bz = corners[t, 1, 0] - ax, corners[t, 1, 1] - ay, corners[t, 1, 2] - az
        cx, cy, cz = corners[t, 2, 0] - ax, corners[t, 2, 1] - ay, corners[t, 2, 2] - az
        area = bx * cy - by * cx
        if area == 0.0:
            continue
        i0 = max(0, int(np.ceil((ax + min(0.0, min(bx, cx)) - low[0] - hair_x) / spacing)))
        i1 = min(nx - 1, int(np.floor((ax + max(0.0, max(bx, cx)) - low[0] - hair_x) / spacing)))
        j0 = max(0, int(np.ceil((ay + min(0.0, min(by, cy)) - low[1] - hair_y) / spacing)))
        j1 = min(ny - 1, int(np.floor((ay + max(0.0, max(by, cy)) - low[1] - hair_y) / spacing)))
        for i in range(i0, i1 + 1):
            px = low[0] + i * spacing + hair_x - ax
            for j in range(j0, j1 + 1):
                py = low[1] + j * spacing + hair_y - ay
                u = (px * cy - py * cx) / area
                v = (bx * py - by * px) / area
                if u >= 0 and v >= 0 and u + v <= 1:
                    k = int(np.ceil((az + u * bz + v * cz - low[2]) / spacing))
                    if k < nz:
                        k = max(k, 0)
                        inside[i, j, k] = not inside[i, j, k]


@numba.njit(cache=True, fastmath=True, nogil=True)
def _lower_squared(squared, low, spacing, corners, reach):
    """Lowers ``squared`` to the squared distance of every triangle within reach."""
    for t in range(corners.shape[0]):
        a0, a1, a2 = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
        ux, uy, uz = corners[t, 1, 0] - a0, corners[t, 1, 1] - a1, corners[t, 1, 2] - a2
        vx, vy, vz = corners[t, 2, 0] - a0, corners[t, 2, 1] - a1, corners[t, 2, 2] - a2
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        twice = np.sqrt(nx * nx + ny * ny + nz * nz)
        if twice < 1e-9:
            continue
        nx, ny, nz = nx / twice, ny / twice, nz / twice
        uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
        area, ee = uu * vv - uv * uv, uu - 2 * uv + vv
        i0 = max(0, int(np.ceil((a0 + min(0.0, min(ux, vx)) - reach - low[0]) / spacing)))
        i1 = min(squared.shape[0] - 1, int(np.floor((a0 + max(0.0, max(ux, vx)) + reach - low[0]) / spacing)))
        j0 = max(0, int(np.ceil((a1 + min(0.0, min(uy, vy)) - reach - low[1]) / spacing)))
        j1 = min(squared.shape[1] - 1, int(np.floor((a1 + max(0.0, max(uy, vy)) + reach - low[1]) / spacing)))
        k0 = max(0, int(np.ceil((a2 + min(0.0, min(uz, vz)) - reach - low[2]) / spacing)))
        k1 = min(squared.shape[2] - 1, int(np.floor((a2 + max(0.0, max(uz, vz)) + reach - low[2]) / spacing)))
        for i in range(i0, i1 + 1):
            px = low[0] + i * spacing - a0
            for j in range(j0, j1 + 1):
                py = low[1] + j * spacing - a1
                for k in range(k0, k1 + 1):
                    pz = low[2] + k * spacing - a2
                    off = px * nx + py * ny + pz * nz
                    best = squared[i, j, k]
                    if off * off >= best:
                        continue
                    pu, pv = px * ux + py * uy + pz * uz, px * vx + py * vy + pz * vz
                    s, r = (vv * pu - uv * pv) / area, (uu * pv - uv * pu) / area
                    if s >= 0 and r >= 0 and s + r <= 1:
                        squared[i, j, k] = off * off
                        continue
                    pp = px * px + py * py + pz * pz
                    if r < 0:
                        w = min(1.0, max(0.0, pu / uu))
                        best = min(best, pp - 2 * w * pu + w * w * uu)
                    if s < 0:
                        w = min(1.0, max(0.0, pv / vv))
                        best = min(best, pp - 2 * w * pv + w * w * vv)
                    if s + r > 1:
                        w = min(1.0, max(0.0, (pv - pu - uv + uu) / ee))
                        qx, qy, qz = px - ux - w * (vx - ux), py - uy - w * (vy - uy), pz - uz - w * (vz - uz)
                        best = min(best, qx * qx + qy * qy + qz * qz)
                    squared[i, j, k] = max(best, 0.0)
