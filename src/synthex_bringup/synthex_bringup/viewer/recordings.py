"""Recordings: everything that is shown goes to the live viewer and, while a run is recorded, into its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rerun as rr

APPLICATION = "synthex session"
TIMELINE = "time"


class Recordings:
    """Streams that get the same data; what does not change is kept for those that come later.

    Args:
        blueprint: how the views are arranged.
        data_url: of the viewer's server; None for no live viewer.
    """

    def __init__(self, blueprint: Any, data_url: str | None) -> None:
        self._blueprint = blueprint
        self._static: dict[str, tuple[Any, ...]] = {}
        self._live: rr.RecordingStream | None = None
        self._file: rr.RecordingStream | None = None
        if data_url is not None:
            self._live = rr.RecordingStream(APPLICATION, recording_id="live")
            self._live.connect_grpc(data_url)
            self._live.send_blueprint(blueprint)

    def arrange(self, blueprint: Any) -> None:
        """Other views from now on."""
        self._blueprint = blueprint
        for stream in self._streams():
            stream.send_blueprint(blueprint)

    def log(self, stamp_ns: int, entity: str, *archetypes: Any) -> None:
        """One thing at one moment (nanoseconds since the epoch)."""
        for stream in self._streams():
            stream.set_time(TIMELINE, timestamp=stamp_ns * 1e-9)
            stream.log(entity, *archetypes)

    def log_static(self, entity: str, *archetypes: Any) -> None:
        """One thing for all times; it replaces what was there."""
        self._static[entity] = archetypes
        for stream in self._streams():
            stream.log(entity, *archetypes, static=True)

    def open_file(self, path: Path) -> None:
        """Writes everything from now on to a file, too.

        Raises:
            OSError: it cannot be written.
        """
        self.close_file()
        path.touch(exist_ok=False)
        stream = rr.RecordingStream(APPLICATION)
        stream.save(path, default_blueprint=self._blueprint)
        for entity, archetypes in self._static.items():
            stream.log(entity, *archetypes, static=True)
        self._file = stream

    def close_file(self) -> None:
        """Completes the file; without one nothing happens."""
        if self._file is not None:
            self._file.flush()
            self._file.disconnect()
            self._file = None

    def close(self) -> None:
        """Completes the file and leaves the viewer's server."""
        self.close_file()
        if self._live is not None:
            self._live.disconnect()
            self._live = None

    def _streams(self) -> list[rr.RecordingStream]:
        return [stream for stream in (self._live, self._file) if stream is not None]
