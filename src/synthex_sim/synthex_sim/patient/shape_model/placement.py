"""Sampled bones put together as one pelvis: hip bones by their landmarks, the sacrum between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from synthex_sim.patient.phantom import hip_landmarks
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.shape_model.alignment import Similarity, align_surfaces, fit_similarity
from synthex_sim.patient.shape_model.atlas import KEYS, Atlas
from synthex_sim.patient.shape_model.statismo import ShapeModel

#: Both ends of the symphysis count more: there the bones meet.
_WEIGHTS = {"SPS": 4.0, "IPS": 4.0, "FH": 4.0}
#: Of the mean model of the landmarks, to which ``Person.symphysis_mm`` is added.
_SYMPHYSIS_MM = 11.0
_SI_GAP_MM = 2.5
#: Points of the sacrum within this of a hip bone, first and later, and opposite to it, may be its joint face.
_NEAR_MM, _OPPOSITE = (24.0, 10.0), -0.75
#: How far (mm, rad, share) the joint may move, turn and size the sacrum, and open the hip bones about the symphysis, as
#: standard deviations; and how many of these at most.
_SHIFT_MM, _TURN_RAD, _SIZE, _OPENING_RAD = 4.0, 0.05, 0.05, 0.025
_MOST_SD = 1.5
#: The joint face counts as so many independent distances, each good to so much.
_INDEPENDENT, _FACE_MM = 20.0, 2.0
_SPARSE = 1200


@dataclass(frozen=True, eq=False)
class PlacedBones:
    """A pelvis in LPS mm.

    Attributes:
        hips: +1 (left) and -1 (right) -> (N, 3) points.
        faces: +1 and -1 -> (T, 3) triangles.
        sacrum: (M, 3) points.
        centers: +1 and -1 -> (3,) centre of the hip joint.
        socket_mm: mean radius of the acetabula.
    """

    hips: Mapping[int, np.ndarray]
    faces: Mapping[int, np.ndarray]
    sacrum: np.ndarray
    centers: Mapping[int, np.ndarray]
    socket_mm: float


@dataclass(frozen=True, eq=False)
class SampledHip:
    """A hip bone before it is placed.

    Attributes:
        points: (N, 3) of any size, axes about those of LPS.
        faces: (T, 3).
        landmarks: key -> index of a point.
        socket: (S,) indices.
    """

    points: np.ndarray
    faces: np.ndarray
    landmarks: Mapping[str, int]
    socket: np.ndarray


def sampled_hip(atlas: Atlas, source: str, coefficients: np.ndarray, side: int) -> SampledHip:
    """A sample of one side's model, mirrored where it is to be the other side's bone.

    Args:
        atlas: with the models.
        source: ``l`` or ``r``, whose model.
        coefficients: (K,) in standard deviations.
        side: +1 or -1, which bone is wanted.
    """
    points = atlas.hips[source].shape(coefficients)
    if (source == "l") != (side > 0):
        points = points * (-1, 1, 1)
    return SampledHip(points, atlas.hips[source].faces, atlas.landmarks[source], atlas.sockets[source])


def place(
    pelvis: Pelvis, hips: Mapping[int, SampledHip], sacrum: np.ndarray, model: ShapeModel, reference: np.ndarray
) -> PlacedBones:
    """Puts the bones of one person together.

    The hip bones get one size and each its place by a fit of their landmarks to those of the phantom that
    the person would be; then they are moved apart or together until the symphysis has the person's width. The sacrum
    takes the place of the mean sacrum laid over a reference, and is then fitted between the hip bones' joint faces.

    Args:
        pelvis: the person's.
        hips: +1 and -1 -> bone.
        sacrum: (M, 3) points of any size, axes about those of LPS.
        model: that it is a sample of.
        reference: (R, 3) LPS mm, points of a sacrum of the same extent in this pelvis.
    """
    aims = hip_landmarks.landmarks(pelvis)
    fits = {side: _fit(aims, hip, side) for side, hip in hips.items()}
    size = float(np.mean([fit.size for fit in fits.values()]))
    placed = {side: _fit(aims, hip, side, size)(hip.points) for side, hip in hips.items()}
    gap = cKDTree(placed[1]).query(_pubis(placed[-1], hips[-1]))[0].min()
    across = pelvis.direction(np.array([1.0, 0.0, 0.0]), 1)
    move = 0.5 * (max(2.0, _SYMPHYSIS_MM + pelvis.person.symphysis_mm) - _signed_gap(placed, hips, across, gap))
    placed = {side: points + side * move * across for side, points in placed.items()}
    laid = align_surfaces(model.mean, _thinned(reference))(model.mean)
    sacrum = fit_similarity(sacrum, laid)(sacrum)
    for near_mm in _NEAR_MM:
        placed, sacrum = _closed_ring(sacrum, model.faces, placed, hips, pelvis, near_mm)
    spheres = {side: _sphere(placed[side][hips[side].socket]) for side in hips}
    return PlacedBones(
        placed,
        {side: hip.faces for side, hip in hips.items()},
        sacrum,
        {side: center for side, (center, _) in spheres.items()},
        float(np.mean([radius for _, radius in spheres.values()])),
    )


def _fit(landmarks: Mapping[str, np.ndarray], hip: SampledHip, side: int, size: float | None = None) -> Similarity:
    keys = [*KEYS, "FH"]
    there = np.array([*(hip.points[hip.landmarks[key]] for key in KEYS), _sphere(hip.points[hip.socket])[0]])
    name = "l" if side > 0 else "r"
    aims = np.array([landmarks[f"{key}-{name}"] for key in keys])
    weights = np.array([_WEIGHTS.get(key, 1.0) for key in keys])
    # the size with the least squares is too small wherever shapes differ; the spread of the landmarks is not
    size = _spread(aims, weights) / _spread(there, weights) if size is None else size
    return fit_similarity(there, aims, weights, size)


def _spread(points: np.ndarray, weights: np.ndarray) -> float:
    middle = weights @ points / weights.sum()
    return float(np.sqrt(weights @ ((points - middle) ** 2).sum(axis=1)))


def _pubis(points: np.ndarray, hip: SampledHip) -> np.ndarray:
    """(P, 3) points about the symphysis."""
    middle = 0.5 * (points[hip.landmarks["SPS"]] + points[hip.landmarks["IPS"]])
    return points[np.linalg.norm(points - middle, axis=1) < 30.0]


def _signed_gap(placed: Mapping[int, np.ndarray], hips: Mapping[int, SampledHip], across: np.ndarray, gap: float):
    """Width of the symphysis, negative where the bones overlap."""
    left, right = (_pubis(placed[side], hips[side]) @ across for side in (1, -1))
    between = float(np.percentile(left, 1) - np.percentile(right, 99))
    return min(gap, between) if between < gap else gap


def _closed_ring(
    sacrum: np.ndarray, faces: np.ndarray, placed: Mapping[int, np.ndarray], hips: Mapping[int, SampledHip],
    pelvis: Pelvis, near_mm: float,
) -> tuple[dict[int, np.ndarray], np.ndarray]:  # fmt: skip
    """Hip bones (a mapping as ``placed``) and sacrum with their joint faces along each other.

    The sacrum is moved, turned and sized a little; the hip bones are opened or closed about the symphysis.
    """
    normals = {side: _normals(points, hips[side].faces) for side, points in placed.items()}
    up = pelvis.direction(np.array([0.0, 1.0, 0.0]), 1)
    hinge = np.mean([_pubis(placed[side], hips[side]).mean(axis=0) for side in hips], axis=0)
    middle = sacrum.mean(axis=0)
    facing = _normals(sacrum, faces)
    joint = {side: _joint(sacrum, facing, placed[side], normals[side], near_mm) for side in hips}
    trees = {side: cKDTree(points) for side, points in placed.items()}

    def moved(p: np.ndarray) -> np.ndarray:
        turn = Rotation.from_rotvec(_TURN_RAD * p[:3]).as_matrix()
        return (1 + _SIZE * p[6]) * (sacrum - middle) @ turn.T + middle + _SHIFT_MM * p[3:6]

    def opening(p: np.ndarray, side: int) -> np.ndarray:
        return Rotation.from_rotvec(side * _OPENING_RAD * p[7] * up).as_matrix()

    def off(p: np.ndarray) -> np.ndarray:
        points, gaps = moved(p), []
        for side, tree in trees.items():
            # the sacrum is turned back instead of the hip bone forth: its tree stays
            face = (points[joint[side]] - hinge) @ opening(p, side) + hinge
            _, nearest = tree.query(face)
            height = ((face - placed[side][nearest]) * normals[side][nearest]).sum(axis=1)
            gaps.append((height - _SI_GAP_MM) / _FACE_MM / max(1.0, np.sqrt(len(face) / _INDEPENDENT)))
        return np.concatenate([*gaps, p])

    best = least_squares(off, np.zeros(8), bounds=(-_MOST_SD, _MOST_SD), max_nfev=40, diff_step=1e-2).x
    turned = {side: (points - hinge) @ opening(best, side).T + hinge for side, points in placed.items()}
    return turned, moved(best)


def _joint(
    sacrum: np.ndarray, facing: np.ndarray, hip: np.ndarray, normals: np.ndarray, near_mm: float
) -> np.ndarray:
    """Indices of a sacrum's points, with normals (M, 3), that lie opposite to a hip bone's, with normals (N, 3)."""
    distance, nearest = cKDTree(hip).query(sacrum)
    return np.flatnonzero((distance < near_mm) & ((facing * normals[nearest]).sum(axis=1) < _OPPOSITE))


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals out of a closed surface."""
    a, b, c = (points[faces[:, n]] for n in range(3))
    area = np.cross(b - a, c - a)
    volume = np.einsum("ij,ij->", a, np.cross(b, c))
    normals = np.zeros_like(points)
    for n in range(3):
        np.add.at(normals, faces[:, n], area)
    normals *= np.sign(volume)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and radius by |p|^2 = 2 p.c + (r^2 - |c|^2), linear in c and the bracket."""
    middle = points.mean(axis=0)
    p = points - middle
    x, *_ = np.linalg.lstsq(np.column_stack([2 * p, np.ones(len(p))]), (p**2).sum(axis=1), rcond=None)
    return middle + x[:3], float(np.sqrt(x[3] + x[:3] @ x[:3]))


def _thinned(points: np.ndarray) -> np.ndarray:
    return points[:: max(1, len(points) // _SPARSE)]
