"""Small holes of triangle meshes, closed without new points, so that what is inside can be told."""

from __future__ import annotations

import numpy as np

#: A longer border is no gap of a remeshed surface but a bone cut open.
_LONGEST = 60


def closed(faces: np.ndarray) -> np.ndarray:
    """Faces of a surface in which every edge belongs to an even number of faces.

    Edges of an odd number of faces form closed lines (a border of a surface has no ends); each line becomes a fan of
    triangles. A mesh that is closed comes back as it is.

    Args:
        faces: (T, 3) int.

    Returns:
        (T + F, 3) int.

    Raises:
        ValueError: a hole of more than 60 edges.
    """
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, counts = np.unique(sides, axis=0, return_counts=True)
    fans = []
    for line in _lines(edges[counts % 2 == 1]):
        if len(line) > _LONGEST:
            raise ValueError(f"its surface is not closed: a hole has {len(line)} edges")
        fans += [(line[0], b, c) for b, c in zip(line[1:-1], line[2:], strict=True)]
    return np.concatenate([faces, np.array(fans, dtype=faces.dtype).reshape(-1, 3)])


def _lines(edges: np.ndarray) -> list[list[int]]:
    """Parts edges, of which an even number meet at each point, into closed lines of points."""
    neighbours: dict[int, list[int]] = {}
    for a, b in edges.tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    lines = []
    for start in list(neighbours):
        while neighbours[start]:
            line, at = [start], start
            while True:
                following = neighbours[at].pop()
                neighbours[following].remove(at)
                if following == start:
                    break
                line.append(following)
                at = following
            lines.append(line)
    return lines
