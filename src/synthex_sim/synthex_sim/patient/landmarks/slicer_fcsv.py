"""The older fiducial lists of 3D Slicer (.fcsv): comma separated, with a header of comments."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import numpy as np

#: By name since version 4.11, by number before.
_TO_LPS = {"LPS": (1.0, 1.0, 1.0), "1": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0), "0": (-1.0, -1.0, 1.0)}
_PLACED = "2"
_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"


def parse(text: str) -> list[tuple[str, np.ndarray]]:
    """Label and position in LPS of the placed points of a file.

    Raises:
        ValueError: no header says the coordinate system or it is unknown, or a line is no point.
    """
    header: dict[str, str] = {}
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            key, _, value = line.lstrip("# ").partition("=")
            header[key.strip().lower()] = value.strip()
        elif line.strip():
            rows.append((number, _cells(number, line)))
    system = header.get("coordinatesystem", "").split(",")[0].upper()
    if not system:
        raise ValueError("no header line says the CoordinateSystem; it decides which side is left")
    if system not in _TO_LPS:
        raise ValueError(f"the CoordinateSystem is {system}; LPS (1) and RAS (0) are known")
    columns = [name.strip() for name in (header.get("columns") or _COLUMNS).rstrip(",").split(",")]
    missing = [name for name in ("x", "y", "z", "label") if name not in columns]
    if missing:
        raise ValueError(f"the header's columns lack {', '.join(missing)}")
    # Version 5.2 on writes two columns more than it names; the first of them says whether the point was placed.
    placed = [(number, row) for number, row in rows if len(row) <= len(columns) or row[len(columns)].strip() == _PLACED]
    return [(label, np.array(_TO_LPS[system]) * at) for label, at in (_point(*row, columns) for row in placed)]


def text_of(points: Mapping[str, np.ndarray]) -> str:
    """The file's text for name -> (3,) LPS mm."""
    out = io.StringIO()
    out.write(f"# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n# columns = {_COLUMNS}\n")
    writer = csv.writer(out, lineterminator="\n")
    for number, (name, point) in enumerate(points.items(), start=1):
        writer.writerow([number, *(repr(float(v)) for v in point), 0, 0, 0, 1, 1, 1, 0, name, "", ""])
    return out.getvalue()


def _cells(number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise ValueError(f"line {number} is not comma separated ({error})") from error


def _point(number: int, row: list[str], columns: list[str]) -> tuple[str, np.ndarray]:
    try:
        return row[columns.index("label")], np.array([float(row[columns.index(axis)]) for axis in "xyz"])
    except (IndexError, ValueError) as error:
        raise ValueError(f"line {number} is no point: {','.join(row)[:80]}") from error
