"""Everything the launch prints: labelled lines as `ros2 launch` has them, in colour only on a terminal."""

import os
import sys
import time
from pathlib import Path
from typing import TextIO

_COLOURS = ("36", "32", "33", "35", "34", "96", "92", "93")
_LEVELS = {"ERROR": "31", "WARNING": "33"}


class Console:
    """Writes lines to a stream and to the launch log."""

    def __init__(self, log: Path, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._log = log.open("a", encoding="utf-8", errors="replace")
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR")
        self._closed = False

    def say(self, text: str, *, source: str = "launch", level: str = "INFO") -> None:
        """A line of the launch itself."""
        self._screen(self._painted(f"[{level}] [{source}]: {text}", _LEVELS.get(level)))
        self._record(f"[{level}] [{source}]: {text}")

    def line(self, label: str, number: int, text: str, *, screen: bool) -> None:
        """A line that the process labelled `label` wrote."""
        if screen:
            self._screen(self._painted(f"[{label}]", _COLOURS[(number - 1) % len(_COLOURS)]) + " " + text)
        self._record(f"[{label}] {text}")

    def close(self) -> None:
        """Closes the launch log."""
        self._log.close()

    def _painted(self, text: str, colour: "str | None") -> str:
        return f"\033[{colour}m{text}\033[0m" if self._colour and colour else text

    def _screen(self, text: str) -> None:
        if self._closed:
            return
        try:
            print(text, file=self._stream, flush=True)
        except (BrokenPipeError, ValueError):
            self._closed = True  # the reader has gone (`| head`); the launch goes on and stops in its own time

    def _record(self, text: str) -> None:
        print(f"{time.time():.3f} {text}", file=self._log, flush=True)
