"""Locks between processes: of several that want the same file made, one makes it and the others wait."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock that a file stands for, against other processes and other threads; waits until it is free.

    The system frees the lock of a process that ends, however it ends. The file is empty and goes with the lock.

    Raises:
        OSError: the file cannot be opened or locked; nothing of what the ``with`` holds has been run.
    """
    file = _acquired(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # before it is free: whoever waited for it finds that it is gone, and opens another
        # Not by closing alone: a process that was forked meanwhile has the file open, too.
        fcntl.flock(file, fcntl.LOCK_UN)
        file.close()


def _acquired(path: Path) -> IO[bytes]:
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether the path still leads to this file: its last holder takes it away."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
