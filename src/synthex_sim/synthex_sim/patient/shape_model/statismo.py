"""Statistical shape models from files in the statismo layout (HDF5).

A shape is mean + basis @ (sqrt(variance) * coefficients), the coefficients of a population standard normal. statismo
writes an orthonormal basis beside the variances; some programs write basis vectors that are already scaled by the
standard deviations. Which of the two a file holds is told by the lengths of its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from synthex_sim.patient.shape_model.closing import closed

#: Coefficients beyond this many standard deviations are no likely bone.
MOST_SD = 2.5
_LENGTH_TOLERANCE = 0.02
_DATA = ("model/mean", "model/pcaBasis", "model/pcaVariance", "representer/points", "representer/cells")


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """A population of one bone.

    Attributes:
        mean: (N, 3) float64 points, in the file's unit and axes.
        modes: (N, 3, K) float64 displacement by one standard deviation of each mode.
        faces: (T, 3) int64 of a closed surface.
    """

    mean: np.ndarray
    modes: np.ndarray
    faces: np.ndarray

    def shape(self, coefficients: np.ndarray) -> np.ndarray:
        """(N, 3) points of the bone with (k,) coefficients in standard deviations, k at most K; the rest are 0.

        Raises:
            ValueError: more coefficients than modes.
        """
        coefficients = np.asarray(coefficients, dtype=np.float64)
        if coefficients.ndim != 1 or len(coefficients) > self.modes.shape[2]:
            raise ValueError(f"the model has {self.modes.shape[2]} modes, got coefficients {coefficients.shape}")
        limited = np.clip(coefficients, -MOST_SD, MOST_SD)
        return self.mean + self.modes[:, :, : len(limited)] @ limited

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(K,) coefficients of one person, at most ``MOST_SD`` either way."""
        return np.clip(rng.standard_normal(self.modes.shape[2]), -MOST_SD, MOST_SD)


def read_statismo(path: str | Path) -> ShapeModel:
    """Reads a model.

    Args:
        path: of an HDF5 file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no HDF5 file, holds no statismo shape model, or its surface is not closed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"shape model {path} does not exist")
    try:
        with h5py.File(path) as file:
            missing = [name for name in _DATA if not isinstance(file.get(name), h5py.Dataset)]
            if missing:
                raise ValueError(f"shape model {path} is not in the statismo layout: it has no {', '.join(missing)}")
            mean, basis, variance, points, cells = (file[name][()] for name in _DATA)
    except OSError as error:
        raise ValueError(f"shape model {path} cannot be read as HDF5 ({error}); copy or export it again") from error
    try:
        return _checked(mean, basis, variance, points, cells)
    except ValueError as error:
        raise ValueError(f"shape model {path}: {error}") from error


def _checked(mean, basis, variance, points, cells) -> ShapeModel:
    mean, variance = np.asarray(mean, np.float64).ravel(), np.asarray(variance, np.float64).ravel()
    basis = np.asarray(basis, np.float64)
    if mean.size == 0 or mean.size % 3:
        raise ValueError(f"model/mean holds {mean.size} numbers, which are no points of three coordinates")
    if basis.shape != (mean.size, variance.size) or variance.size == 0:
        raise ValueError(f"model/pcaBasis is {basis.shape}, from mean and pcaVariance it should be "
                         f"({mean.size}, {variance.size})")
    if points.shape != (3, mean.size // 3):
        raise ValueError(f"representer/points is {points.shape}, the mean has {mean.size // 3} points")
    if cells.ndim != 2 or cells.shape[0] != 3 or cells.dtype.kind not in "iu":
        raise ValueError(f"representer/cells is {cells.dtype} {cells.shape}, expected (3, T) indices of triangles")
    if not all(np.isfinite(array).all() for array in (mean, basis, variance)) or (variance < 0).any():
        raise ValueError("it holds numbers that are not finite, or negative variances")
    faces = cells.T.astype(np.int64)
    if faces.size == 0 or faces.min() < 0 or faces.max() >= mean.size // 3:
        raise ValueError("representer/cells names points that do not exist")
    modes = basis * _scale(np.linalg.norm(basis, axis=0), np.sqrt(variance))
    return ShapeModel(mean.reshape(-1, 3), modes.reshape(-1, 3, variance.size), closed(faces))


def _scale(lengths: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """(K,) what the columns of a basis are multiplied by to become one standard deviation."""
    if np.abs(lengths - 1).max() <= _LENGTH_TOLERANCE:
        return deviations
    if np.abs(lengths - deviations).max() <= _LENGTH_TOLERANCE * deviations.max():
        return np.ones_like(deviations)
    raise ValueError("the columns of model/pcaBasis have neither length 1 nor that of the standard deviations "
                     f"(the first are {', '.join(f'{n:.3g}' for n in lengths[:3])})")
