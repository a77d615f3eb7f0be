"""Volume: what a file held - numbers on a grid in the patient's LPS frame - before it is a CT or a label map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: How far (mm) corners of two grids may lie apart and be the same grid.
GRID_TOLERANCE_MM = 0.1
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class Volume:
    """Numbers on a grid.

    Attributes:
        values: (I, J, K) int16 or float32, indexed [i, j, k]; finite, two voxels at least along each axis.
        affine: (4, 4) float64, voxel index (i, j, k) -> patient LPS millimetres; voxel centres at integers; may be
            sheared (a tilted gantry).
        source: what it was read from, in words that name no person and no file ("DICOM series, 133 slices").
        notes: sentences on what was done to it or looks odd; for whoever loads it to show.

    Raises:
        ValueError: another shape or type, values that are not finite, or an affine that has no inverse; the message
            continues a sentence that begins with the name of the file.
    """

    values: np.ndarray
    affine: np.ndarray
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or min(self.values.shape) < 2:
            raise ValueError(f"is no 3D volume of numbers (size {' x '.join(map(str, self.values.shape))})")
        if self.values.dtype not in (np.int16, np.float32):
            raise ValueError(f"holds {self.values.dtype} numbers, int16 or float32 are kept")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("has an affine that is not invertible; export it again with its orientation")
        if self.values.dtype == np.float32 and not np.isfinite(self.values).all():
            bad = int(np.count_nonzero(~np.isfinite(self.values)))
            raise ValueError(f"has {bad} voxels that are NaN or infinite; fill them (air is -1000 HU) and retry")
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        return self.values.shape

    @property
    def spacing_mm(self) -> np.ndarray:
        """(3,) distance of neighbouring voxels along i, j, k in millimetres."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def corners(self) -> np.ndarray:
        """(8, 3) LPS millimetres of the outermost voxel centres."""
        return corners(self.shape, self.affine)


def corners(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """(8, 3) LPS millimetres of the outermost voxel centres of a grid."""
    last = np.array(shape) - 1.0
    index = np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
    return index @ affine[:3, :3].T + affine[:3, 3]


def same_grid(one: Volume, other: Volume) -> bool:
    """Whether two volumes have the same voxels in the same places, to ``GRID_TOLERANCE_MM``."""
    if one.shape != other.shape:
        return False
    return bool(np.linalg.norm(one.corners() - other.corners(), axis=1).max() <= GRID_TOLERANCE_MM)


def existing_file(path: str | Path, what: str) -> Path:
    """The path of a file that exists.

    Args:
        path: of the file.
        what: it is, for the message ("label map").

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what} {path} does not exist (or is no file)")
    return path


def kept_numbers(values: np.ndarray) -> np.ndarray:
    """(I, J, K) of any real type as int16 where that loses nothing, as float32 elsewhere."""
    if values.dtype == np.int16:
        return values
    if values.size and _fits_int16(values):
        return values.astype(np.int16)
    return values.astype(np.float32)


def _fits_int16(values: np.ndarray) -> bool:
    """Plane by plane: a CT of doubles has no room for a rounded copy of itself."""
    low, high = values.min(), values.max()
    if not (low >= _INT16.min and high <= _INT16.max):  # False for NaN, too
        return False
    if values.dtype.kind in "iub":
        return True
    return all(np.array_equal(plane, np.rint(plane)) for plane in np.moveaxis(values, -1, 0))
