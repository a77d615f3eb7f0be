"""Which images of many DICOM files belong together, and which of the series is meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthex_sim.patient.dicom_files import Files, open_files
from synthex_sim.patient.dicom_slice import DamagedFile, SliceHeader, read_header

#: Directions of one series may differ by so much (of unit vectors), spacings by so much of themselves.
_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-3


@dataclass(frozen=True)
class Series:
    """Images of one size and orientation that belong together.

    Attributes:
        number: from 1, in the order of the series numbers of the header; what ``path#2`` names.
        slices: in the order of their files.
        problem: why it is no CT volume, or empty.
    """

    number: int
    slices: tuple[SliceHeader, ...]
    problem: str

    def __str__(self) -> str:
        first = self.slices[0]
        size = f"{len(self.slices)} x {first.shape[1]} x {first.shape[0]}"
        if first.spacing_mm is not None:
            size += f", pixels {first.spacing_mm[1]:.3g} x {first.spacing_mm[0]:.3g} mm"
        if not self.problem and len(self.slices) > 1:
            size += f", slices {_slice_distance_mm(self.slices):.3g} mm apart"
        words = f", '{first.description}'" if first.description else ""
        return f"#{self.number}: {size}{words}" + (f" - not usable: {self.problem}" if self.problem else "")


def find_series(path: Path) -> tuple[Files, tuple[Series, ...]]:
    """The files of a folder or archive and the series of images that they hold.

    Raises:
        ValueError: there is no DICOM image, or a file is damaged; the message says which.
    """
    files = open_files(path)
    groups: dict[tuple[str, str], list[list[SliceHeader]]] = {}
    for number, file in files.each():
        try:
            found = read_header(file, number)
        except DamagedFile as error:
            raise ValueError(f"file {number} of {path} ({files.order}): {error}; copy or export it again") from None
        if found is not None:
            _add(groups.setdefault(found[0], []), found[1])
    if not groups:
        raise ValueError(f"{path} holds no DICOM images; a CT is a DICOM series, NIfTI, NRRD or MetaImage (.mha, .mhd)")
    # Identifiers of series are left behind here.
    ordered = [slices for key in sorted(groups, key=_by_number) for slices in groups[key]]
    return files, tuple(Series(n, tuple(slices), _problem(slices)) for n, slices in enumerate(ordered, start=1))


def choose(series: tuple[Series, ...], number: int | None, path: Path) -> Series:
    """The series with the number, or without one the only series that is a CT volume.

    Raises:
        ValueError: there is no such series, none is a volume, or several are; the message lists them.
    """
    listed = "".join(f"\n  {one}" for one in series)
    if number is not None:
        if not 1 <= number <= len(series):
            raise ValueError(f"{path} has no series {number}; it holds{listed}")
        chosen = series[number - 1]
        if chosen.problem:
            raise ValueError(f"series {number} of {path} is no CT volume: {chosen.problem}")
        return chosen
    usable = [one for one in series if not one.problem]
    if len(usable) == 1:
        return usable[0]
    if not usable:
        raise ValueError(f"{path} holds no CT volume:{listed}")
    raise ValueError(f"{path} holds several series; name one, for example {path}#{usable[0].number}:{listed}")


def _by_number(key: tuple[str, str]) -> tuple[bool, float, str]:
    """Series in the order of their numbers, those without one last; equal numbers in a fixed order."""
    identifier, number = key
    return not number.lstrip("-").isdecimal(), float(number) if number.lstrip("-").isdecimal() else 0.0, identifier


def _add(groups: list[list[SliceHeader]], header: SliceHeader) -> None:
    """To the group it fits: scanners and careless copies put images of several sizes or planes into one series."""
    for group in groups:
        if _belongs(header, group[0]):
            group.append(header)
            return
    groups.append([header])


def _belongs(header: SliceHeader, first: SliceHeader) -> bool:
    alike = ("shape", "modality", "problem")
    if any(getattr(header, name) != getattr(first, name) for name in alike):
        return False
    return _close(header.orientation, first.orientation, _SAME_DIRECTION) and _close(
        header.spacing_mm, first.spacing_mm, _SAME_SPACING * max(first.spacing_mm or (1.0,)))


def _close(one: tuple[float, ...] | None, other: tuple[float, ...] | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= tolerance


def _problem(slices: list[SliceHeader]) -> str:
    if slices[0].problem:
        return slices[0].problem
    return "a single image" if len(slices) == 1 else ""


def _slice_distance_mm(slices: tuple[SliceHeader, ...]) -> float:
    normal = np.cross(slices[0].orientation[:3], slices[0].orientation[3:])
    return float(np.median(np.diff(np.sort([np.dot(one.position, normal) for one in slices]))))
