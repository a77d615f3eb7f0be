"""Whether the beam meets a volume, and the sentence that says why not."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from synthex_sim.carm.beam import volume_corners, why_missed
from synthex_sim.carm.view import View

#: Source at the origin, beam up along +z, a detector of 200 x 300 mm at 1000 mm.
VIEW = View.along((0, 0, 0), (0, 0, 1), (1, 0, 0), (200, 300), 1.0, 1000.0)


def box_at(center, side=100.0, rotvec=(0, 0, 0)):
    """Corners of a cube of 10 voxels a side, turned about its middle."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix() * side / 10
    affine[:3, 3] = np.asarray(center, dtype=float) - affine[:3, :3] @ [4.5, 4.5, 4.5]
    return volume_corners(affine, (10, 10, 10))


def test_corners_lie_half_a_voxel_outside_the_outermost_voxels():
    corners = box_at((0, 0, 500))
    assert corners.min(axis=0) == pytest.approx([-50, -50, 450]) and corners.max(axis=0) == pytest.approx([50, 50, 550])


@pytest.mark.parametrize(("center", "reason"), [
    ((0, 0, -500), "the patient lies behind the X-ray source .depths -550 to -450 mm.*the other way.*from_deepfluoro"),
    ((0, 0, 1100), "behind the detector: it begins 1050 mm from the source .*, the detector stands at 1000 mm"),
    ((300, 0, 500), "the beam passes the patient by, .* column 150, row -500 of 300 columns and 200 rows"),
])
def test_why_nothing_of_a_patient_shows(center, reason):
    assert re.search(reason, why_missed(VIEW, box_at(center)))


@pytest.mark.parametrize("center", [(0, 0, 500), (0, 0, 0), (0, 0, 1030), (99, 0, 500), (0, 120, 500)])
def test_a_patient_partly_in_the_beam_is_no_miss(center):
    assert why_missed(VIEW, box_at(center)) is None


centers = st.tuples(st.floats(-400, 400), st.floats(-400, 400), st.floats(100, 950))


@given(centers, st.tuples(*[st.floats(-2, 2)] * 3), st.floats(40, 300))
@settings(max_examples=60, deadline=None)
def test_a_box_with_a_point_on_a_ray_is_met_and_one_outside_the_beams_cone_missed(center, rotvec, side):
    """Both told without separating axes: by points of the box that fall on the detector, and by its bounding sphere."""
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 9.5, 15)] * 3), axis=-1).reshape(-1, 3)
    points = (grid - 4.5) @ Rotation.from_rotvec(rotvec).as_matrix().T * side / 10 + center
    pixels, depth = VIEW.project(points)
    missed = why_missed(VIEW, box_at(center, side, rotvec)) is not None
    if (VIEW.contains(pixels) & (depth < 1000)).any():
        assert not missed
    beyond_cone = np.arctan2(np.hypot(*center[:2]), center[2]) - np.arctan(np.hypot(100, 150) / 1000)
    if np.linalg.norm(center) * np.sin(beyond_cone) > side * np.sqrt(3) / 2:
        assert missed
