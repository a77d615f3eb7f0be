"""Downloading one file, however often the connection breaks: what is there stays, and the rest is asked for."""

from __future__ import annotations

import fcntl
import json
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError

from synthex_sim.patient.collections.disk_space import check_space
from synthex_sim.patient.collections.web import open_url, refusal
from synthex_sim.whole_files import write_whole

_CHUNK = 1 << 18
#: Connections in a row that bring nothing before a download is given up.
_PATIENCE = 4

#: Called with (bytes there, bytes in all or None).
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class _State:
    """What is kept beside a part: the address, and the version of the file there, to ask for the rest of the same."""

    url: str
    validator: str | None


def download(
    url: str, part: Path, size: int | None, progress: Progress, resumable: bool = True, pause_s: float = 1.0
) -> None:
    """Brings a file from an address into ``part``, going on with what an interrupted run left there.

    Args:
        part: where the bytes go; ``part`+ ".json"`` beside it says which file they are of.
        size: bytes in all; None where it is not known.
        progress: told about every chunk.
        resumable: False where nothing (checksum, size) could tell a patched-up file from the right one: then only a
            server that names the version of its file is asked for a rest.
        pause_s: before a new connection, seconds; doubled after each that brings nothing.

    Raises:
        OSError: interrupted for good, refused, or no room on the disk; ``part`` stays for the next run.
        ValueError: what is there is not the file (another size, a web page).
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with _locked(part) as file:
        _forget_other(file, part, url, resumable)
        idle = 0
        while True:
            before = _length(file)
            try:
                if _transfer(url, file, part, size, progress):
                    return
                reason = "the connection was cut"
            except HTTPError as error:
                if error.code not in (408, 429, 500, 502, 503, 504):
                    raise OSError(refusal(error, url)) from None
                reason = refusal(error, url)
            except URLError as error:
                if isinstance(error.reason, ssl.SSLCertVerificationError):
                    raise OSError(f"the certificate of {url} is not valid ({error.reason.verify_message})") from None
                reason = f"{url} cannot be reached ({error.reason})"
            except (HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
                reason = f"the connection broke ({type(error).__name__})"
            idle = 0 if _length(file) > before else idle + 1
            if idle >= _PATIENCE:
                raise OSError(f"{part.name}: {reason}; {_length(file) / 1e6:.1f} MB are kept, the same command goes on")
            time.sleep(pause_s * 2**idle)


def discard(part: Path) -> None:
    """Deletes a part and what is kept beside it."""
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The part, open for reading and appending, and for nobody else."""
    with open(part, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OSError(f"{part} is being downloaded by another run; wait for it or end it") from None
        try:
            yield file
        finally:
            if not _length(file):
                discard(part)


def _transfer(url: str, file: BinaryIO, part: Path, size: int | None, progress: Progress) -> bool:
    """One connection. True: the file is complete; False: it ended early."""
    have = _length(file)
    if size is not None and have == size:
        progress(have, size)
        return True
    if size is not None and have > size:
        have = _restart(file)
    state = _read_state(part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and state and state.validator:
        headers["If-Range"] = state.validator
    try:
        response = open_url(url, headers)
    except HTTPError as error:
        if error.code != 416:
            raise
        whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if whole and int(whole[1]) == have:  # all of it was there already
            return True
        _restart(file)
        return False
    with response:
        return _receive(response, url, file, part, have, size, progress)


def _receive(
    response: HTTPResponse, url: str, file: BinaryIO, part: Path, have: int, size: int | None, progress: Progress
) -> bool:
    start, total = _extent(response)
    if start != have:
        have = _restart(file)
        if start:
            return False  # not the rest that was asked for: the next connection asks for all
    _check_kind(response, url, total, size)
    total = size if total is None else total
    write_whole(_state_path(part), json.dumps({"url": url, "validator": _validator(response)}))
    if total is not None:
        check_space(part.parent, total - have, part.name)
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        have += len(chunk)
        progress(have, total)
    file.flush()
    os.fsync(file.fileno())
    return total is None or have == total


def _extent(response: HTTPResponse) -> tuple[int, int | None]:
    """(first byte of the body in the file, bytes of the file or None)."""
    if response.status == 206:
        given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if given is None:
            raise ValueError(f"{response.url} answers with a part but does not say which")
        return int(given[1]), None if given[2] == "*" else int(given[2])
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)


def _check_kind(response: HTTPResponse, url: str, total: int | None, size: int | None) -> None:
    if response.headers.get_content_type() == "text/html":
        raise ValueError(f"{url} answers with a web page, not with the file: it has moved, or wants an account")
    if None not in (total, size) and total != size:
        raise ValueError(
            f"{url} holds {total} bytes, {size} were published: it has changed, and nobody has said what it is now"
        )


def _forget_other(file: BinaryIO, part: Path, url: str, resumable: bool) -> None:
    """Empties a part that is of another file, or of which nothing says that its rest would fit."""
    state = _read_state(part)
    if state is None or state.url != url or not (resumable or state.validator):
        _restart(file)


def _read_state(part: Path) -> _State | None:
    try:
        document = json.loads(_state_path(part).read_text(encoding="utf-8"))
        return _State(document["url"], document["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _validator(response: HTTPResponse) -> str | None:
    """What names the version of the file there; weak names do not promise the same bytes."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _restart(file: BinaryIO) -> int:
    file.truncate(0)
    return 0
