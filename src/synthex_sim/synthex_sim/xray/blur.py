"""Blur of the scintillator: a small kernel whose frequency response is MTF(f) = 1 / (1 + (f / f0)^2), f0 at one half.

The taps are fitted to the MTF over all frequencies that the pixels can hold, both directions up to Nyquist, and are
never negative, as light is not: at the edge of a collimator no pixel may fall below zero. The price is an error near
Nyquist where pixels are coarse. With f0 = 1.37 /mm the response is off by at most

    ===========  ======  ============  ==================
    pixel        taps    anywhere      below 0.8 Nyquist
    ===========  ======  ============  ==================
    0.194 mm     7 x 7   0.018         0.007
    0.388 mm     3 x 3   0.079         0.036
    0.83 mm      3 x 3   0.053         0.026
    ===========  ======  ============  ==================

Blur is applied after the quantum noise, whose power spectrum takes the shape MTF^2. The pixel's own aperture is not
blur: it belongs to how the beam is sampled.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit, prange
from scipy.optimize import nnls

#: Widest MTF that pixels can see, f0 in cycles per pixel: the response at the band's corner is 0.9999 there.
_WIDEST = 71.0
#: Root mean square error of the response at which more taps are of no use.
_GOOD_ENOUGH = 1e-4
#: Narrowest MTF that a small kernel can hold, f0 in cycles per pixel; it takes about 20 taps to each side.
_NARROWEST = 0.065


def scintillator_mtf(frequency_per_mm: np.ndarray, half_per_mm: float) -> np.ndarray:
    """MTF at (...,) frequencies in 1/mm of a scintillator that reaches one half at ``half_per_mm``."""
    return 1.0 / (1.0 + (np.asarray(frequency_per_mm, dtype=np.float64) / half_per_mm) ** 2)


@lru_cache(maxsize=64)
def blur_kernel(half_per_mm: float, pixel_mm: float) -> np.ndarray:
    """The taps for one pixel size.

    Args:
        half_per_mm: frequency at which the MTF is one half; ``math.inf``, or so high that pixels see no blur, gives the
            single tap 1.
        pixel_mm: pixel pitch on the detector.

    Returns:
        (2 r + 1, 2 r + 1) float32, symmetric, sum 1, read-only.

    Raises:
        ValueError: the blur is wider than about 20 pixels to each side.
    """
    if half_per_mm * pixel_mm > _WIDEST:
        kernel = np.ones((1, 1), np.float32)
        kernel.setflags(write=False)
        return kernel
    if not half_per_mm * pixel_mm >= _NARROWEST:
        raise ValueError(f"an MTF of one half at {half_per_mm:g} /mm is too wide a blur for pixels of {pixel_mm:g} mm")
    radius = 1
    kernel, error = _fitted(half_per_mm * pixel_mm, radius)
    while error > _GOOD_ENOUGH:
        radius += 1
        wider, smaller_error = _fitted(half_per_mm * pixel_mm, radius)
        if smaller_error > 0.9 * error:
            break
        kernel, error = wider, smaller_error
    kernel = kernel.astype(np.float32)
    kernel.setflags(write=False)
    return kernel


def _fitted(half_per_pixel: float, radius: int) -> tuple[np.ndarray, float]:
    """Least-squares taps of one radius, none negative, and the root mean square error of their frequency response."""
    frequency = np.linspace(0.0, 0.5, 4 * radius + 29)
    target = scintillator_mtf(np.hypot(frequency[:, None], frequency[None, :]), half_per_pixel)
    cosines = np.cos(2.0 * np.pi * frequency[:, None] * np.arange(radius + 1))
    # taps (+-i, +-j) and (+-j, +-i) are one unknown; all taps sum to 1, so the middle one follows from the others
    rings = [_ring(i, j) for i in range(1, radius + 1) for j in range(i + 1)]
    responses = [sum(np.outer(cosines[:, abs(a)], cosines[:, abs(b)]) - 1.0 for a, b in ring) for ring in rings]
    taps, residual = nnls(np.stack([response.ravel() for response in responses], axis=1), (target - 1.0).ravel())
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1))
    for ring, tap in zip(rings, taps, strict=True):
        for a, b in ring:
            kernel[radius + a, radius + b] = tap
    kernel[radius, radius] = 1.0 - kernel.sum()
    return kernel, residual / frequency.size


def _ring(i: int, j: int) -> set[tuple[int, int]]:
    """The offsets that share one tap by symmetry."""
    return {(s * a, t * b) for a, b in ((i, j), (j, i)) for s in (1, -1) for t in (1, -1)}


def frequency_response(kernel: np.ndarray, frequency_per_pixel: np.ndarray) -> np.ndarray:
    """(n, n) response of a symmetric kernel at all pairs of (n,) frequencies in cycles per pixel."""
    offsets = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    cosines = np.cos(2.0 * np.pi * np.outer(frequency_per_pixel, offsets))
    return cosines @ kernel @ cosines.T


@njit(parallel=True, nogil=True, cache=True, fastmath={"contract"})
def _convolve(image, kernel, blurred):
    """blurred = image * kernel for (V, R, C) float32; beyond the edge the image goes on as its last row or column."""
    views, rows, columns = image.shape
    radius = kernel.shape[0] // 2
    for task in prange(views * rows):
        view, row = task // rows, task % rows
        padded = np.empty(columns + 2 * radius, np.float32)
        out = blurred[view, row]
        out[:] = np.float32(0.0)
        for dr in range(-radius, radius + 1):
            line = image[view, min(max(row + dr, 0), rows - 1)]
            padded[:radius] = line[0]
            padded[radius : radius + columns] = line
            padded[radius + columns :] = line[columns - 1]
            for dc in range(2 * radius + 1):
                tap = kernel[dr + radius, dc]
                for column in range(columns):
                    out[column] += tap * padded[column + dc]


def blurred(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A (V, R, C) float32 image convolved with a kernel from ``blur_kernel``; a kernel of one tap returns the image."""
    if kernel.shape == (1, 1):
        return image
    image = np.ascontiguousarray(image, dtype=np.float32)
    out = np.empty_like(image)
    if image.size:
        _convolve(image, kernel, out)
    return out
