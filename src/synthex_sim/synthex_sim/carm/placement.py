"""Placing a patient on the table. World: z up, x towards the patient's head, y towards the patient's right (supine)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

#: Patient LPS axes in the world for a supine patient: superior -> x, right -> y, anterior -> z.
SUPINE = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def supine_pose(reference_lps: ArrayLike, at_world: ArrayLike, tilt_rotvec: ArrayLike = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Patient LPS -> world, with a reference point of the patient at a given place.

    Args:
        reference_lps: (3,) mm, the point that is put in place (usually ``Patient.reference_point``).
        at_world: (3,) mm, where.
        tilt_rotvec: (3,) radians, rotation vector in LPS applied to the patient about the reference point.

    Returns:
        (4, 4) rigid, mm.
    """
    pose = np.eye(4)
    pose[:3, :3] = SUPINE @ Rotation.from_rotvec(np.asarray(tilt_rotvec, dtype=np.float64)).as_matrix()
    pose[:3, 3] = np.asarray(at_world, dtype=np.float64) - pose[:3, :3] @ np.asarray(reference_lps, dtype=np.float64)
    return pose
