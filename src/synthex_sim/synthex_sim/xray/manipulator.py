"""The continuum manipulator as a tool of a scene."""

from __future__ import annotations

import numpy as np

from cm_kinematics.geometry import CmGeometry
from cm_kinematics.kinematics import base_point, tip_point
from cm_kinematics.solid import solid_pieces
from synthex_sim.xray.materials import Material
from synthex_sim.xray.scene import Tool


def manipulator(geometry: CmGeometry, angles: np.ndarray, pose: np.ndarray) -> Tool:
    """The manipulator of one shape as a tool of a scene.

    Args:
        angles: (n,) joint angles in radians.
        pose: (4, 4) shaft frame -> world, mm.
    """
    return Tool(
        pieces=solid_pieces(geometry, angles),
        pose=np.asarray(pose, dtype=np.float64),
        base=base_point(geometry),
        tip=tip_point(geometry, angles),
        material=Material(geometry.material, geometry.mass_fractions, geometry.density_g_per_cm3),
    )
