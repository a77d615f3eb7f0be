"""The notched tube as triangles for people to look at: the boundary of each rigid piece of ``solid.py``.

Pieces keep their boundary where they touch, so the whole is not one watertight solid; volumes are those of the pieces,
with circles replaced by polygons inscribed in them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cm_kinematics.geometry import CmGeometry
from cm_kinematics.solid import TubePieces, solid_pieces


@dataclass(frozen=True, eq=False)
class TubeSurface:
    """Triangles of one device, the same for all its shapes: vertices move with their pieces.

    Attributes:
        points_mm: (v, 3) float64, each in the frame of its piece.
        normals: (v, 3) float64 outward unit vectors in the same frame; vertices are not shared across edges.
        piece: (v,) index of the piece each vertex belongs to.
        triangles: (t, 3) int64 vertex indices, counter-clockwise seen from outside.
    """

    points_mm: np.ndarray
    normals: np.ndarray
    piece: np.ndarray
    triangles: np.ndarray

    def posed(self, pieces: TubePieces) -> tuple[np.ndarray, np.ndarray]:
        """Vertices and normals of one shape.

        Args:
            pieces: of the same device, ``solid_pieces`` of some joint angles.

        Returns:
            points_mm: (v, 3) in the frame that the pieces' poses map to.
            normals: (v, 3).
        """
        rotations = pieces.poses[self.piece, :3, :3]
        points = np.einsum("vij,vj->vi", rotations, self.points_mm) + pieces.poses[self.piece, :3, 3]
        return points, np.einsum("vij,vj->vi", rotations, self.normals)


def tube_surface(geometry: CmGeometry, facets: int = 24) -> TubeSurface:
    """The surface of a device.

    Args:
        facets: of a full circle; half annuli get half as many.

    Raises:
        ValueError: fewer than 6 facets, or an odd number.
    """
    if facets < 6 or facets % 2:
        raise ValueError(f"facets must be an even number of at least 6, got {facets}")
    pieces = solid_pieces(geometry, np.zeros(geometry.joint_count))
    quads = [_piece_quads(pieces, index, facets) for index in range(len(pieces))]
    corners = np.concatenate([points for points, _ in quads])
    normals = np.concatenate([normal for _, normal in quads])
    piece = np.repeat(np.arange(len(pieces)), [4 * len(points) for points, _ in quads])
    first = 4 * np.arange(len(corners))[:, None]
    triangles = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]], axis=1).reshape(-1, 3)
    return TubeSurface(corners.reshape(-1, 3), normals.reshape(-1, 3), piece, triangles)


def _piece_quads(pieces: TubePieces, index: int, facets: int) -> tuple[np.ndarray, np.ndarray]:
    """(q, 4, 3) corners and normals of one annulus or half annulus, counter-clockwise seen from outside."""
    side = int(pieces.side[index])
    inner, outer = pieces.inner_radius_mm, pieces.outer_radius_mm
    start, end = pieces.y_start_mm[index], pieces.y_end_mm[index]
    middle = 0.0 if side >= 0 else np.pi  # of the arc, from +x towards -z so that y is its axis
    reach = np.pi if side == 0 else np.pi / 2
    angles = np.linspace(middle - reach, middle + reach, (facets if side == 0 else facets // 2) + 1)
    radial = np.stack([np.cos(angles), np.zeros_like(angles), -np.sin(angles)], axis=1)
    axis = np.array([0.0, 1.0, 0.0])
    a, b = radial[:-1], radial[1:]
    low, high = start * axis, end * axis
    faces = [
        ((a * outer + low, b * outer + low, b * outer + high, a * outer + high), (a, b, b, a)),
        ((b * inner + low, a * inner + low, a * inner + high, b * inner + high), (-b, -a, -a, -b)),
        ((a * inner + low, b * inner + low, b * outer + low, a * outer + low), (-axis,) * 4),
        ((a * outer + high, b * outer + high, b * inner + high, a * inner + high), (axis,) * 4),
    ]
    if side != 0:
        for edge, outward in ((radial[:1], -1.0), (radial[-1:], 1.0)):
            normal = outward * np.cross(axis, edge)
            rim = (edge * inner + low, edge * outer + low, edge * outer + high, edge * inner + high)
            faces.append((rim if outward < 0 else rim[::-1], (normal,) * 4))
    corners, normals = [], []
    for points, directions in faces:
        corners.append(np.stack(np.broadcast_arrays(*points), axis=1))
        normals.append(np.stack([np.broadcast_to(d, points[0].shape) for d in directions], axis=1))
    return np.concatenate(corners), np.concatenate(normals)
