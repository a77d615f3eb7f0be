"""Hounsfield units of one DICOM image.

Uncompressed pixels are read by pydicom. Compressed ones (JPEG 2000, JPEG lossless, JPEG-LS, RLE) are decoded by the
GDCM that SimpleITK brings, from a temporary file that holds the pixels and nothing else of the header.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileMetaDataset

from synthex_sim.patient.dicom_slice import DamagedFile, SliceHeader, read_dataset, silent_pydicom
from synthex_sim.patient.hounsfield import LOWEST_HU

#: Padding above the greatest number of a 12-bit CT would be drawn as metal around the patient.
_GREATEST_PADDING_HU = 3071
_PIXEL_ELEMENTS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation",
)


def read_pixels(file: BinaryIO, header: SliceHeader) -> np.ndarray:
    """(rows, columns) float64 Hounsfield units, values below the scale as they are.

    Raises:
        DamagedFile: pixels are missing, cut off or cannot be decoded.
    """
    with silent_pydicom("its pixels are cut off, damaged or of an unknown compression"):
        dataset = read_dataset(file, with_pixels=True)
        if dataset is None or not dataset.get("PixelData"):
            raise DamagedFile("its pixels are missing or cut off")
        stored = _stored(dataset)
    if stored.shape != header.shape:
        raise DamagedFile("its pixels do not have the size that its header states")
    hu = stored * header.slope + header.intercept
    if header.padding is not None and header.padding * header.slope + header.intercept > _GREATEST_PADDING_HU:
        hu[stored == header.padding] = LOWEST_HU
    return hu


def _stored(dataset: Dataset) -> np.ndarray:
    """(rows, columns) of the numbers in the file."""
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    if syntax.is_encapsulated:
        return _decoded(dataset, syntax)
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset.pixel_array


def _decoded(dataset: Dataset, syntax: pydicom.uid.UID) -> np.ndarray:
    bare = Dataset()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = syntax
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID = "2.25.1"
    for name in _PIXEL_ELEMENTS:
        setattr(bare, name, dataset[name].value)
    bare.PixelData = dataset.PixelData
    bare["PixelData"].is_undefined_length = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.dcm"
        bare.save_as(path, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[0]
