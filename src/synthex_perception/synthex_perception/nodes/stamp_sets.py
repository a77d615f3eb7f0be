"""Pairing messages of two topics by their exact stamp."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Left = TypeVar("Left")
Right = TypeVar("Right")


class StampPairs(Generic[Left, Right]):
    """Holds the last messages of each side until the other side's message with the same stamp arrives.

    Args:
        capacity: messages kept on each side; an older one that found no partner is forgotten and counted.
    """

    def __init__(self, capacity: int = 10) -> None:
        self._capacity = capacity
        self._left: OrderedDict[int, Left] = OrderedDict()
        self._right: OrderedDict[int, Right] = OrderedDict()
        self.left_without_partner = 0

    def add_left(self, stamp_ns: int, message: Left) -> tuple[Left, Right] | None:
        """The pair this message completes, or None."""
        partner = self._right.pop(stamp_ns, None)
        if partner is not None:
            return message, partner
        self._left[stamp_ns] = message
        if len(self._left) > self._capacity:
            self._left.popitem(last=False)
            self.left_without_partner += 1
        return None

    def add_right(self, stamp_ns: int, message: Right) -> tuple[Left, Right] | None:
        """The pair this message completes, or None."""
        partner = self._left.pop(stamp_ns, None)
        if partner is not None:
            return partner, message
        self._right[stamp_ns] = message
        if len(self._right) > self._capacity:
            self._right.popitem(last=False)
        return None
