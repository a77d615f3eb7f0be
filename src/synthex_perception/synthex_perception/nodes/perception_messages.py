"""Detections as messages, each with the header of the image they were found in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from std_msgs.msg import Header

from cm_kinematics.nodes.conversions import MM_PER_M
from synthex_msgs.msg import CmDetection, LabelClass, LabelInfo, Landmark2D, Landmark2DArray
from synthex_perception.inference.detections import Detections
from synthex_perception.navigation.cm_position import depth_from_width
from synthex_sim.anatomy import MANIPULATOR, MANIPULATOR_LANDMARKS


def manipulator_depths(found: Detections, k: Sequence[float], diameter_mm: float) -> dict[str, float]:
    """How far from the source the manipulator's ends are, along the optical axis: focal length x diameter / width.

    Args:
        k: (9,) as in camera_info; zeros where the camera is not calibrated.

    Returns:
        landmark name -> metres, for the ends that were found and measured.
    """
    depths = {}
    for name, width_px in zip(MANIPULATOR_LANDMARKS, (found.base_width_px, found.tip_width_px), strict=True):
        depth_mm = depth_from_width(np.reshape(k, (3, 3)), diameter_mm, width_px)
        if math.isfinite(depth_mm):
            depths[name] = depth_mm / MM_PER_M
    return depths


def landmarks_message(found: Detections, header: Header, depths: Mapping[str, float]) -> Landmark2DArray:
    """All landmarks in the order of the names, found or not (NaN where the structure was not found)."""
    points = [_landmark(found, i, depths) for i in range(len(found.landmark_names))]
    return Landmark2DArray(header=header, landmarks=points)


def cm_message(found: Detections, header: Header, depths: Mapping[str, float]) -> CmDetection:
    """The manipulator; ``detected`` is False, base and tip are NaN, where the mask holds none."""
    pixels = found.pixels_of(MANIPULATOR)
    base, tip = (_landmark(found, found.landmark_names.index(name), depths) for name in MANIPULATOR_LANDMARKS)
    return CmDetection(
        header=header, detected=pixels > 0, mask_pixels=pixels, confidence=found.manipulator_confidence, base=base,
        tip=tip,
    )


def label_info_message(
    header: Header, label_names: tuple[str, ...], landmark_names: tuple[str, ...], threshold: float, source: str
) -> LabelInfo:
    """What mask values and landmark indices mean, and which weights say so."""
    classes = [LabelClass(class_id=index, class_name=name) for index, name in enumerate(label_names)]
    return LabelInfo(
        header=header, class_map=classes, landmark_names=list(landmark_names), threshold=threshold, source=source
    )


def _landmark(found: Detections, index: int, depths: Mapping[str, float]) -> Landmark2D:
    column, row = found.landmarks[index].tolist()
    name = found.landmark_names[index]
    return Landmark2D(
        name=name, class_id=index, x=column, y=row, depth=depths.get(name, math.nan),
        confidence=float(found.confidence[index]), visible=bool(found.visible[index]),
    )
