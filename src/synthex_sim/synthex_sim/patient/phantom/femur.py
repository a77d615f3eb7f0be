"""The upper half of a femur: head, neck, trochanters, shaft with a marrow canal, turned about the true hip centre.

Dimensions in the femur's own frame (origin head centre, x lateral, y proximal along the shaft, z anterior), mm, for a
head radius of 23.5 mm: neck-shaft angle 127 deg, anteversion 12 deg, offset 42 mm, shaft 28 mm wide (textbook means;
checked against the femora of a manual label map, yuta-hi/pelvic-annonation, MIT).
"""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.frame import UPRIGHT, Pelvis, rotation
from synthex_sim.patient.phantom.parameters import SidePose

_MEAN_HEAD_MM = 23.5
# Head and neck turn with the neck's angles; what follows is carried along without turning.
_NECK = np.array([(10, -7.5, -2, 18.0), (20, -15, -4, 15.5), (29, -22, -6, 15.0), (38, -30, -8, 15.5)])
_JUNCTION = _NECK[-1, :3]
_SHAFT = np.array(
    [
        (51, -5, -19, 6.5),  # 0 tip of the greater trochanter, overhanging backwards
        (55, -20, -11, 9.5),  # 1 its lateral face
        (53, -36, -7, 11.5),  # 2 its lower end
        (50, -18, -18, 8.0),  # 3 its back
        (43, -45, -9, 16.5),  # 4 below the trochanters
        (42, -62, -8, 15.8),  # 5
        (42, -82, -6, 14.6),  # 6
        (42, -120, -3, 13.8),  # 7
        (42, -200, 0, 13.5),  # 8
        (23, -57, -20, 5.5),  # 9 lesser trochanter
        (33, -52, -17, 8.0),  # 10 its base
        (42, -30, -20, 7.0),  # 11 intertrochanteric crest
        (34, -69, -11, 8.0),  # 12 taper under the lesser trochanter
    ],
    dtype=np.float64,
)
_N = len(_NECK) + 1  # spheres of head and neck
_FACES = np.array(
    [(0, 1, 1), (1, 2, 2), (2, 3, 3), (3, 4, 4), (3, 4, _N + 1), (4, _N + 1, _N + 2), (3, _N + 3, _N + 1),
     (_N, _N + 1, _N + 3), (4, _N + 2, _N + 4), (4, _N + 4, _N + 4), (_N + 4, _N + 5, _N + 5), (_N + 5, _N + 6, _N + 6),
     (_N + 6, _N + 7, _N + 7), (_N + 7, _N + 8, _N + 8), (_N + 9, _N + 10, _N + 12), (_N + 10, _N + 4, _N + 12),
     (_N + 3, _N + 11, 4), (_N + 11, _N + 10, 4), (_N + 11, _N + 4, _N + 10), (_N + 2, _N + 4, _N + 3)]
)  # fmt: skip


def control_points(pelvis: Pelvis, side: int, pose: SidePose) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) LPS mm and (N,) radii of the posed femur; row 0 is the head."""
    size = pelvis.person.head_radius_mm / _MEAN_HEAD_MM
    turn = rotation(y_deg=pose.anteversion_deg, z_deg=pose.neck_shaft_deg)
    neck = _NECK[:, :3] @ turn.T
    shaft = _SHAFT[:, :3] + (neck[-1] - _JUNCTION)
    points = np.concatenate([np.zeros((1, 3)), neck, shaft]) * size
    radii = np.concatenate([[_MEAN_HEAD_MM], _NECK[:, 3], _SHAFT[:, 3]]) * size
    lying = rotation(z_deg=pose.external_rotation_deg)
    lying = rotation(x_deg=-pose.flexion_deg, y_deg=-pose.abduction_deg) @ lying
    posed = points @ (lying @ UPRIGHT).T
    posed[:, 0] *= side
    return posed + pelvis.hip_center(side), radii


def build(pelvis: Pelvis, side: int, grid: shapes.Grid) -> tuple[tuple, shapes.Grid, np.ndarray, np.ndarray]:
    """Signed distance of one femur.

    Returns:
        block (slices), its grid, float32 distance in mm, and the float32 thickness of its cortex there, mm: thin over
        head and trochanters, thick along the shaft.
    """
    pose = pelvis.person.femurs[0 if side > 0 else 1]
    points, radii = control_points(pelvis, side, pose)
    block, part = grid.block(*shapes.bounds(points, radii))
    field = shapes.sphere_mesh(part, points, radii, _FACES, smooth_mm=1.2)
    field = np.minimum(field, shapes.sphere(part, points[0], radii[0]))
    axis = points[_N + 8] - points[_N + 4]
    axis /= np.linalg.norm(axis)
    x, y, z = part.coordinates(np.eye(3), points[_N + 4])
    distal = x * axis[0] + y * axis[1] + z * axis[2]
    thick = 1.4 + 5.0 * np.clip((distal - 5.0) / 60.0, 0, 1)
    return block, part, field, (thick * pelvis.person.cortex_scale).astype(np.float32)
