"""Annotation: masks and landmarks of one view, from the same rays as its image.

One label for each pixel by the rule of the DeepFluoro data: left femur over right femur over the hemipelvis nearer the
source over vertebrae over upper sacrum; the manipulator lies over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthex_sim import anatomy
from synthex_sim.annotation.occlusion import occluded
from synthex_sim.carm.view import View
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.scene import Scene


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is where in one image.

    Attributes:
        mask: (R, C) uint8 of ``anatomy`` ids.
        hits: (R, C) uint32, bit l set where the structure with label l lies in the ray: the independent binary masks.
        names: landmark names, order of the arrays below.
        landmarks: (L, 2) float64 (column, row); NaN where the scene has no such landmark.
        depth_mm: (L,) float64 along the optical axis; NaN likewise.
        visible: (L,) bool, inside the image: between source and detector, and its pixel on the detector.
        occluded: (L,) bool, another structure lies before it (``occlusion``), or None where that was not asked for.
    """

    mask: np.ndarray
    hits: np.ndarray
    names: tuple[str, ...]
    landmarks: np.ndarray
    depth_mm: np.ndarray
    visible: np.ndarray
    occluded: np.ndarray | None = None


def annotate(
    scene: Scene, view: View, projection: Projection, n: int = 0, names: tuple[str, ...] = anatomy.SESSION_LANDMARKS,
    occlusion: bool = False,
) -> Annotation:
    """Masks and landmarks of the scene in one view.

    Args:
        view: view ``n`` of the projection.
        occlusion: whether to find out which landmarks are occluded, some milliseconds each.

    Raises:
        ValueError: the projection was made without labels.
    """
    points = landmark_points(scene, names)
    pixels, depth = view.project(points)
    pixels[~np.isfinite(points).all(axis=-1)] = np.nan
    return Annotation(
        mask=label_mask(projection, n),
        hits=_on_cpu(projection.hits[n]),
        names=names,
        landmarks=pixels,
        depth_mm=depth,
        visible=view.contains(pixels) & (depth <= view.source_to_detector_mm),
        occluded=occluded(scene, view, points) if occlusion else None,
    )


def landmark_points(scene: Scene, names: tuple[str, ...]) -> np.ndarray:
    """(L, 3) float64 world millimetres of the named landmarks; NaN where the scene has none of that name.

    Of several volumes that name a landmark the topmost has it: a femur laid over the patient brings its own.
    """
    points = np.full((len(names), 3), np.nan)
    for row, name in enumerate(names):
        if name == "CM-base" and scene.tools:
            points[row] = scene.tools[0].base_world
        elif name == "CM-tip" and scene.tools:
            points[row] = scene.tools[0].tip_world
        else:
            for volume, pose in scene.volumes:
                if name in volume.landmarks:
                    points[row] = pose[:3, :3] @ volume.landmarks[name] + pose[:3, 3]
    return points


def label_mask(projection: Projection, n: int = 0) -> np.ndarray:
    """(R, C) uint8: one label for each pixel of view ``n``, by the priority rule above.

    Raises:
        ValueError: the projection was made without labels.
    """
    if projection.hits is None:
        raise ValueError("this projection was made without labels (labels=False); render it with labels to annotate it")
    hits = _on_cpu(projection.hits[n])
    left_depth, right_depth = (
        _on_cpu(projection.depths_mm[n, projection.depth_labels.index(label)])
        for label in (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS)
    )

    def met(label: int) -> np.ndarray:
        return (hits & (1 << label)) != 0

    left, right = met(anatomy.LEFT_HEMIPELVIS), met(anatomy.RIGHT_HEMIPELVIS)
    nearer_left = left & ~(right & (right_depth < left_depth))
    mask = np.zeros(hits.shape, np.uint8)
    for label, where in (
        (anatomy.UPPER_SACRUM, met(anatomy.UPPER_SACRUM)),
        (anatomy.VERTEBRAE, met(anatomy.VERTEBRAE)),
        (anatomy.RIGHT_HEMIPELVIS, right),
        (anatomy.LEFT_HEMIPELVIS, nearer_left),
        (anatomy.RIGHT_FEMUR, met(anatomy.RIGHT_FEMUR)),
        (anatomy.LEFT_FEMUR, met(anatomy.LEFT_FEMUR)),
        (anatomy.MANIPULATOR, _on_cpu(projection.tool_coverage[n]) >= 0.5),
    ):
        mask[where] = label
    return mask


def binary_masks(projection: Projection, labels: tuple[int, ...], n: int = 0) -> np.ndarray:
    """(L, R, C) bool: where each of the labels (1..31) lies in the ray, whatever lies before it."""
    hits = _on_cpu(projection.hits[n])
    return np.stack([(hits >> np.uint32(label)) & 1 for label in labels]).astype(bool)


def named_masks(scene: Scene, projection: Projection, names: tuple[str, ...], n: int = 0) -> np.ndarray:
    """Where structures lie in the ray, whatever lies before them; those beyond ``anatomy`` by name, too.

    Args:
        scene: that the projection was made of.
        names: of ``anatomy.LABEL_NAMES`` from left_hemipelvis to right_femur, or of a volume's ``structures``.

    Returns:
        (L, R, C) bool of view ``n``.

    Raises:
        ValueError: no volume knows a structure of that name, volumes use one label for different structures, or the
            projection was made without labels.
    """
    if projection.hits is None:
        raise ValueError("this projection was made without labels (labels=False); render it with labels to annotate it")
    name_of: dict[int, str] = {}
    for volume, _ in scene.volumes:
        for label, name in volume.label_names.items():
            if name_of.setdefault(label, name) != name:
                raise ValueError(f"label {label} is {name_of[label]} in one volume of the scene and {name} in another; "
                                 "load them by one label scheme")
    unknown = [name for name in names if name not in name_of.values()]
    if unknown:
        raise ValueError(f"no structure is called {', '.join(unknown)}; known: {', '.join(name_of.values())}")
    hits = _on_cpu(projection.hits[n])
    bits = [np.uint32(sum(1 << label for label, of in name_of.items() if of == name)) for name in names]
    return np.stack([(hits & some) != 0 for some in bits])


def _on_cpu(array: Any) -> np.ndarray:
    """A numpy array, from the GPU if need be."""
    return array if isinstance(array, np.ndarray) else array.get()
