"""Checksums of files: what was downloaded is what somebody published, or it is not kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

from synthex_sim.patient.collections.collection import parse_checksum
from synthex_sim.patient.collections.download import Progress

_CHUNK = 1 << 20


class ChecksumError(ValueError):
    """A file is not the one that was published."""


def file_digests(path: Path, checksum: str | None, progress: Progress) -> tuple[str, str | None]:
    """(SHA-256, digest by the checksum's own algorithm or None without one), in one pass over a file.

    Args:
        checksum: "algorithm:digest", of which the algorithm counts.
        progress: told how many bytes are read.
    """
    sha256 = hashlib.sha256()
    algorithm = None if checksum is None else parse_checksum(checksum, str(path))[0]
    other = None if algorithm is None else hashlib.new(algorithm, usedforsecurity=False)
    size, done = path.stat().st_size, 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            if other is not None:
                other.update(chunk)
            done += len(chunk)
            progress(done, size)
    return sha256.hexdigest(), None if other is None else other.hexdigest()


def verified_sha256(path: Path, checksum: str | None, progress: Progress) -> str:
    """The SHA-256 of a file, compared with a published checksum where there is one.

    Raises:
        ChecksumError: they differ.
    """
    sha256, digest = file_digests(path, checksum, progress)
    if checksum is not None:
        algorithm, expected = parse_checksum(checksum, str(path))
        if digest != expected:
            raise ChecksumError(f"its {algorithm} is {digest}, published is {expected}")
    return sha256
