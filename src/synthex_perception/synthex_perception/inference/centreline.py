"""Following a tube through an image, from one end on, and laying it out straight."""

from __future__ import annotations

import cv2
import numpy as np

from synthex_perception.inference.tube_profile import OFFSETS_PX, tube_profile

#: Spacing of a centreline's points, pixels.
SPACING_PX = 0.5
_STEP_PX = 1.5
_TURNS = np.exp(1j * np.deg2rad(np.arange(-18.0, 18.1, 6.0)))
_HALF_TURNS = np.sqrt(_TURNS)
_AHEAD_PX = np.arange(1.0, 9.0, 1.5)
_ASIDE_PX = np.arange(-1.5, 1.6, 0.75)
_ACROSS_PX = np.arange(-7.0, 7.1, 1.0)
_FIRST_AHEAD_PX = np.arange(0.0, 14.1, 1.5)
_FIRST_DIRECTIONS = 48
#: A tube whose likeness falls below this share of what it was so far has ended.
_LOST_SHARE = 0.35
_SMOOTHING_PX = 3.0


def trace_centreline(
    image: np.ndarray, start: np.ndarray, width_px: float, length_px: float, inner_over_outer: float
) -> np.ndarray:
    """Follow a bright tube from its end.

    At each step the tube's profile is compared with what lies a few pixels ahead, under a fan of small turns and
    sideways shifts; half of what fits best is taken, which keeps noise from bending the line.

    Args:
        image: (R, C) float32, attenuation (tube bright).
        start: (2,) (column, row) of the end.
        width_px: of the tube, roughly.
        length_px: after which to stop.

    Returns:
        (n, 2) (column, row) every ``SPACING_PX``, from the start on; it stops where image or tube end. n may be 1.
    """
    profile = tube_profile(_ACROSS_PX, width_px, inner_over_outer)
    profile = ((profile - profile.mean()) / np.linalg.norm(profile - profile.mean())).astype(np.float32)
    # points and directions are complex numbers, column + i row: a turn is a product, "to the left of" a factor i
    point = complex(*np.asarray(start, dtype=np.float64))
    heading = _first_heading(image, point, profile)
    points, sum_of_likeness = [point], 0.0
    while len(points) * _STEP_PX <= length_px:
        directions = heading * _TURNS
        origins = point + 1j * directions[:, None] * _ASIDE_PX  # (turns, shifts)
        ahead = origins[:, :, None] + directions[:, None, None] * _AHEAD_PX
        likeness = _likeness(image, ahead, directions[:, None, None], profile).mean(axis=2)
        turn, shift = divmod(int(likeness.argmax()), len(_ASIDE_PX))
        sum_of_likeness += float(likeness[turn, shift])
        if likeness[turn, shift] < _LOST_SHARE * sum_of_likeness / len(points):
            break
        heading *= _HALF_TURNS[turn]
        point += heading * (_STEP_PX + 0.5j * _ASIDE_PX[shift])
        if not (0 <= point.real <= image.shape[1] - 1 and 0 <= point.imag <= image.shape[0] - 1):
            break
        points.append(point)
    return _evenly(_smooth(np.array(points)))


def straighten(image: np.ndarray, centreline: np.ndarray) -> np.ndarray:
    """(n, 37) image along and across a centreline of n >= 2 points: row i at point i, columns at ``OFFSETS_PX``."""
    points = centreline[:, 0] + 1j * centreline[:, 1]
    directions = np.gradient(points)
    directions /= np.maximum(np.abs(directions), 1e-9)
    return _sample(image, points[:, None] + 1j * directions[:, None] * OFFSETS_PX)


def _first_heading(image: np.ndarray, start: complex, profile: np.ndarray) -> complex:
    directions = np.exp(2j * np.pi * np.arange(_FIRST_DIRECTIONS) / _FIRST_DIRECTIONS)
    ahead = start + directions[:, None] * _FIRST_AHEAD_PX
    return directions[_likeness(image, ahead, directions[:, None], profile).mean(axis=1).argmax()]


def _likeness(image: np.ndarray, centres: np.ndarray, directions: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """How much the image across the direction at each centre is like the tube's profile; the shape of centres."""
    return _sample(image, centres[..., None] + 1j * directions[..., None] * _ACROSS_PX) @ profile


def _sample(image: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Bilinear values at complex places, in their shape; beyond the border its nearest pixel."""
    columns, rows = (part.reshape(-1, at.shape[-1]).astype(np.float32) for part in (at.real, at.imag))
    values = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(at.shape)


def _smooth(points: np.ndarray) -> np.ndarray:
    """Gaussian along the line; mirrored through its ends, which therefore stay."""
    reach = int(3 * _SMOOTHING_PX / _STEP_PX)
    if len(points) <= reach:
        return points
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _STEP_PX / _SMOOTHING_PX) ** 2)
    before, after = 2 * points[0] - points[reach:0:-1], 2 * points[-1] - points[-2 : -reach - 2 : -1]
    return np.convolve(np.concatenate([before, points, after]), weights / weights.sum(), "valid")


def _evenly(points: np.ndarray) -> np.ndarray:
    """(n, 2) (column, row) every ``SPACING_PX``."""
    lengths = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(points)))])
    at = np.arange(0.0, lengths[-1] + 1e-9, SPACING_PX)
    evenly = np.interp(at, lengths, points)
    return np.stack([evenly.real, evenly.imag], axis=1)
