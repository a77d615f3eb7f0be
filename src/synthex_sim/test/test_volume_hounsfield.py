"""The scale of CT numbers is checked, and CTs are resampled to cubes without losing what is in them."""

import numpy as np
import pytest
from fabricated_series import AFFINE, body
from sim_worlds import paint_ball, water_box

from synthex_sim.patient.ct_patient import patient_from_volumes
from synthex_sim.patient.hounsfield import check_hounsfield
from synthex_sim.patient.resample import isotropic
from synthex_sim.patient.volume import Volume


def volume(values, affine=AFFINE):
    return Volume(values.astype(np.float32), affine, "test")


def test_a_calibrated_ct_has_its_peaks_where_they_belong():
    check = check_hounsfield(volume(body()))
    assert check.air == pytest.approx(-1000, abs=15) and check.tissue == pytest.approx(40, abs=15)
    assert check.warnings == () and check.unfit == ""


def test_padding_outside_the_field_of_view_is_no_air():
    hu = body().astype(np.float32)
    hu[:10] = -3024
    check = check_hounsfield(volume(hu))
    assert check.air == pytest.approx(-1000, abs=15) and check.warnings == ()


@pytest.mark.parametrize(("change", "words"), [
    (lambda hu: hu + 1024, "an offset of 1000 or 1024 had not been subtracted"),
    (lambda hu: hu + 1000, "an offset of 1000 or 1024 had not been subtracted"),
    (lambda hu: (hu + 1000) * 0.4, "MR image"),
    (lambda hu: hu * 0 + 7, "these are not Hounsfield units"),
    (lambda hu: hu - 3000, "these are not Hounsfield units"),
])
def test_other_scales_are_refused_with_a_guess(change, words):
    check = check_hounsfield(volume(change(body())))
    assert words in check.unfit
    with pytest.raises(ValueError, match="the CT spans"):
        patient_from_volumes(volume(change(body())))


@pytest.mark.parametrize(("change", "words"), [
    (lambda hu: np.where(hu < -900, hu, hu + 300), "soft tissue is expected between"),
    (lambda hu: hu * 0.6, "the darkest material lies at -"),
    (lambda hu: np.where(np.arange(30) < 2, -2000, hu + 1024), "an offset of 1000 or 1024"),
    (lambda hu: np.where(hu < -900, 40, hu) - 300 * (np.arange(30) == 0), "no air was found"),
])
def test_a_doubtful_scale_is_noted(change, words):
    loaded = patient_from_volumes(volume(change(body())))
    assert any(words in note for note in loaded.notes)


def test_cubes_hold_the_same_ball_in_the_same_place():
    """A ball of 30 mm in voxels of 2 x 2 x 5 mm, resampled to 1.5 and to 4 mm: mass and centre stay."""
    box = water_box(1, 1.0)
    patient = type(box)("ball", np.full((60, 60, 30), -1000, np.int16), np.diag([2.0, 2, 5, 1]), None)
    ball = paint_ball(patient, (61, 52, 70), 30.0, 500)
    mass, center = mass_and_center(ball.hu, ball.affine)
    for spacing in (1.5, 4.0):
        cubes = isotropic(Volume(ball.hu, ball.affine, "test"), spacing)
        assert cubes.spacing_mm == pytest.approx([spacing] * 3) and cubes.values.dtype == np.int16
        found = mass_and_center(cubes.values, cubes.affine)
        assert found[0] == pytest.approx(mass, rel=0.01) and found[1] == pytest.approx(center, abs=0.1)


def mass_and_center(hu, affine):
    weight = np.maximum(hu.astype(float) + 1000, 0)
    index = np.argwhere(weight > 0)
    at = index @ affine[:3, :3].T + affine[:3, 3]
    weights = weight[tuple(index.T)]
    return weights.sum() * abs(np.linalg.det(affine[:3, :3])), (at * weights[:, None]).sum(axis=0) / weights.sum()


def test_a_sheared_oblique_volume_comes_out_straight():
    """A ramp along LPS x, y and z is the same ramp on the new grid."""
    affine = np.array([[2.0, -0.3, 0.2, 10], [0.3, 1.8, 1.1, -20], [0.1, -0.4, 3.0, 5], [0, 0, 0, 1]])
    index = np.stack(np.meshgrid(*[np.arange(n) for n in (30, 28, 20)], indexing="ij"), axis=-1)
    at = index @ affine[:3, :3].T + affine[:3, 3]
    cubes = isotropic(Volume((at @ [3.0, -2.0, 1.0]).astype(np.float32), affine, "test"), 1.0)
    axes = cubes.affine[:3, :3]
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-9) and np.linalg.det(axes) > 0
    assert axes[:, 0] == pytest.approx(affine[:3, 0] / np.linalg.norm(affine[:3, 0]))
    within = cubes.values > -1000
    new = np.argwhere(within) @ axes.T + cubes.affine[:3, 3]
    assert within.mean() > 0.3 and cubes.values[within] == pytest.approx(new @ [3.0, -2.0, 1.0], abs=0.01)
    assert (cubes.values[~within] == -1024).all()


def test_padding_does_not_bleed_into_the_body():
    hu = body().astype(np.float32)
    hu[:4] = -20000
    assert isotropic(volume(hu), 2.0).values.min() >= -1024.5


@pytest.mark.parametrize("spacing", [0.1, 20.0, float("nan")])
def test_unreasonable_cubes_are_refused(spacing):
    with pytest.raises(ValueError, match="0.2 to 10 mm are possible"):
        isotropic(volume(body()), spacing)
