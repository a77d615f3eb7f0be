"""One image's messages as what the viewer shows: overlays, and the same figures as the report's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthex_sim.anatomy import LABEL_NAMES

from ..recording.bag_reader import image_array
from ..recording.topics import ANSWERS, CM, EXPOSURE, IMAGE, LANDMARKS, MASK, TRUE_CM, TRUE_LANDMARKS, TRUE_MASK
from ..report.accuracy import structure_dice
from ..report.analysis import cm_dice, hip_dice, hip_errors_px, tip_error_px
from ..report.frames import Frame, exposed, manipulator_of, named_points
from .layout import DICE, ERROR, LATENCY
from .picture import Overlay

_NAMES = dict(enumerate(LABEL_NAMES))


def frame_of(stamp_ns: int, parts: Mapping[str, tuple[Any, int]]) -> Frame:
    """What the report makes of the same messages.

    Args:
        parts: topic -> (message, receipt in nanoseconds since the epoch); at least image and exposure.

    Raises:
        ValueError: masks of different sizes.
    """
    messages = {topic: message for topic, (message, _) in parts.items()}

    def made(topic: str, make: Any) -> Any:
        return make(messages[topic]) if topic in messages else None

    dice = None
    if MASK in messages and TRUE_MASK in messages:
        dice = structure_dice(image_array(messages[MASK]), image_array(messages[TRUE_MASK]), _NAMES, _NAMES)
    return Frame(
        stamp_ns,
        image_received_ns=parts[IMAGE][1],
        answers_received_ns={topic: parts[topic][1] for topic in ANSWERS if topic in parts},
        exposure=exposed(messages[EXPOSURE]),
        dice=dice,
        true_landmarks=made(TRUE_LANDMARKS, lambda m: named_points(m.landmarks)),
        landmarks=made(LANDMARKS, lambda m: named_points(m.landmarks)),
        true_cm=made(TRUE_CM, manipulator_of),
        cm=made(CM, manipulator_of),
    )


def figures_of(frame: Frame) -> list[tuple[str, float | None]]:
    """(curve of the viewer, value): latencies in ms since the scene was sampled, errors in mm at the detector, Dice."""
    spacing_mm = frame.scale.pixel_spacing_mm
    tip, landmarks = tip_error_px(frame), sorted(hip_errors_px(frame))
    answered_ns = max(frame.answers_received_ns.values(), default=None)
    return [
        (f"{LATENCY}/image", (frame.image_received_ns - frame.stamp_ns) * 1e-6),
        (f"{LATENCY}/detections", None if answered_ns is None else (answered_ns - frame.stamp_ns) * 1e-6),
        (f"{ERROR}/tip", None if tip is None else tip * spacing_mm),
        (f"{ERROR}/landmarks", landmarks[len(landmarks) // 2] * spacing_mm if landmarks else None),
        (f"{DICE}/hip", hip_dice(frame)),
        (f"{DICE}/manipulator", cm_dice(frame)),
    ]


def overlay_of(messages: Mapping[str, Any], mask: str, landmarks: str, manipulator: str) -> Overlay | None:
    """What lies on the image, of three topics (the network's or the truth's); None where none of them has spoken."""
    if not messages.keys() & {mask, landmarks, manipulator}:
        return None
    points = named_points(messages[landmarks].landmarks) if landmarks in messages else {}
    shown = {name: (point.x, point.y) for name, point in points.items() if point.visible and not name.startswith("CM-")}
    if manipulator in messages:
        device = manipulator_of(messages[manipulator])
        ends = (("CM-base", device.base), ("CM-tip", device.tip))
        shown |= {name: (point.x, point.y) for name, point in ends if device.detected and point.visible}
    return Overlay(image_array(messages[mask]) if mask in messages else None, shown)
