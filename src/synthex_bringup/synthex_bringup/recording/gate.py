"""Which of the messages that arrive belong to the recording.

A session begins when every node it needs has spoken, perception's first answer included: what the C-arm shows while
the network is still being loaded is no part of it. It ends with a last image, whose answers are still awaited. What is
recorded is therefore whole frames: an image with everything that carries its stamp, none before, none after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from rosbags.interfaces import Qos

from .topics import IMAGE, PER_IMAGE

_HELD = 64


@dataclass(frozen=True)
class Received:
    """One message on its way into the bag.

    Attributes:
        topic: the session's name of the topic.
        recorded_topic: its absolute name.
        type: ``package/msg/Type``.
        received_ns: receipt, nanoseconds since the epoch.
        data: CDR with its encapsulation header.
        stamp_ns: header stamp of messages that belong to an image, None for all others.
        latched: published once, kept for late subscribers.
        qos: what the topic's publishers offer.
    """

    topic: str
    recorded_topic: str
    type: str
    received_ns: int
    data: bytes
    stamp_ns: int | None = None
    latched: bool = False
    qos: tuple[Qos, ...] = ()


class SessionGate:
    """Opens when every topic waited for has spoken, closes behind the last frame."""

    def __init__(self, wait_for: Iterable[str]) -> None:
        """Args:
        wait_for: topics; with none of them the gate is open from the start.
        """
        self._silent = dict.fromkeys(wait_for)
        self._after_ns = -1
        self._last_image_ns = -1
        self._held: deque[Received] = deque(maxlen=_HELD)
        self._images: set[int] = set()
        self._closed = False

    @property
    def silent(self) -> tuple[str, ...]:
        """Topics waited for that nothing was heard on."""
        return tuple(self._silent)

    @property
    def open(self) -> bool:
        """The session has begun."""
        return not self._silent

    def close(self) -> None:
        """Let nothing in from now on but what carries the stamp of an image that is in."""
        self._closed = True

    def offer(self, message: Received) -> list[Received]:
        """The messages to record now that this one has come, in order of receipt."""
        if not self.open:
            return self._before(message)
        if self._closed:
            return [message] if message.stamp_ns in self._images else []
        return self._admit([message])

    def _before(self, message: Received) -> list[Received]:
        self._silent.pop(message.topic, None)
        if message.topic in PER_IMAGE:
            self._held.append(message)
        if not self.open:
            if message.topic == IMAGE and message.stamp_ns is not None:
                self._last_image_ns = message.stamp_ns
            return [message] if message.latched else []
        # The frame that is arriving now is the first: parts of it may have come before the image.
        image_ns = message.stamp_ns if message.topic == IMAGE else None
        self._after_ns = image_ns - 1 if image_ns is not None else self._last_image_ns
        held = list(self._held) if message.topic in PER_IMAGE else [*self._held, message]
        self._held.clear()
        return self._admit(held)

    def _admit(self, messages: list[Received]) -> list[Received]:
        admitted = [
            m for m in messages if m.topic not in PER_IMAGE or (m.stamp_ns is not None and m.stamp_ns > self._after_ns)
        ]
        self._images.update(m.stamp_ns for m in admitted if m.topic == IMAGE and m.stamp_ns is not None)
        return admitted
