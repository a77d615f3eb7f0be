"""A pelvis' landmarks seen by a C-arm: what the tests of navigation share."""

import numpy as np
from scipy.spatial.transform import Rotation

#: A pelvis' landmarks, LPS mm (rounded from one of the built-in phantoms).
PELVIS = np.array([
    [88, 2, 0], [-88, 2, 0], [62, 60, 42], [-62, 60, 42], [62, 8, -62], [-62, 8, -62], [32, -28, -38], [-32, -28, -38],
    [6, -48, -18], [-6, -48, -18], [8, -38, -58], [-8, -38, -58], [118, -32, 92], [-118, -32, 92],
], dtype=float)
SDD, SPACING = 1020.0, 0.194 * 6
K = np.array([[-SDD / SPACING, 0, 127.5], [0, SDD / SPACING, 127.5], [0, 0, 1.0]])
#: Camera axes for an AP view: x to the patient's right, y to the feet, z from back to front.
AP = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])


def pose_of(tilt_rotvec=(0, 0, 0), translation=(5.0, -10.0, 780.0)):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(tilt_rotvec).as_matrix() @ AP
    pose[:3, 3] = translation
    return pose


def project(pose, points=PELVIS):
    camera = points @ pose[:3, :3].T + pose[:3, 3]
    pixels = camera @ K.T
    return pixels[:, :2] / pixels[:, 2:]


def error_of(found, pose):
    """(6,) translation mm and rotation vector rad from the true pose to the one found."""
    turn = Rotation.from_matrix(pose[:3, :3] @ found[:3, :3].T).as_rotvec()
    return np.concatenate([pose[:3, 3] - found[:3, 3], turn])
