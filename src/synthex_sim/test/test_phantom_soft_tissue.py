"""What a phantom's soft tissue promises: tissues of their Hounsfield units, fat between muscles, metal in its place."""

import numpy as np
import pytest
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.patient.phantom import draw_person, make_phantom, shapes, spine
from synthex_sim.patient.phantom.body import Body, fill
from synthex_sim.patient.phantom.distance_map import distance_to
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.implants import IMPLANTS
from synthex_sim.patient.phantom.soft_parameters import draw_soft_tissue
from synthex_sim.patient.phantom_name import PhantomName, parse_phantom
from synthex_sim.random_streams import Purpose, stream

LOW_MM, HIGH_MM = -202.0, 280.0


def body_of(seed):
    pelvis = Pelvis.of(draw_person(seed, stream(seed, 0, Purpose.ANATOMY)))
    return Body(pelvis, spine.stack(pelvis, HIGH_MM), LOW_MM, HIGH_MM)


@pytest.fixture(scope="module")
def filled():
    """A body without bones on 2 mm voxels: (body, grid, float32 HU)."""
    body = body_of(3)
    low, high = body.outline.box()
    low[2], high[2] = LOW_MM, HIGH_MM
    grid = shapes.Grid(low, 2.0, tuple(int(n) for n in np.ceil((high - low) / 2.0) + 1))
    hu = np.empty(grid.shape, dtype=np.float32)
    fill(hu, body, grid)
    return body, grid, hu


@pytest.fixture(scope="module")
def plain():
    return make_phantom(5, 4.0)


def distance_of(body, grid, name, side):
    """Signed distance to one muscle, mm."""
    index = [muscle[0] for muscle in body.muscles].index(name) + (0 if side > 0 else 1)
    _, points, radii, faces = body.muscles[index]
    return shapes.sphere_mesh(grid, points, radii, faces)


def test_fat_and_muscle_have_their_hounsfield_units(filled):
    _, _, hu = filled
    counts = np.histogram(hu, np.arange(-200, 200))[0]
    counts = ndimage.gaussian_filter1d(counts.astype(float), 3)
    fat, muscle = -200 + np.argmax(counts[:150]), -30 + np.argmax(counts[170:])
    assert abs(fat + 102) < 10 and abs(muscle - 50) < 15
    assert counts[fat + 200] > 4 * counts[200 - 30], "two peaks, not one"


def test_a_fat_plane_parts_the_gluteal_muscles(filled):
    body, grid, hu = filled
    for side in (1, -1):
        greatest = distance_of(body, grid, "gluteus_maximus", side)
        middle = distance_of(body, grid, "gluteus_medius", side)
        between = (np.abs(greatest - 1.0) < 1.0) & (middle > -1.0) & (middle < 3.0)
        assert between.sum() > 200
        within = (greatest < -5) | ((middle < -5) & (greatest > 4))
        assert np.median(hu[within]) - np.median(hu[between]) > 60


def test_there_is_gas_within_the_cavity_and_air_only_outside_of_the_body(filled):
    body, grid, hu = filled
    pieces, _ = ndimage.label(hu < -800)
    outer = np.unique(np.concatenate([pieces[[0, -1]].ravel(), pieces[:, [0, -1]].ravel()]))
    gas = (pieces > 0) & ~np.isin(pieces, outer)
    assert 5e3 < gas.sum() * grid.spacing_mm**3 < 1e6, "between 5 and 1000 ml"
    assert body.cavity.distance(grid)[gas].max() < 6


def test_urine_is_water(filled):
    body, grid, hu = filled
    neck = body.posture.place(np.array([[0.0, -106.0, -24.0]]), 1)[0]
    center = neck + (0, 4, 18)
    index = np.rint((center - grid.origin_mm) / grid.spacing_mm).astype(int)
    block = hu[tuple(slice(i - 3, i + 4) for i in index)]
    assert -5 < block.mean() < 25


def test_bodies_have_the_thickness_and_width_of_adults():
    deep, wide = [], []
    for seed in range(200, 206):
        outline = body_of(seed).outline
        lattice, skin = outline.lattice, outline.distance < 0
        level = skin[:, :, int(round(-lattice.origin_mm[2] / lattice.spacing_mm))]
        deep.append(level.any(axis=0).sum() * lattice.spacing_mm)
        wide.append(level.any(axis=1).sum() * lattice.spacing_mm)
    assert 150 < min(deep) and max(deep) < 310 and 170 < np.mean(deep) < 250
    assert 290 < min(wide) and max(wide) < 470 and 330 < np.mean(wide) < 400


def test_the_population_has_the_body_mass_of_adults():
    drawn = [draw_soft_tissue(seed, sex=0.5, density=0.0) for seed in range(400)]
    bmi = np.array([soft.bmi for soft in drawn])
    assert bmi.min() >= 18 and bmi.max() <= 40 and 25 < bmi.mean() < 29 and 3.5 < bmi.std() < 6.5
    assert np.corrcoef(bmi, [soft.fat_mm for soft in drawn])[0, 1] > 0.7
    assert 0.25 < np.mean([soft.phleboliths > 0 for soft in drawn]) < 0.55


def test_thin_bone_and_calcified_arteries_go_together():
    share = [np.mean([draw_soft_tissue(s, 0.5, d).calcification > 0 for s in range(300)]) for d in (-1.5, 1.5)]
    assert share[0] > 1.5 * share[1] > 0


def test_bones_do_not_depend_on_what_is_drawn_for_soft_tissue(plain, monkeypatch):
    from synthex_sim.patient.phantom import body

    other = draw_soft_tissue(77, 0.5, 0.0)
    monkeypatch.setattr(body, "draw_soft_tissue", lambda *arguments: other)
    fatter = make_phantom(5, 4.0)
    assert not np.array_equal(fatter.hu.shape, plain.hu.shape) or not np.array_equal(fatter.hu, plain.hu)
    for name in anatomy.HIP_LANDMARKS:
        assert np.array_equal(fatter.landmarks[name], plain.landmarks[name])


@pytest.mark.parametrize("side, femur, hip", [("left", 5, 1), ("right", 6, 2)])
def test_a_total_hip_has_metal_in_the_joint_and_keeps_its_centre(plain, side, femur, hip):
    patient = make_phantom(5, 4.0, (f"total_hip_{side}",))
    center = patient.landmarks[f"FH-{side[0]}"]
    assert np.array_equal(center, plain.landmarks[f"FH-{side[0]}"])
    index = tuple(np.rint((center - patient.affine[:3, 3]) / 4.0).astype(int))
    assert patient.hu[index] == 3000 and patient.labels[index] == femur
    metal = patient.hu > 2500
    assert (metal & (patient.labels == hip)).any(), "the cup is metal of the hip bone"
    assert not metal[(patient.labels == 0)].any(), "metal belongs to a bone"
    assert plain.hu.max() < 2500, "no bone is as dense as metal"
    x = patient.affine[0, 3] + 4.0 * np.argwhere(metal)[:, 0]
    assert (x > 0).all() if side == "left" else (x < 0).all()


@pytest.mark.parametrize("name", [n for n in IMPLANTS if n.endswith("left") and not n.startswith("total")])
def test_screws_and_nails_lie_in_their_bones(plain, name):
    patient = make_phantom(5, 4.0, (name,))
    changed = patient.hu.astype(int) - plain.hu > 600
    assert changed.sum() > 20
    in_bone = plain.labels[changed] > 0
    assert in_bone.mean() > 0.5
    x = patient.affine[0, 3] + 4.0 * np.argwhere(changed)[:, 0]
    assert np.median(x) > 25


@pytest.mark.parametrize(
    "names, message",
    [
        (("hip",), "no implant"),
        (("total_hip_left", "total_hip_left"), "twice"),
        (("total_hip_left", "femoral_nail_left"), "room for one"),
    ],
)
def test_implants_that_cannot_be_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        make_phantom(5, 6.0, names)


def test_a_table_changes_neither_body_nor_labels(plain):
    patient = make_phantom(5, 4.0, table=True)
    i, j, k = np.minimum(plain.hu.shape, patient.hu.shape)
    assert np.array_equal(patient.affine[:3, 3], plain.affine[:3, 3])
    assert np.array_equal(patient.labels[:i, :j, :k], plain.labels[:i, :j, :k])
    body = plain.hu[:i, :j, :k] > -400
    assert np.array_equal(patient.hu[:i, :j, :k][body], plain.hu[:i, :j, :k][body])
    behind = patient.hu[i // 2, j:, k // 2]
    assert behind.max() > -700 and behind.min() < -900, "plates and foam"


def test_the_name_of_a_phantom_is_taken_apart():
    assert parse_phantom("phantom:7") == PhantomName(7)
    name = parse_phantom("phantom:7?implant=total_hip_left&implant=sacroiliac_screw_right&table=yes")
    assert name == PhantomName(7, ("total_hip_left", "sacroiliac_screw_right"), True)


@pytest.mark.parametrize(
    "source, message",
    [
        ("phantom:x", "whole number"),
        ("phantom:", "whole number"),
        ("phantom:-1", "whole number"),
        (f"phantom:{2**64}", "whole number"),
        ("phantom:7?", "takes implant and table"),
        ("phantom:7?metal=yes", "takes implant and table"),
        ("phantom:7?implant=knee_left", "no implant"),
        ("phantom:7?table=wood", "yes or no"),
    ],
)
def test_a_phantom_named_wrongly_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        parse_phantom(source)


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 1)])
def test_distances_to_a_mask_are_euclidean(axes):
    mask = np.random.default_rng(0).random((14, 11, 9)) < 0.01
    mask[:, :, 4] = False
    places = np.argwhere(mask)
    every = np.indices(mask.shape).reshape(3, -1).T
    gap = every[:, None] - places[None]
    away = np.sqrt((gap[..., list(axes)] ** 2).sum(axis=2).astype(float))
    if axes == (0, 1):
        away[gap[..., 2] != 0] = np.inf
    expected = 2.5 * away.min(axis=1).reshape(mask.shape)
    found = distance_to(mask, 2.5, axes)
    known = np.isfinite(expected)
    assert np.allclose(found[known], expected[known]) and (found[~known] > 1e4).all()
