"""Field masks against areas that can be worked out."""

import math

import numpy as np
import pytest

from synthex_sim.carm.view import View
from synthex_sim.xray.collimation import Iris, Rectangle, field_masks


def view(size=100, spacing=2.0):
    middle = (size - 1) / 2
    k = [[-1000.0, 0, middle], [0, 1000.0, middle], [0, 0, 1]]
    return View.from_krt(k, np.eye(3), (0, 0, 700.0), (size, size), spacing)


def test_a_rectangle_opens_the_pixels_between_its_blades_and_shares_those_they_cross():
    """Pixels of 2 mm: left blade at -50.5 mm cuts the pixel from -52 to -50 mm at three quarters."""
    mask = Rectangle(-50.5, 30.0, -20.0, 60.0).mask(view())
    assert mask.dtype == np.float32
    assert mask[50, 23:66] == pytest.approx([0] + [0.25] + [1] * 40 + [0], abs=1e-4)
    assert mask[:, 30] == pytest.approx([0] * 40 + [1] * 40 + [0] * 20, abs=1e-4)


@pytest.mark.parametrize("rotation", [0.0, 10.0, 45.0, 133.0])
def test_the_open_area_does_not_change_with_rotation(rotation):
    mask = Rectangle(-31.0, 40.3, -22.7, 18.9, rotation).mask(view())
    assert mask.sum() * 4.0 == pytest.approx(71.3 * 41.6, rel=1e-3)


def test_rotation_is_clockwise_in_the_picture():
    mask = Rectangle(-100.0, 100.0, -5.0, 5.0, 30.0).mask(view())
    reach = 60 * np.array([math.cos(math.radians(30)), math.sin(math.radians(30))]) / 2 + 49.5
    assert mask[round(reach[1]), round(reach[0])] == 1 and mask[round(99 - reach[1]), round(reach[0])] == 0


@pytest.mark.parametrize(("radius", "centre"), [(60.0, (0.0, 0.0)), (23.4, (15.0, -31.0)), (7.7, (3.3, 1.0))])
def test_an_iris_opens_its_circle(radius, centre):
    mask = Iris(radius, centre).mask(view())
    assert mask.sum() * 4.0 == pytest.approx(math.pi * radius**2, rel=6e-3)
    column, row = np.array(centre) / 2 + 49.5
    assert mask[round(row), round(column)] == 1
    assert (mask * np.arange(100)).sum() / mask.sum() == pytest.approx(column, abs=0.02)


def test_edges_agree_with_fine_sampling():
    """Each pixel in 20 x 20 points; corners of the turned rectangle apart."""
    fine = (np.arange(100 * 20) + 0.5) / 20 - 0.5
    x, y = np.meshgrid((fine - 49.5) * 2, (fine - 49.5) * 2)
    inside = (np.hypot(x - 3, y + 8) < 47.0).reshape(100, 20, 100, 20).mean(axis=(1, 3))
    assert Iris(47.0, (3.0, -8.0)).mask(view()) == pytest.approx(inside, abs=0.02)
    angle = math.radians(20)
    u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    inside = ((np.abs(u) < 60) & (np.abs(v) < 30)).reshape(100, 20, 100, 20).mean(axis=(1, 3))
    apart = np.abs(Rectangle(-60.0, 60.0, -30.0, 30.0, 20.0).mask(view()) - inside)
    assert np.sort(apart.ravel())[-13] < 0.02 and apart.max() < 0.25


def test_a_field_larger_than_the_detector_opens_all_of_it():
    assert (Rectangle(-500.0, 500.0, -500.0, 500.0, 12.0).mask(view()) == 1).all()
    assert (Iris(300.0).mask(view()) == 1).all()


def test_a_field_beside_the_detector_is_refused_and_one_at_its_rim_is_not():
    """The detector reaches from -100 to 100 mm both ways."""
    assert field_masks(Rectangle(99.0, 300.0, -500.0, 500.0), [view(), view()]).sum() == pytest.approx(2 * 100 * 0.5)
    for collimator in (Rectangle(101.0, 300.0, -20.0, 20.0), Iris(10.0, (0.0, 150.0))):
        with pytest.raises(ValueError, match="leaves nothing of the detector open.* 200 x 200 mm"):
            field_masks(collimator, [view()])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Rectangle(10.0, -10.0, -5.0, 5.0), "left must be less than right"),
    (lambda: Rectangle(-10.0, 10.0, 5.0, 5.0), "top must be less than bottom"),
    (lambda: Rectangle(-10.0, 10.0, -5.0, 5.0, math.nan), "rotation must be finite"),
    (lambda: Iris(0.0), "positive radius"),
    (lambda: Iris(5.0, (math.nan, 0.0)), "positive radius"),
])
def test_a_field_that_is_none_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
