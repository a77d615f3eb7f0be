"""Whether the beam of a view meets a volume, and if not, in words why."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from synthex_sim.carm.view import View


def volume_corners(world_from_index: ArrayLike, shape: tuple[int, int, int]) -> np.ndarray:
    """(8, 3) world millimetres of a volume's corners, half a voxel outside the outermost voxel centres.

    Args:
        world_from_index: (4, 4) affine, voxel index -> world millimetres.
        shape: voxels along i, j, k.
    """
    affine = np.asarray(world_from_index, dtype=np.float64)
    index = np.array(list(product(*((-0.5, n - 0.5) for n in shape))))
    return index @ affine[:3, :3].T + affine[:3, 3]


def why_missed(view: View, corners: ArrayLike, what: str = "the patient") -> str | None:
    """Why nothing of a volume can show in the view's picture, or None where the beam meets it.

    A picture without a patient is bright all over. Whether that is an error (a data set) or what an operator deserves
    who moved the arm away (a session) is for the caller to decide; this says it in one sentence.

    Args:
        corners: (8, 3) world millimetres, see ``volume_corners``.
        what: the volume is called in the sentence.
    """
    corners = np.asarray(corners, dtype=np.float64)
    near, far = view.depth_range(corners)
    if far <= 0:
        return (
            f"{what} lies behind the X-ray source (depths {near:.0f} to {far:.0f} mm along the beam): the view looks "
            "the other way; a camera whose z axis runs from the detector to the source (DeepFluoro) is read by "
            "View.from_deepfluoro"
        )
    if near >= view.source_to_detector_mm:
        return (
            f"{what} lies behind the detector: it begins {near:.0f} mm from the source along the beam, the detector "
            f"stands at {view.source_to_detector_mm:.0f} mm"
        )
    if not _meet(_beam_corners(view), corners):
        (column, row), depth = view.project(corners.mean(axis=0))
        where = f"on column {column:.0f}, row {row:.0f}" if depth > 0 else "nowhere"
        return (
            f"the beam passes {what} by, its middle would fall {where} of {view.shape[1]} columns and {view.shape[0]} "
            "rows; aim at it"
        )
    return None


def _beam_corners(view: View) -> np.ndarray:
    """(5, 3): the source and the detector's corners in turn."""
    rows, columns = view.shape
    outline = [(-0.5, -0.5), (columns - 0.5, -0.5), (columns - 0.5, rows - 0.5), (-0.5, rows - 0.5)]
    return np.vstack([view.source, view.on_detector(outline)])


def _meet(beam: np.ndarray, box: np.ndarray) -> bool:
    """Whether a pyramid (apex first) and a parallelepiped share a point: no separating axis among their normals."""
    box_edges = np.array([box[4] - box[0], box[2] - box[0], box[1] - box[0]])
    rays, sides = beam[1:] - beam[0], np.array([beam[2] - beam[1], beam[3] - beam[2]])
    axes = [
        *(np.cross(box_edges[i], box_edges[j]) for i, j in ((0, 1), (1, 2), (2, 0))),
        *(np.cross(rays[i], rays[(i + 1) % 4]) for i in range(4)),
        np.cross(*sides),
        *(np.cross(a, b) for a in (*rays, *sides) for b in box_edges),
    ]
    for axis in axes:
        along_beam, along_box = beam @ axis, box @ axis
        if along_beam.max() < along_box.min() or along_box.max() < along_beam.min():
            return False
    return True
