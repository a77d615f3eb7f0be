"""What a public collection of CTs or label maps is: where it lies, how large it is, and what its licence asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from synthex_sim.yaml_file import check_keys, read_mapping

#: Algorithm -> digits of its hexadecimal digest.
CHECKSUMS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
RECORD_KINDS = ("zenodo", "dataverse")
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Licence:
    """The terms of (a part of) a collection. A restriction is None where it could not be found out: it then counts.

    Attributes:
        of: what these terms cover ("CTs", "label maps").
        name: as people call it ("CC BY 4.0").
        url: of its text.
        attribution: whoever uses the data must name their source.
        non_commercial: no commercial use.
        share_alike: what is made from the data goes under the same terms.
        no_redistribution: the data must not be passed on.
        application: somebody must have granted access.
        stated: who says that these are the terms; not always the owner.
    """

    of: str
    name: str
    url: str
    attribution: bool | None
    non_commercial: bool | None
    share_alike: bool | None
    no_redistribution: bool | None
    application: bool | None
    stated: str


@dataclass(frozen=True)
class RemoteFile:
    """One file to download.

    Attributes:
        path: within the collection's folder, with "/"; an archive's members go beside it.
        url: address.
        bytes: size; None where it is not known.
        checksum: "algorithm:hexadecimal digest"; None where none was found in documentation.
        checksum_from: who published it; None where there is none.
        unpack: it is an archive (.zip, .tar, .tar.gz ...) to unpack, and not kept.
    """

    path: str
    url: str
    bytes: int | None
    checksum: str | None
    checksum_from: str | None
    unpack: bool


@dataclass(frozen=True)
class ArchiveRecord:
    """Where the archive itself tells sizes and checksums of its files: kind (of ``RECORD_KINDS``) and address."""

    kind: str
    url: str


@dataclass(frozen=True)
class Collection:
    """One public collection, as ``config/collections/NAME.yaml`` describes it.

    Attributes:
        name: of its file; also the folder that it is fetched into.
        title, what: a line and a sentence for people.
        home: page of the data.
        version: of the data.
        licences: of its parts; all of them hold for who uses all parts.
        citation: what to cite.
        download_gb, unpacked_gb: about how much, 1e9 bytes; None where not known.
        archive_record: where to ask for sizes and checksums that ``files`` lacks; None for nowhere.
        files: to download; may be empty.
        steps: what people do by hand, in order; may be empty.
        label_scheme: name of the scheme in ``config/labels`` of its label maps; None for none.
        testing_only: names of folders or files within it that nothing may be trained on.
        notes: what users of the data should know.
    """

    name: str
    title: str
    what: str
    home: str
    version: str
    licences: tuple[Licence, ...]
    citation: tuple[str, ...]
    download_gb: float | None
    unpacked_gb: float | None
    archive_record: ArchiveRecord | None
    files: tuple[RemoteFile, ...]
    steps: tuple[str, ...]
    label_scheme: str | None
    testing_only: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())


def load_collections(folder: Path) -> dict[str, Collection]:
    """All collections that the files in a folder describe, by name.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: a file is not as it must be; the message names file and key.
    """
    paths = sorted(Path(folder).glob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"{folder} describes no collections; name the folder by --config-folder")
    return {path.stem: load_collection(path) for path in paths}


def load_collection(path: Path) -> Collection:
    """The collection that one file describes. Raises as ``load_collections``."""
    where = f"collection {path}"
    document = read_mapping(path, "collection")
    known = {f.name for f in fields(Collection)} - {"name"} | {"base_url"}
    values = dict(check_keys(document, known, where))
    if not _NAME.fullmatch(path.stem):
        raise ValueError(f"{where}: the name of the file must be small letters, digits and _")
    base = values.pop("base_url")
    for key in ("title", "what", "home", "version"):
        _text(values[key], f"{where}, {key}")
    for key in ("citation", "steps", "testing_only", "notes"):
        values[key] = tuple(_text(item, f"{where}, {key}") for item in _list(values[key], f"{where}, {key}"))
    if odd := [m for m in values["testing_only"] if not re.fullmatch(r"[\w-][\w.-]*", m)]:
        raise ValueError(f"{where}, testing_only: '{odd[0]}' is no name of a folder or file")
    values["licences"] = tuple(_licence(item, where) for item in _list(values["licences"], f"{where}, licences"))
    values["files"] = tuple(_file(item, base, where) for item in _list(values["files"], f"{where}, files"))
    values["archive_record"] = _record(values["archive_record"], where)
    if not values["licences"] or not values["citation"]:
        raise ValueError(f"{where}: licences and citation must not be empty")
    if not values["files"] and not values["steps"]:
        raise ValueError(f"{where}: there must be files to download or steps to do by hand")
    return Collection(name=path.stem, **values)


def parse_checksum(text: str, where: str) -> tuple[str, str]:
    """(algorithm, lower-case hexadecimal digest) of "algorithm:digest".

    Raises:
        ValueError: it is something else; the message begins with ``where``.
    """
    algorithm, _, digest = str(text).lower().partition(":")
    if CHECKSUMS.get(algorithm) != len(digest) or not re.fullmatch("[0-9a-f]+", digest):
        raise ValueError(f"{where}: a checksum is written as one of {', '.join(CHECKSUMS)}, ':' and the digest")
    return algorithm, digest


def checked_url(url: Any, where: str) -> str:
    """The address, if data may come from there: by https, or from this machine itself.

    Raises:
        ValueError: it is something else; the message begins with ``where``.
    """
    parts = urlsplit(str(url))
    if not (parts.scheme == "https" and parts.hostname or parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError(f"{where}: '{url}' is no https address")
    return str(url)


def _licence(item: Any, where: str) -> Licence:
    where = f"{where}, licences"
    values = check_keys(item, {f.name for f in fields(Licence)}, where)
    for key in ("of", "name", "url", "stated"):
        _text(values[key], f"{where}, {key}")
    for key in ("attribution", "non_commercial", "share_alike", "no_redistribution", "application"):
        if values[key] not in (True, False, None):
            raise ValueError(f"{where}, {key} must be true, false or null (not known), got {values[key]!r}")
    return Licence(**values)


def _file(item: Any, base: Any, where: str) -> RemoteFile:
    where = f"{where}, files"
    values = dict(check_keys(item, {f.name for f in fields(RemoteFile)}, where))
    path = PurePosixPath(_text(values["path"], f"{where}, path"))
    if path.is_absolute() or ".." in path.parts or not path.parts or any(c in values["path"] for c in "\\:"):
        raise ValueError(f"{where}: '{path}' must lie within the collection's folder")
    values["url"] = checked_url(f"{base or ''}{values['url']}", where)
    if values["checksum"] is not None:
        parse_checksum(values["checksum"], where)
    size = values["bytes"]
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size <= 0):
        raise ValueError(f"{where}: bytes must be a positive whole number or null, got {size!r}")
    if not isinstance(values["unpack"], bool):
        raise ValueError(f"{where}: unpack must be true or false")
    return RemoteFile(**values)


def _record(item: Any, where: str) -> ArchiveRecord | None:
    if item is None:
        return None
    values = check_keys(item, ("kind", "url"), f"{where}, archive_record")
    if values["kind"] not in RECORD_KINDS:
        raise ValueError(f"{where}, archive_record: kind must be one of {', '.join(RECORD_KINDS)}")
    return ArchiveRecord(values["kind"], checked_url(values["url"], f"{where}, archive_record"))


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} must be text, got {value!r}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list")
    return value
