"""Which code made a data set, a run or a recording."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

RELEASE = "0.1.0"


@lru_cache(maxsize=1)
def code_version() -> str:
    """``git describe`` of the checkout this file lies in, or the release number where there is none."""
    try:
        described = subprocess.run(
            ["git", "-C", str(Path(__file__).resolve().parent), "describe", "--always", "--dirty", "--tags"],
            capture_output=True, text=True, timeout=5, check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return RELEASE
    return f"{RELEASE}+{described}"
