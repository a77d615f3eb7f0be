"""The pelvis' pose: exact on exact landmarks, with a covariance that holds, and silent where it cannot know."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pelvis_views import PELVIS, K, error_of, pose_of, project
from scipy import stats

from synthex_perception.navigation.pelvis_pose import MIN_LANDMARKS, PoseError, estimate_pelvis_pose


@settings(max_examples=60, deadline=None)
@given(
    tilt=st.tuples(*[st.floats(-0.7, 0.7)] * 3),
    offset=st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(620, 880)),
)
def test_exact_landmarks_give_the_exact_pose(tilt, offset):
    pose = pose_of(tilt, offset)
    found = estimate_pelvis_pose(PELVIS, project(pose), K)
    error = error_of(found.camera_from_ct, pose)
    assert np.rad2deg(np.linalg.norm(error[3:])) < 1e-3 and np.linalg.norm(error[:3]) < 1e-2
    assert found.inliers.all() and found.residual_px < 1e-6


@pytest.mark.parametrize("count", [6, 9, 14])
def test_the_covariance_holds_over_1000_draws(count):
    """1 px noise: the truth lies within the 95 % ellipsoid in 90 to 98 of 100 draws, few landmarks or many."""
    rng = np.random.default_rng(count)
    bound = stats.chi2.ppf(0.95, 6)
    points = PELVIS[rng.permutation(14)[:count]] if count < 14 else PELVIS
    within = 0
    for _ in range(1000):
        pose = pose_of(rng.normal(0, 0.2, 3), (*rng.normal(0, 20, 2), rng.uniform(650, 850)))
        found = estimate_pelvis_pose(points, project(pose, points) + rng.normal(0, 1.0, (count, 2)), K)
        error = error_of(found.camera_from_ct, pose)
        within += error @ np.linalg.solve(found.covariance, error) < bound
    assert 900 <= within <= 980


def test_landmarks_that_are_wrong_are_left_out():
    rng = np.random.default_rng(3)
    pose = pose_of((0.1, -0.2, 0.05))
    pixels = project(pose) + rng.normal(0, 0.5, (14, 2))
    pixels[[0, 5, 9]] += [[60, 10], [-25, 40], [0, -50]]
    found = estimate_pelvis_pose(PELVIS, pixels, K)
    assert np.flatnonzero(~found.inliers).tolist() == [0, 5, 9]
    assert np.rad2deg(np.linalg.norm(error_of(found.camera_from_ct, pose)[3:])) < 1.5


def test_the_same_landmarks_give_the_same_pose():
    pixels = project(pose_of((0.1, 0.2, 0.0))) + np.random.default_rng(1).normal(0, 2.0, (14, 2))
    first = estimate_pelvis_pose(PELVIS, pixels, K)
    estimate_pelvis_pose(PELVIS[:8], pixels[:8], K)
    np.testing.assert_array_equal(first.camera_from_ct, estimate_pelvis_pose(PELVIS, pixels, K).camera_from_ct)


def test_too_few_landmarks_a_line_and_disagreement_are_refused_with_the_reason():
    pixels = project(pose_of())
    with pytest.raises(PoseError, match=f"3 landmarks are seen; a pose needs {MIN_LANDMARKS}"):
        estimate_pelvis_pose(PELVIS[:3], pixels[:3], K)
    line = np.outer(np.arange(6), [20.0, 1.0, 0.0])
    with pytest.raises(PoseError, match="almost on a line"):
        estimate_pelvis_pose(line, project(pose_of(), line), K)
    with pytest.raises(PoseError, match="agree on a pose"):
        estimate_pelvis_pose(PELVIS[:6], np.random.default_rng(0).uniform(0, 255, (6, 2)), K)
    with pytest.raises(ValueError, match="finite"):
        estimate_pelvis_pose(PELVIS, np.where(np.arange(14)[:, None] == 2, np.nan, pixels), K)
    with pytest.raises(ValueError, match="14 landmarks but 13 pixels"):
        estimate_pelvis_pose(PELVIS, pixels[:13], K)
