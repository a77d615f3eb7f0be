"""The command ``fetch``: lists public collections, shows their terms, and fetches one of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from synthex_sim.patient.collections.collection import Collection, load_collections
from synthex_sim.patient.collections.consent import asker, licence_lines
from synthex_sim.patient.collections.fetch import fetch
from synthex_sim.patient.collections.progress import shown_progress
from synthex_sim.patient.collections.record import RECORD_NAME, Record
from synthex_sim.patient.collections.restrictions import short_words


def add_parser(commands: Any, disclaimer: str) -> None:
    """Adds ``fetch`` to the subcommands of a parser; ``options.run`` is then ``run``."""
    text = "list public collections of CTs and label maps, or fetch one, with its licence and your consent on record"
    parser = commands.add_parser("fetch", help=text, description=f"{text}; {disclaimer}.")
    parser.add_argument("name", nargs="?", help="a collection (none: list them)")
    parser.add_argument("--into", type=Path, help="fetch it into INTO/NAME (without: only show its terms)")
    parser.add_argument("--accept-licence", action="append", default=[], metavar="NAME",
                        help="for scripts: a person has read the licence of this collection and agrees to it")
    parser.add_argument("--config-folder", type=Path, default=Path("config"), help="folder with collections/")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command; 0 for success.

    Raises:
        OSError, ValueError: as ``fetch``; also for a name that is not known.
    """
    collections = load_collections(options.config_folder / "collections")
    for name in (options.name, *options.accept_licence):
        if name is not None and name not in collections:
            near = get_close_matches(name.lower(), collections, n=1)
            meant = f" ({near[0]}?)" if near else ""
            raise ValueError(f"no collection '{name}'{meant}; known: {', '.join(collections)}")
    if options.name is None:
        _print(_table(collections.values()))
        return 0
    if options.into is not None and options.into.exists() and not options.into.is_dir():
        raise NotADirectoryError(f"--into {options.into} is a file; name a folder, which need not exist yet")
    collection = collections[options.name]
    _print(_introduction(collection))
    if options.into is None:
        _print(licence_lines(collection))
        _print(_by_hand(collection, Path("FOLDER") / collection.name))
        print(f"fetch it with: fetch {collection.name} --into FOLDER")
        return 0
    try:
        with shown_progress() as progress_for:
            record = fetch(collection, options.into, asker(options.accept_licence, print), print, progress_for)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        raise
    _print(_ending(collection, record, options.into / collection.name))
    return 0


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _table(collections: Iterable[Collection]) -> list[str]:
    rows = [("name", "GB", "how", "asks for", "")]
    for c in collections:
        how = "fetch" if c.files and not c.steps else "by hand" if not c.files else "partly by hand"
        size = "?" if c.download_gb is None else f"{c.download_gb:.3g}"
        rows.append((c.name, size, how, ", ".join(short_words(c.licences)), c.title))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]).rstrip()
             for row in rows]
    return [*lines, "? is not known. `fetch NAME` shows a collection's terms, `fetch NAME --into FOLDER` fetches it."]


def _introduction(collection: Collection) -> list[str]:
    sizes = [(collection.download_gb, "to download"), (collection.unpacked_gb, "unpacked")]
    size = ", ".join(f"{gb:.3g} GB {what}" for gb, what in sizes if gb)
    lines = [f"{collection.name}: {collection.title}", collection.what, f"{collection.home}, version "
             f"{collection.version}" + (f"; {size}" if size else "")]
    if collection.label_scheme:
        lines.append(f"label scheme: {collection.label_scheme}")
    return [*lines, *(f"note: {note}" for note in collection.notes)]


def _by_hand(collection: Collection, folder: Path) -> list[str]:
    if not collection.steps:
        return []
    return ["by hand:", *(f"  {i}. {step}" for i, step in enumerate(collection.steps, start=1)),
            f"The folder of this collection is {folder} ."]


def _ending(collection: Collection, record: Record, folder: Path) -> list[str]:
    lines = [f"{folder / RECORD_NAME} says where these data come from and under which terms; keep it with them."]
    if unverified := [file.path for file in record.files if not file.verified]:
        lines.append(f"not verified, for want of a published checksum: {', '.join(unverified)}")
    return [*_by_hand(collection, folder), *lines]
