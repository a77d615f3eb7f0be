"""Files that exist complete or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) under a temporary name beside it, then rename it.

    Raises:
        OSError: it could not be written; nothing is left of the attempt, an older file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        temporary.replace(path)
    except BaseException:  # Ctrl-C leaves nothing lying about either
        with suppress(OSError):
            temporary.unlink()
        raise
