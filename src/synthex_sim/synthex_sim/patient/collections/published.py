"""Sizes and checksums that an archive itself tells of its files, where documentation names none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from synthex_sim.patient.collections.collection import ArchiveRecord, RemoteFile, parse_checksum
from synthex_sim.patient.collections.web import open_url

_LARGEST = 20_000_000


def complete_from_archive(files: tuple[RemoteFile, ...], record: ArchiveRecord) -> tuple[RemoteFile, ...]:
    """The files, with what the archive publishes where size or checksum were not known.

    Raises:
        OSError: the archive cannot be reached.
        ValueError: its answer is of another form.
    """
    with open_url(record.url, {"Accept": "application/json"}) as response:
        document = json.loads(response.read(_LARGEST))
    try:
        published = {"zenodo": _zenodo, "dataverse": _dataverse}[record.kind](document)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{record.url} answers in another form than known ({error!r})") from None
    return tuple(_completed(file, published.get(PurePosixPath(file.path).name)) for file in files)


def _completed(file: RemoteFile, published: tuple[int, str] | None) -> RemoteFile:
    if published is None:
        return file
    size, checksum = published
    known = file.checksum is not None
    return replace(
        file,
        bytes=size if file.bytes is None else file.bytes,
        checksum=file.checksum if known else checksum,
        checksum_from=file.checksum_from if known else "archive, asked when fetched",
    )


def _zenodo(document: dict[str, Any]) -> dict[str, tuple[int, str]]:
    return {entry["key"]: (int(entry["size"]), _checksum(entry["checksum"])) for entry in document["files"]}


def _dataverse(document: dict[str, Any]) -> dict[str, tuple[int, str]]:
    found = {}
    for entry in document["data"]["latestVersion"]["files"]:
        file = entry["dataFile"]
        kind = file.get("checksum", {"type": "MD5", "value": file.get("md5", "")})
        found[entry["label"]] = (int(file["filesize"]), _checksum(f"{kind['type'].replace('-', '')}:{kind['value']}"))
    return found


def _checksum(text: str) -> str:
    return ":".join(parse_checksum(text, "the archive's record"))
