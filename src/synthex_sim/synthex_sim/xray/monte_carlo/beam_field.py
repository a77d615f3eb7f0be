"""BeamField: how the photons that leave the source are spread over the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class BeamField:
    """A rectangle, and within it the relative intensity of the beam.

    Photons start towards points spread evenly over the rectangle; a point is kept with the probability ``share`` of its
    pixel, so that every photon followed counts the same.

    Attributes:
        edges: (4,) float64 first column, first row, last column, last row, edges in pixel coordinates of the view.
        share: (r, c) float32, 0..1 with 1 as the largest: the view's pixels, or one value for all of them.
        pixels: how many pixels of full intensity the field amounts to: the scale of a tally per photon.
    """

    edges: np.ndarray
    share: np.ndarray
    pixels: float

    @classmethod
    def of(cls, field: ArrayLike | None, rows: int, cols: int) -> BeamField:
        """The field of a detector of ``rows`` x ``cols`` pixels.

        Args:
            field: None for all of the detector; four edges as above for a rectangle; or (rows, cols) intensities,
                relative to those that the photons per pixel are stated for (collimation, heel effect).

        Raises:
            ValueError: edges outside the detector or in the wrong order, intensities of another shape, negative, not
                finite or all zero.
        """
        whole = np.array([-0.5, -0.5, cols - 0.5, rows - 0.5])
        values = whole if field is None else np.asarray(field, dtype=np.float64)
        if values.ndim == 2:
            return cls._of_intensities(values, rows, cols)
        inside = values.shape == (4,) and (values[:2] >= whole[:2]).all() and (values[2:] <= whole[2:]).all()
        if not inside or not (values[:2] < values[2:]).all():
            raise ValueError(
                f"field must be (first column, first row, last column, last row) within {whole.tolist()}, got {field}"
            )
        area = (values[2] - values[0]) * (values[3] - values[1])
        return cls(values, np.ones((1, 1), np.float32), float(area))

    @classmethod
    def _of_intensities(cls, values: np.ndarray, rows: int, cols: int) -> BeamField:
        if values.shape != (rows, cols):
            raise ValueError(f"the field's intensities must be {(rows, cols)} as the view's pixels, got {values.shape}")
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError("the field's intensities must be finite and not negative")
        if not values.any():
            raise ValueError("the field leaves nothing of the detector open; photons cannot be followed into no field")
        lit_rows, lit_cols = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
        edges = np.array([lit_cols[0] - 0.5, lit_rows[0] - 0.5, lit_cols[-1] + 0.5, lit_rows[-1] + 0.5])
        return cls(edges, np.ascontiguousarray(values / values.max(), dtype=np.float32), float(values.sum()))
