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
_NECK = np.array([(13, -9.8, -2.8, 17.0), (24, -18, -5.1, 14.2), (32, -24, -6.8, 14.5), (40, -31, -8.5, 16.0)])
_JUNCTION = _NECK[-1, :3]
_SHAFT = np.array(
    [
        (54, -14, -20, 6.0),  # 0 tip of the greater trochanter, overhanging backwards
        (58, -25, -12, 9.0),  # 1 its lateral face
        (54, -43, -8, 12.0),  # 2 its lower end
        (51, -25, -20, 8.0),  # 3 its back
        (43, -52, -9, 17.0),  # 4 below the trochanters
        (42.5, -70, -8, 15.8),  # 5
        (42, -92, -6, 14.6),  # 6
        (42, -130, -3, 14.0),  # 7
        (42, -210, 0, 13.7),  # 8
        (22, -64, -20, 6.0),  # 9 lesser trochanter
        (33, -58, -17, 9.0),  # 10 its base
        (42, -37, -21, 7.0),  # 11 intertrochanteric crest
        (33, -78, -11, 8.0),  # 12 taper under the lesser trochanter
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


def build(
    pelvis: Pelvis, side: int, grid: shapes.Grid
) -> tuple[tuple, shapes.Grid, np.ndarray, np.ndarray, np.ndarray]:
    """Signed distance of one femur.

    Returns:
        block (slices), its grid, float32 distance in mm, the float32 thickness of its cortex there (mm: thin over head
        and trochanters, thick along the shaft), and the factor on cancellous density (dense head, fatty trochanters).
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
    thick = 0.9 + 3.6 * np.clip((distal + 10.0) / 70.0, 0, 1)
    x, y, z = part.coordinates(np.eye(3), points[0])
    head = np.clip(2.0 - np.sqrt(x * x + y * y + z * z) / radii[0], 0, 1)  # 1 in the head, 0 from the trochanters on
    return block, part, field, (thick * pelvis.person.cortex_scale).astype(np.float32), 0.55 + 1.1 * head
