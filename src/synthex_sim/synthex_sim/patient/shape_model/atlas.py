"""The shape models of a pelvis that a user has, left and right hip bone and sacrum, with landmarks on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.landmarks.find import find_landmarks
from synthex_sim.patient.phantom.closed_mesh import mesh_distance
from synthex_sim.patient.phantom.shapes import Grid
from synthex_sim.patient.shape_model.statismo import ShapeModel, read_statismo

FILES = {"hip-l": "LeftHip.h5", "hip-r": "RightHip.h5", "sacrum": "Sacrum.h5"}
#: Surface landmarks by which hip bones are placed.
KEYS = ("ASIS", "SPS", "IPS", "GSN", "IOF", "MOF")
_HIP_HEIGHT_MM, _SYMPHYSIS_MM, _SPACING_MM = 215.0, 5.0, 2.0
_SYMPHYSIS_POINTS = 40
#: Points of the mean so near to the sphere of its socket are the socket.
_SOCKET_MM = 1.6
_SOCKET_RADII_MM = np.arange(22.0, 31.0, 0.5)
_FEWEST = 60


@dataclass(frozen=True, eq=False)
class Atlas:
    """Three shape models. Corresponding points make a point of the mean a landmark of every sample.

    Attributes:
        hips: ``l`` and ``r`` -> model, axes about those of LPS, of any size.
        sacrum: model of its upper part.
        landmarks: ``l`` and ``r`` -> landmark's key -> index of a point.
        sockets: ``l`` and ``r`` -> (S,) indices of points of the acetabulum's joint face.
    """

    hips: Mapping[str, ShapeModel]
    sacrum: ShapeModel
    landmarks: Mapping[str, Mapping[str, int]]
    sockets: Mapping[str, np.ndarray]


@lru_cache(maxsize=2)
def load_atlas(folder: Path) -> Atlas:
    """Reads ``LeftHip.h5``, ``RightHip.h5`` and ``Sacrum.h5`` and finds the landmarks on the mean hip bones.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: one is no shape model, or its mean is no hip bone in about the axes of LPS.
    """
    missing = [name for name in FILES.values() if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"the folder of shape models {folder} has no {', no '.join(missing)}; "
                                "python -m synthex_sim.patient fetch istar_pelvis_atlas gets such models")
    models = {key: read_statismo(folder / name) for key, name in FILES.items()}
    hips = {side: models[f"hip-{side}"] for side in "lr"}
    placed = {side: _rough_place(model.mean, 1 if side == "l" else -1) for side, model in hips.items()}
    found = _landmarks_of(placed, hips, folder)
    landmarks = {side: {key: _nearest(placed[side], found[f"{key}-{side}"]) for key in KEYS} for side in hips}
    sockets = {side: _socket(placed[side], found[f"FH-{side}"], folder) for side in hips}
    return Atlas(hips, models["sacrum"], landmarks, sockets)


def _rough_place(mean: np.ndarray, side: int) -> np.ndarray:
    """The mean hip bone in mm, its most medial points at the symphysis."""
    points = mean * _HIP_HEIGHT_MM / np.ptp(mean[:, 2])
    medial = np.argsort(side * points[:, 0])[:_SYMPHYSIS_POINTS]
    points = points - points[medial].mean(axis=0)
    points[:, 0] -= side * ((side * points[:, 0]).min() - 0.5 * _SYMPHYSIS_MM)
    return points


def _landmarks_of(placed: Mapping[str, np.ndarray], hips: Mapping[str, ShapeModel], folder: Path) -> dict:
    everything = np.concatenate(list(placed.values()))
    low, high = everything.min(axis=0) - 12, everything.max(axis=0) + 12
    grid = Grid(low, _SPACING_MM, tuple(int(n) for n in np.ceil((high - low) / _SPACING_MM)))
    labels = np.zeros(grid.shape, np.uint8)
    for side, label in (("l", anatomy.LEFT_HEMIPELVIS), ("r", anatomy.RIGHT_HEMIPELVIS)):
        labels[mesh_distance(grid, placed[side], hips[side].faces) < 0] = label
    affine = np.diag([_SPACING_MM, _SPACING_MM, _SPACING_MM, 1.0])
    affine[:3, 3] = low
    try:
        found = find_landmarks(labels, affine)
    except ValueError as error:
        raise ValueError(f"the means of the hip bones in {folder} lie otherwise than LPS: {error}") from error
    if found.refused:
        names = ", ".join(sorted(found.refused))
        raise ValueError(f"the means in {folder} look like no hip bones in the axes of LPS: no {names} on them")
    return dict(found.points)


def _nearest(points: np.ndarray, place: np.ndarray) -> int:
    return int(np.argmin(((points - place) ** 2).sum(axis=1)))


def _socket(points: np.ndarray, center: np.ndarray, folder: Path) -> np.ndarray:
    """Indices of the points that lie on a sphere about the hip's centre."""
    away = np.linalg.norm(points - center, axis=1)
    counts = [np.count_nonzero(np.abs(away - radius) < _SOCKET_MM) / radius**2 for radius in _SOCKET_RADII_MM]
    chosen = np.flatnonzero(np.abs(away - _SOCKET_RADII_MM[int(np.argmax(counts))]) < _SOCKET_MM)
    if len(chosen) < _FEWEST:
        raise ValueError(f"the means in {folder} have no round acetabulum")
    return chosen
