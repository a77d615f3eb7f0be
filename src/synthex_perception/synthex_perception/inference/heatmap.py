"""Gaussian heatmaps: the template, its likeness to a piece of a heatmap (NCC), the peak to a fraction of a pixel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: Side of the NCC template over its sigma: 25 px for sigma 2.5 (facts 2.2).
TEMPLATE_SIZE_OVER_SIGMA = 10.0


def gaussian_template(size_px: int, sigma_px: float, offset_px: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(size, size) float64 Gaussian of peak 1 at (column, row) = (size // 2, size // 2) + offset."""
    axis = np.arange(size_px) - size_px // 2
    columns = np.exp(-0.5 * ((axis - offset_px[0]) / sigma_px) ** 2)
    rows = np.exp(-0.5 * ((axis - offset_px[1]) / sigma_px) ** 2)
    return rows[:, None] * columns[None, :]


def ncc(x: np.ndarray, y: np.ndarray) -> float:
    """Normalised cross-correlation sum (x - mx)(y - my) / (N sx sy + 1e-8), with the sample deviation (N - 1).

    Its largest value is (N - 1) / N, as in the evaluation of the paper (facts 2.2). A constant patch gives 0.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    dx, dy = x - x.mean(), y - y.mean()
    return float((dx * dy).sum() / (x.size * x.std(ddof=1) * y.std(ddof=1) + 1e-8))


def heatmap_confidence(heatmap: np.ndarray, peak: tuple[float, float], sigma_px: float) -> float:
    """Likeness of a heatmap around ``peak`` to the Gaussian it should be, 0..1.

    Near the border only the part of the template that lies on the heatmap is compared; a mirrored continuation, which
    the authors' code gets from its padded network input, would put a second peak beside a landmark at the edge.

    Args:
        heatmap: (h, w) float.
        peak: (column, row) on the heatmap, fractions allowed; the template is shifted by the fraction.
        sigma_px: width of the Gaussian the network was trained towards.
    """
    size = template_size(sigma_px)
    column, row = int(round(peak[0])), int(round(peak[1]))
    top, left = row - size // 2, column - size // 2
    rows = slice(max(0, -top), min(size, heatmap.shape[0] - top))
    columns = slice(max(0, -left), min(size, heatmap.shape[1] - left))
    template = gaussian_template(size, sigma_px, (peak[0] - column, peak[1] - row))[rows, columns]
    patch = heatmap[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    return float(np.clip(ncc(patch, template), 0.0, 1.0))


@lru_cache(maxsize=16)
def template_size(sigma_px: float) -> int:
    """Side of the template, pixels."""
    return max(3, round(TEMPLATE_SIZE_OVER_SIGMA * sigma_px))


def subpixel_peak(heatmap: np.ndarray, column: int, row: int) -> tuple[float, float]:
    """Refine a maximum: vertex of the parabola through the logarithms of the three values along each axis.

    Exact for a Gaussian. At the border, or where a value is not positive or no maximum, the pixel itself.
    """
    return (
        column + _vertex(heatmap[row, max(column - 1, 0) : column + 2]),
        row + _vertex(heatmap[max(row - 1, 0) : row + 2, column]),
    )


def _vertex(values: np.ndarray) -> float:
    if values.size != 3 or values.min() <= 0.0:
        return 0.0
    left, middle, right = np.log(values.astype(np.float64))
    curvature = left - 2.0 * middle + right
    if curvature >= 0.0:
        return 0.0
    return float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5))
