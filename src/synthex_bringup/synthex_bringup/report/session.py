"""The schema of ``session.json`` (format ``synthex-session``, version 1), fixed for good.

Fields may be added in a later version; none changes its meaning. Everything that was measured against ground truth is
null where the bag holds none. Image errors are given in pixels, in millimetres on the detector (pixels x pixel
spacing) and, for comparison with clinical figures, scaled to the isocentre (x SAD / SDD).
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import DISCLAIMER
from ..recording.details import RosDetails

FORMAT = "synthex-session"
VERSION = 1

LATENCY_CLOCK = (
    "Stamp: when the scene's state was sampled, clock of the C-arm's node. Receipt: when the recorder's middleware "
    "received the message, system clock (the bag's log time). render: wall time that the C-arm's node measured itself. "
    "stamp_to_image: receipt of carm/image_raw minus its stamp. publish_to_detection: receipt of the last of "
    "perception's mask, landmarks and cm minus receipt of the image of the same stamp. end_to_end: receipt of that "
    "last message minus the stamp."
)


@dataclass(frozen=True)
class Percentiles:
    """A distribution of times.

    Attributes:
        p50, p95: milliseconds; null where count is 0.
        count: values they were taken over.
    """

    p50: float | None
    p95: float | None
    count: int


@dataclass(frozen=True)
class ErrorStatistics:
    """A distribution of distances.

    Attributes:
        mean, p50, p95: in the unit that the field's name says; null where count is 0.
        count: distances they were taken over.
    """

    mean: float | None
    p50: float | None
    p95: float | None
    count: int


@dataclass(frozen=True)
class PointError:
    """Distance in the image between points found and true points.

    Attributes:
        px: pixels of the image.
        detector_mm: pixels x pixel spacing at the detector.
        isocenter_mm: detector_mm x SAD / SDD.
    """

    px: ErrorStatistics
    detector_mm: ErrorStatistics
    isocenter_mm: ErrorStatistics


@dataclass(frozen=True)
class Detections:
    """Perception's answers, matched to images by stamp.

    Attributes:
        count: recorded images whose stamp all of perception's recorded answers (mask, landmarks, cm) carry.
        fraction: count / frames_recorded; null without frames.
        with_manipulator: of these, those in which perception says it found the manipulator.
    """

    count: int
    fraction: float | None
    with_manipulator: int


@dataclass(frozen=True)
class StructureDice:
    """Dice of one structure.

    Attributes:
        dice: mean over the frames whose true mask holds the structure; null where none does.
        frames: how many those are.
    """

    dice: float | None
    frames: int


@dataclass(frozen=True)
class LandmarkAccuracy:
    """Landmarks against their true positions.

    Attributes:
        error: over landmarks inside the image that perception marked visible.
        activation_rate: share of the landmarks inside the image that perception marked visible; null where none is.
        in_image: landmarks inside the image, summed over frames.
        activated: of these, those that perception marked visible.
        false_activations: landmarks marked visible that are known to lie outside the image or not to be there.
    """

    error: PointError
    activation_rate: float | None
    in_image: int
    activated: int
    false_activations: int


@dataclass(frozen=True)
class HipAccuracy:
    """The hip anatomy against ground truth.

    Attributes:
        frames: answered frames that have ground truth.
        dice: mean over the structures of their means (as in the networks' evaluation); null where there is none.
        structures: by name, each over the frames it is present in; empty where no true mask holds a bone.
        landmarks: all hip landmarks together; counts 0 and the rest null where the place of none is known.
        landmarks_by_name: each alone, over the frames in which its true place is known, inside the image or outside;
            without those whose place never is (a CT has no landmarks).
    """

    frames: int
    dice: float | None
    structures: dict[str, StructureDice]
    landmarks: LandmarkAccuracy
    landmarks_by_name: dict[str, LandmarkAccuracy]


@dataclass(frozen=True)
class CmAccuracy:
    """The manipulator against ground truth.

    Attributes:
        frames: answered frames that have ground truth.
        frames_with_manipulator: of these, those whose true mask holds manipulator pixels.
        dice: mean over frames_with_manipulator; null where there are none. A frame where it was missed counts 0.
        base, tip: the ends of its notched body, as the hip's landmarks.
        detection_rate: share of frames_with_manipulator in which perception found it; null where there are none.
        false_detections: frames without the manipulator in which perception says it found one.
    """

    frames: int
    frames_with_manipulator: int
    dice: float | None
    base: LandmarkAccuracy
    tip: LandmarkAccuracy
    detection_rate: float | None
    false_detections: int


@dataclass(frozen=True)
class ExposureDetails:
    """Physics and geometry of the first recorded exposure; millimetres where the topic has metres.

    Attributes:
        kvp: tube peak voltage, kV.
        mas: tube current-time product, mA s.
        spectrum: source of the tube spectrum and its filtration, in words.
        renderer, projector: what made the image.
        seed: of the noise.
        source_to_detector_mm: SDD.
        source_to_isocenter_mm: SAD.
        pixel_spacing_mm: of the image at the detector.
        rows, columns: size of the image.
        open_field: counts of an unattenuated pixel.
    """

    kvp: float
    mas: float
    spectrum: str
    renderer: str
    projector: str
    seed: int
    source_to_detector_mm: float
    source_to_isocenter_mm: float
    pixel_spacing_mm: float
    rows: int
    columns: int
    open_field: int


@dataclass(frozen=True)
class Session:
    """One recorded session.

    Attributes:
        created_utc: when the recording began, ISO 8601.
        ended: why it ended: frames, duration, interrupted, or in words what went wrong; empty where unknown.
        patient: what was imaged, in the launch's words.
        seed: of the session's random numbers; null where unknown.
        code_version: ``git describe`` of the code; null where unknown.
        weights: name and digest of perception's weights, as its label info says; null where it was not recorded.
        ros: which ROS 2 it ran on; null where unknown.
        wall_s: from the recorder's start to the closed bag, seconds; null where unknown.
        bag: the bag, relative to this file.
        frames_published: frames the C-arm published from the first to the last recorded one, by its own counter; the
            recorded images where exposures were not recorded.
        frames_due: frames_published + frames_skipped; null where exposures were not recorded.
        frames_skipped: frames that were due and not made in time; null where exposures were not recorded.
        frames_recorded: images in the bag, counted by stamp.
        frame_rate_hz: frames_recorded - 1 over the time between first and last stamp; null below two frames.
        detections: perception's answers.
        latency_ms: by stage: render, stamp_to_image, publish_to_detection, end_to_end.
        latency_clock: what these are differences of.
        hip: null where the true masks of answered frames hold no bone and the place of no hip landmark is known.
        cm: null where no answered frame has ground truth of the manipulator.
        exposure: null where exposures were not recorded.
        messages: messages in the bag by topic.
        messages_lost: messages by topic that were received and not written.
        format, version: of this schema.
        disclaimer: what this is for.
    """

    created_utc: str
    ended: str
    patient: str
    seed: int | None
    code_version: str | None
    weights: str | None
    ros: RosDetails | None
    wall_s: float | None
    bag: str
    frames_published: int
    frames_due: int | None
    frames_skipped: int | None
    frames_recorded: int
    frame_rate_hz: float | None
    detections: Detections
    latency_ms: dict[str, Percentiles]
    hip: HipAccuracy | None
    cm: CmAccuracy | None
    exposure: ExposureDetails | None
    messages: dict[str, int]
    messages_lost: dict[str, int] = field(default_factory=dict)
    latency_clock: str = LATENCY_CLOCK
    format: str = FORMAT
    version: int = VERSION
    disclaimer: str = DISCLAIMER

    def to_json(self) -> str:
        """The text of ``session.json``: format and version first, numbers to six significant digits."""
        values = _rounded(dataclasses.asdict(self))
        first = {key: values.pop(key) for key in ("format", "version", "disclaimer")}
        return json.dumps({**first, **values}, indent=2, allow_nan=False) + "\n"


def read_session_json(path: Path) -> dict[str, Any]:
    """The content of a ``session.json`` as plain values.

    Raises:
        ValueError: the file is no session, or one of another version.
        OSError: it cannot be read.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f"{path} is no {FORMAT} file")
    if values.get("version") != VERSION:
        raise ValueError(f"{path} has version {values.get('version')}, this code reads version {VERSION}")
    return values


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a session's figures are finite or null")
        return float(f"{value:.6g}")
    return value
