"""Bone of both sides in one label, parted into the left one's and the right one's.

The two bones mirror each other, so the plane between them is half way between the middles of two halves, at right
angles to the line that joins these. Bone away from that plane is of the side it lies on. Near it, where the hip bones
may have grown together in the label map at the symphysis, they are parted at their narrowest place: the smallest cut
(maximum flow) between what lies on the one side and what lies on the other.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

#: How far from the plane bones may reach over to the other side.
_REACH_MM = 15.0
#: Faces so far from the plane count double in a cut: it goes through the symphysis, not through a thinner ramus.
_FAR_MM = 6.0
#: Shares of the two halves, distance of their middles and direction between these, of two bones and not one.
_LEAST_SHARE = 0.2
_LEAST_APART_MM = 60.0
_LEAST_ACROSS = 0.7
#: Cross-section at the plane over the largest one: a neck or nothing between two bones, the thick of a single one.
_LARGEST_NECK = 0.35
_ROUNDS = 30
_MOST_POINTS = 200_000


def part_sides(index: np.ndarray, affine: np.ndarray) -> np.ndarray | None:
    """Which voxels of a pair of bones are the left one's.

    Args:
        index: (N, 3) int, voxels of both bones.
        affine: (4, 4) voxel index -> LPS mm.

    Returns:
        (N,) bool, True for the left one's; None where these are not two bones on two sides.
    """
    points = index @ affine[:3, :3].T + affine[:3, 3]
    found = _plane_between(points)
    if found is None:
        return None
    normal, middle = found
    off = (points - middle) @ normal
    off -= _neck(off)
    sections = np.bincount(np.floor((off - off.min()) / 3.0).astype(int))
    if np.count_nonzero(np.abs(off) < 1.5) > _LARGEST_NECK * sections.max():
        return None
    left = off > 0
    near = np.flatnonzero(np.abs(off) <= _REACH_MM)
    left[near] = _smallest_cut(index[near], off[near], affine)
    return left


def _plane_between(points: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(3,) unit normal to the left and (3,) LPS mm of a place on the plane; None for a single bone."""
    some = points[:: max(1, len(points) // _MOST_POINTS)]
    split = some[:, 0] > (some[:, 0].min() + some[:, 0].max()) / 2
    for _ in range(_ROUNDS):
        if not _LEAST_SHARE <= split.mean() <= 1 - _LEAST_SHARE:
            return None
        left, right = some[split].mean(axis=0), some[~split].mean(axis=0)
        middle, across = (left + right) / 2, left - right
        again = (some - middle) @ across > 0
        if (again == split).all():
            break
        split = again
    apart = float(np.linalg.norm(across))
    if apart < _LEAST_APART_MM or across[0] < _LEAST_ACROSS * apart:
        return None
    return across / apart, middle


def _neck(off: np.ndarray) -> float:
    """Where near the plane the cross-section is least: (N,) distances -> distance, mm."""
    edges = np.arange(-_REACH_MM - 2, _REACH_MM + 2.5, 1.0)
    counts = np.histogram(off, edges)[0].astype(float)
    smooth = np.convolve(counts, np.ones(3) / 3, mode="same")[1:-1]
    at = ((edges[:-1] + edges[1:]) / 2)[1:-1]
    # one voxel more than nothing: where bones are apart, the place nearest to the plane is taken
    return float(at[np.argmin((smooth + 1.0) * (1 + (at / _FAR_MM) ** 2))])


def _smallest_cut(index: np.ndarray, off: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(M,) bool: which of (M, 3) voxels near the plane are the left one's; (M,) off the plane, mm."""
    left = off > 0
    if not left.any() or left.all():
        return left
    step = float(np.linalg.norm(affine[:3, :3], axis=0).max())
    graph = _faces(index, off, affine)
    count = len(index)
    ends = [np.flatnonzero(off > _REACH_MM - step), np.flatnonzero(off < step - _REACH_MM)]
    source, sink, plenty = count, count + 1, np.iinfo(np.int32).max // 4
    rows = np.concatenate([graph.row, np.full(len(ends[0]), source), ends[1]])
    columns = np.concatenate([graph.col, ends[0], np.full(len(ends[1]), sink)])
    sizes = np.concatenate([graph.data, np.full(len(ends[0]) + len(ends[1]), plenty)]).astype(np.int32)
    network = csr_array((sizes, (rows, columns)), shape=(count + 2, count + 2))
    rest = network - maximum_flow(network, source, sink).flow
    rest.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(rest, source, return_predecessors=False)] = True
    fixed = np.zeros(count + 2, bool)
    fixed[breadth_first_order(network.T.tocsr(), sink, return_predecessors=False)] = True
    # what neither end reaches is a piece by itself: of the side it lies on
    return reached[:count] | (left & ~fixed[:count])


def _faces(index: np.ndarray, off: np.ndarray, affine: np.ndarray) -> coo_array:
    """(M, M) weights of the faces between neighbouring voxels, both ways: area in 0.01 mm^2, more far off the plane."""
    first = index.min(axis=0)
    numbers = np.full(index.max(axis=0) - first + 2, -1, np.int64)
    numbers[tuple((index - first).T)] = np.arange(len(index))
    edges = affine[:3, :3].T
    rows, columns, sizes = [], [], []
    for axis in range(3):
        neighbours = numbers[tuple((index - first + np.eye(3, dtype=int)[axis]).T)]
        one = np.flatnonzero(neighbours >= 0)
        other = neighbours[one]
        area = np.linalg.norm(np.cross(edges[axis - 1], edges[axis - 2]))
        weight = 100 * area * (1 + ((off[one] + off[other]) / 2 / _FAR_MM) ** 2)
        rows += [one, other]
        columns += [other, one]
        sizes += [weight, weight]
    return coo_array((np.maximum(1, np.concatenate(sizes)), (np.concatenate(rows), np.concatenate(columns))),
                     shape=(len(index), len(index)))
