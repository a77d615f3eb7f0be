"""Landmarks of the pelvis: found on a label map, and read and written as 3D Slicer keeps them.

Nothing but the bones' shapes is used, and the mean pelvis only where to look and to tell what is impossible.
Research and simulation only, not a medical device.
"""

from synthex_sim.patient.landmarks.find import PelvicLandmarks, find_landmarks
from synthex_sim.patient.landmarks.pelvic_frame import PelvicFrame, anterior_pelvic_plane
from synthex_sim.patient.landmarks.slicer import read_landmarks, write_landmarks

__all__ = [
    "PelvicFrame",
    "PelvicLandmarks",
    "anterior_pelvic_plane",
    "find_landmarks",
    "read_landmarks",
    "write_landmarks",
]
