"""View: the geometry of one exposure. Every image and every label is made from a View, so they cannot disagree.

Camera frame (``carm_source_optical``): origin at the X-ray source, +z towards the detector, +y along the rows (down),
+x to the right as seen from the source. Pixels are stored as seen from the detector, hence the one negative focal
length::

    K = [[-SDD/s, 0, cx], [0, SDD/s, cy], [0, 0, 1]],     (col, row, 1) ~ K (E X)[:3]

Pixel centres lie at integers; the principal point of a W-pixel detector is (W - 1) / 2. The detector is a flat panel
perpendicular to the camera's z axis; the principal point need not be its middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import rq

from synthex_sim.carm.view_checks import checked_intrinsics, checked_rigid, checked_shape

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

    Raises:
        ValueError: no flat panel with square pixels is described, or no rigid pose; the message says what to do.
    """

    intrinsics: np.ndarray
    world_to_camera: np.ndarray
    shape: tuple[int, int]
    pixel_spacing_mm: float

    def __post_init__(self) -> None:
        intrinsics = checked_intrinsics(self.intrinsics)
        extrinsics = checked_rigid(self.world_to_camera)
        shape = checked_shape(self.shape)
        if not 0 < self.pixel_spacing_mm < math.inf:
            raise ValueError(f"pixel spacing must be positive and finite, got {self.pixel_spacing_mm} mm")
        intrinsics.setflags(write=False)
        extrinsics.setflags(write=False)
        object.__setattr__(self, "intrinsics", intrinsics)
        object.__setattr__(self, "world_to_camera", extrinsics)
        object.__setattr__(self, "shape", shape)
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
        k = self.intrinsics
        pixels = camera[..., :2] / safe[..., None] * [k[0, 0], k[1, 1]] + k[:2, 2]
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

    def depth_range(self, points: ArrayLike) -> tuple[float, float]:
        """Least and greatest depth of world points (..., 3) along the central ray, millimetres.

        Negative: behind the source. Greater than ``source_to_detector_mm``: behind the detector.
        """
        depth = np.asarray(points, dtype=np.float64) @ self.world_to_camera[2, :3] + self.world_to_camera[2, 3]
        return float(depth.min()), float(depth.max())

    def on_detector(self, pixels: ArrayLike) -> np.ndarray:
        """(..., 3) world millimetres of (..., 2) pixels (column, row) on the detector's surface."""
        pixels = np.asarray(pixels, dtype=np.float64)
        directions = pixels @ self.pixel_to_direction[:, :2].T + self.pixel_to_direction[:, 2]
        return self.source + self.source_to_detector_mm * directions

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

    def turned(self, angle_deg: float) -> View:
        """The same source with the detector turned about the central ray: the patient's picture turns by that angle.

        Positive turns what is at +x of the camera towards its +y.
        """
        c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
        turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
        return View(self.intrinsics, turn @ self.world_to_camera, self.shape, self.pixel_spacing_mm)

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
        cls, k: ArrayLike, rotation: ArrayLike, translation: ArrayLike, shape: tuple[int, int], pixel_spacing_mm: float,
        source_to_detector_mm: float | None = None,
    ) -> View:
        """A plain camera x ~ K [R|t] X with pixel centres at integers and +z away from the source (OpenCV's).

        Args:
            source_to_detector_mm: where it is known too, K is checked against it.

        Raises:
            ValueError: K's focal length times the pixel spacing is not that distance (0.1 %), or see ``View``.
        """
        extrinsics = np.eye(4)
        extrinsics[:3, :3] = np.asarray(rotation, dtype=np.float64)
        extrinsics[:3, 3] = np.asarray(translation, dtype=np.float64).reshape(3)
        view = cls(k, extrinsics, shape, pixel_spacing_mm)
        if source_to_detector_mm is not None:
            _check_distance(view, source_to_detector_mm)
        return view

    def to_krt(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """K (3, 3), R (3, 3), t (3,) of this view; OpenCV's projectPoints and solvePnP take them as they are."""
        return self.intrinsics.copy(), self.world_to_camera[:3, :3].copy(), self.world_to_camera[:3, 3].copy()

    @classmethod
    def from_projection_matrix(cls, p: ArrayLike, shape: tuple[int, int], pixel_spacing_mm: float) -> View:
        """A 3x4 matrix with (column, row, 1) ~ P (X, 1), pixel centres at integers.

        The third row must give positive numbers to points before the source; P and -P are the same camera, so negate
        P where it does not. A picture seen from the detector comes out with a negative first focal length, one seen
        from the source with two positive ones.

        Raises:
            ValueError: P has no centre (an edge-on detector, a parallel beam), or see ``View``.
        """
        p = np.array(p, dtype=np.float64)
        if p.shape != (3, 4) or not np.isfinite(p).all():
            raise ValueError(f"a projection matrix must be a finite 3x4 matrix, got shape {p.shape}")
        m = p[:, :3]
        if abs(np.linalg.det(m)) < 1e-9 * np.linalg.norm(m, axis=1).prod():
            raise ValueError(
                "the projection matrix has no X-ray source: its left 3x3 part is singular, as for a detector that is "
                "edge-on (its plane contains the source) or a parallel beam"
            )
        k, rotation = rq(m)
        signs = np.sign(np.diag(k)) * [np.sign(np.linalg.det(m)), 1.0, 1.0]
        k, rotation = k * signs, signs[:, None] * rotation
        translation = np.linalg.solve(k, p[:, 3])
        return cls.from_krt(k / k[2, 2], rotation, translation, shape, pixel_spacing_mm)

    def to_projection_matrix(self) -> np.ndarray:
        """(3, 4) P = K [R|t] of this view; its third row gives the depth in millimetres."""
        return self.intrinsics @ self.world_to_camera[:3]

    @classmethod
    def from_detector(
        cls, source: ArrayLike, center: ArrayLike, column_direction: ArrayLike, row_direction: ArrayLike,
        shape: tuple[int, int], pixel_spacing_mm: float,
    ) -> View:
        """Source and detector as things in space, as tomography (RTK, ASTRA) and tracked devices give them.

        Args:
            source, center: (3,) world millimetres of the X-ray source and of the detector's middle. The source need
                not stand over the middle: the principal point says where it does.
            column_direction: (3,) along which columns increase; any length.
            row_direction: (3,) along which rows increase.

        Raises:
            ValueError: the detector is edge-on (the source lies in its plane), or its directions are not perpendicular.
        """
        source, center, u, v = _vectors(source=source, center=center, column_direction=column_direction,
                                        row_direction=row_direction)
        u, v = (_unit(d, name) for d, name in ((u, "column_direction"), (v, "row_direction")))
        if abs(u @ v) > 1e-4:
            raise ValueError(f"rows and columns must be perpendicular, their directions enclose {_angle(u, v):.2f} deg")
        z = _unit(np.cross(u, v), "the detector's normal")
        distance = float(z @ (center - source))
        if abs(distance) <= 0.01 * np.linalg.norm(center - source) or distance == 0:
            raise ValueError(
                f"the detector is edge-on: the source at {source.tolist()} lies in its plane; move one of them"
            )
        z = math.copysign(1.0, distance) * z
        pose = np.eye(4)
        pose[:3, :3] = np.column_stack([np.cross(v, z), v, z])
        pose[:3, 3] = source
        focal = abs(distance) / pixel_spacing_mm
        middle = (np.array(checked_shape(shape)[::-1]) - 1) / 2
        principal = middle + np.array([(source - center) @ u, (source - center) @ v]) / pixel_spacing_mm
        sign = math.copysign(1.0, u @ pose[:3, 0])
        k = np.array([[sign * focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1.0]])
        return cls(k, rigid_inverse(pose), shape, pixel_spacing_mm)

    @classmethod
    def along(
        cls, source: ArrayLike, direction: ArrayLike, up: ArrayLike, shape: tuple[int, int], pixel_spacing_mm: float,
        source_to_detector_mm: float,
    ) -> View:
        """The view from a point along a direction, without a positioner; the central ray meets the detector's middle.

        Args:
            source: (3,) world millimetres.
            direction: (3,) from the source to the detector.
            up: (3,) what shall point up in the picture; need not be perpendicular to ``direction``.

        Raises:
            ValueError: ``up`` is parallel to ``direction``.
        """
        source, direction, up = _vectors(source=source, direction=direction, up=up)
        z = _unit(direction, "direction")
        down = (up @ z) * z - up
        if np.linalg.norm(down) < 1e-6 * np.linalg.norm(up):
            raise ValueError("up must not be parallel to the direction of the beam")
        v = _unit(down, "up")
        return cls.from_detector(source, source + source_to_detector_mm * z, np.cross(z, v), v, shape, pixel_spacing_mm)

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


def _check_distance(view: View, source_to_detector_mm: float) -> None:
    if not abs(view.source_to_detector_mm - source_to_detector_mm) <= 1e-3 * source_to_detector_mm:
        raise ValueError(
            f"focal length times pixel spacing is {view.source_to_detector_mm:.1f} mm, but the source-to-detector "
            f"distance is given as {source_to_detector_mm:.1f} mm; one of K, pixel spacing and distance is wrong (an "
            "image read out with other pixels has other K and spacing: View.resized)"
        )


def _vectors(**named: ArrayLike) -> list[np.ndarray]:
    vectors = []
    for name, value in named.items():
        vector = np.asarray(value, dtype=np.float64).reshape(-1)
        if vector.shape != (3,) or not np.isfinite(vector).all():
            raise ValueError(f"{name} must be three finite numbers, got {np.asarray(value).tolist()}")
        vectors.append(vector)
    return vectors


def _unit(vector: np.ndarray, name: str) -> np.ndarray:
    length = np.linalg.norm(vector)
    if not length > 1e-12:
        raise ValueError(f"{name} must not be zero")
    return vector / length


def _angle(u: np.ndarray, v: np.ndarray) -> float:
    return math.degrees(math.acos(float(np.clip(u @ v, -1, 1))))
