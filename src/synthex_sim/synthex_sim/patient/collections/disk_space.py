"""Refuses what does not fit on a disk before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

#: Left free for everything else on the disk, bytes.
_RESERVE = 200_000_000


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raises OSError where a folder's disk has no room for so many bytes; the folder itself may not exist yet."""
    folder = Path(folder).absolute()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if needed + _RESERVE > free:
        raise OSError(
            f"{what} needs {(needed + _RESERVE) / 1e9:.1f} GB on the disk of {existing}, {free / 1e9:.1f} GB are free; "
            "make room or name a folder on another disk"
        )
