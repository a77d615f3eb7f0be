"""Follows a session while it is recorded: how many frames, how many answers, how fast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .topics import ANSWERS, IMAGE, session_topic


@dataclass(frozen=True)
class Progress:
    """One look at a running session.

    Attributes:
        frames: images received, counted by stamp.
        skipped: frames that were due and not made, as the C-arm reports.
        detections: images that all of perception's messages answer.
        seconds: since the first image.
        rate_hz: images per second over the last ten or so; 0 before the second.
    """

    frames: int
    skipped: int
    detections: int
    seconds: float
    rate_hz: float


class SessionMonitor:
    """What the recorder knows about the session from stamps and receipt times alone."""

    def __init__(self, answers: Iterable[str] = ANSWERS) -> None:
        """Args:
        answers: perception's topics that are recorded; an image is answered when all of them carry its stamp.
        """
        self._answers = frozenset(answers)
        self._images: dict[int, int] = {}
        self._answered: dict[int, set[str]] = {}
        self._counter = 0
        self._skipped = 0
        self._skipped_before = 0

    def received(self, topic: str, received_ns: int, stamp_ns: int | None = None) -> None:
        """Take note of a message; ``stamp_ns`` is needed for images and answers only."""
        if topic == IMAGE and stamp_ns is not None:
            self._images.setdefault(stamp_ns, received_ns)
        elif topic in self._answers and stamp_ns is not None:
            self._answered.setdefault(stamp_ns, set()).add(topic)

    def exposure(self, frame_counter: int, frames_skipped: int) -> None:
        """Take note of the C-arm's own counts; they begin anew when it is activated again.

        What it skipped before the first frame noted here is no part of this session, unless that is its first.
        """
        if self._counter == 0 and frame_counter > 1:
            self._skipped_before = -frames_skipped
        elif frame_counter <= self._counter:
            self._skipped_before += self._skipped
        self._counter, self._skipped = frame_counter, frames_skipped

    @property
    def frames(self) -> int:
        """Images received, counted by stamp."""
        return len(self._images)

    @property
    def detections(self) -> int:
        """Images that all answers carry the stamp of."""
        return sum(1 for stamp, topics in self._answered.items() if stamp in self._images and topics >= self._answers)

    @property
    def outstanding(self) -> int:
        """Images without all of their answers; 0 where no answers are recorded."""
        return self.frames - self.detections if self._answers else 0

    @property
    def last_image_ns(self) -> int | None:
        """Receipt of the newest image."""
        return next(reversed(self._images.values()), None)

    def progress(self, now_ns: int) -> Progress:
        """A look at the session."""
        times = list(self._images.values())
        recent = times[-11:]
        span = (recent[-1] - recent[0]) * 1e-9 if len(recent) > 1 else 0.0
        return Progress(
            frames=len(times),
            skipped=self._skipped_before + self._skipped,
            detections=self.detections if self._answers else 0,
            seconds=(now_ns - times[0]) * 1e-9 if times else 0.0,
            rate_hz=(len(recent) - 1) / span if span > 0 else 0.0,
        )


def who_publishes(topic: str) -> str:
    """The node that publishes a topic in a session, with the topic's name, for sentences about what is missing."""
    known = session_topic(topic)
    return f"{known.node} ({topic})" if known is not None and known.node else topic
