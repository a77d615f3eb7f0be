"""DICOM series that no scanner made, with a header full of what must never be shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

#: Found nowhere but in the headers: messages, objects and pictures must not hold any of it.
SECRETS = ("Janedoe", "19550312", "Stmarys", "1.2.826.0.1.99", "Hospitalstreet", "secretward")
AFFINE = np.array([[3.0, 0, 0, -60], [0, 2, 0, -50], [0, 0, 2.5, 100], [0, 0, 0, 1]])


def body(shape=(40, 44, 30), seed=0) -> np.ndarray:
    """(I, J, K) int16: air, soft tissue with noise, a few bones, no symmetry."""
    rng = np.random.default_rng(seed)
    hu = np.full(shape, -1000.0)
    hu[4:-4, 4:-4, :] = 40 + rng.normal(0, 12, (shape[0] - 8, shape[1] - 8, shape[2]))
    hu[6:14, 8:12, 3:-6] = 700
    hu[22:30, 26:36, 5:9] = 450
    hu[25:27, 10:20, 20:24] = 1200
    return np.rint(hu).astype(np.int16)


def write_series(folder: Path, values: np.ndarray | None = None, affine: np.ndarray = AFFINE, *, series: int = 3,
                 uid: str = "1.2.826.0.1.99.3", intercept: float = -1024.0, permuted: bool = True,
                 skip: tuple[int, ...] = (), change=None) -> list[Path]:
    """Writes one file for each slice, in an order and with names that have nothing to do with their places.

    Args:
        values: (I, J, K) whole Hounsfield units.
        affine: voxel index -> LPS mm.
        skip: slices that are left out.
        change: called with each dataset and its slice's index before it is written.

    Returns:
        path of each slice's file, by slice.
    """
    values = body() if values is None else values
    folder.mkdir(parents=True, exist_ok=True)
    count = values.shape[2]
    numbers = np.random.default_rng(5).permutation(count) if permuted else np.arange(count)
    paths = []
    for k in range(count):
        dataset = slice_dataset(values[:, :, k], affine, k, series, uid, intercept)
        if change is not None:
            change(dataset, k)
        paths.append(folder / f"Janedoe_{numbers[k]:03d}")
        if k not in skip:
            dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def slice_dataset(plane: np.ndarray, affine: np.ndarray, k: int, series: int, uid: str, intercept: float) -> Dataset:
    """One slice; ``plane`` (I, J) in Hounsfield units."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    along, down = affine[:3, 0] / spacing[0], affine[:3, 1] / spacing[1]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"{uid or '1.2.826.0.1.99'}.{k + 1}"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Janedoe^Ann", "Janedoe", "19550312"
    dataset.StudyDate, dataset.InstitutionName, dataset.InstitutionAddress = "19550312", "Stmarys", "Hospitalstreet 1"
    dataset.SeriesDescription, dataset.ConvolutionKernel = "Pelvis Janedoe 12.03.1955 1.5 mm", "B30f"
    dataset.add_new((0x0009, 0x0010), "LO", "secretward")
    dataset.add_new((0x6000, 0x3000), "OW", b"secretward")
    dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.InstanceNumber = uid, series, 200 - k
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows, dataset.Columns = plane.shape[1], plane.shape[0]
    dataset.PixelSpacing = [_ds(spacing[1]), _ds(spacing[0])]
    dataset.ImageOrientationPatient = [_ds(n) for n in (*along, *down)]
    dataset.ImagePositionPatient = [_ds(n) for n in affine[:3, 3] + k * affine[:3, 2]]
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", _ds(intercept)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    stored = np.rint(plane.T - intercept).astype("<i2")
    dataset.PixelData = stored.tobytes()
    return dataset


def rewrite(path: Path, change) -> None:
    """Changes one element or more of a file."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)


def _ds(number: float) -> str:
    return f"{float(number):.10g}"
