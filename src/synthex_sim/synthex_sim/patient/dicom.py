"""Volumes from DICOM series: a folder of files, or an archive of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthex_sim.patient.dicom_files import ARCHIVE_SUFFIXES, Files
from synthex_sim.patient.dicom_pixels import read_pixels
from synthex_sim.patient.dicom_series import Series, choose, find_series
from synthex_sim.patient.dicom_slice import DamagedFile
from synthex_sim.patient.slice_stack import SliceStack, stack_slices
from synthex_sim.patient.volume import Volume

_INT16 = np.iinfo(np.int16)
_MOST_LISTED = 8


def is_dicom_path(path: Path) -> bool:
    """Whether a path is a folder, an archive or a file that begins as DICOM files do."""
    if path.is_dir() or path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(path: str | Path, what: str = "CT", series: int | None = None) -> Volume:
    """Reads a series of DICOM slices.

    Args:
        path: of a folder (with its subfolders) or an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz).
        what: it is, for messages ("label map").
        series: which one, numbered as ``find_series`` does; None for the only one that is a CT volume.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: no series or several, or the series is damaged, incomplete, mixed or no CT volume; the message says
            what to do and quotes nothing of the header that could identify a person.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{what} {path} does not exist")
    files, found = find_series(path)
    if path.is_file() and not path.name.lower().endswith(ARCHIVE_SUFFIXES):
        if problem := found[0].slices[0].problem:
            raise ValueError(f"{what} {path} is no CT volume: {problem}")
        raise ValueError(
            f"{what} {path} is one slice of a DICOM series; name the folder or archive that holds all of it"
        )
    chosen = choose(found, series, path)
    try:
        stack = stack_slices(chosen.slices)
        values = _values(files, chosen, stack)
        return Volume(values, stack.affine, _source(chosen), (*_others(found, chosen), *stack.notes))
    except DamagedFile as error:
        raise ValueError(f"{what} {path}: {error}; copy or export it again") from None
    except ValueError as error:
        raise ValueError(f"{what} {path}: series {chosen.number} {error}") from None


def _source(series: Series) -> str:
    words = series.slices[0].description
    return f"DICOM series{f' ({words})' if words else ''}, {len(series.slices)} slices"


def _others(found: tuple[Series, ...], chosen: Series) -> tuple[str, ...]:
    others = [str(one) for one in found if one is not chosen]
    more = f"; and {len(others) - _MOST_LISTED} more" if len(others) > _MOST_LISTED else ""
    return (f"series {chosen.number} of several; not read: {'; '.join(others[:_MOST_LISTED])}{more}",) if others else ()


def _values(files: Files, series: Series, stack: SliceStack) -> np.ndarray:
    """(columns, rows, planes): what ``Volume.values`` holds."""
    headers = {one.file: one for one in series.slices}
    place = {series.slices[n].file: k for k, n in enumerate(stack.order)}
    whole = all(float(number).is_integer() for one in series.slices for number in (one.slope, one.intercept))
    rows, columns = series.slices[0].shape
    read = np.empty((len(place), rows, columns), np.int16 if whole else np.float32)
    unread = set(place)
    for number, file in files.each(headers):
        try:
            hu = read_pixels(file, headers[number])
        except DamagedFile as error:
            raise DamagedFile(f"file {number} ({files.order}): {error}") from None
        read[place[number]] = np.clip(hu, _INT16.min, _INT16.max) if whole else hu
        unread.remove(number)
    if unread:
        raise DamagedFile("files vanished while they were read")
    return _mixed(read, stack.mix).T


def _mixed(read: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """(K, rows, columns): the planes of the volume, between the slices where these are not regular."""
    if len(mix) == len(read) and not mix[:, 1].any():
        return read
    planes = np.empty((len(mix), *read.shape[1:]), np.float32)
    for plane, (below, share) in zip(planes, mix, strict=True):
        plane[:] = read[int(below)] + np.float32(share) * (
            read[min(int(below) + 1, len(read) - 1)].astype(np.float32) - read[int(below)])
    return np.rint(planes).astype(np.int16) if read.dtype == np.int16 else planes
