"""Writes a session's bag beside the node: a bounded queue in front, one thread that owns the file behind it.

The node's callbacks must never wait for a disk, so a message that finds the queue full is lost, counted by topic and
reported. Space for closing the bag is set aside before the first message: when the disk fills, that reserve is given
back and what was written stays a readable bag.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from .message_types import require, standard_types
from .repair import UnrepairableBagError, repair_bag

QUEUE_BYTES = 64 * 2**20
RESERVE_BYTES = 8 * 2**20


@dataclass(frozen=True)
class BagSummary:
    """What became of a recording.

    Attributes:
        messages: messages by topic in the bag.
        lost: messages by topic that were received and are not in the bag.
        failure: why writing ended early; empty if it did not.
        readable: the bag can be opened.
    """

    messages: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    failure: str = ""
    readable: bool = True


@dataclass(frozen=True)
class _Item:
    topic: str
    type: str
    received_ns: int
    data: bytes
    qos: tuple[Qos, ...]


class BagWriter:
    """A rosbag2 MCAP bag (metadata version 9) that is written by a thread of its own."""

    def __init__(
        self,
        bag: Path,
        *,
        types: Typestore | None = None,
        queue_bytes: int = QUEUE_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        """Create the bag and start the thread.

        Args:
            bag: folder of the bag; must not exist.
            types: store of the message definitions; types it lacks are looked up among the installed packages.
            queue_bytes: most bytes of message data that may wait for the disk.
            reserve_bytes: space set aside for closing the bag and writing the report on a full disk.

        Raises:
            OSError: the folder cannot be made, or the disk has no room for the reserve.
            WriterError: the bag exists already.
        """
        self.bag = bag
        self._types = types or standard_types()
        self._writer = Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP)
        self._reserve = _reserve_space(bag.parent, reserve_bytes)
        try:
            self._writer.open()
        except BaseException:
            self._reserve.close()
            raise
        self._connections: dict[str, Connection] = {}
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        self._queue_bytes = queue_bytes
        self._changed = threading.Condition()
        self._closing = False
        self._accepted: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._summary: BagSummary | None = None
        self._thread = threading.Thread(target=self._run, name="bag writer", daemon=True)
        self._thread.start()

    def put(self, topic: str, type_: str, received_ns: int, data: bytes, qos: Sequence[Qos] = ()) -> bool:
        """Hand over one serialised message; returns at once.

        Args:
            topic: absolute name.
            type_: ``package/msg/Type``.
            received_ns: when it was received, nanoseconds since the epoch; the bag's log time.
            data: CDR with its encapsulation header, as a raw subscription gives it.
            qos: what the publishers offer; stored with the first message of a topic.

        Returns:
            False if the message is lost: the queue is full, or writing has ended.
        """
        with self._changed:
            fits = self._queued_bytes + len(data) <= self._queue_bytes or not self._queue
            if self._closing or self._summary is not None or not fits:
                self._refused[topic] += 1
                return False
            self._queue.append(_Item(topic, type_, received_ns, bytes(data), tuple(qos)))
            self._queued_bytes += len(data)
            self._accepted[topic] += 1
            self._changed.notify()
            return True

    @property
    def failure(self) -> str:
        """Why writing ended early; empty while it goes on."""
        with self._changed:
            return self._summary.failure if self._summary is not None else ""

    @property
    def lost(self) -> int:
        """Messages received and lost so far."""
        with self._changed:
            return sum(self._refused.values())

    def close(self) -> BagSummary:
        """Write what is queued, close the bag, say what it holds. Further calls return the same."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        assert self._summary is not None
        kept = self._summary.messages
        with self._changed:
            received = self._accepted + self._refused
        lost = {topic: count - kept.get(topic, 0) for topic, count in received.items() if count > kept.get(topic, 0)}
        return replace(self._summary, lost=dict(sorted(lost.items())))

    # -- the thread -----------------------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._write(item)
            self._writer.close()
            kept = {connection.topic: self._writer.counts[connection.id] for connection in self._writer.connections}
            summary = BagSummary(dict(sorted(kept.items())))
        except (
            Exception
        ) as error:  # whatever stops the writing must reach the node as a sentence, not die with a thread
            summary = self._rescue(error)
        with suppress(OSError):
            self._reserve.close()
        with self._changed:
            self._summary = summary
            self._queue.clear()

    def _next(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return None
            item = self._queue.popleft()
            self._queued_bytes -= len(item.data)
            return item

    def _write(self, item: _Item) -> None:
        connection = self._connections.get(item.topic)
        if connection is None:
            require(self._types, item.type)
            connection = self._writer.add_connection(
                item.topic, item.type, typestore=self._types, offered_qos_profiles=item.qos
            )
            self._connections[item.topic] = connection
        self._writer.write(connection, item.received_ns, item.data)

    def _rescue(self, error: Exception) -> BagSummary:
        """Give the reserve back, close the torn bag, say what happened."""
        reason = f"{error.strerror}" if isinstance(error, OSError) and error.strerror else f"{error}"
        with suppress(OSError):
            self._reserve.close()
        with suppress(Exception):
            self._writer.abort()
        try:
            return BagSummary(dict(sorted(repair_bag(self.bag).messages.items())), failure=reason)
        except (OSError, UnrepairableBagError) as second:
            return BagSummary(failure=f"{reason}; the bag could not be closed either: {second}", readable=False)


def _reserve_space(folder: Path, size: int) -> BinaryIO:
    """An unnamed file of ``size`` bytes in ``folder``: its space comes back when it is closed, even by a kill."""
    stream = tempfile.TemporaryFile(dir=folder)
    try:
        if size:
            os.posix_fallocate(stream.fileno(), 0, size)
    except OSError:
        stream.close()
        raise
    return stream
