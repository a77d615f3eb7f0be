"""Patients from NIfTI files: a CT and, where there is one, a label map on the same grid.

SimpleITK reads the files and states physical positions in LPS; what NIfTI stores as RAS is turned there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from synthex_sim.patient.label_scheme import apply_scheme, load_scheme
from synthex_sim.patient.patient import Patient

#: How far (mm) corners of the CT's and the label map's grids may lie apart.
_GRID_TOLERANCE_MM = 0.1
_LOWEST_HU = -1024


def load_nifti_patient(ct_path: str | Path, labels_path: str | Path | None, scheme_path: str | Path | None) -> Patient:
    """Loads a CT with an optional label map.

    Args:
        ct_path: 3D NIfTI in Hounsfield units.
        labels_path: NIfTI label map on the same grid, or None.
        scheme_path: label scheme (``label_scheme``), or None for the project's own ids.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: not a readable 3D scalar volume, NaN inside, no Hounsfield units, or the grids disagree.
    """
    image = _read_volume(ct_path, "CT")
    values = _array(image)
    if not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise ValueError(f"CT {ct_path} has {bad} voxels that are NaN or infinite; fill them (air is -1000 HU) and retry")
    if values.max() <= 0 or values.min() >= -200:
        raise ValueError(
            f"CT {ct_path} spans {values.min():g}..{values.max():g}: these are not Hounsfield units (air -1000, water 0)"
        )
    affine = _affine(image)
    hu = np.clip(np.rint(values), _LOWEST_HU, 32767).astype(np.int16)
    labels = None
    if labels_path:
        label_image = _read_volume(labels_path, "label map")
        _check_same_grid(image, label_image, str(ct_path), str(labels_path))
        scheme = load_scheme(scheme_path) if scheme_path else None
        labels = np.ascontiguousarray(apply_scheme(_array(label_image), scheme, str(labels_path)))
    return Patient(name="ct", hu=np.ascontiguousarray(hu), affine=affine, labels=labels)


def _read_volume(path: str | Path, what: str) -> sitk.Image:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what} {path} does not exist (or is no file)")
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        dimension, components, size = reader.GetDimension(), reader.GetNumberOfComponents(), reader.GetSize()
        if dimension != 3 or components != 1 or min(size) < 2:
            raise ValueError(
                f"{what} {path} is no 3D volume: size {' x '.join(map(str, size))}, {components} value(s) a voxel"
            )
        return reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{what} {path} cannot be read as a volume ({reason}); NIfTI (.nii, .nii.gz) is expected") from error


def _array(image: sitk.Image) -> np.ndarray:
    """(I, J, K) in the order of the index (i, j, k); SimpleITK's own order is k, j, i."""
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0)


def _affine(image: sitk.Image) -> np.ndarray:
    """(4, 4) voxel index -> LPS millimetres."""
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine


def _check_same_grid(ct: sitk.Image, labels: sitk.Image, ct_path: str, labels_path: str) -> None:
    if ct.GetSize() != labels.GetSize():
        raise ValueError(
            f"CT {ct_path} has {ct.GetSize()} voxels and label map {labels_path} {labels.GetSize()}; "
            "resample the label map onto the CT's grid"
        )
    last = np.array(ct.GetSize()) - 1.0
    corners = np.array([[x, y, z, 1.0] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
    apart = np.linalg.norm((corners @ (_affine(ct) - _affine(labels)).T)[:, :3], axis=1).max()
    if apart > _GRID_TOLERANCE_MM:
        raise ValueError(
            f"the affines of CT {ct_path} and label map {labels_path} differ by {apart:.1f} mm at a corner; "
            "resample the label map onto the CT's grid, or check which of the two files is wrong"
        )
