"""From the frames of a bag to the figures of ``session.json``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from synthex_sim.anatomy import LABEL_NAMES, MANIPULATOR, MANIPULATOR_LANDMARKS

from ..recording.details import RecordingDetails
from .accuracy import Point, distance_px, mean_or_none, point_error
from .frames import Frame, SessionFrames
from .session import (
    CmAccuracy,
    Detections,
    ExposureDetails,
    HipAccuracy,
    LandmarkAccuracy,
    Percentiles,
    Session,
    StructureDice,
)

MANIPULATOR_NAME = LABEL_NAMES[MANIPULATOR]


def summarise(read: SessionFrames, details: RecordingDetails, bag: str = "bag") -> Session:
    """All figures of a session.

    Args:
        read: the frames of its bag.
        details: what the bag cannot say.
        bag: where the bag lies, relative to ``session.json``.
    """
    frames = read.frames
    answered = [frame for frame in frames if read.answered(frame)]
    published, skipped = count_frames(read.counters)
    exposure = next((exposure_details(f) for f in frames if f.exposure is not None), None)
    return Session(
        created_utc=details.created_utc,
        ended=details.ended,
        patient=details.patient,
        seed=details.seed if details.seed is not None else (exposure.seed if exposure else None),
        code_version=details.code_version,
        weights=read.weights,
        ros=details.ros,
        wall_s=details.wall_s,
        bag=bag,
        frames_published=published if published is not None else len(frames),
        frames_due=published + skipped if published is not None and skipped is not None else None,
        frames_skipped=skipped,
        frames_recorded=len(frames),
        frame_rate_hz=frame_rate_hz([frame.stamp_ns for frame in frames]),
        detections=Detections(
            count=len(answered),
            fraction=len(answered) / len(frames) if frames else None,
            with_manipulator=sum(1 for frame in answered if frame.cm is not None and frame.cm.detected),
        ),
        latency_ms=latency_ms(frames, answered),
        hip=hip_accuracy(answered),
        cm=cm_accuracy(answered),
        exposure=exposure,
        messages=read.counts,
        messages_lost=details.lost,
    )


def count_frames(counters: Sequence[tuple[int, int]]) -> tuple[int | None, int | None]:
    """Frames published and skipped while these (frame_counter, frames_skipped) were received.

    A counter that does not grow means that the C-arm was activated anew. What was skipped before the first recorded
    frame belongs to the session only if that frame is the first since activation.

    Returns:
        (None, None) without counters.
    """
    if not counters:
        return None, None
    published = skipped = 0
    previous: tuple[int, int] | None = None
    for counter, skips in counters:
        if previous is None:
            published, skipped = 1, skips if counter == 1 else 0
        elif counter > previous[0]:
            published += counter - previous[0]
            skipped += max(0, skips - previous[1])
        else:
            published += counter
            skipped += skips
        previous = (counter, skips)
    return published, skipped


def frame_rate_hz(stamps_ns: Sequence[int]) -> float | None:
    """Frames per second between the first and the last stamp; None below two."""
    span_ns = stamps_ns[-1] - stamps_ns[0] if len(stamps_ns) > 1 else 0
    return (len(stamps_ns) - 1) / (span_ns * 1e-9) if span_ns > 0 else None


def answer_latency_ms(frame: Frame) -> tuple[float, float]:
    """(publish_to_detection, end_to_end) of an answered frame, milliseconds."""
    last_ns = max(frame.answers_received_ns.values())
    assert frame.image_received_ns is not None
    return (last_ns - frame.image_received_ns) * 1e-6, (last_ns - frame.stamp_ns) * 1e-6


def latency_ms(frames: Iterable[Frame], answered: Iterable[Frame]) -> dict[str, Percentiles]:
    """Times by stage as ``LATENCY_CLOCK`` defines them."""
    frames, answers = list(frames), [answer_latency_ms(frame) for frame in answered]
    return {
        "render": _percentiles([f.exposure.render_ms for f in frames if f.exposure is not None]),
        "stamp_to_image": _percentiles([(f.image_received_ns - f.stamp_ns) * 1e-6 for f in frames]),
        "publish_to_detection": _percentiles([answer[0] for answer in answers]),
        "end_to_end": _percentiles([answer[1] for answer in answers]),
    }


def hip_dice(frame: Frame) -> float | None:
    """Mean Dice over the bones in a frame's true mask; None where there are none or no truth."""
    return mean_or_none(v for name, v in (frame.dice or {}).items() if name != MANIPULATOR_NAME)


def cm_dice(frame: Frame) -> float | None:
    """Dice of the manipulator; None where the true mask holds none."""
    return (frame.dice or {}).get(MANIPULATOR_NAME)


def hip_errors_px(frame: Frame) -> list[float]:
    """Distances of the hip landmarks that are inside the image and were found, pixels."""
    found = frame.landmarks or {}
    errors = [distance_px(found.get(name), true) for name, true in true_hip_points(frame).items()]
    return [error for error in errors if error is not None]


def tip_error_px(frame: Frame) -> float | None:
    """Distance of the manipulator's tip from the truth, pixels; None where it is outside or was not found."""
    return distance_px(frame.cm.tip, frame.true_cm.tip) if frame.cm and frame.true_cm else None


def true_hip_points(frame: Frame) -> dict[str, Point]:
    """The hip landmarks whose true place is known, inside the image or outside, by name."""
    points = frame.true_landmarks or {}
    return {name: point for name, point in points.items() if name not in MANIPULATOR_LANDMARKS and point.exists}


def hip_accuracy(answered: Sequence[Frame]) -> HipAccuracy | None:
    """The hip over answered frames; None where none of them has ground truth of it.

    A CT comes without landmarks, and without bones where no label map was given. Its anatomy is in the images all the
    same: what was found there is neither right nor wrong.
    """
    known = [frame for frame in answered if frame.dice is not None or frame.true_landmarks is not None]
    structures = sorted({name for f in known for name in f.dice or {}} - {MANIPULATOR_NAME}, key=_label_order)
    names = list(dict.fromkeys(name for frame in known for name in true_hip_points(frame)))
    if not structures and not names:
        return None
    by_structure = {name: _structure(known, name) for name in structures}
    return HipAccuracy(
        frames=len(known),
        dice=mean_or_none(one.dice for one in by_structure.values() if one.dice is not None),
        structures=by_structure,
        landmarks=_hip_points_accuracy(known, names),
        landmarks_by_name={name: _hip_points_accuracy(known, [name]) for name in names},
    )


def cm_accuracy(answered: Sequence[Frame]) -> CmAccuracy | None:
    """The manipulator over answered frames; None where none of them has ground truth."""
    known = [frame for frame in answered if frame.true_cm is not None and frame.cm is not None]
    if not known:
        return None
    present = [frame for frame in known if frame.true_cm.detected]
    found = sum(1 for frame in present if frame.cm.detected)
    return CmAccuracy(
        frames=len(known),
        frames_with_manipulator=len(present),
        dice=mean_or_none(value for frame in present if (value := cm_dice(frame)) is not None),
        base=_accuracy_of((frame, frame.true_cm.base, frame.cm.base) for frame in known),
        tip=_accuracy_of((frame, frame.true_cm.tip, frame.cm.tip) for frame in known),
        detection_rate=found / len(present) if present else None,
        false_detections=sum(1 for frame in known if frame.cm.detected and not frame.true_cm.detected),
    )


def exposure_details(frame: Frame) -> ExposureDetails:
    """The exposure of a frame in the words of ``session.json``."""
    exposed = frame.exposure
    assert exposed is not None
    message, scale = exposed.message, exposed.scale
    return ExposureDetails(
        kvp=float(message.kvp),
        mas=float(message.mas),
        spectrum=str(message.spectrum),
        renderer=str(message.renderer),
        projector=str(message.projector),
        seed=int(message.seed),
        source_to_detector_mm=scale.source_to_detector_mm,
        source_to_isocenter_mm=scale.source_to_isocenter_mm,
        pixel_spacing_mm=scale.pixel_spacing_mm,
        rows=int(message.height),
        columns=int(message.width),
        open_field=exposed.open_field,
    )


def _percentiles(values: Sequence[float]) -> Percentiles:
    if not values:
        return Percentiles(None, None, 0)
    p50, p95 = np.percentile(values, [50, 95])
    return Percentiles(float(p50), float(p95), len(values))


def _structure(frames: Iterable[Frame], name: str) -> StructureDice:
    values = [frame.dice[name] for frame in frames if frame.dice is not None and name in frame.dice]
    return StructureDice(mean_or_none(values), len(values))


def _hip_points_accuracy(frames: Sequence[Frame], names: Sequence[str]) -> LandmarkAccuracy:
    return _accuracy_of(
        (frame, true, (frame.landmarks or {}).get(name))
        for frame in frames
        for name, true in true_hip_points(frame).items()
        if name in names
    )


def _accuracy_of(pairs: Iterable[tuple[Frame, Point, Point | None]]) -> LandmarkAccuracy:
    """Of (frame, true point, found point); a true point without a place is known to be absent."""
    pairs = list(pairs)
    in_image = sum(1 for _, true, _ in pairs if true.visible)
    activated = sum(1 for _, true, found in pairs if true.visible and _is_visible(found))
    errors = [(distance_px(found, true), frame.scale) for frame, true, found in pairs]
    return LandmarkAccuracy(
        error=point_error((error, scale) for error, scale in errors if error is not None),
        activation_rate=activated / in_image if in_image else None,
        in_image=in_image,
        activated=activated,
        false_activations=sum(1 for _, true, found in pairs if _is_visible(found) and not true.visible),
    )


def _is_visible(point: Point | None) -> bool:
    return point is not None and point.visible


def _label_order(name: str) -> tuple[int, str]:
    return (LABEL_NAMES.index(name) if name in LABEL_NAMES else len(LABEL_NAMES), name)
