"""Which sizes are measured, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One size of volume (voxels on a side) and picture (pixels on a side).

    Attributes:
        cut_to_body: everyone is handed the volume without the air around the body.
    """

    side: int
    pixels: int
    cut_to_body: bool = False


@dataclass(frozen=True)
class Plan:
    """A whole run.

    Attributes:
        all_take_part: where slow peers are asked too, and pictures are compared; ratios are stated of the first.
        fast_only: the other cells of the bare line integral.
        exposure_side: volume of the whole exposures.
        exposure_pixels: their pictures.
        least_rounds, most_rounds, seconds: of each cell, see ``timing.measure``.
    """

    all_take_part: tuple[Cell, ...]
    fast_only: tuple[Cell, ...]
    exposure_side: int
    exposure_pixels: tuple[int, ...]
    least_rounds: int
    most_rounds: int
    seconds: float

    @property
    def volumes(self) -> tuple[tuple[int, bool], ...]:
        """Sides of the bare line integral's volumes and whether they are cut to the body, in the order of first use."""
        return tuple(dict.fromkeys((cell.side, cell.cut_to_body) for cell in (*self.all_take_part, *self.fast_only)))


FULL = Plan(
    all_take_part=(Cell(400, 360), Cell(400, 360, cut_to_body=True), Cell(256, 360)),
    fast_only=(
        Cell(400, 256), Cell(400, 512), Cell(400, 768), Cell(400, 1536), Cell(256, 256), Cell(256, 768), Cell(128, 360),
        Cell(192, 360), Cell(320, 360),
    ),
    exposure_side=256,
    exposure_pixels=(256, 360, 768, 1536),
    least_rounds=3,
    most_rounds=9,
    seconds=15.0,
)
#: To see that everything works; its figures mean nothing.
QUICK = Plan(
    (Cell(96, 120), Cell(96, 120, cut_to_body=True)),
    (Cell(96, 60), Cell(64, 120), Cell(128, 120), Cell(96, 180)), 96, (60, 120), 2, 2, 1.0)
