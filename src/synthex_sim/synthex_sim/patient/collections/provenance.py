"""Which public collections data come from, found from where the data lie.

What is made from such data carries it on: the manifest of a data set, the card of a network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from synthex_sim.patient.collections.record import Record
from synthex_sim.patient.collections.restrictions import short_words

NON_COMMERCIAL = "non-commercial"


@dataclass(frozen=True)
class Provenance:
    """A collection that something was made from.

    Attributes:
        collection, title, data_version, home: of the collection.
        licences: names of the licences, with what they cover.
        restrictions: what they ask for ("non-commercial"; "non-commercial?" where it is not known and counts).
        citation: what to cite.
        testing_only: members among the data that nothing may be trained on; empty for most.
    """

    collection: str
    title: str
    data_version: str
    home: str
    licences: tuple[str, ...]
    restrictions: tuple[str, ...]
    citation: tuple[str, ...]
    testing_only: tuple[str, ...] = ()

    @property
    def non_commercial(self) -> bool:
        """Whether what is made from the data must not be used commercially, as far as is known."""
        return any(word.rstrip("?") == NON_COMMERCIAL for word in self.restrictions)

    def to_document(self) -> dict[str, Any]:
        """As plain data, for manifests."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Provenance:
        """Inverse of ``to_document``.

        Raises:
            ValueError: something is missing or unknown.
        """
        try:
            return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in document.items()})
        except (TypeError, AttributeError) as error:
            raise ValueError(f"this says nothing of where data come from: {error}") from None


def find_provenance(places: Iterable[str | Path]) -> tuple[Provenance, ...]:
    """Collections that files or folders belong to: those with a record in them or in a folder above.

    Args:
        places: paths of data, or texts by which patients are named (``paths_in``). Where a path is a link, the folders
            of what it points to count too. What does not exist belongs to nothing.

    Returns:
        One for each collection, in the order of the places.

    Raises:
        ValueError: a record is damaged.
    """
    found: dict[str, Provenance] = {}
    for place in places:
        for path in [place] if isinstance(place, Path) else paths_in(place):
            if path.exists():
                for way in {path.absolute(): None, path.resolve(): None}:
                    _add(found, way)
    return tuple(found.values())


def paths_in(text: str) -> tuple[Path, ...]:
    """Paths that exist among the words by which a patient is named: ``path``, ``path#2``, ``kind:path?option=path``."""
    texts = [text, re.sub(r"^[a-z_]+:", "", text)]
    for word in list(texts):
        path, _, options = word.partition("?")
        texts += [path, *(value for _, value in parse_qsl(options))]
    texts += [re.sub(r"#\d+$", "", word) for word in texts]
    return tuple(Path(word) for word in dict.fromkeys(texts) if word and os.path.exists(word))


def merged(*several: Iterable[Provenance]) -> tuple[Provenance, ...]:
    """One entry for each collection, with all members for testing only that any of its entries names."""
    found: dict[str, Provenance] = {}
    for entry in chain(*several):
        before = found.get(entry.collection, entry)
        members = dict.fromkeys((*before.testing_only, *entry.testing_only))
        found[entry.collection] = replace(entry, testing_only=tuple(members))
    return tuple(found.values())


def refuse_testing_only(provenance: Sequence[Provenance], what: str) -> None:
    """Raises ValueError where data are for testing only; ``what`` is what they were to be used for ("training")."""
    for entry in provenance:
        if entry.testing_only:
            raise ValueError(
                f"{', '.join(entry.testing_only)} of the collection {entry.collection} is for testing only, "
                f"not for {what}; leave it out"
            )


def _add(found: dict[str, Provenance], path: Path) -> None:
    """Adds the collection of the nearest record above a path."""
    for folder in (path, *path.parents):
        record = Record.read(folder) if folder.is_dir() else None
        if record is not None:
            entry = _of_record(record, _testing_only(record, folder, path))
            (found[record.collection],) = merged([found.get(record.collection, entry)], [entry])
            return


def _testing_only(record: Record, folder: Path, path: Path) -> tuple[str, ...]:
    """Members for testing only that a path lies in, or that lie in it."""
    parts = path.relative_to(folder).parts
    inside = [m for m in record.testing_only if m in parts]
    if not inside and path.is_dir():
        inside = [m for m in record.testing_only if any(path.rglob(m))]
    return tuple(inside)


def _of_record(record: Record, testing_only: tuple[str, ...]) -> Provenance:
    return Provenance(
        collection=record.collection,
        title=record.title,
        data_version=record.data_version,
        home=record.home,
        licences=tuple(f"{licence.name} ({licence.of})" for licence in record.licences),
        restrictions=tuple(short_words(record.licences)),
        citation=record.citation,
        testing_only=testing_only,
    )
