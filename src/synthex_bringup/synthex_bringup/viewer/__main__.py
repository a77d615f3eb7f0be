"""``python -m synthex_bringup.viewer RUN``: shows what the viewer recorded of a run, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from pathlib import Path

from .. import DISCLAIMER
from ..recording.files import VIEW
from ..recording.terminal import Terminal
from .server import ViewerError, ViewerServer, settings_folder


def main(arguments: list[str] | None = None) -> int:
    """Serves one recording; the exit code is 1 with one line on stderr where that is not possible."""
    parser = argparse.ArgumentParser(prog="synthex_bringup.viewer", description=__doc__, epilog=DISCLAIMER)
    parser.add_argument("run", type=Path, help="a run folder, or its session.rrd")
    parser.add_argument("--web-port", type=int, default=9090, help="of the page (another is taken where it is in use)")
    options = parser.parse_args(arguments)
    terminal = Terminal("viewer")
    file = options.run / VIEW if options.run.is_dir() else options.run
    if not file.is_file():
        terminal.error(f"{file} is not there: was the session run with its viewer and recorded?")
        return 1
    try:
        server = ViewerServer(options.web_port, 9876, 1024, settings_folder(), file.resolve())
    except ViewerError as error:
        terminal.error(str(error))
        return 1
    terminal.say(f"{file}: {server.address.page_url}\n{DISCLAIMER} Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):
        signal.pause()
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
