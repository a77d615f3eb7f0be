"""Make a bag readable that was not closed: the disk was full, or the recorder was killed.

An MCAP file is a chain of records, each an opcode (1 byte), a length (8 bytes, little endian) and its body
(https://mcap.dev/spec). What stands whole at the front of the chain is good; it is cut there and given the shortest
end that the format allows (data end, footer without a summary, magic), which readers answer by scanning the file.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import yaml
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.metadata import dump_qos_v9

from .files import write_whole

_MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _DATA_END = 0x01, 0x02, 0x0F
_SHORT_END = (
    struct.pack("<BQI", _DATA_END, 4, 0) + struct.pack("<BQQQI", _FOOTER, 20, 0, 0, 0) + _MAGIC
)


class UnrepairableBag(Exception):
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
        UnrepairableBag: no MCAP file, or not even its beginning is whole.
        OSError: the disk does not take even the few hundred bytes of an end.
    """
    files = sorted(bag.glob("*.mcap"))
    if len(files) != 1:
        raise UnrepairableBag(f"{bag} holds {len(files)} .mcap files instead of one")
    size = files[0].stat().st_size
    whole = _whole_bytes(files[0])
    with files[0].open("r+b") as stream:
        stream.truncate(whole)
        stream.seek(whole)
        stream.write(_SHORT_END)
        stream.flush()
        os.fsync(stream.fileno())
    return Repaired(_write_metadata(bag, files[0]), max(0, size - whole))


def _whole_bytes(path: Path) -> int:
    """Length of the front of the file that consists of whole data records."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise UnrepairableBag(f"{path} does not begin as an MCAP file")
        end = len(_MAGIC)
        while True:
            head = stream.read(9)
            if len(head) < 9:
                break
            opcode, length = struct.unpack("<BQ", head)
            if opcode in (_DATA_END, _FOOTER) or end + 9 + length > size:
                break
            end += 9 + length
            stream.seek(end)
    if end == len(_MAGIC):
        raise UnrepairableBag(f"{path} ends within its first record: nothing was recorded")
    return end


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
                        "type_description_hash": connection.digest,
                    },
                    "message_count": connection.msgcount,
                }
                for connection in reader.connections
            ]
            messages = {connection.topic: connection.msgcount for connection in reader.connections}
    except ReaderError as error:
        raise UnrepairableBag(f"{file}: {error}") from error
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
