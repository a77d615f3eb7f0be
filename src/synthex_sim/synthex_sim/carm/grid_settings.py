"""GridSettings: the anti-scatter grid before the detector."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from synthex_sim.yaml_file import check_keys


@dataclass(frozen=True)
class GridSettings:
    """What an anti-scatter grid lets through, on average; its lines are not modelled.

    Attributes:
        primary_transmission: share of the primary beam's energy, 0..1.
        scatter_transmission: share of the scattered energy, at most the primary's.

    Raises:
        ValueError: a number is out of range.
    """

    primary_transmission: float
    scatter_transmission: float

    def __post_init__(self) -> None:
        if not 0.0 < self.primary_transmission <= 1.0:
            raise ValueError(
                f"anti_scatter_grid: primary_transmission must lie in 0..1, got {self.primary_transmission}"
            )
        if not 0.0 <= self.scatter_transmission <= self.primary_transmission:
            raise ValueError(
                f"anti_scatter_grid: scatter_transmission must lie in 0..{self.primary_transmission:g}, what the "
                f"primary beam keeps, got {self.scatter_transmission}"
            )

    @classmethod
    def from_section(cls, section: Any) -> GridSettings | None:
        """Reads the ``anti_scatter_grid`` section of a device profile; null: the device has none.

        Raises:
            ValueError: a key is missing, unknown or out of range.
        """
        if section is None:
            return None
        values = check_keys(section, {field.name for field in fields(cls)}, "anti_scatter_grid")
        return cls(**{name: float(value) for name, value in values.items()})
