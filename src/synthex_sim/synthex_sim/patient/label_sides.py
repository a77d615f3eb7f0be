"""Left and right in label maps: told by where bones lie, and checked where a file names them.

In LPS coordinates x grows towards the patient's left, however the volume is stored and the patient lay.
"""

from __future__ import annotations

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.label_scheme import SIDELESS, LabelScheme

#: Centres of a left and a right bone lie at least so far apart.
_APART_MM = 20.0
_MIDDLE = (anatomy.UPPER_SACRUM, anatomy.VERTEBRAE)


def name_sides(labels: np.ndarray, affine: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """The label map with bones of no side named by their place, after a check of those that the file names.

    Args:
        labels: (I, J, K) uint8 as of ``apply_scheme``; overwritten.
        affine: (4, 4) voxel index -> LPS mm.
        scheme: that the labels were renamed by.

    Raises:
        ValueError: a left bone lies right of its right one, or a side cannot be told.
    """
    centers = _centers_x(labels, affine)
    for name, (left, right) in SIDELESS.items():
        found = [label for label, of in scheme.sideless.items() if of == name and label in centers]
        for label in found:
            others = [centers[other] for other in found if other != label]
            middle = others or [centers[m] for m in _MIDDLE if m in centers][:1]
            if not middle or abs(centers[label] - middle[0]) < _APART_MM:
                raise ValueError(
                    f"the label map does not tell which side a {name} is of: nothing lies on the other side or in the "
                    "middle; name sides in its label scheme"
                )
            labels[labels == label] = left if centers[label] > middle[0] else right
    _check(_centers_x(labels, affine) if scheme.sideless else centers)
    return labels


def _check(centers: dict[int, float]) -> None:
    for name, (left, right) in SIDELESS.items():
        if left in centers and right in centers and centers[left] < centers[right] + _APART_MM:
            raise ValueError(
                f"the label map's left {name} does not lie on the patient's left of the right one (x of their centres: "
                f"{centers[left]:.0f} and {centers[right]:.0f} mm): its label scheme has the sides the wrong way "
                "round, or the file is mirrored; correct one of them"
            )


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
