"""View: the geometry of one exposure. Every image and every label is made from a View, so they cannot disagree.

Camera frame (``carm_source_optical``): origin at the X-ray source, +z towards the detector, +y along the rows (down),
+x to the right as seen from the source. Pixels are stored as seen from the detector, hence the one negative focal
length::

    K = [[-SDD/s, 0, cx], [0, SDD/s, cy], [0, 0, 1]],     (col, row, 1) ~ K (E X)[:3]

Pixel centres lie at integers; the principal point of a W-pixel detector is (W - 1) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

#: Half turn about the camera's y axis: our camera (z source -> detector) <-> DeepFluoro's (z detector -> source).
_HALF_TURN_Y = np.diag([-1.0, 1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class View:
    """One exposure's geometry.

    Attributes:
        intrinsics: (3, 3) float64, pixels; K above. Other signs of the focal lengths are allowed (see ``from_krt``).
        world_to_camera: (4, 4) float64, rigid, millimetres.
        shape: detector size as (rows, columns).
        pixel_spacing_mm: size of one (square) pixel on the detector.
    """

    intrinsics: np.ndarray
    world_to_camera: np.ndarray
    shape: tuple[int, int]
    pixel_spacing_mm: float

    def __post_init__(self) -> None:
        intrinsics = np.array(self.intrinsics, dtype=np.float64)
        extrinsics = np.array(self.world_to_camera, dtype=np.float64)
        if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all():
            raise ValueError(f"intrinsics must be a finite 3x3 matrix, got shape {intrinsics.shape}")
        if intrinsics[0, 0] == 0 or intrinsics[1, 1] == 0 or not np.allclose(intrinsics[2], [0, 0, 1]):
            raise ValueError("intrinsics need non-zero focal lengths and the last row 0, 0, 1")
        _check_rigid(extrinsics)
        rows, cols = (int(n) for n in self.shape)
        if rows < 1 or cols < 1:
            raise ValueError(f"detector shape must be at least 1 x 1, got {self.shape}")
        if not self.pixel_spacing_mm > 0:
            raise ValueError(f"pixel spacing must be positive, got {self.pixel_spacing_mm} mm")
        intrinsics.setflags(write=False)
        extrinsics.setflags(write=False)
        object.__setattr__(self, "intrinsics", intrinsics)
        object.__setattr__(self, "world_to_camera", extrinsics)
        object.__setattr__(self, "shape", (rows, cols))
        object.__setattr__(self, "pixel_spacing_mm", float(self.pixel_spacing_mm))

    # -- what it answers ------------------------------------------------------------------------------------------
    @property
    def source_to_detector_mm(self) -> float:
        """SDD in millimetres, |K00| times the pixel spacing."""
        return abs(self.intrinsics[0, 0]) * self.pixel_spacing_mm

    @property
    def camera_to_world(self) -> np.ndarray:
        """(4, 4) float64, millimetres."""
        return rigid_inverse(self.world_to_camera)

    @property
    def source(self) -> np.ndarray:
        """(3,) position of the X-ray source in the world, millimetres."""
        return self.camera_to_world[:3, 3]

    def project(self, points: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and depths of world points.

        Args:
            points: (..., 3) world coordinates, millimetres.

        Returns:
            pixels: (..., 2) float64 as (column, row); NaN for points at or behind the source.
            depth_mm: (...,) distance from the source along +z of the camera.
        """
        points = np.asarray(points, dtype=np.float64)
        camera = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        depth = camera[..., 2]
        safe = np.where(depth > 1e-9, depth, np.nan)
        pixels = np.stack(
            [
                (self.intrinsics[0, 0] * camera[..., 0] + self.intrinsics[0, 1] * camera[..., 1]) / safe
                + self.intrinsics[0, 2],
                self.intrinsics[1, 1] * camera[..., 1] / safe + self.intrinsics[1, 2],
            ],
            axis=-1,
        )
        return pixels, depth

    def ray(self, pixels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Rays through pixel centres.

        Args:
            pixels: (..., 2) as (column, row); need not be integers.

        Returns:
            origin: (3,) the source, world millimetres.
            directions: (..., 3) unit vectors from the source towards the detector, world frame.
        """
        directions = np.asarray(pixels, dtype=np.float64) @ self.pixel_to_direction[:, :2].T
        directions = directions + self.pixel_to_direction[:, 2]
        return self.source, directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    @property
    def pixel_to_direction(self) -> np.ndarray:
        """(3, 3): homogeneous pixel -> unnormalised world direction with camera z component 1."""
        return self.camera_to_world[:3, :3] @ np.linalg.inv(self.intrinsics)

    def contains(self, pixels: ArrayLike) -> np.ndarray:
        """Whether (..., 2) pixels (column, row) fall on the detector, whose edge lies half a pixel outside centres."""
        pixels = np.asarray(pixels, dtype=np.float64)
        rows, cols = self.shape
        with np.errstate(invalid="ignore"):
            inside = (pixels > -0.5) & (pixels < np.array([cols - 0.5, rows - 0.5]))
        return inside.all(axis=-1)

    # -- the same exposure, otherwise written ---------------------------------------------------------------------
    def resized(self, shape: tuple[int, int]) -> View:
        """The same detector read out with other pixels: fx' = r fx, cx' = r (cx + 0.5) - 0.5.

        Raises:
            ValueError: the new shape would make pixels that are not square.
        """
        scale_rows, scale_cols = shape[0] / self.shape[0], shape[1] / self.shape[1]
        if abs(scale_rows - scale_cols) > 1e-9 * scale_cols:
            raise ValueError(f"resizing {self.shape} to {shape} would make pixels that are not square")
        to_new = np.array([[scale_cols, 0, 0.5 * scale_cols - 0.5], [0, scale_rows, 0.5 * scale_rows - 0.5], [0, 0, 1]])
        return View(to_new @ self.intrinsics, self.world_to_camera, shape, self.pixel_spacing_mm / scale_cols)

    def mirrored(self) -> View:
        """The same rays with the columns in reverse order (seen from the source instead of from the detector)."""
        flip = np.array([[-1.0, 0, self.shape[1] - 1], [0, 1, 0], [0, 0, 1]])
        return View(flip @ self.intrinsics, self.world_to_camera, self.shape, self.pixel_spacing_mm)

    def with_world(self, new_from_old_world: ArrayLike) -> View:
        """The same exposure with the world renamed: ``new_from_old_world`` is a rigid (4, 4) transform."""
        return View(
            self.intrinsics,
            self.world_to_camera @ rigid_inverse(new_from_old_world),
            self.shape,
            self.pixel_spacing_mm,
        )

    # -- other people's cameras -----------------------------------------------------------------------------------
    @classmethod
    def from_krt(
        cls, k: ArrayLike, rotation: ArrayLike, translation: ArrayLike, shape: tuple[int, int], pixel_spacing_mm: float
    ) -> View:
        """A plain camera x ~ K [R|t] X with pixel centres at integers and +z away from the source (OpenCV's)."""
        extrinsics = np.eye(4)
        extrinsics[:3, :3] = np.asarray(rotation, dtype=np.float64)
        extrinsics[:3, 3] = np.asarray(translation, dtype=np.float64).reshape(3)
        return cls(k, extrinsics, shape, pixel_spacing_mm)

    def to_krt(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """K (3, 3), R (3, 3), t (3,) of this view; OpenCV's projectPoints and solvePnP take them as they are."""
        return self.intrinsics.copy(), self.world_to_camera[:3, :3].copy(), self.world_to_camera[:3, 3].copy()

    @classmethod
    def from_deepfluoro(
        cls, intrinsic: ArrayLike, world_to_camera: ArrayLike, shape: tuple[int, int], pixel_spacing_mm: float
    ) -> View:
        """A DeepFluoro (xreg) camera: z from detector to source, both focal lengths negative, same pixels as ours."""
        k = np.array(intrinsic, dtype=np.float64)
        k[1, 1] = -k[1, 1]
        k[0, 1] = -k[0, 1]
        return cls(k, _HALF_TURN_Y @ np.asarray(world_to_camera, dtype=np.float64), shape, pixel_spacing_mm)

    def to_deepfluoro(self) -> tuple[np.ndarray, np.ndarray]:
        """(intrinsic (3, 3), world-to-camera (4, 4)) of the same exposure in DeepFluoro's convention."""
        k = self.intrinsics.copy()
        k[1, 1] = -k[1, 1]
        k[0, 1] = -k[0, 1]
        return k, _HALF_TURN_Y @ self.world_to_camera

    @classmethod
    def from_deepdrr(
        cls, intrinsic: ArrayLike, camera3d_from_world: ArrayLike, shape: tuple[int, int], pixel_spacing_mm: float
    ) -> View:
        """A DeepDRR camera, giving DeepDRR's own picture (seen from the source); ``mirrored()`` gives ours.

        DeepDRR puts pixel centres at half-integers (principal point W/2), we at integers: hence the 0.5.
        """
        k = np.array(intrinsic, dtype=np.float64)
        k[:2, 2] -= 0.5
        return cls(k, camera3d_from_world, shape, pixel_spacing_mm)

    def to_deepdrr(self) -> tuple[np.ndarray, np.ndarray]:
        """(intrinsic (3, 3), camera3d-from-world (4, 4)) with pixel centres at half-integers."""
        k = self.intrinsics.copy()
        k[:2, 2] += 0.5
        return k, self.world_to_camera.copy()


def rigid_inverse(transform: ArrayLike) -> np.ndarray:
    """Inverse of a rigid (4, 4) transform."""
    transform = np.asarray(transform, dtype=np.float64)
    inverse = np.eye(4)
    inverse[:3, :3] = transform[:3, :3].T
    inverse[:3, 3] = -transform[:3, :3].T @ transform[:3, 3]
    return inverse


def _check_rigid(transform: np.ndarray) -> None:
    if transform.shape != (4, 4) or not np.isfinite(transform).all():
        raise ValueError(f"world_to_camera must be a finite 4x4 matrix, got shape {transform.shape}")
    rotation = transform[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
        raise ValueError("world_to_camera is not rigid: its rotation part is singular, scaled or a reflection")
    if not np.allclose(transform[3], [0, 0, 0, 1]):
        raise ValueError("world_to_camera must have the last row 0, 0, 0, 1")
