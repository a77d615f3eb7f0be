"""Reads a session's bag: messages by the session's topic names, stamps, images as arrays."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from .topics import is_session_topic

_CHANNELS = {"mono8": ("u1", 1), "8UC1": ("u1", 1), "mono16": ("u2", 1), "16UC1": ("u2", 1), "rgb8": ("u1", 3)}


class BagError(Exception):
    """The bag cannot be read, or holds no session; the message says why and what to do."""


@dataclass(frozen=True)
class Recorded:
    """One recorded message.

    Attributes:
        topic: the session's name of the topic where it has one, else the recorded one.
        recorded_topic: absolute name in the bag.
        type: message type.
        received_ns: when the recorder received it, nanoseconds since the epoch (the bag's log time).
        data: CDR with its encapsulation header.
    """

    topic: str
    recorded_topic: str
    type: str
    received_ns: int
    data: bytes

    @property
    def stamp_ns(self) -> int:
        """Stamp of a message that begins with a header, nanoseconds since the epoch."""
        return stamp_of(self.data)


def stamp_of(data: bytes) -> int:
    """Header stamp of a serialised message in nanoseconds.

    CDR puts the header first: after the 4 bytes that name the encapsulation come int32 seconds, uint32 nanoseconds.

    Raises:
        ValueError: too short to begin with a header.
    """
    if len(data) < 12:
        raise ValueError(f"a message of {len(data)} bytes has no header")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def image_array(message: Any) -> np.ndarray:
    """Pixels of a ``sensor_msgs/Image`` (mono8, mono16, rgb8): (height, width[, 3]) uint8 or uint16, own copy.

    Raises:
        ValueError: another encoding, or fewer bytes than the size says.
    """
    if message.encoding not in _CHANNELS:
        raise ValueError(f"image encoding {message.encoding!r} is none of {', '.join(_CHANNELS)}")
    kind, channels = _CHANNELS[message.encoding]
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    row_bytes = message.width * channels * dtype.itemsize
    raw = np.frombuffer(message.data, dtype=np.uint8)
    if message.step < row_bytes or raw.size < message.step * message.height:
        raise ValueError(f"image of {message.height} x {message.width} {message.encoding} has only {raw.size} bytes")
    rows = raw[: message.step * message.height].reshape(message.height, message.step)[:, :row_bytes]
    pixels = np.ascontiguousarray(rows).view(dtype).astype(dtype.newbyteorder("="))
    return pixels.reshape(message.height, message.width, channels) if channels > 1 else pixels


class SessionBag:
    """An open bag, used as a context manager.

    Attributes:
        path: folder of the bag, or its ``.mcap`` file.
    """

    def __init__(self, path: Path, names: Iterable[str] = ()) -> None:
        """Open the bag.

        Args:
            path: folder of the bag (also a run folder with ``bag`` in it), or an ``.mcap`` or ``.db3`` file.
            names: session names that recorded topics may have, whatever their namespace.

        Raises:
            BagError: it does not exist, is no bag, or was cut off; the message says which.
        """
        self.path = bag_folder(path)
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except BagError:
            raise
        except Exception as error:  # rosbags lets struct, index and yaml errors of a damaged file through as they are
            raise BagError(_unreadable(self.path, error)) from error
        self._names = tuple(names)
        self._types = _types_of(self._reader.connections)

    def __enter__(self) -> SessionBag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def connections(self) -> list[Connection]:
        """The recorded topics as rosbags gives them, with type, definition, QoS and message count."""
        return self._reader.connections

    @property
    def counts(self) -> dict[str, int]:
        """Messages by absolute topic name, sorted by name."""
        return dict(sorted((c.topic, c.msgcount) for c in self.connections))

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last message."""
        return self._reader.duration * 1e-9 if self._reader.message_count else 0.0

    def qos(self, connection: Connection) -> list[Qos]:
        """What the publishers of a recorded topic offered."""
        return list(connection.ext.offered_qos_profiles)

    def name(self, recorded: str) -> str:
        """The session's name of a recorded topic, or the recorded one."""
        return next((name for name in self._names if is_session_topic(recorded, name)), recorded)

    def find(self, name: str) -> list[Connection]:
        """Connections that are the session's topic ``name``.

        Raises:
            BagError: two namespaces in the bag have it.
        """
        found = [c for c in self.connections if is_session_topic(c.topic, name)]
        if len({c.topic for c in found}) > 1:
            raise BagError(
                f"{self.path} holds {name} in several namespaces: {', '.join(sorted(c.topic for c in found))}"
            )
        return found

    def messages(self, names: Iterable[str] | None = None) -> Iterator[Recorded]:
        """Messages in the order of their receipt.

        Args:
            names: only these session topics; None for all.

        Raises:
            BagError: the file is damaged on the way.
        """
        chosen = self.connections if names is None else [c for name in names for c in self.find(name)]
        if not chosen:
            return
        try:
            for connection, received_ns, data in self._reader.messages(connections=chosen):
                yield Recorded(self.name(connection.topic), connection.topic, connection.msgtype, received_ns, data)
        except (ReaderError, OSError, ValueError, IndexError, struct.error) as error:
            raise BagError(_unreadable(self.path, error)) from error

    def decode(self, message: Recorded) -> Any:
        """The message as a plain object with the fields of its definition.

        Raises:
            BagError: the bytes do not fit the definition.
        """
        try:
            return self._types.deserialize_cdr(message.data, message.type)
        except (SerdeError, ValueError, IndexError, struct.error) as error:
            raise BagError(f"{self.path}: a message on {message.recorded_topic} is damaged: {error}") from error


def bag_folder(path: Path) -> Path:
    """The bag that a path means: itself, or ``bag`` in a run folder.

    Raises:
        BagError: nothing there is a bag.
    """
    path = Path(path)
    if not path.exists():
        raise BagError(f"{path} does not exist; give a run folder (runs/...), its bag folder or an .mcap file")
    if path.is_file():
        if path.suffix not in (".mcap", ".db3"):
            raise BagError(f"{path} is no bag: expected a bag folder or an .mcap or .db3 file")
        return path
    for folder in (path, path / "bag"):
        if (folder / "metadata.yaml").exists() or any(folder.glob("*.mcap")):
            return folder
    raise BagError(f"{path} is no bag: neither it nor {path / 'bag'} holds metadata.yaml")


def _unreadable(path: Path, error: Exception) -> str:
    """What is wrong with a bag that does not open, in words."""
    if path.is_dir() and not (path / "metadata.yaml").exists():
        return (
            f"bag {path} was not closed (no metadata.yaml): its recorder was killed; session_report --repair closes it"
        )
    return f"bag {path} is damaged or cut off ({error}); session_report --repair saves what is whole"


def _types_of(connections: Iterable[Connection]) -> Typestore:
    """A fresh store that takes the definitions of other than standard types from the bag itself."""
    types = get_typestore(Stores.ROS2_JAZZY)
    for connection in connections:
        if connection.msgtype in types.fielddefs or not connection.msgdef.data:
            continue
        try:
            found = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            types.register({name: body for name, body in found.items() if name not in types.fielddefs})
        except TypesysError as error:
            raise BagError(f"the definition of {connection.msgtype} in the bag is damaged: {error}") from error
    return types
