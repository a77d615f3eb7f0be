"""Run folders: chosen, checked before anything starts, linked as the newest."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

BAG = "bag"
SESSION = "session.json"
REPORT = "report.html"
RECORDING = "recording.json"
VIEW = "session.rrd"


class RunFolderError(Exception):
    """The run folder cannot be used; the message says why and what to do."""


def default_run_folder(now: datetime | None = None, runs: Path = Path("runs")) -> Path:
    """``runs/<UTC time>-session``, with a number appended where a run of the same second exists."""
    stem = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ-session")
    folder = runs / stem
    number = 2
    while folder.exists():
        folder, number = runs / f"{stem}-{number}", number + 1
    return folder


class RunFolder:
    """A folder of one run: created, proved writable, and taken away again if nothing came to lie in it."""

    def __init__(self, path: Path) -> None:
        """Make ``path`` and its parents and prove that files can be written there.

        Raises:
            RunFolderError: it is a file, holds something already, or cannot be created or written.
        """
        self.path = Path(path)
        self._made: list[Path] = []
        try:
            if self.path.is_dir() and any(self.path.iterdir()):
                raise RunFolderError(f"run folder {path} exists and is not empty; nothing is overwritten, name another")
            for folder in [*reversed(self.path.parents), self.path]:
                if not folder.exists():
                    folder.mkdir()
                    self._made.append(folder)
            _prove_writable(self.path)
        except OSError as error:
            self.discard()
            raise RunFolderError(
                f"cannot write to run folder {path}: {error.strerror or error}; name another (run_dir) or free it"
            ) from error

    @property
    def bag(self) -> Path:
        """Folder of the bag in this run."""
        return self.path / BAG

    def discard(self) -> None:
        """Remove the folders made here, as far as they are empty."""
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()


def _prove_writable(folder: Path) -> None:
    probe = folder / f".probe-{os.getpid()}"
    try:
        with probe.open("xb") as stream:
            stream.write(b"\0" * 4096)
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        with suppress(OSError):
            probe.unlink()


def link_latest(run: Path) -> Path | None:
    """Let ``runs/latest`` point to a run that lies in a folder named ``runs``; elsewhere there is no such link.

    The link is relative and replaced in one step. Something called ``latest`` that is no link is left alone.

    Returns:
        The link, or None where none was made.
    """
    run = run.absolute()
    link = run.parent / "latest"
    if run.parent.name != "runs" or (link.exists() and not link.is_symlink()):
        return None
    temporary = run.parent / f".latest.{os.getpid()}.tmp"
    with suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(run.name)
    temporary.replace(link)
    return link
