"""Bags: what is put in comes out, nothing is lost in silence, and a torn bag keeps what was whole."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from bringup_fabricate import START_NS, FabricatedFrame, Messages, latched_qos, write_session
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader

from synthex_bringup.recording.bag_reader import BagError, SessionBag, image_array, stamp_of
from synthex_bringup.recording.bag_writer import BagWriter
from synthex_bringup.recording.message_types import UnknownMessageTypeError, types_for
from synthex_bringup.recording.repair import UnrepairableBagError, repair_bag
from synthex_bringup.recording.topics import IMAGE

IMAGE_TYPE = "sensor_msgs/msg/Image"


def _frames(count: int, size: int = 16) -> list[FabricatedFrame]:
    rng = np.random.default_rng(2)
    return [
        FabricatedFrame(
            at_ms=100.0 * i,
            image=rng.integers(0, 65536, (size, size), dtype=np.uint16),
            image_after_ms=50.0 if i % 2 else 10.0,
            counter=i + 1,
        )
        for i in range(count)
    ]


def _images(bag: Path) -> dict[int, np.ndarray]:
    with SessionBag(bag, (IMAGE,)) as opened:
        return {m.stamp_ns: image_array(opened.decode(m)) for m in opened.messages((IMAGE,))}


def test_a_bag_opens_elsewhere_with_its_own_definitions_qos_and_counts(tmp_path):
    summary = write_session(tmp_path, _frames(3))
    with Reader(tmp_path / "bag") as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        label_info = next(c for c in reader.connections if c.topic == "/perception/label_info")
    assert counts == summary.messages and counts["/carm/image_raw"] == 3
    assert summary.lost == {} and summary.failure == ""
    assert "LabelClass[] class_map" in label_info.msgdef.data  # nested types included
    assert label_info.ext.offered_qos_profiles[0].durability is QosDurability.TRANSIENT_LOCAL
    information = yaml.safe_load((tmp_path / "bag/metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (information["version"], information["storage_identifier"]) == (9, "mcap")


def test_images_come_back_pixel_for_pixel_with_their_stamps(tmp_path):
    frames = _frames(5)
    write_session(tmp_path, frames)
    images = _images(tmp_path)
    assert images.keys() == {frame.stamp_ns for frame in frames}
    assert all(np.array_equal(images[frame.stamp_ns], frame.image) for frame in frames)


def test_padded_and_big_endian_images_are_read_as_what_they_are():
    make = Messages()
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    padded = np.zeros((2, 8), np.uint8)
    padded[:, :6] = pixels.astype(">u2").view(np.uint8).reshape(2, 6)
    message = make.make(
        IMAGE_TYPE,
        header=make.header(0),
        height=2,
        width=3,
        encoding="mono16",
        is_bigendian=1,
        step=8,
        data=padded.ravel(),
    )
    assert np.array_equal(image_array(message), pixels)
    message = make.make(
        IMAGE_TYPE,
        header=make.header(0),
        height=2,
        width=3,
        encoding="mono16",
        is_bigendian=0,
        step=6,
        data=np.zeros(11, np.uint8),
    )
    with pytest.raises(ValueError, match="only 11 bytes"):
        image_array(message)


def test_a_stamp_is_read_without_knowing_the_message():
    make = Messages()
    assert stamp_of(make.image(START_NS + 123, np.zeros((2, 2), np.uint8))) == START_NS + 123
    with pytest.raises(ValueError, match="no header"):
        stamp_of(b"\0\1\0\0\1\2")


def test_what_finds_the_queue_full_is_refused_and_counted(tmp_path, monkeypatch):
    """The writing thread is held up as by a slow disk: three messages of 100 bytes do not fit into 250."""
    import threading

    release = threading.Event()
    write = BagWriter._write
    monkeypatch.setattr(BagWriter, "_write", lambda self, item: (release.wait(10), write(self, item))[1])
    writer = BagWriter(tmp_path / "bag", queue_bytes=250, reserve_bytes=0)
    data = Messages().image(START_NS, np.zeros((3, 3), np.uint8)).ljust(100, b"\0")[:100]
    assert writer.put("/first", IMAGE_TYPE, START_NS, data)
    while writer._queue:  # the thread holds the first one in its hands
        pass
    accepted = [writer.put("/more", IMAGE_TYPE, START_NS, data) for _ in range(5)]
    assert accepted == [True, True, False, False, False] and writer.lost == 3
    release.set()
    summary = writer.close()
    assert summary.messages == {"/first": 1, "/more": 2} and summary.lost == {"/more": 3}


def test_an_unknown_message_type_ends_the_bag_with_its_name(tmp_path):
    writer = BagWriter(tmp_path / "bag", reserve_bytes=0)
    writer.put("/image", IMAGE_TYPE, START_NS, Messages().image(START_NS, np.zeros((2, 2), np.uint8)))
    writer.put("/odd", "nobodys_msgs/msg/Thing", START_NS, b"\0\1\0\0")
    assert "nobodys_msgs" in writer.close().failure
    with pytest.raises(UnknownMessageTypeError, match="share/nobodys_msgs/msg"):
        types_for(["nobodys_msgs/msg/Thing"])


def _fill(bag: Path, reserve_bytes: int) -> tuple[BagWriter, dict[int, np.ndarray]]:
    """Write images of 128 kB until the writer says that it failed, 64 at most."""
    make, rng, images = Messages(), np.random.default_rng(1), {}
    writer = BagWriter(bag, types=make.types, reserve_bytes=reserve_bytes)
    for i in range(64):
        stamp = START_NS + i * 10**6
        images[stamp] = rng.integers(0, 65536, (256, 256), dtype=np.uint16)
        while not writer.put("/carm/image_raw", IMAGE_TYPE, stamp, make.image(stamp, images[stamp])):
            if writer.failure:
                return writer, images
    return writer, images


def _check_what_a_full_disk_left(writer: BagWriter, images: dict[int, np.ndarray], reason: str) -> None:
    summary = writer.close()
    assert summary.failure == reason and summary.readable
    kept = _images(writer.bag)
    assert 4 <= len(kept) == summary.messages["/carm/image_raw"] < len(images)
    assert all(np.array_equal(pixels, images[stamp]) for stamp, pixels in kept.items())
    assert summary.lost["/carm/image_raw"] >= len(images) - len(kept)


def test_a_full_disk_leaves_a_readable_bag(tmp_path):
    """A real file system of 5 MB, 2 MB of which are the reserve."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", disk]).returncode:
        pytest.skip("mounting a small disk needs root; the file-size limit below stands in for it")
    try:
        writer, images = _fill(disk / "bag", 2 * 2**20)
        _check_what_a_full_disk_left(writer, images, "No space left on device")
        with pytest.raises(OSError, match="No space left"):  # no room for the reserve: said before anything starts
            BagWriter(disk / "second", reserve_bytes=5 * 2**20)
        assert not (disk / "second").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_write_that_fails_half_way_leaves_a_readable_bag(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 2**20, before[1]))
    try:
        writer, images = _fill(tmp_path / "bag", 0)
        _check_what_a_full_disk_left(writer, images, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("share", [0.35, 0.62, 0.9, 0.9999, 1.0])
def test_a_bag_cut_off_anywhere_keeps_its_front(tmp_path, share):
    frames = _frames(40, size=256)
    write_session(tmp_path, frames)
    file = tmp_path / "bag/bag.mcap"
    os.truncate(file, round(share * file.stat().st_size))
    (tmp_path / "bag/metadata.yaml").unlink()
    with pytest.raises(BagError, match="--repair"):
        SessionBag(tmp_path)
    repaired = repair_bag(tmp_path / "bag")
    kept = _images(tmp_path)
    # the writer's chunks are 1 MB, so a cut costs at most the eight images of one (and what the share took)
    assert share * len(frames) - 9 <= len(kept) == repaired.messages["/carm/image_raw"] <= len(frames)
    assert list(kept) == [f.stamp_ns for f in frames if f.stamp_ns in kept]
    assert all(np.array_equal(kept[f.stamp_ns], f.image) for f in frames if f.stamp_ns in kept)
    again = repair_bag(tmp_path / "bag")
    assert again.messages == repaired.messages


def test_a_repaired_bag_is_described_as_its_writer_would_have(tmp_path):
    write_session(tmp_path, _frames(4))
    whole = yaml.safe_load((tmp_path / "bag/metadata.yaml").read_text())
    repair_bag(tmp_path / "bag")
    again = yaml.safe_load((tmp_path / "bag/metadata.yaml").read_text())
    assert again == whole


def test_a_bag_with_nothing_whole_cannot_be_repaired(tmp_path):
    write_session(tmp_path, _frames(2))
    os.truncate(tmp_path / "bag/bag.mcap", 200)
    with pytest.raises(UnrepairableBagError, match="first whole chunk"):
        repair_bag(tmp_path / "bag")
    (tmp_path / "bag/bag.mcap").write_bytes(b"something else")
    with pytest.raises(UnrepairableBagError, match="does not begin"):
        repair_bag(tmp_path / "bag")


def test_what_is_no_bag_is_told_apart_from_what_is_damaged(tmp_path):
    with pytest.raises(BagError, match="does not exist"):
        SessionBag(tmp_path / "nowhere")
    with pytest.raises(BagError, match="is no bag"):
        SessionBag(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BagError, match="expected a bag folder"):
        SessionBag(tmp_path / "notes.txt")
    write_session(tmp_path, _frames(2))
    os.truncate(tmp_path / "bag/bag.mcap", 3000)
    with pytest.raises(BagError, match="damaged or cut off"):
        SessionBag(tmp_path)


def test_one_topic_in_two_namespaces_is_not_guessed_at(tmp_path):
    make = Messages()
    writer = BagWriter(tmp_path / "bag", types=make.types, reserve_bytes=0)
    for name in ("/a/carm/image_raw", "/b/carm/image_raw"):
        writer.put(name, IMAGE_TYPE, START_NS, make.image(START_NS, np.zeros((2, 2), np.uint8)), (latched_qos(),))
    writer.close()
    with SessionBag(tmp_path, (IMAGE,)) as bag, pytest.raises(BagError, match="several namespaces"):
        bag.find(IMAGE)
