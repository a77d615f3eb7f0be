"""Volumes from NIfTI files.

nibabel reads the files: unlike ITK's reader it refuses truncated ones and keeps NaN, which must not pass as tissue.
NIfTI positions are RAS; they become LPS here.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from synthex_sim.patient.volume import Volume, existing_file, kept_numbers

SUFFIXES = (".nii", ".nii.gz")
_LPS_FROM_RAS = np.array([[-1.0], [-1.0], [1.0], [1.0]])  # signs of the rows of an affine


def read_nifti(path: str | Path, what: str = "CT") -> Volume:
    """Reads a NIfTI file.

    Args:
        path: .nii or .nii.gz.
        what: it is, for messages ("label map").

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a readable 3D volume of numbers, NaN inside, or it does not say where it is.
    """
    path = existing_file(path, what)
    try:
        image = nibabel.load(path)
        _check_header(image, what, path)
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{what} {path} cannot be read as a volume ({reason}); NIfTI (.nii, .nii.gz) is expected"
        ) from error
    try:
        return Volume(kept_numbers(values), _LPS_FROM_RAS * image.affine, "NIfTI")
    except ValueError as error:
        raise ValueError(f"{what} {path} {error}") from error


def _check_header(image: nibabel.Nifti1Image, what: str, path: Path) -> None:
    """Refuses files whose voxels are no single numbers, or that do not say where they are."""
    if image.get_data_dtype().names or image.get_data_dtype().kind == "c":
        raise ValueError(f"{what} {path} is no 3D volume of numbers (its voxels are colours or complex numbers)")
    if len(image.shape) != 3 or min(image.shape) < 2:
        raise ValueError(f"{what} {path} is no 3D volume of numbers (size {' x '.join(map(str, image.shape))})")
    header = image.header
    if not (header.get("sform_code", 0) or header.get("qform_code", 0)):
        raise ValueError(f"{what} {path} does not state its orientation (sform and qform codes are 0); set one of them")
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:
        unit = "a unit that does not exist"
    if unit not in ("mm", "unknown"):
        raise ValueError(f"{what} {path} has its affine in {unit}; millimetres are expected")
