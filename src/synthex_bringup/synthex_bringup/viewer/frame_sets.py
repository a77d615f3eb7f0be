"""FrameSets: an image is shown together with what was said of it, so that overlays never lie on another image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any


class FrameSets:
    """Messages of one image, brought together by their stamp.

    Args:
        image: topics that an image consists of.
        answers: topics that are waited for.
        companions: topics that are waited for, too, once one of their messages has been seen (ground truth, which a
            session may lack).
        patience_s: how long answers are waited for before images are shown without.
        capacity: images kept.
    """

    def __init__(self, image: Iterable[str], answers: Iterable[str], companions: Iterable[str] = (),
                 patience_s: float = 3.0, capacity: int = 8) -> None:
        self._image, self._companions = frozenset(image), frozenset(companions)
        self._needed = self._image | frozenset(answers)
        self._patience_s, self._capacity = patience_s, capacity
        self._parts: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._shown_ns = 0
        self._last_answer_s: float | None = None

    def add(self, topic: str, stamp_ns: int, message: Any, now_s: float) -> tuple[int, dict[str, Any]] | None:
        """(stamp, topic -> message) of an image that this message completes; older images are never shown after it."""
        if self._last_answer_s is None:
            self._last_answer_s = now_s
        if topic in self._companions:
            self._needed |= {topic}
        if stamp_ns <= self._shown_ns:
            return None
        parts = self._parts.setdefault(stamp_ns, {})
        parts[topic] = message
        while len(self._parts) > self._capacity:
            self._parts.popitem(last=False)
        if parts.keys() >= self._needed:
            self._last_answer_s = now_s
            return self._take(stamp_ns)
        return None

    def unanswered(self, now_s: float) -> tuple[int, dict[str, Any]] | None:
        """The newest complete image, if nothing has been answered for longer than the patience."""
        if self._last_answer_s is None or now_s - self._last_answer_s <= self._patience_s:
            return None
        complete = [stamp for stamp, parts in self._parts.items() if parts.keys() >= self._image]
        return self._take(max(complete)) if complete else None

    def _take(self, stamp_ns: int) -> tuple[int, dict[str, Any]]:
        parts = self._parts[stamp_ns]
        self._shown_ns = stamp_ns
        for old in [stamp for stamp in self._parts if stamp <= stamp_ns]:
            del self._parts[old]
        return stamp_ns, parts
