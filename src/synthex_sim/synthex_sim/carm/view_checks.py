"""What a View refuses, each with what is wrong and what to do about it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

#: Largest shear, as a share of the focal length, that is taken for rounding (float32 files) and set to zero.
_SHEAR_TOLERANCE = 1e-6
#: Largest difference of the two focal lengths, as a share, that a calibration may have.
_SQUARE_TOLERANCE = 1e-3
#: Largest departure of R R^T from the identity.
_RIGID_TOLERANCE = 1e-4


def checked_intrinsics(intrinsics: ArrayLike) -> np.ndarray:
    """The matrix as (3, 3) float64, a shear that is no more than rounding removed.

    Raises:
        ValueError: it is no pinhole camera with square pixels.
    """
    k = np.array(intrinsics, dtype=np.float64)
    if k.shape != (3, 3) or not np.isfinite(k).all():
        raise ValueError(f"intrinsics must be a finite 3x3 matrix, got shape {k.shape}: {k.tolist()}")
    if not np.allclose(k[2], [0, 0, 1]):
        raise ValueError(
            f"intrinsics must have the last row 0, 0, 1, got {k[2].tolist()}; divide by the lower right entry, and "
            "take a 3x4 projection matrix to View.from_projection_matrix"
        )
    fx, fy = k[0, 0], k[1, 1]
    if fx == 0 or fy == 0:
        raise ValueError(
            f"intrinsics need two focal lengths that are not zero, got {fx:g} and {fy:g} px: such a detector is "
            "edge-on to the beam or has no size"
        )
    if max(abs(k[0, 1]), abs(k[1, 0])) > _SHEAR_TOLERANCE * abs(fx):
        raise ValueError(
            f"intrinsics are sheared (entries {k[0, 1]:g} and {k[1, 0]:g} off the diagonal): rows and columns of a "
            "flat panel are perpendicular; put a turn of the detector into the rotation instead"
        )
    if abs(abs(fx) - abs(fy)) > _SQUARE_TOLERANCE * abs(fx):
        raise ValueError(
            f"pixels are not square: focal lengths {fx:g} and {fy:g} px; resample the image to square pixels, a View "
            "has one pixel spacing"
        )
    k[0, 1] = k[1, 0] = 0.0
    k[2] = 0.0, 0.0, 1.0
    return k


def checked_rigid(transform: ArrayLike, name: str = "world_to_camera") -> np.ndarray:
    """The transform as (4, 4) float64.

    Raises:
        ValueError: it is not a rigid motion; the message says in which way.
    """
    t = np.array(transform, dtype=np.float64)
    if t.shape != (4, 4) or not np.isfinite(t).all():
        raise ValueError(f"{name} must be a finite 4x4 matrix, got shape {t.shape}: {t.tolist()}")
    if not np.allclose(t[3], [0, 0, 0, 1]):
        raise ValueError(f"{name} must have the last row 0, 0, 0, 1, got {t[3].tolist()}; transposed?")
    rotation = t[:3, :3]
    if np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID_TOLERANCE):
        if np.linalg.det(rotation) > 0:
            return t
        raise ValueError(
            f"{name} is not rigid but a reflection (determinant -1): one axis points the wrong way; where only the "
            "picture is mirrored, use a proper rotation and View.mirrored()"
        )
    sizes = np.linalg.svd(rotation, compute_uv=False)
    if sizes[-1] < 1e-6 * max(sizes[0], 1.0):
        raise ValueError(f"{name} is not rigid: its rotation part is singular (singular values {_text(sizes)})")
    if np.ptp(sizes) < _RIGID_TOLERANCE * sizes[0]:
        raise ValueError(
            f"{name} is not rigid: it scales by {sizes[0]:g}; give it in millimetres, not in metres or voxels"
        )
    raise ValueError(
        f"{name} is not rigid: its axes are not perpendicular unit vectors (singular values {_text(sizes)}); a "
        "rotation read from a rounded text file can be made proper by its singular value decomposition"
    )


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) as integers.

    Raises:
        ValueError: one is not a whole number from 1 on.
    """
    rows, columns = (int(n) for n in shape)
    if (rows, columns) != tuple(shape) or rows < 1 or columns < 1:
        raise ValueError(f"detector shape must be whole numbers, at least 1 x 1, got {tuple(shape)}")
    return rows, columns


def _text(values: np.ndarray) -> str:
    return ", ".join(f"{v:.4g}" for v in values)
