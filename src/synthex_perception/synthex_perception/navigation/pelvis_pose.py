"""The pelvis' pose in the C-arm's frame from landmarks in one image: robust PnP with a covariance that holds.

A first pose comes from RANSAC over SQPnP (Terzakis & Lourakis 2020, OpenCV), the final one from least squares over the
landmarks that agree with it; how far off still counts as agreeing follows from the residuals themselves. The covariance
is that of least squares, s^2 (J^T J)^-1, with s^2 estimated from the residuals of n landmarks, nu = 2n - 6 degrees of
freedom. An s^2 from so few residuals is itself uncertain: the region that holds the truth with 95 % is bounded by the F
distribution with (6, nu) degrees of freedom, not by chi^2 with 6. The covariance is widened by the ratio of the two, so
that whoever draws the usual 95 % ellipsoid gets 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.spatial.transform import Rotation

#: Fewer landmarks leave the pose undetermined, or determined without a residual to judge it by.
MIN_LANDMARKS = 4
#: Flattest arrangement accepted: second singular value of the centred landmarks over the first.
_MIN_SPREAD = 0.05
_RANSAC_ITERATIONS = 200
_STEPS = 20
_SELECTIONS = 5
_LEAST_BOUND_PX = 3.0


class PoseError(ValueError):
    """No pose can be stated; the message says why."""


@dataclass(frozen=True, eq=False)
class PelvisPose:
    """A pose and how well it is known.

    Attributes:
        camera_from_ct: (4, 4) float64, patient LPS mm -> ``carm_source_optical`` mm.
        covariance: (6, 6) float64 of (x, y, z, rx, ry, rz): the error's translation in mm and its small rotation
            vector in radians, both along the camera's axes, as geometry_msgs/PoseWithCovariance orders them; the pose
            is exp(r) R, t + x.
        inliers: (n,) bool, the landmarks that the pose was fitted to.
        residual_px: root mean square distance of the inliers from where the pose puts them, pixels.
    """

    camera_from_ct: np.ndarray
    covariance: np.ndarray
    inliers: np.ndarray
    residual_px: float

    def transform(self, point_mm: ArrayLike) -> np.ndarray:
        """(3,) camera millimetres of a (3,) point in patient LPS millimetres."""
        return self.camera_from_ct[:3, :3] @ np.asarray(point_mm, dtype=np.float64) + self.camera_from_ct[:3, 3]

    def position_covariance(self, point_mm: ArrayLike) -> np.ndarray:
        """(3, 3) mm^2, of where a (3,) point in patient LPS millimetres lies in the camera's frame."""
        lever = self.camera_from_ct[:3, :3] @ np.asarray(point_mm, dtype=np.float64)
        by_pose = np.hstack([np.eye(3), -_cross_matrices(lever[None])[0]])
        return by_pose @ self.covariance @ by_pose.T


def estimate_pelvis_pose(
    points_mm: ArrayLike, pixels: ArrayLike, intrinsics: ArrayLike, outlier_px: float = 12.0
) -> PelvisPose:
    """The pose that puts 3D landmarks where they were seen.

    Args:
        points_mm: (n, 3) landmarks, patient LPS millimetres, n >= 4.
        pixels: (n, 2) (column, row), pixel centres at integers.
        intrinsics: (3, 3) of the image; the first focal length is negative (seen from the detector).
        outlier_px: the first pose is the one that most landmarks lie this close to. In the end, those are left out that
            are further off than 3.5 times the noise that the median of all residuals tells (3 px at least).

    Raises:
        PoseError: too few landmarks, landmarks almost on a line, no pose that enough of them agree with, or one that
            puts the pelvis behind the source.
    """
    points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
    seen = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
    k = np.asarray(intrinsics, dtype=np.float64)
    if len(points) != len(seen):
        raise ValueError(f"{len(points)} landmarks but {len(seen)} pixels")
    if not (np.isfinite(points).all() and np.isfinite(seen).all()):
        raise ValueError("landmarks and pixels must be finite; leave out what was not seen")
    if len(points) < MIN_LANDMARKS:
        raise PoseError(f"{len(points)} landmarks are seen; a pose needs {MIN_LANDMARKS}")
    centre = points.mean(axis=0)
    _check_spread(points - centre)
    # Fitted about the landmarks' middle: far from it, rotation and translation could hardly be told apart.
    rotation, translation, inliers = _consensus(points - centre, seen, k, outlier_px)
    for _ in range(_SELECTIONS):
        rotation, translation = _refine(points[inliers] - centre, seen[inliers], k, rotation, translation)
        before, inliers = inliers, _agreeing(points - centre, seen, k, rotation, translation)
        if inliers.sum() < MIN_LANDMARKS or (inliers == before).all():
            inliers = before
            break
    rotation, translation = _refine(points[inliers] - centre, seen[inliers], k, rotation, translation)
    residuals, jacobian = _residuals(points[inliers] - centre, seen[inliers], k, rotation, translation)
    covariance = _about_origin(_covariance(residuals, jacobian), rotation @ centre)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = translation - rotation @ centre
    if not (points @ rotation.T + pose[:3, 3])[:, 2].min() > 0:
        raise PoseError("the pose that fits best puts the pelvis behind the source")
    return PelvisPose(pose, covariance, inliers, float(np.sqrt((residuals**2).sum() / inliers.sum())))


def _check_spread(centred: np.ndarray) -> None:
    extent = np.linalg.svd(centred, compute_uv=False)
    if extent[1] < _MIN_SPREAD * extent[0]:
        raise PoseError("the landmarks that are seen lie almost on a line; the turn about it cannot be known")


def _consensus(
    points: np.ndarray, seen: np.ndarray, k: np.ndarray, outlier_px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rotation, translation, inliers) of the pose that most landmarks agree with."""
    cv2.setRNGSeed(0)  # the same landmarks give the same pose
    found, rotation, translation, agreeing = cv2.solvePnPRansac(
        points, seen, k, None, flags=cv2.SOLVEPNP_SQPNP, reprojectionError=outlier_px,
        iterationsCount=_RANSAC_ITERATIONS, confidence=0.999,
    )
    inliers = np.zeros(len(points), bool)
    if found and agreeing is not None:
        inliers[agreeing.ravel()] = True
    if inliers.sum() < MIN_LANDMARKS:
        raise PoseError(
            f"only {inliers.sum()} of {len(points)} landmarks agree on a pose within {outlier_px:g} px; "
            f"{MIN_LANDMARKS} are needed"
        )
    _check_spread(points[inliers] - points[inliers].mean(axis=0))
    return Rotation.from_rotvec(rotation.ravel()).as_matrix(), translation.ravel(), inliers


def _agreeing(
    points: np.ndarray, seen: np.ndarray, k: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> np.ndarray:
    """(n,) bool. A fixed bound would cut off the tails of noisy landmarks and with them the noise that is stated."""
    error = _residuals(points, seen, k, rotation, translation)[0]
    noise = 1.4826 * np.median(np.abs(error))
    return np.linalg.norm(error.reshape(-1, 2), axis=1) <= max(_LEAST_BOUND_PX, 3.5 * noise)


def _refine(
    points: np.ndarray, seen: np.ndarray, k: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg-Marquardt on the reprojection error."""
    residuals, jacobian = _residuals(points, seen, k, rotation, translation)
    damping = 1e-6
    for _ in range(_STEPS):
        normal = jacobian.T @ jacobian
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -jacobian.T @ residuals)
        turned = Rotation.from_rotvec(step[3:]).as_matrix() @ rotation
        moved = translation + step[:3]
        new_residuals, new_jacobian = _residuals(points, seen, k, turned, moved)
        if new_residuals @ new_residuals > residuals @ residuals:
            damping *= 10.0
            continue
        gained = residuals @ residuals - new_residuals @ new_residuals
        rotation, translation, residuals, jacobian = turned, moved, new_residuals, new_jacobian
        damping = max(damping / 10.0, 1e-12)
        if gained < 1e-12:
            break
    return rotation, translation


def _residuals(
    points: np.ndarray, seen: np.ndarray, k: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(2n,) pixels of reprojection error, and its (2n, 6) derivative by translation (mm) and rotation (rad)."""
    turned = points @ rotation.T
    camera = turned + translation
    x, y, z = camera.T
    projected = camera @ k.T
    error = projected[:, :2] / projected[:, 2:] - seen
    by_point = np.zeros((len(points), 2, 3))
    by_point[:, 0] = np.stack([k[0, 0] / z, k[0, 1] / z, -(k[0, 0] * x + k[0, 1] * y) / z**2], axis=1)
    by_point[:, 1, 1], by_point[:, 1, 2] = k[1, 1] / z, -k[1, 1] * y / z**2
    # d(exp(r) p)/dr = -[p]x
    by_rotation = -np.einsum("nij,njk->nik", by_point, _cross_matrices(turned))
    return error.ravel(), np.concatenate([by_point, by_rotation], axis=2).reshape(-1, 6)


def _covariance(residuals: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    freedom = len(residuals) - 6
    variance = residuals @ residuals / freedom
    widening = 6.0 * stats.f.ppf(0.95, 6, freedom) / stats.chi2.ppf(0.95, 6)
    return variance * widening * np.linalg.inv(jacobian.T @ jacobian)


def _about_origin(covariance: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """From the pose's translation at the landmarks' middle to that at the origin of patient LPS.

    t0 = t - R c: an error (x, r) of (t, R) is an error x - r x (R c) = x + [R c]x r of t0.
    """
    change = np.eye(6)
    change[:3, 3:] = _cross_matrices(centre[None])[0]
    return change @ covariance @ change.T


def _cross_matrices(vectors: np.ndarray) -> np.ndarray:
    """(n, 3) -> (n, 3, 3) with M u = v x u."""
    matrices = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    matrices[:, 0, 1], matrices[:, 0, 2] = -z, y
    matrices[:, 1, 0], matrices[:, 1, 2] = z, -x
    matrices[:, 2, 0], matrices[:, 2, 1] = -y, x
    return matrices
