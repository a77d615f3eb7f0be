"""From the positions of a series' slices to a grid: order, spacing, affine.

Slices are sorted along the normal of their plane, whatever their files and numbers say. One after the other they may
also be shifted within the plane (a tilted gantry): the affine is then sheared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.dicom_slice import SliceHeader

#: Positions are written with few digits.
_ROUNDING_MM = 0.05
#: Slices may lie off their regular places by so much of the spacing.
_REGULAR = 0.1
#: A gap of more than this times the usual one is wide: slices are missing, or the scanner changed its step.
_WIDE_GAP = 1.5
#: The widest gap between slices that is filled by interpolation.
_WIDEST_MM = 10.0
#: Smallest tilt that is told.
_TILT_DEG = 0.1


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Where the slices of a series go.

    Attributes:
        order: indices into the series, from the lowest slice along the normal to the highest.
        mix: (K, 2) float64: for each plane of the volume, the slice (place in ``order``) below it, and how far between
            that and the next (0..1). Whole numbers and zeros where the slices are regular.
        affine: (4, 4) voxel index (column, row, plane) -> LPS mm.
        notes: as of ``Volume``.
    """

    order: np.ndarray
    mix: np.ndarray
    affine: np.ndarray
    notes: tuple[str, ...]


def stack_slices(slices: Sequence[SliceHeader]) -> SliceStack:
    """Sorts slices with positions, equal orientations and equal spacings.

    Raises:
        ValueError: two lie in one place, some are missing, or they form no stack; the message continues a sentence
            that begins with the name of the series.
    """
    along, down = np.array(slices[0].orientation[:3]), np.array(slices[0].orientation[3:])
    if abs(along @ down) > 1e-3 or abs(np.linalg.norm(along) - 1) > 1e-3 or abs(np.linalg.norm(down) - 1) > 1e-3:
        raise ValueError("has an orientation whose row and column directions are not at right angles")
    positions = np.array([one.position for one in slices])
    height = positions @ np.cross(along, down)
    order = np.argsort(height, kind="stable")
    positions, height = positions[order], height[order]
    gaps = np.diff(height)
    ordered = [slices[n] for n in order]
    _check_duplicates(ordered, gaps)
    axis = (positions[-1] - positions[0]) / (height[-1] - height[0])  # LPS mm per mm along the normal
    shifted = positions - positions[0] - (height - height[0])[:, None] * axis
    if np.linalg.norm(shifted, axis=1).max() > 3 * _ROUNDING_MM:
        raise ValueError(
            f"has slices that are shifted against each other by up to {np.linalg.norm(shifted, axis=1).max():.1f} mm: "
            "they are not one straight stack; export the original axial series"
        )
    step, mix, notes = _planes(ordered, height, gaps)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along * slices[0].spacing_mm[1], down * slices[0].spacing_mm[0]
    affine[:3, 2], affine[:3, 3] = axis * step, positions[0]
    tilt = math.degrees(math.acos(min(1.0, 1.0 / float(np.linalg.norm(axis)))))
    if tilt > _TILT_DEG:
        notes = (*notes, f"the gantry was tilted by {tilt:.1f} degrees; the volume is sheared accordingly")
    return SliceStack(order, mix, affine, notes)


def _check_duplicates(ordered: Sequence[SliceHeader], gaps: np.ndarray) -> None:
    same = np.flatnonzero(gaps < 0.01)
    if same.size == 0:
        return
    acquisitions = sorted({str(one.acquisition) for one in ordered})
    several = f"; its acquisition numbers are {', '.join(acquisitions)}" if 1 < len(acquisitions) < 6 else ""
    raise ValueError(
        f"has {same.size} positions with more than one slice (files {ordered[same[0]].file} and "
        f"{ordered[same[0] + 1].file} are the first): copies, or two reconstructions or phases mixed{several}; keep "
        "one of them"
    )


def _planes(ordered: Sequence[SliceHeader], height: np.ndarray, gaps: np.ndarray) -> tuple[
        float, np.ndarray, tuple[str, ...]]:
    """Distance of the volume's planes (mm), ``SliceStack.mix``, notes."""
    count = len(height)
    step = (height[-1] - height[0]) / (count - 1)
    off = np.abs(height - (height[0] + step * np.arange(count))).max()
    if off <= max(_REGULAR * step, _ROUNDING_MM):
        return step, np.stack([np.arange(count), np.zeros(count)], axis=1), tuple(_doubts(ordered))
    _check_irregular(ordered, height, gaps)
    step = max(gaps.min(), np.median(gaps) / 2)
    planes = height[0] + step * np.arange(math.floor((height[-1] - height[0]) / step + 1e-6) + 1)
    below = np.clip(np.searchsorted(height, planes, side="right") - 1, 0, count - 2)
    share = np.clip((planes - height[below]) / gaps[below], 0.0, 1.0)
    note = (f"slices are {gaps.min():.2f} to {gaps.max():.2f} mm apart; resampled to planes {step:.2f} mm apart by "
            "linear interpolation")
    return step, np.stack([below, share], axis=1), (note,)


def _doubts(ordered: Sequence[SliceHeader]) -> Iterator[str]:
    numbers = [one.instance for one in ordered if one.instance is not None]
    if len(set(numbers)) < len(numbers):
        yield "slice numbers occur more than once: two series may be mixed; look at the picture"


def _check_irregular(ordered: Sequence[SliceHeader], height: np.ndarray, gaps: np.ndarray) -> None:
    """Where slices are numbered one by one, the scanner changed its step; elsewhere slices got lost or mixed."""
    numbers = [one.instance for one in ordered]
    steps = [None if a is None or b is None else b - a for a, b in zip(numbers[:-1], numbers[1:], strict=True)]
    broken = [n for n, step in enumerate(steps) if step is None or step != steps[0] or abs(step) != 1]
    usual = float(np.median(gaps))
    lost = [n for n in broken if gaps[n] > _WIDE_GAP * usual]
    if lost:
        missing = int(sum(max(1, round(gaps[n] / usual) - 1) for n in lost))
        raise ValueError(
            f"lacks {missing} slice{'s' if missing > 1 else ''}: they are {usual:.2f} mm apart, but "
            f"{gaps[lost[0]]:.2f} mm between files {ordered[lost[0]].file} and {ordered[lost[0] + 1].file} (at "
            f"{height[lost[0]]:.1f} mm along the stack); copy or export the series again, complete"
        )
    if broken:
        raise ValueError(
            f"has slices {gaps.min():.2f} to {gaps.max():.2f} mm apart whose numbers do not run on: two series or "
            "phases mixed, or slices lost; export one reconstruction as a series of its own, complete"
        )
    if gaps.max() > _WIDEST_MM:
        raise ValueError(
            f"has slices up to {gaps.max():.1f} mm apart: several blocks in one series, or too few slices for a "
            "volume; export one block as a series of its own"
        )
