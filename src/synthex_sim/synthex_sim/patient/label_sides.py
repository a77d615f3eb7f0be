"""Left and right in label maps: told by where bones lie, and checked where a file names them.

In LPS coordinates x grows towards the patient's left, however the volume is stored and the patient lay.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.both_sides import part_sides
from synthex_sim.patient.label_scheme import BOTH_SIDES, SIDELESS, LabelScheme

#: Centres of a left and a right bone lie at least so far apart.
_APART_MM = 20.0
#: A bone that lies on one side of the middle by so much of its volume is one side's.
_ONE_SIDED = 0.97
_MIDDLE = (anatomy.UPPER_SACRUM, anatomy.VERTEBRAE)


def name_sides(labels: np.ndarray, affine: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """The label map with bones of no side named by their place, after a check of those that the file names.

    Args:
        labels: (I, J, K) uint8 as of ``apply_scheme``; overwritten.
        affine: (4, 4) voxel index -> LPS mm.
        scheme: that the labels were renamed by.

    Raises:
        ValueError: a left structure lies right of its right one, or a side cannot be told.
    """
    centers = _centers_x(labels, affine)
    middle = next((centers[label] for label in _MIDDLE if label in centers), None)
    for name, (left, right) in SIDELESS.items():
        found = [label for label, of in scheme.sideless.items() if of == name and label in centers]
        for label in found:
            others = [centers[other] for other in found if other != label]
            between = others[0] if others else middle
            if between is None or abs(centers[label] - between) < _APART_MM:
                raise ValueError(
                    f"the label map does not tell which side a {name} is of: nothing lies on the other side or in the "
                    "middle; name sides in its label scheme"
                )
            labels[labels == label] = left if centers[label] > between else right
    for label, name in scheme.sideless.items():
        if name in BOTH_SIDES and label in centers:
            _part(labels, affine, label, name, middle)
    _check(_centers_x(labels, affine) if scheme.sideless else centers, scheme.structures)
    return labels


def _part(labels: np.ndarray, affine: np.ndarray, label: int, name: str, middle: float | None) -> None:
    """Names the sides of bones that share one label, in place."""
    left, right = SIDELESS[BOTH_SIDES[name]]
    index = np.argwhere(labels == label)
    x = index @ affine[0, :3] + affine[0, 3]
    share = None if middle is None else float((x > middle).mean())
    if share is not None and max(share, 1 - share) >= _ONE_SIDED and abs(x.mean() - middle) >= _APART_MM:
        lefts = np.full(len(index), share > 0.5)
    else:
        lefts = part_sides(index, affine)
    if lefts is None:
        raise ValueError(
            f"the label map's {name} cannot be told apart: two bones of similar size, side by side, were expected; "
            "name sides in its label scheme"
        )
    labels[tuple(index.T)] = np.where(lefts, left, right)


def _check(centers: dict[int, float], structures: Mapping[int, str]) -> None:
    for name, (left, right) in SIDELESS.items():
        if left in centers and right in centers and centers[left] < centers[right] + _APART_MM:
            raise ValueError(_wrong_way_round(name, centers[left], centers[right]))
    labels = {name: label for label, name in structures.items() if label in centers}
    for name, left in labels.items():
        other = "right_" + name.removeprefix("left_")
        # structures near the middle may well lie on the other side, as tortuous vessels do
        if name.startswith("left_") and other in labels and centers[left] < centers[labels[other]] - _APART_MM:
            raise ValueError(_wrong_way_round(name.removeprefix("left_"), centers[left], centers[labels[other]]))


def _wrong_way_round(name: str, left: float, right: float) -> str:
    return (f"the label map's left {name} does not lie on the patient's left of the right one (x of their centres: "
            f"{left:.0f} and {right:.0f} mm): its label scheme has the sides the wrong way round, or the file is "
            "mirrored; correct one of them")


def _centers_x(labels: np.ndarray, affine: np.ndarray) -> dict[int, float]:
    """LPS x of the mean of each label's voxels."""
    size = 256
    counts = np.bincount(labels.ravel(), minlength=size)
    total = np.full(size, affine[0, 3]) * counts
    for axis in range(3):
        if affine[0, axis] == 0:
            continue
        # bincount of one plane after the other: no array of coordinates as large as the volume
        for n, plane in enumerate(np.moveaxis(labels, axis, 0)):
            total += affine[0, axis] * n * np.bincount(plane.ravel(), minlength=size)
    return {int(label): total[label] / counts[label] for label in np.flatnonzero(counts) if label}
