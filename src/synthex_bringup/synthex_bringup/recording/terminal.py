"""What a person sees of a recording: one line in place on a terminal, a line every five seconds in a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .monitor import Progress

#: First words of the recorder when everything has spoken and the recording begins.
BEGINS = "session begins"
LOG_PERIOD_S = 5.0
#: A line that says the same as the one before is repeated less often.
SAME_LINE_PERIOD_S = 30.0


class Terminal:
    """Sentences and a progress line on standard output; errors on standard error."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        """Args:
        name: the node's, in front of errors.
        stream: where to write; default: standard output.
        """
        self._name = name
        self.console = Console(file=stream or sys.stdout, highlight=False)
        self._live: Live | None = None
        self._last_line = ""
        self._last_line_s = -LOG_PERIOD_S

    def say(self, sentence: str) -> None:
        """One line; appears above the progress line."""
        self.console.print(Text(sentence), soft_wrap=True)
        self.console.file.flush()

    def error(self, sentence: str) -> None:
        """One line ``name: error: ...`` on standard error."""
        self.end()
        print(f"{self._name}: error: {' '.join(sentence.split())}", file=sys.stderr, flush=True)

    def show(self, line: str) -> None:
        """Renew the progress line; in a log at most every ``LOG_PERIOD_S`` seconds."""
        if self.console.is_terminal:
            if self._live is None:
                self._live = Live(console=self.console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
            return
        period_s = SAME_LINE_PERIOD_S if line == self._last_line else LOG_PERIOD_S
        if time.monotonic() - self._last_line_s >= period_s:
            self._last_line, self._last_line_s = line, time.monotonic()
            self.say(line)

    def end(self) -> None:
        """Take the progress line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress_line(progress: Progress, frames_wanted: int, lost: int = 0) -> str:
    """``frames 34/100   3.0 Hz   skipped 0   detections 33``, and what was lost if anything was."""
    frames = f"{progress.frames}/{frames_wanted}" if frames_wanted else f"{progress.frames}"
    parts = [
        f"frames {frames}",
        f"{progress.rate_hz:.1f} Hz" if progress.rate_hz else "",
        f"skipped {progress.skipped}",
        f"detections {progress.detections}",
        f"LOST {lost} messages" if lost else "",
    ]
    return "   ".join(part for part in parts if part)
