"""The header of one DICOM image: geometry, scale and what it is, and nothing that identifies a person.

Only the elements named here are read; names, dates, institutions, private elements and overlays are never looked at.
Identifiers tell series apart while files are sorted (``series_key``), and go no further.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset

from synthex_sim.patient.dicom_words import harmless_words

_HEADER = (
    "SOPClassUID", "Modality", "ImageType", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "ConvolutionKernel", "AcquisitionNumber", "InstanceNumber", "Rows", "Columns", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "PixelPaddingValue", "PixelRepresentation", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "PlanarConfiguration",
)
#: Modalities whose files may hold Hounsfield units; OT ("other") is what converters write.
_CT = ("CT", "OT", "")


class DamagedFile(ValueError):
    """A DICOM file that cannot be read to its end."""


@dataclass(frozen=True)
class SliceHeader:
    """One image of a series.

    Attributes:
        file: number of its file (``dicom_files``).
        shape: rows, columns.
        spacing_mm: from row to row, from column to column; None where it is not stated.
        orientation: direction along a row (6 numbers: x, y, z), then down a column; LPS; None where it is not stated.
        position: LPS millimetres of the first pixel's centre; None where it is not stated.
        slope, intercept: stored number -> Hounsfield units.
        padding: stored number outside the field of view, or None.
        instance, acquisition: numbers within the series, or None.
        modality: two letters such as CT, or empty.
        description: words of the header on what it shows that are harmless (``dicom_words``).
        problem: why it is no slice of a CT volume, or empty.
    """

    file: int
    shape: tuple[int, int]
    spacing_mm: tuple[float, float] | None
    orientation: tuple[float, ...] | None
    position: tuple[float, float, float] | None
    slope: float
    intercept: float
    padding: int | None
    instance: int | None
    acquisition: int | None
    modality: str
    description: str
    problem: str


def read_header(file: BinaryIO, number: int) -> tuple[tuple[str, str], SliceHeader] | None:
    """Key of the series (which must not be shown or kept) and header of an image; None for a file that is no image.

    Raises:
        DamagedFile: it is DICOM, but cut off or damaged.
    """
    with silent_pydicom("its header is damaged"):
        dataset = read_dataset(file, with_pixels=False)
        if dataset is None or not _is_image(dataset):
            return None
        key = (str(dataset.get("SeriesInstanceUID") or ""), str(dataset.get("SeriesNumber") or ""))
        return key, _header(dataset, number)


def read_dataset(file: BinaryIO, with_pixels: bool) -> Dataset | None:
    """The elements of a file that this project uses; None for a file that is no DICOM.

    To be called, and its result used, within ``silent_pydicom``: elements are converted when they are asked for.
    """
    start = file.read(132)
    file.seek(0)
    plain = start[:2] in (b"\x02\x00", b"\x08\x00") and start[128:] != b"DICM"  # without the preamble, as old exports
    if start[128:] != b"DICM" and not plain:
        return None
    tags = (*_HEADER, "PixelData") if with_pixels else _HEADER
    found = pydicom.dcmread(file, force=plain, stop_before_pixels=not with_pixels, specific_tags=list(tags))
    return None if plain and "Rows" not in found else found


@contextmanager
def silent_pydicom(problem: str) -> Iterator[None]:
    """Keeps to itself what pydicom warns of and raises, which quotes the header.

    Raises:
        DamagedFile: with the problem's words, for whatever pydicom raised.
    """
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    except DamagedFile:
        raise
    except Exception:  # noqa: BLE001 - pydicom raises whatever it stumbles over
        raise DamagedFile(problem) from None
    finally:
        logger.disabled = disabled


def _is_image(dataset: Dataset) -> bool:
    """Whether it is an image; structure sets, reports and directories are not.

    Raises:
        DamagedFile: it ought to be one.
    """
    if "Rows" in dataset and "Columns" in dataset:
        return True
    modality = str(dataset.get("Modality") or "")
    kind = str(getattr(dataset.file_meta, "MediaStorageSOPClassUID", ""))
    if modality == "CT" or kind == pydicom.uid.CTImageStorage or not (modality or kind):
        raise DamagedFile("it is cut off or damaged")
    return False


def _header(dataset: Dataset, number: int) -> SliceHeader:
    slope, intercept = _real(dataset, "RescaleSlope", 1.0), _real(dataset, "RescaleIntercept", 0.0)
    modality = str(dataset.get("Modality") or "")
    return SliceHeader(
        file=number,
        shape=(int(dataset.Rows), int(dataset.Columns)),
        spacing_mm=_numbers(dataset, "PixelSpacing", 2),
        orientation=_numbers(dataset, "ImageOrientationPatient", 6),
        position=_numbers(dataset, "ImagePositionPatient", 3),
        slope=slope,
        intercept=intercept,
        padding=_padding(dataset),
        instance=_integer(dataset, "InstanceNumber"),
        acquisition=_integer(dataset, "AcquisitionNumber"),
        modality=modality if re.fullmatch(r"[A-Z]{2,16}", modality) else "",
        description=harmless_words(dataset.get("SeriesDescription"), dataset.get("ConvolutionKernel")),
        problem=_problem(dataset, modality, slope, intercept),
    )


def _problem(dataset: Dataset, modality: str, slope: float, intercept: float) -> str:
    """Why an image is no slice of a CT volume, in a few words; empty where it is one."""
    kind = [str(word).upper() for word in dataset.get("ImageType") or ()]
    scale = str(dataset.get("RescaleType") or "HU").upper()
    reasons = (
        ("LOCALIZER" in kind, "localizer (scout): a projection, no slices"),
        (modality not in _CT, f"modality {modality}, no CT" if len(modality) == 2 else "no CT"),
        (int(dataset.get("NumberOfFrames") or 1) > 1, "several frames in one file (enhanced DICOM); export it as "
         "single slices, or convert it to NIfTI"),
        (int(dataset.get("SamplesPerPixel") or 1) != 1, "colours, no numbers"),
        (str(dataset.get("PhotometricInterpretation") or "MONOCHROME2") != "MONOCHROME2", "colours or inverted greys"),
        (_numbers(dataset, "ImagePositionPatient", 3) is None or _numbers(dataset, "ImageOrientationPatient", 6) is None
         or _numbers(dataset, "PixelSpacing", 2) is None, "no position, orientation or pixel spacing in its header"),
        (scale not in ("HU", "HU_MOD", "US"), "its numbers are no Hounsfield units"),
        (not (slope > 0 and math.isfinite(slope * intercept)), "its rescale slope or intercept makes no sense"),
    )
    return next((words for applies, words in reasons if applies), "")


def _numbers(dataset: Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """``count`` finite numbers, or None."""
    value = dataset.get(name)
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != count:
        return None
    numbers = tuple(float(number) for number in value)
    return numbers if all(math.isfinite(number) for number in numbers) else None


def _real(dataset: Dataset, name: str, default: float) -> float:
    value = dataset.get(name)
    return default if value is None or value == "" else float(value)


def _integer(dataset: Dataset, name: str) -> int | None:
    value = dataset.get(name)
    return None if value is None or value == "" else int(value)


def _padding(dataset: Dataset) -> int | None:
    """The stored number outside the field of view; signed where the pixels are, whatever its own type says."""
    value = _integer(dataset, "PixelPaddingValue")
    bits = int(dataset.get("BitsAllocated") or 16)
    if value is not None and dataset.get("PixelRepresentation") == 1 and value >= 1 << (bits - 1):
        return value - (1 << bits)
    return value
