"""Landmarks in files of 3D Slicer: markups (.mrk.json) and the older fiducial lists (.fcsv)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from synthex_sim.patient.landmarks import slicer_fcsv, slicer_json
from synthex_sim.whole_files import write_whole

_FORMATS = {".mrk.json": slicer_json, ".json": slicer_json, ".fcsv": slicer_fcsv}


def read_landmarks(path: str | Path) -> dict[str, np.ndarray]:
    """The points of a file.

    Args:
        path: ``.mrk.json`` (point lists; points that were not placed are left out) or ``.fcsv``, in LPS or RAS as the
            file says.

    Returns:
        name -> (3,) float64 LPS mm, in the file's order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not of these formats, or does not say what is needed; the message says what.
    """
    path = Path(path)
    kind = _format_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"landmarks {path} do not exist (or are no file)")
    try:
        points = _checked(kind.parse(path.read_text(encoding="utf-8-sig")))
    except UnicodeDecodeError as error:
        raise ValueError(f"landmarks {path}: this is not a text file ({error.reason})") from error
    except ValueError as error:
        raise ValueError(f"landmarks {path}: {error}") from error
    if not points:
        raise ValueError(f"landmarks {path}: no point is in this file")
    return points


def write_landmarks(path: str | Path, points: Mapping[str, np.ndarray]) -> None:
    """Writes points in LPS; the format is that of the name, ``.mrk.json`` or ``.fcsv``.

    Args:
        path: of the file.
        points: name -> (3,) LPS mm.

    Raises:
        OSError: it cannot be written.
        ValueError: another ending, a name that is empty or there twice, or a point that is not three finite numbers.
    """
    path = Path(path)
    kind = _format_of(path)
    try:
        text = kind.text_of(_checked(points.items()))
    except ValueError as error:
        raise ValueError(f"landmarks {path}: {error}") from error
    write_whole(path, text)


def _format_of(path: Path) -> ModuleType:
    for ending, kind in _FORMATS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise ValueError(f"landmarks {path}: files of 3D Slicer end in .mrk.json or .fcsv")


def _checked(points: Iterable[tuple[str, Any]]) -> dict[str, np.ndarray]:
    """Name -> (3,) float64.

    Raises:
        ValueError: a name is missing or there twice, or a point is not three finite numbers.
    """
    checked: dict[str, np.ndarray] = {}
    for given, place in points:
        name = given.strip()
        if not name or "\n" in name:
            raise ValueError(f"the point at {place} has no proper name ('{name}')")
        if name in checked:
            raise ValueError(f"two points are named '{name}'")
        point = np.asarray(place, dtype=np.float64)
        if point.shape != (3,) or not np.isfinite(point).all():
            raise ValueError(f"{name} is at {place}, which is not three finite numbers")
        checked[name] = point
    return checked
