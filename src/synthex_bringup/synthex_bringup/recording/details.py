"""What a bag cannot say about its recording: ``recording.json`` beside it, written at the start and at the end."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synthex_sim.whole_files import write_whole

from .files import RECORDING

#: How names of patients begin that stand for nobody, and of those that are made of somebody's files.
_INVENTED, _OF_FILES = ("phantom:", "thorax:"), ("dressed:", "shape_model:")


@dataclass(frozen=True)
class RosDetails:
    """Which ROS 2 a session ran on.

    Attributes:
        distribution: e.g. jazzy.
        source: ``wheels`` (PyPI packages in a virtual environment) or ``system`` (a ROS 2 installation).
        rmw: middleware, e.g. rmw_fastrtps_cpp.
        python: version of the interpreter.
        packages: versions of what moves and stores the messages, by package.
    """

    distribution: str
    source: str
    rmw: str
    python: str
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordingDetails:
    """The circumstances of one recording.

    Attributes:
        created_utc: when it began, ISO 8601.
        patient: what was imaged, in the launch's words.
        seed: of the session's random numbers; None if not given (the exposures name it then).
        code_version: release and ``git describe`` of this code; None where unknown.
        ros: which ROS 2; None for a recording made without one (tests, converted bags).
        ended: why it ended: frames, duration, interrupted, or in words what went wrong; empty while it runs.
        wall_s: from the recorder's start to the closed bag, seconds; None while it runs.
        lost: messages by topic that were received and not written.
    """

    created_utc: str = ""
    patient: str = ""
    seed: int | None = None
    code_version: str | None = None
    ros: RosDetails | None = None
    ended: str = ""
    wall_s: float | None = None
    lost: dict[str, int] = field(default_factory=dict)

    def write(self, run: Path) -> None:
        """Write ``recording.json`` into a run folder, whole or not at all.

        Raises:
            OSError: it could not be written.
        """
        write_whole(run / RECORDING, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, run: Path) -> RecordingDetails:
        """Those of a run folder; all unknown where it has none.

        Raises:
            ValueError: the file is damaged.
        """
        path = run / RECORDING
        if not path.exists():
            return cls()
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            ros = values.pop("ros", None)
            return cls(ros=RosDetails(**ros) if ros else None, **values)
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error}); remove it to report without what it said") from error


def utc_now() -> str:
    """Now in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def without_identity(patient: str) -> str:
    """What was imaged, in words that cannot hold a person's name: a file's name or folder often does."""
    if patient in ("", "none") or patient.startswith(_INVENTED):
        return patient
    return "a patient made from files" if patient.startswith(_OF_FILES) else "a CT from a file"
