"""The markups files of 3D Slicer (.mrk.json): a list of markups, of which point lists are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

#: What turns positions in the file into LPS.
_TO_LPS = {"LPS": np.array([1.0, 1.0, 1.0]), "RAS": np.array([-1.0, -1.0, 1.0])}
_POINT_LISTS = ("Fiducial", "PointList")
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


def parse(text: str) -> list[tuple[str, np.ndarray]]:
    """Label and position in LPS of the placed points of all point lists in a file.

    Raises:
        ValueError: not a markups file, a unit other than millimetres, or an unknown coordinate system.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is not JSON ({error})") from error
    markups = document.get("markups") if isinstance(document, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise ValueError("this is JSON, but holds no list of markups")
    lists = [markup for markup in markups if markup.get("type") in _POINT_LISTS]
    if not lists:
        kinds = ", ".join(sorted({str(markup.get("type")) for markup in markups})) or "nothing"
        raise ValueError(f"this holds no point list (Fiducial), but {kinds}")
    return [point for markup in lists for point in _points(markup)]


def text_of(points: Mapping[str, np.ndarray]) -> str:
    """The file's text for name -> (3,) LPS mm."""
    control_points = [
        {
            "id": str(number),
            "label": name,
            "position": point.tolist(),
            "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, (name, point) in enumerate(points.items(), start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "lastUsedControlPointNumber": len(control_points),
        "controlPoints": control_points,
    }
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=2) + "\n"


def _points(markup: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
    system = str(markup.get("coordinateSystem", "LPS")).upper()  # the schema's default
    if system not in _TO_LPS:
        raise ValueError(f"the coordinate system is {system}; LPS and RAS are known")
    units = markup.get("coordinateUnits", "mm")
    if any(unit != "mm" for unit in (units if isinstance(units, list) else [units])):
        raise ValueError(f"positions are in {units}; millimetres are expected")
    control_points = markup.get("controlPoints")
    if not isinstance(control_points, list) or not all(isinstance(point, dict) for point in control_points):
        raise ValueError("a point list has no list of control points")
    return [
        (str(point.get("label") or ""), _position(point, system))
        for point in control_points
        if point.get("positionStatus", "defined") == "defined"
    ]


def _position(point: Mapping[str, Any], system: str) -> np.ndarray:
    try:
        at = np.array(point["position"], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        at = np.empty(0)
    if at.shape != (3,):  # a single number would become three of itself
        raise ValueError(f"control point '{point.get('label', '')}' has no position of three numbers")
    return at * _TO_LPS[system]
