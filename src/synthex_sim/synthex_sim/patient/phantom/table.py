"""The table under the back: a thin mattress on two plates of carbon fibre with foam between them."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.tissue import AIR_HU

_MATTRESS_MM, _PLATE_MM, _TOP_MM, _AIR_MM = 22.0, 1.6, 40.0, 4.0
_MATTRESS_HU, _FOAM_HU, _CARBON_HU = -945.0, -960.0, 260.0  # carbon fibre laminate: 1.55 g/cm^3 of mostly carbon


def on_table(hu: np.ndarray, labels: np.ndarray, grid: shapes.Grid, back_y_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """The same body on a table that runs across the whole volume; body and labels stay as they are.

    Args:
        hu: (I, J, K) float32.
        labels: (I, J, K) uint8.
        grid: where the voxels lie.
        back_y_mm: LPS y of the plane that the body lies on.

    Returns:
        both with rows of voxels added behind the back, where needed.
    """
    depth_mm = _MATTRESS_MM + _TOP_MM + _AIR_MM
    rows = int(np.ceil((back_y_mm + depth_mm - grid.origin_mm[1]) / grid.spacing_mm)) + 1 - grid.shape[1]
    more = ((0, 0), (0, max(rows, 0)), (0, 0))
    hu, labels = np.pad(hu, more, constant_values=AIR_HU), np.pad(labels, more)
    y = grid.origin_mm[1] + grid.spacing_mm * np.arange(hu.shape[1])
    values = _profile(y - back_y_mm, grid.spacing_mm)
    for j in np.flatnonzero(values > AIR_HU):
        plane = hu[:, j]
        plane += np.clip((-500.0 - plane) / 500.0, 0, 1) * np.float32(values[j] - AIR_HU)  # only where there is air
    return hu, labels


def _profile(depth_mm: np.ndarray, spacing_mm: float) -> np.ndarray:
    """HU of the table at depths below the back, (J,)."""
    h = 0.5 * spacing_mm

    def share(low: float, high: float) -> np.ndarray:
        """Of every voxel's depth, how much lies between two depths."""
        return np.clip((np.minimum(high, depth_mm + h) - np.maximum(low, depth_mm - h)) / spacing_mm, 0, 1)

    top, bottom = _MATTRESS_MM, _MATTRESS_MM + _TOP_MM
    values = np.full(depth_mm.shape, AIR_HU)
    values += (_MATTRESS_HU - AIR_HU) * share(0.0, top)
    values += (_FOAM_HU - values) * share(top, bottom)
    for low in (top, bottom - _PLATE_MM):  # a plate thinner than a voxel keeps its mass
        values += (_CARBON_HU - values) * share(low, low + _PLATE_MM)
    return values
