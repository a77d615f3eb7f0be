"""CUDA C sources of the X-ray engine, as text: CuPy compiles them at run time, the tests compile them for the host."""

from __future__ import annotations

import re
from pathlib import Path

_HERE = Path(__file__).parent
#: Where sources are. Headers are all in this folder.
SOURCE_FOLDERS = (_HERE, _HERE.parent / "monte_carlo")
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def cuda_source(*names: str) -> str:
    """The text of one or more ``.cu`` files, one after the other in the order given.

    ``#include "..."`` of a header (``.cuh``) of this folder is replaced by its text, once in the whole; the compiler is
    given one text and needs no folder to look into.

    Args:
        names: file names without the ending, such as ``"noise"``; a file that uses another's functions comes after it.

    Raises:
        FileNotFoundError: there is no such file.
    """
    there: set[Path] = set()
    return "\n".join(_expanded(_file_of(name), there) for name in names)


def _file_of(name: str) -> Path:
    for folder in SOURCE_FOLDERS:
        if (folder / f"{name}.cu").exists():
            return folder / f"{name}.cu"
    raise FileNotFoundError(f"there is no CUDA source {name}.cu in {' or '.join(map(str, SOURCE_FOLDERS))}")


def _expanded(file: Path, there: set[Path]) -> str:
    if file in there:
        return ""
    there.add(file)
    return _INCLUDE.sub(lambda found: _expanded(_HERE / found[1], there), file.read_text(encoding="utf-8"))
