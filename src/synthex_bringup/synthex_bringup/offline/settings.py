"""What the library takes of the parameters of perception_node and navigation_node, from the file a launch reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from synthex_perception.inference.postprocess import PostprocessConfig
from synthex_perception.navigation.cm_position import CmPositionModel
from synthex_perception.navigation.navigator import NavigationLimits
from synthex_sim.yaml_file import read_mapping

#: Parameters of each node that decide what it says: name -> field of the library's type.
DETECTION = {"landmark_threshold": "landmark_threshold", "cm_min_pixels": "cm_min_pixels"}
DEVICE = {
    "cm_outer_diameter_mm": "outer_diameter_mm",
    "cm_inner_diameter_mm": "inner_diameter_mm",
    "cm_body_length_mm": "body_length_mm",
}
LIMITS = {"rotation_limit_deg": "rotation_deg", "lateral_limit_mm": "lateral_mm", "residual_limit_px": "residual_px"}
MODEL = {field.name: field.name for field in fields(CmPositionModel)}
#: Those that decide when and whether it speaks, and those that the command line gives.
NOT_OFFLINE = {
    "perception_node": {"weights", "threads", "overlay", "autostart"},
    "navigation_node": {"plan", "labels", "label_scheme", "label_scheme_folder", "landmarks", "target",
                        "cm_device_file", "stale_s"},
}


@dataclass(frozen=True)
class Settings:
    """What decides, besides weights, plan and device, how an image is answered."""

    detection: PostprocessConfig = PostprocessConfig()
    limits: NavigationLimits = NavigationLimits()
    model: CmPositionModel = CmPositionModel()

    @classmethod
    def from_file(cls, path: Path) -> Settings:
        """Those of a parameter file such as ``config/session/default.yaml``; what it does not name is the default.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no parameter file, or holds an unknown parameter or a value that cannot be.
        """
        document = read_mapping(path, "parameter file")
        perception = _parameters(document, "perception_node", path, DETECTION | DEVICE)
        navigation = _parameters(document, "navigation_node", path, LIMITS | MODEL)
        try:
            detection = _changed(PostprocessConfig(), perception, DETECTION)
            return cls(
                replace(detection, device=_changed(detection.device, perception, DEVICE)),
                _changed(NavigationLimits(), navigation, LIMITS),
                _changed(CmPositionModel(), navigation, MODEL),
            )
        except ValueError as error:
            raise ValueError(f"parameter file {path}: {error}") from error


def _parameters(document: Mapping, node: str, path: Path, known: Mapping[str, str]) -> dict[str, Any]:
    """What the file gives a node, by the matching of names that rcl does."""
    found: dict[str, Any] = {}
    for key in ("/**", f"/**/{node}"):
        section = document.get(key) or {}
        values = section.get("ros__parameters") or {} if isinstance(section, Mapping) else None
        if not isinstance(values, Mapping):
            raise ValueError(f"parameter file {path}: {key} must hold ros__parameters")
        found.update(values)
    unknown = sorted(set(found) - set(known) - NOT_OFFLINE[node])
    if unknown:
        raise ValueError(f"parameter file {path}: {node} has no parameter {', '.join(unknown)}")
    return found


def _changed(default: Any, values: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """The default with those fields that the parameters name."""
    changes: dict[str, Any] = {}
    for name, field in names.items():
        if name not in values:
            continue
        number, kind = values[name], type(getattr(default, field))
        if type(number) not in (int, kind) or not math.isfinite(number):
            words = "a whole number" if kind is int else "a finite number"
            raise ValueError(f"{name} must be {words}, got {number!r}")
        changes[field] = kind(number)
    return replace(default, **changes)
