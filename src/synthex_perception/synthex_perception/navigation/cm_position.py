"""Where the manipulator's base and tip are in the C-arm's frame, from one image.

A point's pixel gives its ray, not its depth. Perception measures the depth of both ends by the width of the tube, which
no tilt changes (z = f D / width). Where a detection comes without depths, the size of the mask has to do: the notched
body is a tube of diameter D and length L; seen from the side, tilted out of the image plane by a, it covers an area of
A = (f/z)^2 D L cos a  pixels however it is bent in the plane, so  z = f sqrt(D L cos a / A).  Neither a nor the errors
of the segmented area are known then: a is taken as normal with the spread at which the device is held, and both go into
the depth's standard deviation.

What comes out is sharp across the beam, vague along it, and says so. All standard deviations are measured on images of
patients that the network was not trained on; see docs/numbers.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cm_kinematics.geometry import CmGeometry


@dataclass(frozen=True)
class CmPositionModel:
    """What is assumed of a detection: standard deviations.

    Attributes:
        tip_sd_px: of the tip, each axis.
        base_along_sd_px, base_across_sd_px: of the base, along the line from base to tip and across it.
        depth_sd: of a depth that perception measured, relative.
        area_sd: of the segmented area, relative.
        out_of_plane_sd_deg: of the angle between the device and the image plane.
    """

    tip_sd_px: float = 1.2
    base_along_sd_px: float = 2.0
    base_across_sd_px: float = 1.0
    depth_sd: float = 0.016
    area_sd: float = 0.15
    out_of_plane_sd_deg: float = 20.0


@dataclass(frozen=True, eq=False)
class SeenManipulator:
    """The manipulator in an image.

    Attributes:
        base_px, tip_px: (2,) (column, row), pixel centres at integers.
        mask_pixels: of the notched body.
        base_depth_mm, tip_depth_mm: from the source along the optical axis; NaN where perception did not measure them.
    """

    base_px: np.ndarray
    tip_px: np.ndarray
    mask_pixels: int
    base_depth_mm: float = math.nan
    tip_depth_mm: float = math.nan


@dataclass(frozen=True, eq=False)
class SeenEnd:
    """Base or tip as perception saw it.

    Attributes:
        pixel: (2,) (column, row).
        visible: confident enough to be used.
        depth_mm: from the source along the optical axis; NaN where it was not measured.
    """

    pixel: np.ndarray
    visible: bool
    depth_mm: float = math.nan


def depth_from_width(intrinsics: ArrayLike, diameter_mm: float, width_px: float) -> float:
    """Distance from the source along the optical axis at which a tube is so wide, f D / width; mm, NaN where unknown.

    Args:
        intrinsics: (3, 3) of the image; zeros where the camera is not calibrated.
        width_px: of the tube in the image, NaN where it was not measured.
    """
    k = np.asarray(intrinsics, dtype=np.float64)
    focal_px = math.sqrt(abs(k[0, 0] * k[1, 1]))
    return focal_px * diameter_mm / width_px if focal_px > 0.0 and width_px > 0.0 else math.nan


def see_manipulator(
    mask_pixels: int, base: SeenEnd, tip: SeenEnd
) -> tuple[SeenManipulator | None, str]:
    """What of a detection can be located: all of it, or nothing and why."""
    if not mask_pixels:
        return None, "not found in the image"
    if not tip.visible:
        return None, "its tip is not seen"
    if not base.visible:
        return None, "its tip is seen, but not where its notched body ends"
    return SeenManipulator(base.pixel, tip.pixel, mask_pixels, base.depth_mm, tip.depth_mm), ""


@dataclass(frozen=True, eq=False)
class CmPosition:
    """Base and tip in ``carm_source_optical``, millimetres.

    Attributes:
        base_mm, tip_mm: (3,) float64.
        base_covariance, tip_covariance: (3, 3) float64, mm^2.
    """

    base_mm: np.ndarray
    tip_mm: np.ndarray
    base_covariance: np.ndarray
    tip_covariance: np.ndarray


def locate_manipulator(
    seen: SeenManipulator, intrinsics: ArrayLike, geometry: CmGeometry, model: CmPositionModel = CmPositionModel()
) -> CmPosition:
    """Base and tip from their pixels and depths.

    Args:
        seen: where a depth is missing, the notched body must lie within the image as a whole.
        intrinsics: (3, 3) of the image.
        geometry: of the device.

    Raises:
        ValueError: pixels that are not finite, or neither depths nor a mask.
    """
    pixels = np.stack([np.asarray(seen.base_px, dtype=np.float64), np.asarray(seen.tip_px, dtype=np.float64)])
    if not np.isfinite(pixels).all():
        raise ValueError("base and tip must be finite pixels")
    k = np.asarray(intrinsics, dtype=np.float64)
    depths = np.array([seen.base_depth_mm, seen.tip_depth_mm])
    depth_sds = model.depth_sd * depths
    if not np.isfinite(depths).all():
        depth, depth_sd = _depth_from_area(seen.mask_pixels, k, geometry, model)
        depths, depth_sds = np.full(2, depth), np.full(2, depth_sd)
    along = pixels[1] - pixels[0]
    inverse = np.linalg.inv(k)
    rays = np.column_stack([pixels, np.ones(2)]) @ inverse.T
    ellipse = _ellipse(along, model.base_along_sd_px, model.base_across_sd_px)
    base = _covariance(ellipse, depths[0], depth_sds[0], rays[0], inverse)
    tip = _covariance(model.tip_sd_px**2 * np.eye(2), depths[1], depth_sds[1], rays[1], inverse)
    return CmPosition(rays[0] * depths[0], rays[1] * depths[1], base, tip)


def _depth_from_area(
    mask_pixels: int, k: np.ndarray, geometry: CmGeometry, model: CmPositionModel
) -> tuple[float, float]:
    """(depth of both ends, its standard deviation), mm."""
    if mask_pixels < 1:
        raise ValueError("the manipulator's mask is empty")
    length = geometry.length_mm - geometry.flexible_start_mm
    tilt_sd = math.radians(model.out_of_plane_sd_deg)
    # moments of cos a for a normal a: E cos a = exp(-s^2/2), E cos^2 a = (1 + exp(-2 s^2)) / 2
    foreshortening = math.exp(-(tilt_sd**2) / 2)
    foreshortening_sd = math.sqrt((1 + math.exp(-2 * tilt_sd**2)) / 2 - foreshortening**2) / foreshortening
    focal = math.sqrt(abs(k[0, 0] * k[1, 1]))
    depth = focal * math.sqrt(geometry.outer_diameter_mm * length * foreshortening / mask_pixels)
    common_sd = 0.5 * depth * math.hypot(model.area_sd, foreshortening_sd)
    # the body's middle is at that depth: its ends lie before and behind it
    end_sd = 0.5 * length * math.sin(tilt_sd)
    return depth, math.hypot(common_sd, end_sd)


def _ellipse(along_px: np.ndarray, along_sd: float, across_sd: float) -> np.ndarray:
    """(2, 2) covariance with these standard deviations along a direction and across it."""
    length = np.linalg.norm(along_px)
    if length < 1e-9:
        return max(along_sd, across_sd) ** 2 * np.eye(2)
    projection = np.outer(along_px, along_px) / length**2
    return along_sd**2 * projection + across_sd**2 * (np.eye(2) - projection)


def _covariance(
    pixel_covariance: np.ndarray, depth: float, depth_sd: float, ray: np.ndarray, inverse: np.ndarray
) -> np.ndarray:
    """(3, 3) mm^2 of ray x depth."""
    across = depth * inverse[:, :2]
    return across @ pixel_covariance @ across.T + depth_sd**2 * np.outer(ray, ray)
