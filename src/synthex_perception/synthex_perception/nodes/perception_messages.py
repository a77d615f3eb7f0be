"""Detections as messages, each with the header of the image they were found in."""

from __future__ import annotations

import math

from std_msgs.msg import Header
from synthex_msgs.msg import CmDetection, LabelClass, LabelInfo, Landmark2D, Landmark2DArray

from synthex_perception.inference.detections import Detections
from synthex_sim.anatomy import MANIPULATOR, MANIPULATOR_LANDMARKS


def landmarks_message(found: Detections, header: Header) -> Landmark2DArray:
    """All landmarks in the order of the names, found or not (NaN where the structure was not found)."""
    return Landmark2DArray(header=header, landmarks=[_landmark(found, i) for i in range(len(found.landmark_names))])


def cm_message(found: Detections, header: Header) -> CmDetection:
    """The manipulator; ``detected`` is False, base and tip are NaN, where the mask holds none."""
    pixels = found.pixels_of(MANIPULATOR)
    base, tip = (_landmark(found, found.landmark_names.index(name)) for name in MANIPULATOR_LANDMARKS)
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


def _landmark(found: Detections, index: int) -> Landmark2D:
    column, row = found.landmarks[index].tolist()
    return Landmark2D(
        name=found.landmark_names[index], class_id=index, x=column, y=row, depth=math.nan,
        confidence=float(found.confidence[index]), visible=bool(found.visible[index]),
    )
