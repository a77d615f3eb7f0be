"""Similarity transforms (turn, one size, shift) between bones: of matching points, and of surfaces without any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True, eq=False)
class Similarity:
    """x -> size * turn @ x + shift.

    Attributes:
        size: factor.
        turn: (3, 3) rotation.
        shift: (3,).
    """

    size: float
    turn: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) -> (..., 3)."""
        return self.size * points @ self.turn.T + self.shift


def fit_similarity(
    points: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None, size: float | None = None
) -> Similarity:
    """The transform with the least sum of weighted squared distances (Umeyama, IEEE PAMI 1991).

    Args:
        points, targets: (N, 3), N at least 3, not on a line.
        weights: (N,) or None for equal ones.
        size: to keep, or None to fit it too.
    """
    w = np.full(len(points), 1 / len(points)) if weights is None else np.asarray(weights) / np.sum(weights)
    middle, aim = w @ points, w @ targets
    p, q = points - middle, targets - aim
    u, stretch, v = np.linalg.svd((q * w[:, None]).T @ p)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    turn = (u * signs) @ v
    if size is None:
        size = float((stretch * signs).sum() / (w @ (p * p).sum(axis=1)))
    return Similarity(size, turn, aim - size * turn @ middle)


def align_surfaces(points: np.ndarray, targets: np.ndarray, rounds: int = 150) -> Similarity:
    """Iterated closest points both ways, with size.

    Args:
        points: (N, 3) spread over the surface that is moved, turned already within some 30 degrees.
        targets: (M, 3) spread over the other.
        rounds: at most.
    """
    spread = [np.sqrt(((p - p.mean(axis=0)) ** 2).sum(axis=1).mean()) for p in (points, targets)]
    size = float(spread[1] / spread[0])
    found = Similarity(size, np.eye(3), targets.mean(axis=0) - size * points.mean(axis=0))
    tree, last = cKDTree(targets), np.inf
    for _ in range(rounds):
        moved = found(points)
        there, to = tree.query(moved)
        back, of = cKDTree(moved).query(targets)
        pairs = np.concatenate([points, points[of]]), np.concatenate([targets[to], targets])
        found = fit_similarity(*pairs)
        error = float(np.concatenate([there, back]).mean())
        if last - error < 1e-5 * error:
            break
        last = error
    return found


def surface_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N + M,) distance of each point of one surface to the nearest of the other and back; dense points are needed."""
    return np.concatenate([cKDTree(other).query(one)[0], cKDTree(one).query(other)[0]])


def finer(points: np.ndarray, faces: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The same flat triangles with each edge halved ``steps`` times: (N', 3) points and (T', 3) faces."""
    for _ in range(steps):
        sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        edges, which = np.unique(sides, axis=0, return_inverse=True)
        ab, bc, ca = len(points) + which.reshape(3, -1)
        points = np.concatenate([points, points[edges].mean(axis=1)])
        a, b, c = faces.T
        corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = np.concatenate([np.stack(f, axis=1) for f in corners])
    return points, faces
