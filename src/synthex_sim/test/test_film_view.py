"""The AP view on film: which way round, how large."""

import numpy as np
import pytest

from synthex_sim.carm.film import SAD_MM, SDD_MM, SIDE_MM, film_view


def test_left_is_right_head_is_up_and_the_aim_is_in_the_middle():
    aim = np.array([10.0, -20.0, 30.0])
    view = film_view(aim, 300)
    pixels, depth = view.project(aim + np.array([[0, 0, 0], [50, 0, 0], [0, 0, 50], [0, -50, 0]]))
    assert np.allclose(pixels[0], 149.5) and depth[0] == pytest.approx(SAD_MM)
    per_mm = SDD_MM / SAD_MM * 300 / SIDE_MM
    assert np.allclose(pixels[1] - pixels[0], [50 * per_mm, 0])
    assert np.allclose(pixels[2] - pixels[0], [0, -50 * per_mm])
    assert depth[3] > depth[0]  # the front is nearer to the detector


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="rows"):
        film_view(np.zeros(3), 0)
