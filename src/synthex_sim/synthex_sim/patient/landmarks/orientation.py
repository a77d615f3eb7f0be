"""Whether a label map stands the right way up and is not mirrored, before anything is measured on it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthex_sim import anatomy

_STEP = 3


def label_centers(labels: np.ndarray, affine: np.ndarray) -> dict[int, np.ndarray]:
    """Label of ``anatomy`` -> (3,) LPS mm of its middle, for the bones that are there."""
    coarse = np.ascontiguousarray(labels[::_STEP, ::_STEP, ::_STEP])
    centers = {}
    for label in anatomy.BONE_LABELS:
        index = np.argwhere(coarse == label)
        if len(index) > 10:
            centers[label] = affine[:3, :3] @ (index.mean(axis=0) * _STEP) + affine[:3, 3]
    return centers


def check_orientation(centers: Mapping[int, np.ndarray]) -> None:
    """Refuses label maps whose parts lie where they cannot lie in patient LPS coordinates.

    Args:
        centers: of ``label_centers``.

    Raises:
        ValueError: the left bone lies to the right, the femora above the hip bones, or the sacrum in front of them.
    """
    pairs = ((anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS), (anatomy.LEFT_FEMUR, anatomy.RIGHT_FEMUR))
    for left, right in pairs:
        if left in centers and right in centers and centers[left][0] <= centers[right][0]:
            raise ValueError(
                f"{anatomy.LABEL_NAMES[left]} lies to the patient's right of {anatomy.LABEL_NAMES[right]}: the labels "
                "are exchanged, or the affine mirrors the volume (+x is left in LPS)"
            )
    hips = [centers[label] for label in pairs[0] if label in centers]
    femurs = [centers[label] for label in pairs[1] if label in centers]
    if hips and femurs and np.mean(femurs, axis=0)[2] >= np.mean(hips, axis=0)[2]:
        raise ValueError("the femora lie above the hip bones: the affine turns the volume over (+z is up in LPS)")
    sacrum = centers.get(anatomy.UPPER_SACRUM)
    if len(hips) == 2 and sacrum is not None and sacrum[1] <= np.mean(hips, axis=0)[1]:
        raise ValueError(
            "the sacrum lies in front of the hip bones: the affine turns or mirrors the volume (+y is back in LPS)"
        )
