"""Which code made a data set, a run or a recording."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

RELEASE = "0.1.0"


@lru_cache(maxsize=1)
def code_version() -> str:
    """The release, with ``git describe`` where the code runs from a working tree of this project."""
    here = str(Path(__file__).resolve().parent)
    top = _git("-C", here, "rev-parse", "--show-toplevel")
    # Installed into a virtual environment, this file may lie in somebody else's repository.
    if top is None or not (Path(top) / "src" / "synthex_sim").is_dir():
        return RELEASE
    described = _git("-C", here, "describe", "--always", "--tags", "--dirty")
    return f"{RELEASE}+{described}" if described else RELEASE


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None
