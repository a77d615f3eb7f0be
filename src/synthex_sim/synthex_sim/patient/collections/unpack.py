"""Unpacking an archive from the internet: all of it within one new folder, or nothing.

Refused are members that would lie outside of that folder, links, devices, encrypted ones, and names that occur twice:
no archive of medical images needs them, and each is a way to write over what is not the archive's.
"""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from synthex_sim.patient.collections.disk_space import check_space

_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".txz", ".tar", ".zip")
_MOST_MEMBERS = 2_000_000
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError)


def unpacked_path(archive: Path) -> Path:
    """The folder beside an archive that its members go into.

    Raises:
        ValueError: its name is not one of an archive.
    """
    for suffix in _SUFFIXES:
        if archive.name.lower().endswith(suffix) and len(archive.name) > len(suffix):
            return archive.with_name(archive.name[: -len(suffix)])
    raise ValueError(f"{archive.name} is no archive; known are {', '.join(_SUFFIXES)}")


def unpack(archive: Path, kind: str, folder: Path) -> int:
    """Unpacks into a folder that does not exist yet.

    Args:
        archive: the file, whatever its name.
        kind: a name that tells what it is ("data.tar.gz").
        folder: to make; left as it was found, not there, where anything goes wrong.

    Returns:
        number of files.

    Raises:
        ValueError: the archive is damaged, or a member is not what a data set holds; the message says which.
        OSError: no room on the disk, or the folder cannot be written.
    """
    members = _zip_members if kind.lower().endswith(".zip") else _tar_members
    with _damage_told(kind):
        # First all names and sizes, then the first byte written.
        seen: set[str] = set()
        total = 0
        for name, size, _ in members(archive):
            key = "/".join(_parts(name, kind))
            if key in seen:
                raise ValueError(f"{kind} holds {name!r} twice")
            seen.add(key)
            total += size
            if len(seen) > _MOST_MEMBERS:
                raise ValueError(f"{kind} holds more than {_MOST_MEMBERS} files")
        check_space(folder.parent, total, f"unpacking {kind}")
        folder.mkdir(parents=True)
        try:
            for name, size, content in members(archive):
                _write(folder.joinpath(*_parts(name, kind)), content, size, name)
        except BaseException:
            shutil.rmtree(folder)
            raise
    return len(seen)


def _parts(name: str, kind: str) -> tuple[str, ...]:
    """The parts of a member's path, none of which leads out of the folder."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or re.match(r"/|[A-Za-z]:", name) or set(name) & set("\\\0"):
        raise ValueError(f"{kind} holds {name!r}, which would lie outside of its folder; nothing was unpacked")
    return parts


def _write(path: Path, content: BinaryIO, size: int, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb") as file, _packing_told():
        shutil.copyfileobj(content, file, 1 << 20)
    if path.stat().st_size != size:
        raise ValueError(f"{name!r} has another size than the archive says; it is damaged")


def _zip_members(archive: Path) -> Iterator[tuple[str, int, BinaryIO]]:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if member.is_dir():
                continue
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise ValueError(f"{member.filename!r} is a link or a device; nothing was unpacked")
            if member.flag_bits & 1:
                raise ValueError(f"{member.filename!r} is encrypted")
            with file.open(member) as content:
                yield member.filename, member.file_size, content


def _tar_members(archive: Path) -> Iterator[tuple[str, int, BinaryIO]]:
    with _packing_told(), tarfile.open(archive, "r:*") as file:
        for member in file:
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise ValueError(f"{member.name!r} is a link or a device; nothing was unpacked")
            yield member.name, member.size, file.extractfile(member)
        while file.fileobj.read(1 << 20):  # what packed it keeps its checksum behind the last member
            pass


@contextmanager
def _damage_told(kind: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"{kind} is damaged or no archive ({type(error).__name__}); nothing of it was kept") from error


@contextmanager
def _packing_told() -> Iterator[None]:
    """gzip and bz2 tell damage as an OSError without a number, those of the disk have one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise tarfile.ReadError(str(error)) from error
