"""Showing how far a download is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from synthex_sim.patient.collections.download import Progress
from synthex_sim.patient.collections.fetch import ProgressFor

_LINE_EVERY_S = 10.0


@contextmanager
def shown_progress() -> Iterator[ProgressFor]:
    """Gives a function that makes a progress callback for what is being done ("downloading")."""
    if not sys.stdout.isatty():
        yield _lines
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
               TimeRemainingColumn())
    bars = Bars(*columns, transient=True)

    def bar(what: str) -> Progress:
        bars.start()  # not before: a live display redraws the line that a person types an answer into
        for task in bars.task_ids:
            bars.remove_task(task)
        task = bars.add_task(what, total=None)
        return lambda done, total: bars.update(task, completed=done, total=total)

    try:
        yield bar
    finally:
        bars.stop()


def _lines(what: str) -> Progress:
    shown = time.monotonic()

    def line(done: int, total: int | None) -> None:
        nonlocal shown
        if time.monotonic() - shown >= _LINE_EVERY_S:
            shown = time.monotonic()
            print(f"{what}: {done / 1e6:.0f} MB" + (f" of {total / 1e6:.0f} MB" if total else ""), flush=True)

    return line
