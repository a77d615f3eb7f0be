"""Bringing together messages of several topics that carry the same stamp."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class StampSets:
    """Holds messages until all topics have one with the same stamp.

    Args:
        topics: names of the topics.
        capacity: stamps kept; the oldest that never became complete is forgotten and counted.
    """

    def __init__(self, topics: tuple[str, ...], capacity: int = 10) -> None:
        self._topics = frozenset(topics)
        self._capacity = capacity
        self._sets: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self.forgotten = 0

    def add(self, topic: str, stamp_ns: int, message: Any) -> dict[str, Any] | None:
        """The complete set, topic -> message, if this message completes one."""
        parts = self._sets.setdefault(stamp_ns, {})
        parts[topic] = message
        if parts.keys() == self._topics:
            return self._sets.pop(stamp_ns)
        if len(self._sets) > self._capacity:
            self._sets.popitem(last=False)
            self.forgotten += 1
        return None
