"""Make a bag readable that was not closed: the disk was full, or the recorder was killed.

An MCAP file is a chain of records, each an opcode (1 byte), a length (8 bytes) and its body, everything little endian
(https://mcap.dev/spec). What stands whole at the front of the chain is good. The file is cut there and gets the end
that its writer did not come to write: the last chunk's message index, the data end, a summary (schemas, channels, chunk
index, statistics) and the footer.
"""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.metadata import dump_qos_v9
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from synthex_sim.whole_files import write_whole

_MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX = range(0x01, 0x09)
_STATISTICS, _METADATA, _DATA_END = 0x0B, 0x0C, 0x0F
#: A writer that reaches one of these has written all of its messages.
_END_OF_DATA = (_FOOTER, _METADATA, _DATA_END)


class UnrepairableBagError(Exception):
    """Nothing that could be saved; the message says why."""


@dataclass(frozen=True)
class Repaired:
    """What a repair kept.

    Attributes:
        messages: messages by topic that the bag now holds.
        dropped_bytes: size of the torn end that was cut off.
    """

    messages: dict[str, int]
    dropped_bytes: int


def repair_bag(bag: Path) -> Repaired:
    """Cut the torn end off a bag's MCAP file, close the file and write its ``metadata.yaml`` anew.

    Args:
        bag: folder of the bag. A bag that is whole stays as it is in content.

    Raises:
        UnrepairableBagError: no MCAP file, or not even its beginning is whole.
        OSError: the disk does not take even the few hundred bytes of an end.
    """
    files = sorted(bag.glob("*.mcap"))
    if len(files) != 1:
        raise UnrepairableBagError(f"{bag} holds {len(files)} .mcap files instead of one")
    size = files[0].stat().st_size
    found = _scan(files[0])
    with files[0].open("r+b") as stream:
        stream.truncate(found.end)
        stream.seek(found.end)
        stream.write(_end_of_file(found))
        stream.flush()
        os.fsync(stream.fileno())
    return Repaired(_write_metadata(bag, files[0]), max(0, size - found.end))


@dataclass
class _Chunk:
    """One chunk of the file: where it lies, and (log time, offset in it) of its messages by channel."""

    offset: int
    length: int
    uncompressed_size: int
    messages: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    index_offsets: dict[int, int] = field(default_factory=dict)
    index_length: int = 0

    @property
    def span(self) -> tuple[int, int]:
        times = [time for entries in self.messages.values() for time, _ in entries]
        return (min(times), max(times)) if times else (0, 0)


@dataclass
class _Found:
    """The whole front of a file; ``end`` lies behind its last chunk (or its header)."""

    end: int
    schemas: dict[int, bytes] = field(default_factory=dict)
    channels: dict[int, bytes] = field(default_factory=dict)
    chunks: list[_Chunk] = field(default_factory=list)


def _scan(path: Path) -> _Found:
    """Read the chain of records up to the first that is torn."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise UnrepairableBagError(f"{path} does not begin as an MCAP file")
        found, position = _Found(end=0), len(_MAGIC)
        while len(head := stream.read(9)) == 9:
            opcode, length = struct.unpack("<BQ", head)
            if opcode in _END_OF_DATA or position + 9 + length > size:
                break
            body = stream.read(length)
            if opcode == _CHUNK:
                found.chunks.append(_read_chunk(path, found, position, body))
            elif opcode == _MESSAGE_INDEX and found.chunks:
                chunk = found.chunks[-1]
                chunk.index_offsets[struct.unpack_from("<H", body)[0]] = position
                chunk.index_length += 9 + length
            position += 9 + length
            if opcode in (_HEADER, _CHUNK):
                found.end = position
    if not found.chunks:
        raise UnrepairableBagError(f"{path} ends before its first whole chunk: nothing in it can be saved")
    return found


def _read_chunk(path: Path, found: _Found, offset: int, body: bytes) -> _Chunk:
    """Note a chunk's messages and the schemas and channels it defines."""
    uncompressed_size, _, name_length = struct.unpack_from("<QII", body, 16)
    if name_length:
        raise UnrepairableBagError(f"{path} has compressed chunks; only bags as this recorder writes them are repaired")
    chunk = _Chunk(offset, 9 + len(body), uncompressed_size)
    for position, opcode, record in _records(body[40:]):
        if opcode == _MESSAGE:
            channel, _, log_time = struct.unpack_from("<HIQ", record)
            chunk.messages[channel].append((log_time, position))
        elif opcode in (_SCHEMA, _CHANNEL):
            table = found.schemas if opcode == _SCHEMA else found.channels
            table[struct.unpack_from("<H", record)[0]] = record
    return chunk


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(offset, opcode, body) of the records of a chunk."""
    position = 0
    while position + 9 <= len(data):
        opcode, length = struct.unpack_from("<BQ", data, position)
        yield position, opcode, data[position + 9 : position + 9 + length]
        position += 9 + length


def _record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def _end_of_file(found: _Found) -> bytes:
    """Everything from the end of the last chunk to the end of the file."""
    last = found.chunks[-1]
    last.index_offsets, last.index_length = {}, 0
    end = b""
    for channel, entries in last.messages.items():
        times = b"".join(struct.pack("<QQ", *entry) for entry in entries)
        last.index_offsets[channel] = found.end + len(end)
        end += _record(_MESSAGE_INDEX, struct.pack("<HI", channel, len(times)) + times)
    last.index_length = len(end)
    end += _record(_DATA_END, struct.pack("<I", 0))
    summary_start = found.end + len(end)
    end += b"".join(_record(_SCHEMA, body) for body in found.schemas.values())
    end += b"".join(_record(_CHANNEL, body) for body in found.channels.values())
    end += b"".join(_record(_CHUNK_INDEX, _chunk_index(chunk)) for chunk in found.chunks)
    end += _record(_STATISTICS, _statistics(found))
    # No summary offsets (a reader may skip with them, none needs them) and no checksum.
    return end + _record(_FOOTER, struct.pack("<QQI", summary_start, 0, 0)) + _MAGIC


def _chunk_index(chunk: _Chunk) -> bytes:
    offsets = b"".join(struct.pack("<HQ", *item) for item in chunk.index_offsets.items())
    return (
        struct.pack("<QQQQI", *chunk.span, chunk.offset, chunk.length, len(offsets))
        + offsets
        + struct.pack("<QIQQ", chunk.index_length, 0, chunk.uncompressed_size, chunk.uncompressed_size)
    )


def _statistics(found: _Found) -> bytes:
    counts = dict.fromkeys(found.channels, 0)
    for chunk in found.chunks:
        for channel, entries in chunk.messages.items():
            counts[channel] += len(entries)
    spans = [chunk.span for chunk in found.chunks if chunk.messages]
    start, end = (min(s for s, _ in spans), max(e for _, e in spans)) if spans else (0, 0)
    by_channel = b"".join(struct.pack("<HQ", *item) for item in counts.items())
    return (
        struct.pack(
            "<QHIIIIQQ",
            sum(counts.values()),
            len(found.schemas),
            len(found.channels),
            0,
            0,
            len(found.chunks),
            start,
            end,
        )
        + struct.pack("<I", len(by_channel))
        + by_channel
    )


def _write_metadata(bag: Path, file: Path) -> dict[str, int]:
    """Write ``metadata.yaml`` (rosbag2 version 9) from what the MCAP file itself says."""
    try:
        with Reader(file) as reader:
            count = reader.message_count
            start = reader.start_time if count else 0
            duration = reader.end_time - 1 - start if count else 0
            topics = [
                {
                    "topic_metadata": {
                        "name": connection.topic,
                        "type": connection.msgtype,
                        "serialization_format": "cdr",
                        "offered_qos_profiles": dump_qos_v9(connection.ext.offered_qos_profiles),
                        "type_description_hash": _digest(connection),
                    },
                    "message_count": connection.msgcount,
                }
                for connection in reader.connections
            ]
            messages = {connection.topic: connection.msgcount for connection in reader.connections}
    except ReaderError as error:
        raise UnrepairableBagError(f"{file}: {error}") from error
    span = {"starting_time": {"nanoseconds_since_epoch": start}, "duration": {"nanoseconds": duration}}
    information = {
        "version": 9,
        "storage_identifier": "mcap",
        "relative_file_paths": [file.name],
        **span,
        "message_count": count,
        "topics_with_message_count": topics,
        "compression_format": "",
        "compression_mode": "",
        "files": [{"path": file.name, **span, "message_count": count}],
        "custom_data": None,
        "ros_distro": "rosbags",
    }
    write_whole(bag / "metadata.yaml", yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False))
    return messages


def _digest(connection: Connection) -> str:
    """RIHS01 hash of a recorded type, from the definition in the bag."""
    types = get_typestore(Stores.ROS2_JAZZY)
    definitions = get_types_from_msg(connection.msgdef.data, connection.msgtype)
    types.register({name: body for name, body in definitions.items() if name not in types.fielddefs})
    return types.hash_rihs01(connection.msgtype)
