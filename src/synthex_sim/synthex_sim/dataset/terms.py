"""Under which terms a data set on disk stands: those of the public collections that it was made from or lies in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthex_sim.dataset.manifest import MANIFEST_NAME, Manifest
from synthex_sim.patient.collections.provenance import Provenance, find_provenance, merged


def dataset_provenance(folder: Path) -> tuple[Provenance, ...]:
    """The collections that a data set's manifest names, and those in whose folders it lies; one entry for each.

    Args:
        folder: of the data set; one without a manifest was made from nothing that is known.

    Raises:
        ValueError: a manifest or a record is damaged.
    """
    folder = Path(folder)
    made_from = Manifest.read(folder).provenance if (folder / MANIFEST_NAME).is_file() else ()
    return merged(find_provenance([folder]), made_from)


def task_provenance(config: Any) -> tuple[Provenance, ...]:
    """The collections of all files that a task's configuration names, wherever in it they stand.

    Images depend on nothing but configuration, seed and code: what a task reads, its configuration names.

    Raises:
        ValueError: a record is damaged.
    """
    return find_provenance(_texts(config))


def _texts(config: Any) -> Iterator[str]:
    if isinstance(config, str):
        yield config
    elif isinstance(config, dict):
        for value in config.values():
            yield from _texts(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _texts(value)
