"""The notched tube as pieces that a ray caster can intersect analytically.

Every rigid piece is a full or half annulus between two planes of constant y in its segment's frame. Seen straight, with
slit centres mid(0)..mid(n) and slit width w (geometry.py):

- odd segments carry the -x half, even ones the +x half: segment i spans mid(i-1) + w/2 .. mid(i+1) - w/2;
- the shaft (segment 0) is a full annulus to mid(0) - w/2, its +x half continues to mid(1) - w/2;
- the last segment carries both halves: its own side from mid(n-1) + w/2, the other from mid(n) + w/2, to the tip.

So a slit on one side faces a plate's middle on the other, where the hinge's segments meet in the plane x = 0. Halves of
neighbouring segments are cut at their own plane x = 0; bent by theta, they overlap and gape there by slivers at most
(pitch - w) / 2 tan|theta| thick (0.04 mm at 5 degrees): a caster that unites intervals along a ray counts none twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from cm_kinematics.geometry import CmGeometry
from cm_kinematics.kinematics import segment_poses


@dataclass(frozen=True, eq=False)
class TubePieces:
    """n pieces of one tube, all with the same radii.

    Attributes:
        poses: (n, 4, 4) float64, rigid: piece frame (axis = y) -> base frame, mm.
        side: (n,) int8: -1 the half x < 0, +1 the half x >= 0, 0 the full annulus.
        y_start_mm, y_end_mm: (n,) float64, in the piece's frame; start < end.
        outer_radius_mm, inner_radius_mm: of the annulus.
        notched: (n,) bool: whether the piece belongs to the flexible (notched) body.
    """

    poses: np.ndarray
    side: np.ndarray
    y_start_mm: np.ndarray
    y_end_mm: np.ndarray
    outer_radius_mm: float
    inner_radius_mm: float
    notched: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.side)
        fields = (("poses", np.float64, (count, 4, 4)), ("side", np.int8, (count,)),
                  ("y_start_mm", np.float64, (count,)), ("y_end_mm", np.float64, (count,)),
                  ("notched", np.bool_, (count,)))
        for name, dtype, shape in fields:
            array = np.array(getattr(self, name), dtype=dtype)
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if not (self.y_start_mm < self.y_end_mm).all():
            raise ValueError("every piece must end behind its start (y_start_mm < y_end_mm)")
        if not 0 <= self.inner_radius_mm < self.outer_radius_mm:
            raise ValueError(f"radii must be 0 <= inner < outer, got {self.inner_radius_mm}, {self.outer_radius_mm} mm")

    def __len__(self) -> int:
        return len(self.side)

    def transformed(self, transform: ArrayLike) -> TubePieces:
        """The same pieces with poses T @ pose.

        Args:
            transform: (4, 4) rigid, mm: present target frame -> new one.
        """
        transform = np.asarray(transform, dtype=np.float64)
        if transform.shape != (4, 4):
            raise ValueError(f"the transform must be 4 x 4, got {transform.shape}")
        return replace(self, poses=transform @ self.poses)

    def only_notched(self) -> TubePieces:
        """The pieces of the flexible body alone: what the segmentation mask is the shadow of."""
        keep = self.notched
        return replace(self, poses=self.poses[keep], side=self.side[keep], y_start_mm=self.y_start_mm[keep],
                       y_end_mm=self.y_end_mm[keep], notched=self.notched[keep])

    def membership(self, points: ArrayLike) -> np.ndarray:
        """In which pieces points lie.

        Args:
            points: (..., 3) mm in the frame the poses map to.

        Returns:
            (..., n) bool. Half-open bounds, so that touching pieces share no point.
        """
        points = np.asarray(points, dtype=np.float64)
        local = np.einsum("nji,...nj->...ni", self.poses[:, :3, :3], points[..., None, :] - self.poses[:, :3, 3])
        x, y, z = np.moveaxis(local, -1, 0)
        radius = np.hypot(x, z)
        wall = (radius >= self.inner_radius_mm) & (radius < self.outer_radius_mm)
        along = (y >= self.y_start_mm) & (y < self.y_end_mm)
        half = (self.side == 0) | ((self.side > 0) == (x >= 0))
        return wall & along & half

    def contains(self, points: ArrayLike) -> np.ndarray:
        """(...,) bool: whether (..., 3) points (mm) lie in any piece."""
        return self.membership(points).any(axis=-1)

    @property
    def volumes_mm3(self) -> np.ndarray:
        """(n,) float64: pi (R^2 - r^2) h, half of it for half annuli."""
        ring = np.pi * (self.outer_radius_mm**2 - self.inner_radius_mm**2)
        return ring * (self.y_end_mm - self.y_start_mm) * np.where(self.side == 0, 1.0, 0.5)

    def bounding_spheres(self) -> tuple[np.ndarray, np.ndarray]:
        """Spheres that hold each piece (as a full cylinder), to skip it cheaply.

        Returns:
            centres: (n, 3) mm, in the frame the poses map to.
            radii_mm: (n,).
        """
        middle = np.zeros((len(self), 3))
        middle[:, 1] = (self.y_start_mm + self.y_end_mm) / 2
        centres = np.einsum("nij,nj->ni", self.poses[:, :3, :3], middle) + self.poses[:, :3, 3]
        return centres, np.hypot(self.outer_radius_mm, (self.y_end_mm - self.y_start_mm) / 2)


def solid_pieces(geometry: CmGeometry, joint_angles: ArrayLike) -> TubePieces:
    """The tube of one shape.

    Args:
        joint_angles: (n,) radians, hinge 1 first.

    Returns:
        Pieces in the base frame, from the shaft to the tip; the shaft is cut at ``flexible_start_mm``, so that the
        notched body consists of whole pieces.

    Raises:
        ValueError: not one shape's joint angles.
    """
    poses = segment_poses(geometry, joint_angles)
    if poses.ndim != 3:
        raise ValueError(f"solid_pieces takes one shape's joint angles, got a batch of shape {poses.shape[:-3]}")
    segment, side, start, end, notched = (np.array(column) for column in zip(*_straight_pieces(geometry), strict=True))
    origins = geometry.segment_origins_mm[segment]
    return TubePieces(poses=poses[segment], side=side, y_start_mm=start - origins, y_end_mm=end - origins,
                      outer_radius_mm=geometry.outer_radius_mm, inner_radius_mm=geometry.inner_radius_mm,
                      notched=notched)


def _straight_pieces(geometry: CmGeometry) -> list[tuple[int, int, float, float, bool]]:
    """Rows (segment, side, start, end, notched), positions along the straight device in mm."""
    half = geometry.slit_width_mm / 2
    below, above = geometry.slit_centres_mm - half, geometry.slit_centres_mm + half
    last = geometry.joint_count
    rows = [
        (0, 0, -geometry.shaft_extension_mm, geometry.flexible_start_mm, False),
        (0, 0, geometry.flexible_start_mm, below[0], True),
        (0, 1, below[0], below[1], True),
    ]
    rows += [(i, _side(i), above[i - 1], below[i + 1], True) for i in range(1, last)]
    rows += [
        (last, _side(last), above[last - 1], geometry.length_mm, True),
        (last, -_side(last), above[last], geometry.length_mm, True),
    ]
    return rows


def _side(segment: int) -> int:
    return -1 if segment % 2 else 1
