"""Occlusion of landmarks: whether another structure lies between the X-ray source and a landmark.

In an X-ray image nothing is hidden, but what lies before a landmark is superimposed on it: a network finds it less
easily, and studies report such landmarks apart.
"""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy
from synthex_sim.carm.view import View, rigid_inverse
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import EMPTY_UP_TO_HU
from synthex_sim.xray.scene import Scene

#: Landmarks are put on surfaces: the structure one lies in is the nearest to it within this distance.
OWN_WITHIN_MM = 5.0
_STEP_MM = 0.5


def occluded(scene: Scene, view: View, points: np.ndarray) -> np.ndarray:
    """Whether the rays of landmarks meet another structure nearer to the source than the landmark.

    Each landmark's own ray is followed from the source in steps of 0.5 mm: (near - source) / |point - source|. What is
    labelled at a place is what the topmost volume that is not empty there says, and the manipulator where it is.

    Args:
        points: (L, 3) world mm; NaN where there is no such landmark.

    Returns:
        (L,) bool: a labelled structure other than the one the landmark lies in is met before it. False for NaN.
    """
    result = np.zeros(len(points), bool)
    for n in np.flatnonzero(np.isfinite(points).all(axis=-1)):
        offset = points[n] - view.source
        steps = max(int(np.linalg.norm(offset) / _STEP_MM), 1)
        met = labels_at(scene, view.source + np.arange(steps)[:, None] / steps * offset)
        result[n] = np.setdiff1d(met, (anatomy.BACKGROUND, _own_label(scene, points[n]))).size > 0
    return result


def labels_at(scene: Scene, points: np.ndarray) -> np.ndarray:
    """(N,) uint8 label of the structure of ``anatomy`` at each of (N, 3) points of the world, mm.

    A patient's other structures are none: behind muscles and bowel every landmark would be occluded.
    """
    labels = np.zeros(len(points), np.uint8)
    for number, (volume, pose) in enumerate(scene.volumes):
        inside, index = _nearest_voxels(volume, pose, points)
        here = np.zeros(len(index[0]), np.uint8) if volume.labels is None else volume.labels[index]
        here[here > anatomy.MANIPULATOR] = anatomy.BACKGROUND
        # the bottom volume has nothing to hide: its labels count whatever its Hounsfield values
        there = here != 0 if number == 0 else volume.hu[index] > EMPTY_UP_TO_HU
        labels[inside[there]] = here[there]
    for tool in scene.tools:
        centres, radii = tool.pieces.transformed(tool.pose).bounding_spheres()
        near = (np.linalg.norm(points[:, None] - centres, axis=-1) <= radii).any(axis=1)
        notched = tool.pieces.transformed(tool.pose).only_notched()
        labels[np.flatnonzero(near)[notched.contains(points[near])]] = anatomy.MANIPULATOR
    return labels


def _nearest_voxels(
    volume: Patient, pose: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Numbers of those of (N, 3) world points that lie inside a volume, and indices of the voxels nearest to them."""
    to_index = np.linalg.inv(volume.affine) @ rigid_inverse(pose)
    index = np.floor(points @ to_index[:3, :3].T + to_index[:3, 3] + 0.5)
    inside = np.flatnonzero(((index >= 0) & (index < volume.hu.shape)).all(axis=-1))
    return inside, tuple(index[inside].astype(np.int64).T)


def _own_label(scene: Scene, point: np.ndarray) -> int:
    """The label of the structure nearest to a point within OWN_WITHIN_MM, background if there is none."""
    steps = np.arange(-OWN_WITHIN_MM, OWN_WITHIN_MM + 0.5)
    around = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(around, axis=-1)
    order = np.argsort(distance, kind="stable")[: (distance <= OWN_WITHIN_MM).sum()]
    labels = labels_at(scene, point + around[order])
    return int(labels[np.argmax(labels != 0)])
