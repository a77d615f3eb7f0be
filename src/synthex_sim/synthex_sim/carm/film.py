"""The AP view of a pelvis on a large detector, as a radiography room takes it: for looking at whole patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from synthex_sim.carm.view import View

SDD_MM, SAD_MM, SIDE_MM = 1150.0, 1000.0, 430.0
#: Camera axes of an AP view in LPS, as rows: to the patient's right, down, forward. The source is behind.
_AP = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])


def film_view(aim_lps: ArrayLike, rows: int) -> View:
    """An AP view on a detector of 430 x 430 mm, 1150 mm from the source, in a world that is the patient's LPS frame.

    The source lies behind the patient, as under a table; the patient's left is at the right of the picture.

    Args:
        aim_lps: (3,) mm, the point on the central ray, 1000 mm from the source.
        rows: number of rows and of columns.

    Raises:
        ValueError: there are no rows.
    """
    if rows < 1:
        raise ValueError(f"a detector needs rows, got {rows}")
    focal, middle = SDD_MM * rows / SIDE_MM, (rows - 1) / 2
    pose = np.eye(4)
    pose[:3, :3] = _AP
    pose[:3, 3] = (0.0, 0.0, SAD_MM) - _AP @ np.asarray(aim_lps, dtype=np.float64)
    return View(np.array([[-focal, 0, middle], [0, focal, middle], [0, 0, 1]]), pose, (rows, rows), SIDE_MM / rows)
