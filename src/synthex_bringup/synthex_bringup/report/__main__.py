"""session_report: make ``session.json`` and ``report.html`` of a recorded run again.

Research and simulation only, not a medical device.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..recording.bag_reader import BagError
from ..recording.files import BAG, REPORT
from ..recording.repair import UnrepairableBagError, repair_bag
from .summary import summary_table
from .write import write_picture, write_report


def main(args: Sequence[str] | None = None) -> int:
    """Command line; the exit code is 0 if the report was written, 1 if not, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="session_report", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder (runs/...), or runs/latest")
    parser.add_argument(
        "--repair", action="store_true", help="first close a bag whose recorder was killed: cut its torn end off"
    )
    parser.add_argument("--picture", type=Path, help="also write a PNG of four of its frames here")
    options = parser.parse_args(args)
    try:
        return _report(options.run, options.repair, options.picture)
    except (BagError, UnrepairableBagError, ValueError, OSError) as error:
        print(f"session_report: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _report(run: Path, repair: bool, picture: Path | None) -> int:
    if not run.is_dir():
        raise BagError(f"{run} is no run folder: it does not exist or is a file")
    if repair:
        repaired = repair_bag(run / BAG)
        print(f"bag closed: {sum(repaired.messages.values())} messages kept, {repaired.dropped_bytes} bytes cut off")
    session = write_report(run)
    if picture is not None:
        write_picture(run, picture)
    console = Console(highlight=False)
    console.print(summary_table(session))
    console.print(f"report: {run / REPORT}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
