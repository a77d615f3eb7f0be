"""``LICENCE-AND-CONSENT.json``: what lies in a fetched folder, under which terms, and when they were agreed to.

It goes where the data go: whatever is made from them finds it there. It holds no person's name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synthex_sim.patient.collections.collection import Collection, Licence
from synthex_sim.patient.collections.restrictions import short_words
from synthex_sim.whole_files import write_whole

RECORD_NAME = "LICENCE-AND-CONSENT.json"
FORMAT = "synthex-collection"
VERSION = 1


@dataclass(frozen=True)
class FetchedFile:
    """A file that was downloaded.

    Attributes:
        path: in the collection's folder; of an unpacked archive, the folder with its members.
        url: where it came from.
        bytes: size of what was downloaded.
        sha256: of what was downloaded.
        checksum: that it was compared with; None where nobody publishes one.
        unpacked: it was an archive.
    """

    path: str
    url: str
    bytes: int
    sha256: str
    checksum: str | None
    unpacked: bool

    @property
    def verified(self) -> bool:
        """Whether somebody else's checksum says that it is the right file."""
        return self.checksum is not None


@dataclass(frozen=True)
class Record:
    """The content of a ``LICENCE-AND-CONSENT.json``.

    Attributes:
        collection, title, data_version, home, licences, citation, testing_only: as in ``Collection``.
        consent_date: day, ISO 8601, UTC.
        consent_given: how ("on the terminal").
        files: fetched so far.
        complete: all that can be downloaded is there.
    """

    collection: str
    title: str
    data_version: str
    home: str
    licences: tuple[Licence, ...]
    citation: tuple[str, ...]
    testing_only: tuple[str, ...]
    consent_date: str
    consent_given: str
    files: tuple[FetchedFile, ...] = ()
    complete: bool = False

    @classmethod
    def begin(cls, collection: Collection, consent_given: str) -> Record:
        """The record of a consent given today, before anything is fetched."""
        return cls(
            collection.name, collection.title, collection.version, collection.home, collection.licences,
            collection.citation, collection.testing_only, datetime.now(UTC).date().isoformat(), consent_given,
        )

    def agrees_with(self, collection: Collection) -> bool:
        """Whether the consent was given to what the collection's file says now."""
        return (self.collection, self.data_version, self.licences, self.testing_only) == (
            collection.name, collection.version, collection.licences, collection.testing_only)

    def with_file(self, file: FetchedFile) -> Record:
        """The same with one file more, or anew."""
        others = tuple(f for f in self.files if f.path != file.path)
        return replace(self, files=(*others, file))

    def write(self, folder: Path) -> None:
        """Writes it whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        document = {"format": FORMAT, "version": VERSION, **asdict(self)}
        document["restrictions"] = short_words(self.licences)
        for entry, file in zip(document["files"], self.files, strict=True):
            entry["verified"] = file.verified
        write_whole(folder / RECORD_NAME, json.dumps(document, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record in a folder; None where there is none.

        Raises:
            ValueError: it is damaged or of another kind; data whose terms cannot be read must not be used unseen.
        """
        path = Path(folder) / RECORD_NAME
        if not path.is_file():
            return None
        try:
            return _from_document(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} cannot be read ({error}), and it says what may be done with the data; fetch the collection "
                "again into another folder"
            ) from None


def _from_document(document: dict[str, Any]) -> Record:
    if (document.pop("format", None), document.pop("version", None)) != (FORMAT, VERSION):
        raise ValueError(f"no record of the format {FORMAT}, version {VERSION}")
    document.pop("restrictions", None)
    files = [{k: v for k, v in entry.items() if k != "verified"} for entry in document["files"]]
    document["files"] = tuple(FetchedFile(**entry) for entry in files)
    document["licences"] = tuple(Licence(**entry) for entry in document["licences"])
    for key in ("citation", "testing_only"):
        document[key] = tuple(document[key])
    return Record(**document)
