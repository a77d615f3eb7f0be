"""The files of a folder or of an archive, one after the other, by number.

Files are named in messages by their place, never by their names, which often are patients' names or identifiers. An
archive is read where it lies; nothing of it is unpacked to disk.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz")
_MOST_FILES = 20_000
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError, OSError)


class Files(Protocol):
    """Files that can be read more than once.

    Attributes:
        order: what their numbers go by, for messages: "in the order of their names".
    """

    order: str

    def each(self, wanted: Container[int] | None = None) -> Iterator[tuple[int, BinaryIO]]:
        """The files with their numbers from 1 on, all or those that are wanted; each is closed before the next.

        Raises:
            ValueError: there are too many, or they cannot be read.
        """


def open_files(path: Path) -> Files:
    """The files below a folder or in an archive; a single file is one file.

    Raises:
        ValueError: there are too many.
    """
    if path.is_dir():
        return _Folder(path, _files_below(path))
    name = path.name.lower()
    if name.endswith(".zip"):
        return _Zip(path)
    if name.endswith(ARCHIVE_SUFFIXES):
        return _Tar(path)
    return _Folder(path, (path,))


def _files_below(folder: Path) -> tuple[Path, ...]:
    """All files, by name. Stops early where somebody named a whole disk."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            found.append(path)
        if len(found) > _MOST_FILES:
            raise ValueError(_too_many(folder))
    return tuple(sorted(found))


def _too_many(path: Path) -> str:
    return f"{path} holds more than {_MOST_FILES} files; name the folder of one study or series"


@dataclass(frozen=True)
class _Folder:
    path: Path
    paths: tuple[Path, ...]
    order: str = "in the order of their names"

    def each(self, wanted: Container[int] | None = None) -> Iterator[tuple[int, BinaryIO]]:
        for number, path in enumerate(self.paths, start=1):
            if wanted is None or number in wanted:
                try:
                    file = path.open("rb")
                except OSError as error:
                    raise ValueError(
                        f"file {number} of {self.path} ({self.order}) cannot be opened: {error.strerror}"
                    ) from None
                with file:
                    yield number, file


@dataclass(frozen=True)
class _Zip:
    path: Path
    order: str = "in the archive's order"

    def each(self, wanted: Container[int] | None = None) -> Iterator[tuple[int, BinaryIO]]:
        with _damage_told(self.path), zipfile.ZipFile(self.path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            if len(members) > _MOST_FILES:
                raise ValueError(_too_many(self.path))
            if any(m.flag_bits & 1 for m in members):
                raise ValueError(f"archive {self.path} is encrypted; unpack it and name the folder")
            for number, member in enumerate(members, start=1):
                if wanted is None or number in wanted:
                    yield number, io.BytesIO(archive.read(member))


@dataclass(frozen=True)
class _Tar:
    path: Path
    order: str = "in the archive's order"

    def each(self, wanted: Container[int] | None = None) -> Iterator[tuple[int, BinaryIO]]:
        number = 0
        with _damage_told(self.path), tarfile.open(self.path, "r:*") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                number += 1
                if number > _MOST_FILES:
                    raise ValueError(_too_many(self.path))
                if wanted is None or number in wanted:
                    yield number, io.BytesIO(archive.extractfile(member).read())


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turns what archives raise into one clear error."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"archive {path} is damaged, cut off or no archive ({type(error).__name__}); copy it again") \
            from error
