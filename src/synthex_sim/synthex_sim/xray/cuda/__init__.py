"""CUDA C sources of the X-ray engine, as text: CuPy compiles them at run time, the tests compile them for the host."""

from __future__ import annotations

import re
from pathlib import Path

_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def cuda_source(*names: str) -> str:
    """The text of one or more ``.cu`` files of this folder, one after the other in the order given.

    ``#include "..."`` of a header (``.cuh``) of this folder is replaced by its text, once in the whole; the compiler is
    given one text and needs no folder to look into.

    Args:
        names: file names without the ending, such as ``"noise"``; a file that uses another's functions comes after it.

    Raises:
        FileNotFoundError: there is no such file.
    """
    there: set[str] = set()
    return "\n".join(_expanded(f"{name}.cu", there) for name in names)


def _expanded(file: str, there: set[str]) -> str:
    if file in there:
        return ""
    there.add(file)
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: _expanded(found[1], there), text)
