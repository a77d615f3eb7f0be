"""Fetching a collection: consent first, then every file whole, checked and in its place, or not there at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from synthex_sim.patient.collections.checksums import ChecksumError, verified_sha256
from synthex_sim.patient.collections.collection import Collection, RemoteFile
from synthex_sim.patient.collections.disk_space import check_space
from synthex_sim.patient.collections.download import Progress, discard, download
from synthex_sim.patient.collections.published import complete_from_archive
from synthex_sim.patient.collections.record import FetchedFile, Record
from synthex_sim.patient.collections.unpack import unpack, unpacked_path

#: Makes a progress callback for what is being done ("downloading x.zip").
ProgressFor = Callable[[str], Progress]


def fetch(
    collection: Collection, into: Path, consent: Callable[[Collection], str], say: Callable[[str], None],
    progress_for: ProgressFor, pause_s: float = 1.0,
) -> Record:
    """Fetches a collection into ``into/NAME``, or what is missing of it there.

    Args:
        consent: asks the user to agree to the licences; returns how that was done, or raises PermissionError.
        say: told in sentences what happens.
        pause_s: before a broken connection is made anew, seconds.

    Returns:
        the record that lies beside the data.

    Raises:
        PermissionError: the user did not agree; nothing was written.
        OSError: interrupted, or no room; what is there stays, and the same call goes on.
        ValueError: a file is not the one that was published, an archive is not safe to unpack, or something of the
            user's lies in the way. It is left alone.
    """
    folder = into / collection.name
    record = Record.read(folder)
    if record is not None and record.agrees_with(collection) and _complete(collection, record, folder):
        say(f"{collection.name} is already in {folder}, complete; its licence was agreed to on {record.consent_date}")
        return record
    record = _consented(collection, record, consent, say)
    files = _told_by_archive(collection, say)
    wanted = [file for file in files if not _is_there(file, record, folder)]
    _check_room(collection, wanted, folder)
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder)
    for number, file in enumerate(wanted, start=1):
        say(f"{number}/{len(wanted)}: {file.path}")
        record = _fetch_file(file, folder, record, say, progress_for, pause_s)
    record = replace(record, complete=True)
    record.write(folder)
    return record


def _consented(
    collection: Collection, record: Record | None, consent: Callable[[Collection], str], say: Callable[[str], None]
) -> Record:
    if record is not None and record.agrees_with(collection):
        say(f"the licence was agreed to on {record.consent_date}; going on")
        return replace(record, complete=False)
    if record is not None:
        say(f"version or licence differ from what was agreed to on {record.consent_date}")
    begun = Record.begin(collection, consent(collection))
    return begun if record is None else replace(begun, files=record.files)


def _told_by_archive(collection: Collection, say: Callable[[str], None]) -> tuple[RemoteFile, ...]:
    known = all(file.checksum is not None and file.bytes is not None for file in collection.files)
    if known or collection.archive_record is None:
        return collection.files
    try:
        return complete_from_archive(collection.files, collection.archive_record)
    except (OSError, ValueError) as error:
        say(f"note: the archive does not tell its sizes and checksums ({error})")
        return collection.files


def _place(file: RemoteFile, folder: Path) -> Path:
    """Where a file ends, or what is unpacked from it."""
    return unpacked_path(folder / file.path) if file.unpack else folder / file.path


def _is_there(file: RemoteFile, record: Record, folder: Path) -> bool:
    place = _place(file, folder)
    for entry in record.files:
        if entry.url == file.url and folder / entry.path == place:
            return place.is_dir() if file.unpack else place.is_file() and place.stat().st_size == entry.bytes
    return False


def _complete(collection: Collection, record: Record, folder: Path) -> bool:
    return record.complete and all(_is_there(file, record, folder) for file in collection.files)


def _check_room(collection: Collection, wanted: list[RemoteFile], folder: Path) -> None:
    """Raises OSError where what is to come has no room, as far as sizes are known.

    Archives need it twice: packed and unpacked (medical images hardly shrink) lie side by side until all is checked.
    """
    needed = 0
    for file in wanted:
        size = file.bytes or 0
        target = folder / file.path
        have = next((p.stat().st_size for p in (target, _part(target)) if p.is_file()), 0)
        needed += max(size - have, 0) + (size if file.unpack else 0)
    check_space(folder, needed, collection.name)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _fetch_file(
    file: RemoteFile, folder: Path, record: Record, say: Callable[[str], None], progress_for: ProgressFor,
    pause_s: float,
) -> Record:
    target, place = folder / file.path, _place(file, folder)
    part = _part(target)
    if file.unpack and place.exists():
        raise ValueError(f"{place} is in the way and not from a finished fetch; move it elsewhere")
    own = target if target.is_file() else None  # the user's own copy: used, never removed
    if own is None:
        resumable = file.checksum is not None or file.bytes is not None
        download(file.url, part, file.bytes, progress_for("downloading"), resumable, pause_s)
    sha256 = _checked(file, own or part, own is not None, progress_for("checking"))
    if file.checksum is None:
        say(f"note: nobody publishes a checksum of {file.path}; it could not be verified. Its SHA-256 is {sha256}")
    size = (own or part).stat().st_size
    entry = FetchedFile(
        place.relative_to(folder).as_posix(), file.url, size, sha256, file.checksum, file.unpack
    )
    if file.unpack:
        record = _unpacked(file, own or part, place, folder, record.with_file(entry), say)
    else:
        record = record.with_file(entry)
        record.write(folder)
        if own is None:
            part.replace(target)
    discard(part)
    return record


def _checked(file: RemoteFile, path: Path, own: bool, progress: Progress) -> str:
    try:
        return verified_sha256(path, file.checksum, progress)
    except ChecksumError as error:
        if own:
            raise ValueError(f"{path} is in the way: {error}; move it elsewhere") from None
        discard(path)
        raise ValueError(
            f"{file.path} is not the file that was published: {error}. Nothing of it was kept; fetch again, and if it "
            "happens again, the archive has changed"
        ) from None


def _unpacked(
    file: RemoteFile, archive: Path, place: Path, folder: Path, record: Record, say: Callable[[str], None]
) -> Record:
    """Unpacks beside, writes the record, and only then gives the folder its name."""
    temporary = place.with_name(f".{place.name}.unpacking")
    if temporary.exists():  # of a run that was killed
        shutil.rmtree(temporary)
    count = unpack(archive, file.path, temporary)
    record.write(folder)
    temporary.rename(place)
    say(f"{count} files in {place}")
    return record
