"""Annotation: masks and landmarks of one view, from the same rays as its image.

One label for each pixel by the rule of the DeepFluoro data: left femur over right femur over the hemipelvis nearer the
source over vertebrae over upper sacrum; the manipulator lies over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim import anatomy
from synthex_sim.carm.view import View
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.scene import Scene


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is where in one image.

    Attributes:
        mask: (R, C) uint8 of ``anatomy`` ids.
        hits: (R, C) uint8, bit l set where bone l (1..6) lies in the ray: the independent binary masks.
        names: landmark names, order of the arrays below.
        landmarks: (L, 2) float64 (column, row); NaN where the scene has no such landmark.
        depth_mm: (L,) float64 along the optical axis; NaN likewise.
        visible: (L,) bool, inside the image.
    """

    mask: np.ndarray
    hits: np.ndarray
    names: tuple[str, ...]
    landmarks: np.ndarray
    depth_mm: np.ndarray
    visible: np.ndarray


def annotate(
    scene: Scene, view: View, projection: Projection, names: tuple[str, ...] = anatomy.SESSION_LANDMARKS
) -> Annotation:
    """Masks and landmarks of the scene in this view."""
    points = landmark_points(scene, names)
    pixels, depth = view.project(points)
    pixels[~np.isfinite(points).all(axis=-1)] = np.nan
    return Annotation(
        mask=label_mask(projection),
        hits=projection.hits,
        names=names,
        landmarks=pixels,
        depth_mm=depth,
        visible=view.contains(pixels),
    )


def landmark_points(scene: Scene, names: tuple[str, ...]) -> np.ndarray:
    """(L, 3) float64 world millimetres of the named landmarks; NaN where the scene has none of that name."""
    points = np.full((len(names), 3), np.nan)
    for row, name in enumerate(names):
        if name == "CM-base" and scene.tools:
            points[row] = scene.tools[0].base_world
        elif name == "CM-tip" and scene.tools:
            points[row] = scene.tools[0].tip_world
        elif scene.patient is not None and name in scene.patient.landmarks:
            pose = scene.patient_pose
            points[row] = pose[:3, :3] @ scene.patient.landmarks[name] + pose[:3, 3]
    return points


def label_mask(projection: Projection) -> np.ndarray:
    """(R, C) uint8: one label for each pixel, by the priority rule above."""
    hits = projection.hits

    def met(label: int) -> np.ndarray:
        return (hits & (1 << label)) != 0

    left, right = met(anatomy.LEFT_HEMIPELVIS), met(anatomy.RIGHT_HEMIPELVIS)
    nearer_left = left & ~(right & projection.right_hemipelvis_first)
    mask = np.zeros(hits.shape, np.uint8)
    for label, where in (
        (anatomy.UPPER_SACRUM, met(anatomy.UPPER_SACRUM)),
        (anatomy.VERTEBRAE, met(anatomy.VERTEBRAE)),
        (anatomy.RIGHT_HEMIPELVIS, right),
        (anatomy.LEFT_HEMIPELVIS, nearer_left),
        (anatomy.RIGHT_FEMUR, met(anatomy.RIGHT_FEMUR)),
        (anatomy.LEFT_FEMUR, met(anatomy.LEFT_FEMUR)),
        (anatomy.MANIPULATOR, projection.tool_coverage >= 0.5),
    ):
        mask[where] = label
    return mask
