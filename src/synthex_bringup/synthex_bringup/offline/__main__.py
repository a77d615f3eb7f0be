"""Perception and navigation again on every image of a recorded bag, offline: the same bag gives the same bytes.

Writes frames.csv (one row for each image) and summary.json. Research and simulation only, not a medical device.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from .. import DISCLAIMER
from ..recording.bag_reader import BagError
from ..recording.files import RunFolder, RunFolderError
from ..recording.terminal import Terminal
from .plan import run_of

NAME = "offline"


def main(args: Sequence[str] | None = None) -> int:
    """Command line; the exit code is 0 if both files were written, 1 if not, 2 for wrong arguments."""
    options = _parser().parse_args(args)
    terminal = Terminal(NAME)
    try:
        _replay(options, terminal)
    except KeyboardInterrupt:
        terminal.error("interrupted")
        return 130
    except RunFolderError as error:
        terminal.error(_about_out(error, options.out))
        return 1
    except (BagError, OSError, ValueError) as error:
        terminal.error(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m synthex_bringup.offline", description=__doc__)
    parser.add_argument("bag", type=Path, help="run folder (runs/...), bag folder or .mcap file")
    parser.add_argument(
        "--weights", type=Path, default=Path("models/session.safetensors"), help="weights of the network"
    )
    parser.add_argument("--out", type=Path, help="folder to write, new or empty (default: offline, beside the bag)")
    parser.add_argument(
        "--plan", default="", help="whose planned landmarks navigation knows: phantom:SEED or none (default: those of "
        "whom the recording shows)"
    )
    parser.add_argument(
        "--config", type=Path, default=Path("config/session/default.yaml"), help="parameters of the nodes"
    )
    parser.add_argument("--cm", type=Path, default=Path("config/cm/notched_27.yaml"), help="manipulator device file")
    return parser


def _replay(options: argparse.Namespace, terminal: Terminal) -> None:
    options.out = options.out or _default_out(options.bag)
    folder = RunFolder(options.out)  # before minutes of work are spent on what cannot be kept
    watch = _Watch(terminal)
    try:
        from .replay import Source, replay, write_results  # torch takes seconds to load

        source = Source(options.bag, options.weights, options.plan, options.cm, options.config)
        summary, table = replay(source, watch)
        terminal.end()
        write_results(folder.path, summary, table)
    except BaseException:
        folder.discard()
        raise
    from .terminal_table import counts_table, errors_table, places_table

    for shown in (counts_table(summary), errors_table(summary), places_table(summary)):
        terminal.console.print(shown)
    # Of this run and this machine, hence in no file.
    terminal.say(f"{watch.seconds_per_image:.3f} s an image")
    terminal.say(f"{folder.path}: {', '.join(sorted(path.name for path in folder.path.iterdir()))}; {DISCLAIMER}")


class _Watch:
    """Shows the progress and takes the time from when everything is loaded."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._started_s = 0.0
        self.seconds_per_image = 0.0

    def __call__(self, done: int, count: int) -> None:
        if not done:
            self._started_s = time.perf_counter()
            return
        self.seconds_per_image = (time.perf_counter() - self._started_s) / done
        self._terminal.show(f"images {done}/{count}")


def _default_out(bag: Path) -> Path:
    """``offline`` in the run folder, with a number appended where that exists."""
    path = run_of(bag) / "offline"
    number = 2
    while path.exists():
        path, number = path.with_name(f"offline-{number}"), number + 1
    return path


def _about_out(error: RunFolderError, out: Path) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError):
        return f"cannot write to {out}: {cause.strerror or cause}; name another with --out"
    return f"{out} exists and is not empty; nothing is overwritten, name another with --out"


if __name__ == "__main__":
    raise SystemExit(main())
