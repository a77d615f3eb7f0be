"""Where a label map ends: at the edge of its volume, or where a segmentation stops before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: The last slice of a bone that was cut off is as large as the one before it; of a whole bone it is a small cap.
_CUT_SHARE, _CUT_MM2 = 0.85, 150.0


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """The box of voxels in which bones are seen whole.

    Attributes:
        box: slices of the label map.
        affine: (4, 4) index in the box -> LPS mm.
        shape: of the box.
    """

    box: tuple[slice, ...]
    affine: np.ndarray
    shape: tuple[int, ...]

    def margin_mm(self, point: np.ndarray) -> float:
        """Distance of a (3,) LPS point from the nearest side of the box, negative outside."""
        inverse = np.linalg.inv(self.affine)
        index = inverse[:3, :3] @ point + inverse[:3, 3]
        width = 1 / np.linalg.norm(inverse[:3, :3], axis=1)  # distance between two slices, also of a sheared grid
        return float((np.minimum(index + 0.5, np.array(self.shape) - 0.5 - index) * width).min())


def field_of_view(
    labels: np.ndarray, affine: np.ndarray, bones: Sequence[int], boxes: Sequence[tuple[slice, ...] | None]
) -> FieldOfView:
    """The volume without slices in which the given bones were not segmented though they went on.

    Args:
        labels: (I, J, K) integers.
        affine: (4, 4) index -> LPS mm.
        bones: labels that end in a cap wherever they are whole.
        boxes: around each of them, of ``scipy.ndimage.find_objects``; None where it is absent.
    """
    around = [box for box in boxes if box is not None]
    sides = [slice(0, n) for n in labels.shape]
    if around:
        first = np.min([[side.start for side in box] for box in around], axis=0)
        stop = np.max([[side.stop for side in box] for box in around], axis=0)
        whole = tuple(slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
        inner = np.isin(labels[whole], bones)
        for axis, side in enumerate(whole):
            across = [a for a in range(3) if a != axis]
            pixel_mm2 = float(np.linalg.norm(np.cross(*affine[:3, across].T)))
            area = np.count_nonzero(inner, axis=tuple(across)) * pixel_mm2
            if len(area) > 1 and area[0] > max(_CUT_MM2, _CUT_SHARE * area[1]):
                sides[axis] = slice(side.start, sides[axis].stop)
            if len(area) > 1 and area[-1] > max(_CUT_MM2, _CUT_SHARE * area[-2]):
                sides[axis] = slice(sides[axis].start, side.stop)
    inside = affine.copy()
    inside[:3, 3] += affine[:3, :3] @ np.array([side.start for side in sides])
    return FieldOfView(tuple(sides), inside, tuple(side.stop - side.start for side in sides))
