"""Reads a session's bag frame by frame: every message that belongs to one image, matched by its stamp."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthex_sim.anatomy import LABEL_NAMES

from ..recording.bag_reader import BagError, Recorded, SessionBag, image_array
from ..recording.topics import (
    ANSWERS,
    CM,
    EXPOSURE,
    IMAGE,
    LABELS,
    LANDMARKS,
    MASK,
    TRUE_CM,
    TRUE_LABELS,
    TRUE_LANDMARKS,
    TRUE_MASK,
)
from .accuracy import Point, Scale, structure_dice

READ_TOPICS = (IMAGE, EXPOSURE, TRUE_MASK, TRUE_LANDMARKS, TRUE_CM, TRUE_LABELS, MASK, LANDMARKS, CM, LABELS)


class OutOfTimeError(Exception):
    """The deadline passed before the bag was read to its end."""


@dataclass(frozen=True)
class Exposed:
    """What an Exposure message says that a report needs; lengths in millimetres."""

    frame_counter: int
    frames_skipped: int
    render_ms: float
    scale: Scale
    open_field: int
    message: Any


@dataclass(frozen=True)
class Manipulator:
    """A CmDetection: whether it is there (true) or was found, and its two named points."""

    detected: bool
    base: Point
    tip: Point


@dataclass
class Frame:
    """One image and everything with its stamp.

    Attributes:
        stamp_ns: when the scene's state was sampled.
        image_received_ns: receipt of the image; None where only other messages carry this stamp.
        answers_received_ns: receipt of each of perception's answers, by topic.
        exposure: physics, geometry and counters.
        dice: of each structure in the true mask, by name.
        true_landmarks, landmarks: by name; None where no message has this stamp.
        true_cm, cm: as those.
    """

    stamp_ns: int
    image_received_ns: int | None = None
    answers_received_ns: dict[str, int] = field(default_factory=dict)
    exposure: Exposed | None = None
    dice: dict[str, float] | None = None
    true_landmarks: dict[str, Point] | None = None
    landmarks: dict[str, Point] | None = None
    true_cm: Manipulator | None = None
    cm: Manipulator | None = None

    @property
    def scale(self) -> Scale | None:
        """What one pixel means; None without an exposure."""
        return self.exposure.scale if self.exposure is not None else None


@dataclass(frozen=True)
class SessionFrames:
    """All frames of a bag.

    Attributes:
        frames: those with an image, in the order of their stamps.
        answers: perception's topics that have messages in the bag.
        counters: (frame_counter, frames_skipped) in the order of receipt.
        true_names, names: what the values of the two masks mean.
        weights: what perception's label info says of its weights; None where it was not recorded.
        counts: messages by absolute topic name.
    """

    frames: tuple[Frame, ...]
    answers: tuple[str, ...]
    counters: tuple[tuple[int, int], ...]
    true_names: dict[int, str]
    names: dict[int, str]
    weights: str | None
    counts: dict[str, int]

    def answered(self, frame: Frame) -> bool:
        """Whether all of perception's recorded answers carry this frame's stamp."""
        return bool(self.answers) and all(topic in frame.answers_received_ns for topic in self.answers)


def read_frames(bag: SessionBag, deadline_s: float | None = None) -> SessionFrames:
    """Read a bag once from front to end; of the images only the stamps, of the masks only their overlap.

    Args:
        bag: open, with ``READ_TOPICS`` as its names.
        deadline_s: ``time.monotonic`` at which to give up.

    Raises:
        OutOfTimeError: the deadline passed.
        BagError: the bag is damaged, or its masks do not fit together.
    """
    return _FrameReader(bag).read(deadline_s)


class _FrameReader:
    def __init__(self, bag: SessionBag) -> None:
        self._bag = bag
        self._frames: dict[int, Frame] = {}
        self._masks: dict[int, dict[str, np.ndarray]] = {}
        self._counters: list[tuple[int, int]] = []
        self._answers = tuple(name for name in ANSWERS if sum(c.msgcount for c in bag.find(name)))
        self._names: dict[str, dict[int, str]] = {}
        self._weights: str | None = None

    def read(self, deadline_s: float | None) -> SessionFrames:
        self._read_labels()
        for message in self._bag.messages([n for n in READ_TOPICS if n not in (LABELS, TRUE_LABELS)]):
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise OutOfTimeError(f"reading {self._bag.path} takes longer")
            self._take(message)
        with_image = [f for f in self._frames.values() if f.image_received_ns is not None]
        return SessionFrames(
            frames=tuple(sorted(with_image, key=lambda frame: frame.stamp_ns)),
            answers=self._answers,
            counters=tuple(self._counters),
            true_names=self._names[TRUE_LABELS],
            names=self._names[LABELS],
            weights=self._weights,
            counts=self._bag.counts,
        )

    def _read_labels(self) -> None:
        """Latched, yet possibly received after the first masks: read before anything else."""
        default = dict(enumerate(LABEL_NAMES))
        self._names = {LABELS: default, TRUE_LABELS: default}
        for recorded in self._bag.messages((LABELS, TRUE_LABELS)):
            message = self._bag.decode(recorded)
            if len(message.class_map):
                self._names[recorded.topic] = {int(c.class_id): str(c.class_name) for c in message.class_map}
            if recorded.topic == LABELS:
                self._weights = str(message.source)

    def _take(self, recorded: Recorded) -> None:
        stamp_ns = recorded.stamp_ns
        frame = self._frames.setdefault(stamp_ns, Frame(stamp_ns))
        topic = recorded.topic
        if topic == IMAGE:
            frame.image_received_ns = frame.image_received_ns or recorded.received_ns
            return
        if topic in ANSWERS:
            frame.answers_received_ns.setdefault(topic, recorded.received_ns)
        message = self._bag.decode(recorded)
        if topic in (MASK, TRUE_MASK):
            self._compare(frame, topic, message)
        elif topic == EXPOSURE:
            frame.exposure = exposed(message)
            self._counters.append((frame.exposure.frame_counter, frame.exposure.frames_skipped))
        elif topic == TRUE_LANDMARKS:
            frame.true_landmarks = named_points(message.landmarks)
        elif topic == LANDMARKS:
            frame.landmarks = named_points(message.landmarks)
        elif topic == TRUE_CM:
            frame.true_cm = manipulator_of(message)
        elif topic == CM:
            frame.cm = manipulator_of(message)

    def _compare(self, frame: Frame, topic: str, message: Any) -> None:
        """Keep a mask until its partner arrives, then keep their overlap only."""
        try:
            waiting = self._masks.setdefault(frame.stamp_ns, {})
            waiting[topic] = image_array(message)
            if len(waiting) == 2:
                del self._masks[frame.stamp_ns]
                frame.dice = structure_dice(
                    waiting[MASK], waiting[TRUE_MASK], self._names[LABELS], self._names[TRUE_LABELS]
                )
        except ValueError as error:
            raise BagError(f"{self._bag.path}: {topic} at stamp {frame.stamp_ns}: {error}") from error


def exposed(message: Any) -> Exposed:
    """From an Exposure message, of a bag or of rclpy."""
    return Exposed(
        frame_counter=int(message.frame_counter),
        frames_skipped=int(message.frames_skipped),
        render_ms=float(message.render_seconds) * 1e3,
        scale=Scale(
            float(message.pixel_spacing) * 1e3,
            float(message.source_to_detector) * 1e3,
            float(message.source_to_isocenter) * 1e3,
        ),
        open_field=int(message.open_field),
        message=message,
    )


def named_points(landmarks: Any) -> dict[str, Point]:
    """By name, from the Landmark2D messages of a Landmark2DArray."""
    return {str(landmark.name): _point(landmark) for landmark in landmarks}


def _point(landmark: Any) -> Point:
    return Point(float(landmark.x), float(landmark.y), bool(landmark.visible))


def manipulator_of(message: Any) -> Manipulator:
    """From a CmDetection message."""
    return Manipulator(bool(message.detected), _point(message.base), _point(message.tip))
