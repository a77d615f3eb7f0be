"""Patients from NIfTI files: a CT and, where there is one, a label map on the same grid.

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

from synthex_sim.patient.label_scheme import apply_scheme, load_scheme
from synthex_sim.patient.patient import Patient

#: How far (mm) corners of the CT's and the label map's grids may lie apart.
_GRID_TOLERANCE_MM = 0.1
_LOWEST_HU = -1024
_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


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
    values, affine = _read_volume(ct_path, "CT")
    if not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise ValueError(
            f"CT {ct_path} has {bad} voxels that are NaN or infinite; fill them (air is -1000 HU) and retry"
        )
    if values.max() <= 0 or values.min() >= -200:
        raise ValueError(
            f"CT {ct_path} spans {values.min():g}..{values.max():g}: these are not Hounsfield units (air -1000, "
            "water 0)"
        )
    hu = np.clip(np.rint(values), _LOWEST_HU, 32767).astype(np.int16)
    labels = None
    if labels_path:
        label_values, label_affine = _read_volume(labels_path, "label map")
        _check_same_grid(hu.shape, affine, label_values.shape, label_affine, str(ct_path), str(labels_path))
        scheme = load_scheme(scheme_path) if scheme_path else None
        labels = np.ascontiguousarray(apply_scheme(label_values, scheme, str(labels_path)))
    return Patient(name="ct", hu=np.ascontiguousarray(hu), affine=affine, labels=labels)


def _read_volume(path: str | Path, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(I, J, K) values and the (4, 4) affine to LPS millimetres."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what} {path} does not exist (or is no file)")
    try:
        image = nibabel.load(path)
        if len(image.shape) != 3 or image.get_data_dtype().names or min(image.shape) < 2:
            kind = "colours" if image.get_data_dtype().names else f"size {' x '.join(map(str, image.shape))}"
            raise ValueError(f"{what} {path} is no 3D volume of numbers ({kind})")
        _check_header(image, what, path)
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{what} {path} cannot be read as a volume ({reason}); NIfTI (.nii, .nii.gz) is expected"
        ) from error
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-9:
        raise ValueError(f"{what} {path} has an affine that is not invertible; set its sform or qform")
    return values, _LPS_FROM_RAS @ image.affine


def _check_header(image: nibabel.Nifti1Image, what: str, path: Path) -> None:
    """Refuses files that do not say where they are."""
    header = image.header
    if not (header.get("sform_code", 0) or header.get("qform_code", 0)):
        raise ValueError(f"{what} {path} does not state its orientation (sform and qform codes are 0); set one of them")
    unit = header.get_xyzt_units()[0]
    if unit not in ("mm", "unknown"):
        raise ValueError(f"{what} {path} has its affine in {unit}; millimetres are expected")


def _check_same_grid(
    ct_shape: tuple[int, ...], ct_affine: np.ndarray, shape: tuple[int, ...], affine: np.ndarray, ct_path: str,
    path: str,
) -> None:
    if ct_shape != shape:
        raise ValueError(
            f"CT {ct_path} has {ct_shape} voxels and label map {path} {shape}; resample the label map onto the CT's "
            "grid"
        )
    last = np.array(shape) - 1.0
    corners = np.array([[x, y, z, 1.0] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
    apart = np.linalg.norm((corners @ (ct_affine - affine).T)[:, :3], axis=1).max()
    if apart > _GRID_TOLERANCE_MM:
        raise ValueError(
            f"the affines of CT {ct_path} and label map {path} differ by {apart:.1f} mm at a corner; "
            "resample the label map onto the CT's grid, or check which of the two files is wrong"
        )
