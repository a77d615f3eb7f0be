"""TubeSettings: the X-ray tube of a device profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from synthex_sim.yaml_file import check_keys

#: Where the anode can lie as seen in the picture (which shows the detector from its own side).
ANODE_SIDES = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class TubeSettings:
    """The X-ray tube: voltage, anode and filtration. Can be hashed; the order of the filters does not matter.

    Attributes:
        kvp: peak voltage, kV.
        anode_angle_deg: of the tungsten anode's face against the central ray.
        filtration_mm: chemical symbol -> thickness of all filters together, in millimetres; given as a mapping, kept as
            sorted pairs.
        anode_side: side of the picture on which the anode lies, where the heel effect darkens it; ``None``: not known.

    Raises:
        ValueError: a number is not positive and finite, no filter is named, or the side is none of the four.
    """

    kvp: float
    anode_angle_deg: float
    filtration_mm: Mapping[str, float] | tuple[tuple[str, float], ...]
    anode_side: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.filtration_mm, (Mapping, tuple)) or not self.filtration_mm:
            raise ValueError("tube: filtration_mm must name at least one filter, such as {Al: 3.0, Cu: 0.1}")
        filters = {str(symbol): thickness for symbol, thickness in dict(self.filtration_mm).items()}
        for name, value in (
            ("kvp", self.kvp), ("anode_angle_deg", self.anode_angle_deg),
            *((f"filtration_mm: {symbol}", thickness) for symbol, thickness in filters.items()),
        ):
            if not 0.0 < float(value) < math.inf:
                raise ValueError(f"tube: {name} must be positive and finite, got {value}")
        if self.anode_side is not None and self.anode_side not in ANODE_SIDES:
            sides = ", ".join(ANODE_SIDES)
            raise ValueError(f"tube: anode_side must be one of {sides} or null, got '{self.anode_side}'")
        object.__setattr__(self, "kvp", float(self.kvp))
        object.__setattr__(self, "anode_angle_deg", float(self.anode_angle_deg))
        object.__setattr__(self, "filtration_mm", tuple(sorted((s, float(mm)) for s, mm in filters.items())))

    @classmethod
    def from_section(cls, section: Any) -> TubeSettings:
        """Reads the ``tube`` section of a device profile.

        Raises:
            ValueError: a key is missing, unknown or out of range.
        """
        return cls(**check_keys(section, {field.name for field in fields(cls)}, "tube"))

    @property
    def description(self) -> str:
        """One line for logs and messages: voltage, anode, filters."""
        filters = " + ".join(f"{thickness:g} mm {symbol}" for symbol, thickness in self.filtration_mm)
        return f"{self.kvp:g} kV, {self.anode_angle_deg:g} deg W anode, {filters}"
