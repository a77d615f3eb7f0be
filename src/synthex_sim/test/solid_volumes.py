"""Solids whose path lengths are known: voxelised with partial volumes, and the interval of a ray in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from synthex_sim.patient.patient import Patient

#: Sub-samples of a voxel along each axis.
_FINE = 5
_UPRIGHT = np.eye(3)


@dataclass(frozen=True)
class Solid:
    """A convex solid about the origin, mm.

    Attributes:
        inside: (n, 3) -> (n,) bool.
        interval: source (3,), unit directions (n, 3) -> entry and exit (n,) in mm; entry > exit where it is missed.
    """

    inside: Callable
    interval: Callable

    def __and__(self, other: Solid) -> Solid:
        def interval(source, directions):
            (a, b), (c, d) = self.interval(source, directions), other.interval(source, directions)
            return np.maximum(a, c), np.minimum(b, d)

        return Solid(lambda p: self.inside(p) & other.inside(p), interval)

    def chord(self, source, directions):
        """(n,) mm of each ray inside the solid."""
        low, high = self.interval(source, directions)
        return np.maximum(high - low, 0.0)


def sphere(radius) -> Solid:
    def interval(source, directions):
        along = -(directions @ source)
        half = np.sqrt(np.maximum(radius**2 - (source @ source - along**2), 0.0))
        return along - half, along + half

    return Solid(lambda p: (p**2).sum(axis=-1) <= radius**2, interval)


def box(half, rotation=_UPRIGHT) -> Solid:
    """A box with half sides (3,), its axes the columns of ``rotation``."""
    half = np.asarray(half, dtype=float)

    def interval(source, directions):
        o, d = source @ rotation, directions @ rotation
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (-half - o) / d, (half - o) / d
        return np.minimum(a, b).max(axis=-1), np.maximum(a, b).min(axis=-1)

    return Solid(lambda p: (np.abs(p @ rotation) <= half).all(axis=-1), interval)


def cylinder(radius, half_length) -> Solid:
    """A cylinder about the z axis."""

    def interval(source, directions):
        o, d = source[:2], directions[:, :2]
        a, b, c = (d**2).sum(axis=-1), d @ o, o @ o - radius**2
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(b**2 - a * c)
            faces = np.stack([-half_length - source[2], half_length - source[2]])
            ends = np.sort(faces[:, None] / directions[:, 2], axis=0)
            low, high = np.maximum((-b - root) / a, ends[0]), np.minimum((-b + root) / a, ends[1])
        return np.where(np.isnan(low), 1.0, low), np.where(np.isnan(high), 0.0, high)

    return Solid(lambda p: (np.abs(p[:, 2]) <= half_length) & ((p[:, :2] ** 2).sum(axis=-1) <= radius**2), interval)


def voxelised(solid: Solid, size: int) -> Patient:
    """A cube of ``size`` voxels of 1 mm about the LPS origin; a voxel's value is mixed by the share that is inside."""
    affine = np.eye(4)
    affine[:3, 3] = -(size - 1) / 2
    lattice = np.stack(np.meshgrid(*[np.arange(size + 1) - size / 2] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corner = solid.inside(lattice).reshape((size + 1,) * 3)
    corners = [corner[i : i + size, j : j + size, k : k + size] for i, j, k in product((0, 1), repeat=3)]
    share = np.logical_and.reduce(corners).astype(float).ravel()
    edge = np.flatnonzero(np.logical_or.reduce(corners).ravel() & (share == 0.0))
    centres = np.stack(np.unravel_index(edge, (size,) * 3), axis=-1) - (size - 1) / 2
    steps = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    for offset in np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3):
        share[edge] += solid.inside(centres + offset) / _FINE**3
    return Patient("solid", np.rint(-1000 + 1000 * share).astype(np.int16).reshape((size,) * 3), affine)
