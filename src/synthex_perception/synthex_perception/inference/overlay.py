"""The picture people look at: the radiograph with coloured structures and named landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from synthex_sim.display import LABEL_COLORS_RGB, log_display

#: Landmarks whose name starts so are drawn in the manipulator's own colour.
_MANIPULATOR_PREFIX = "CM-"
_BONE_LANDMARK_RGB = (255, 255, 255)
_MANIPULATOR_LANDMARK_RGB = (255, 235, 59)


def draw_overlay(
    image: np.ndarray,
    mask: np.ndarray,
    landmarks: np.ndarray | None = None,
    names: tuple[str, ...] = (),
    visible: np.ndarray | None = None,
    scale: int = 1,
    opacity: float = 0.35,
    colors_rgb: tuple[tuple[int, int, int], ...] = LABEL_COLORS_RGB,
) -> np.ndarray:
    """Draw masks and landmarks over a radiograph.

    Args:
        image: (R, C) uint16 raw counts; shown with bone bright.
        mask: (R, C) uint8 label ids.
        landmarks: (L, 2) (column, row) in pixels of the image; those that are not finite are left out.
        names: L names written beside the crosses; empty writes none.
        visible: (L,) bool, which of them to draw; None draws all.
        scale: each pixel becomes scale x scale before crosses and names are drawn.
        opacity: of the structures' fill; outlines are always opaque.
        colors_rgb: one for each label id.

    Returns:
        (R * scale, C * scale, 3) uint8 RGB, C-contiguous.
    """
    canvas = cv2.cvtColor(log_display(image), cv2.COLOR_GRAY2RGB)
    canvas = _enlarge(canvas, scale, cv2.INTER_LINEAR)
    labels = _enlarge(mask, scale, cv2.INTER_NEAREST)
    tint = np.zeros((256, 3), dtype=np.uint8)
    tint[: len(colors_rgb)] = colors_rgb
    inside = labels > 0
    blended = (1.0 - opacity) * canvas + opacity * tint[labels]
    canvas[inside] = blended[inside].astype(np.uint8)
    for label in range(1, len(colors_rgb)):
        region = (labels == label).astype(np.uint8)
        if region.any():
            outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(canvas, outlines, -1, colors_rgb[label], 1)
    if landmarks is not None:
        _draw_landmarks(canvas, np.asarray(landmarks, dtype=np.float64), names, visible, scale)
    return np.ascontiguousarray(canvas)


def _enlarge(image: np.ndarray, scale: int, interpolation: int) -> np.ndarray:
    if scale == 1:
        return image.copy()
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation)


def _draw_landmarks(canvas: np.ndarray, landmarks: np.ndarray, names, visible, scale: int) -> None:
    for index, point in enumerate(landmarks):
        if not np.isfinite(point).all() or (visible is not None and not visible[index]):
            continue
        name = names[index] if names else ""
        color = _MANIPULATOR_LANDMARK_RGB if name.startswith(_MANIPULATOR_PREFIX) else _BONE_LANDMARK_RGB
        column, row = (int(round(v)) for v in (point + 0.5) * scale - 0.5)
        cv2.drawMarker(canvas, (column, row), (0, 0, 0), cv2.MARKER_CROSS, 9, 3)
        cv2.drawMarker(canvas, (column, row), color, cv2.MARKER_CROSS, 7, 1)
        if name:
            place = (column + 5, row - 3)
            cv2.putText(canvas, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.3, (0, 0, 0), 2, cv2.LINE_AA)
            cv2.putText(canvas, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.3, color, 1, cv2.LINE_AA)
