"""What a thorax phantom promises: a person from a seed, organs of human size, lesions exact to the voxel."""

import numpy as np
import pytest
from scipy import ndimage

from synthex_sim.annotation.annotation import named_masks
from synthex_sim.carm.film import film_view
from synthex_sim.patient.source import load_patient, planned_landmarks
from synthex_sim.patient.thorax import STRUCTURES, draw_thorax_person, make_thorax, spine
from synthex_sim.patient.thorax import structures as ids
from synthex_sim.patient.thorax.cage import Cage
from synthex_sim.patient.thorax.lesions import HEALTHY, draw_severity
from synthex_sim.patient.thorax.ribs import ribs
from synthex_sim.patient.thorax.source import parse_thorax
from synthex_sim.patient.thorax.vessel_tree import grow
from synthex_sim.random_streams import Purpose, stream
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.scene import Scene

SPACING_MM = 3.0
LUNGS = (ids.LUNG_LEFT, ids.LUNG_RIGHT, ids.LESION)


@pytest.fixture(scope="module")
def sick():
    return make_thorax(2, SPACING_MM, with_lesions=True)


@pytest.fixture(scope="module")
def healthy():
    return make_thorax(2, SPACING_MM, with_lesions=False)


@pytest.fixture(scope="module")
def people():
    return [make_thorax(seed, 6.0, with_lesions=True) for seed in range(300, 314)]


def litres(thorax, *labels):
    return np.isin(thorax.patient.labels, labels).sum() * np.prod(thorax.patient.spacing_mm) * 1e-6


def axis_mm(patient, axis):
    values = patient.affine[axis, 3] + patient.spacing_mm[axis] * np.arange(patient.hu.shape[axis])
    return values.reshape([-1 if a == axis else 1 for a in range(3)])


def middle_mm(patient, *labels):
    where = np.isin(patient.labels, labels)
    return np.argwhere(where).mean(axis=0) * patient.spacing_mm + patient.affine[:3, 3]


def extent_mm(patient, axis, *labels):
    used = np.flatnonzero(np.isin(patient.labels, labels).any(axis=tuple(a for a in range(3) if a != axis)))
    return (used[-1] - used[0] + 1) * patient.spacing_mm[axis]


def test_same_seed_gives_the_same_thorax_to_the_last_voxel(sick):
    again = make_thorax(2, SPACING_MM, with_lesions=True).patient
    assert np.array_equal(again.hu, sick.patient.hu) and np.array_equal(again.labels, sick.patient.labels)


def test_two_seeds_are_two_people():
    a, b = make_thorax(5, 6.0), make_thorax(6, 6.0)
    assert a.person.lung_hu != b.person.lung_hu and a.patient.name != b.patient.name


@pytest.mark.parametrize("spacing_mm", [0.0, 0.5, 10.0, float("nan")])
def test_a_voxel_size_out_of_range_is_refused(spacing_mm):
    with pytest.raises(ValueError, match="spacing_mm"):
        make_thorax(0, spacing_mm)


def test_every_structure_is_there_under_its_name(sick):
    assert dict(sick.patient.structures) == dict(STRUCTURES)
    present = set(np.unique(sick.patient.labels)) - {0}
    assert present == set(STRUCTURES)


def test_left_is_left_and_up_is_up(healthy):
    patient = healthy.patient
    assert middle_mm(patient, ids.LUNG_LEFT)[0] > 40 and middle_mm(patient, ids.LUNG_RIGHT)[0] < -40
    assert middle_mm(patient, ids.HEART)[0] > 5  # most of it left of the middle
    assert middle_mm(patient, ids.LIVER)[0] < -12 and middle_mm(patient, ids.STOMACH)[0] > 20
    assert middle_mm(patient, ids.CLAVICLES)[2] > middle_mm(patient, ids.HEART)[2] > middle_mm(patient, ids.LIVER)[2]
    assert middle_mm(patient, ids.STERNUM)[1] < middle_mm(patient, ids.HEART)[1] < middle_mm(patient, ids.VERTEBRAE)[1]


def test_there_are_twelve_pairs_of_ribs_that_descend_forward():
    person = draw_thorax_person(2, stream(2, 1, Purpose.ANATOMY))
    column = spine.stack(person)
    cage = Cage.of(person, column)
    found = ribs(person, column, cage)
    assert [(rib.number, rib.side) for rib in found] == [(n, side) for n in range(1, 13) for side in (1, -1)]
    for rib in found:
        assert (rib.path[1:, 0] * rib.side > 0).all()
        assert rib.path[-1, 2] < rib.path[0, 2] - 4 and rib.path[-1, 1] < rib.path[:, 1].max() - 15
        beyond = cage.distance(*(rib.path[20:, k] for k in range(3)))
        assert -1 < beyond.min() and beyond.max() < 12  # on the wall of the chest
    heads = [rib.path[0, 2] for rib in found[::2]]
    assert (np.diff(heads) < -12).all()


def test_airways_hold_air_and_bones_are_dense(healthy):
    hu, labels = healthy.patient.hu, healthy.patient.labels
    assert np.median(hu[labels == ids.AIRWAYS]) < -800
    for bone in (ids.RIBS, ids.VERTEBRAE, ids.CLAVICLES, ids.SCAPULAE):
        assert np.median(hu[labels == bone]) > 150, STRUCTURES[bone]
    assert 20 < np.median(hu[labels == ids.HEART]) < 70


def test_lungs_are_denser_where_gravity_pulls(people):
    rise = []
    for thorax in people:
        patient = thorax.patient
        upright = thorax.person.posture == "upright"
        lung = np.isin(patient.labels, (ids.LUNG_LEFT, ids.LUNG_RIGHT)) & (patient.hu < -700)  # no vessels
        height = np.broadcast_to(axis_mm(patient, 2) if upright else -axis_mm(patient, 1), lung.shape)
        low, high = np.percentile(height[lung], (20, 80))
        rise.append(np.median(patient.hu[lung & (height < low)]) - np.median(patient.hu[lung & (height > high)]))
    assert 15 < np.mean(rise) < 60


def test_lesions_change_nothing_but_lungs(sick, healthy):
    changed = sick.patient.hu != healthy.patient.hu
    lungs = ndimage.binary_dilation(np.isin(sick.patient.labels, (*LUNGS, ids.AIRWAYS)), iterations=2)
    assert changed.any()
    at_the_rim = (sick.patient.hu.astype(int) - healthy.patient.hu)[changed & ~lungs]  # partial volume
    assert at_the_rim.size < 20 and (at_the_rim < 30).all()
    assert (sick.patient.hu[changed] > healthy.patient.hu[changed]).all()
    others = ~np.isin(sick.patient.labels, LUNGS)
    assert np.array_equal(sick.patient.labels[others], healthy.patient.labels[others])
    assert not (healthy.patient.labels == ids.LESION).any() and healthy.lesions == () and healthy.severity == 0


def test_the_lesion_label_is_where_the_lungs_are_opaque(sick, healthy):
    lesion = sick.patient.labels == ids.LESION
    rise = sick.patient.hu.astype(int) - healthy.patient.hu
    parenchyma = healthy.patient.hu < -700
    assert np.median(rise[lesion & parenchyma]) > 120
    beside = np.isin(sick.patient.labels, (ids.LUNG_LEFT, ids.LUNG_RIGHT)) & parenchyma
    assert np.median(rise[beside]) == 0
    far = ~ndimage.binary_dilation(lesion, iterations=6)
    assert rise[far].max() < 120  # what is not labelled is faint


def test_lesions_have_the_published_densities(people):
    drawn = [one for thorax in people for one in thorax.lesions]
    assert all(-700 <= one.hu <= -400 and (one.core == 0 or -100 <= one.core_hu <= 40) for one in drawn)
    assert any(one.core for one in drawn) and any(not one.core for one in drawn)


def test_lesions_are_bilateral_and_in_the_lower_lungs_as_a_rule(people):
    bilateral, low = [], []
    for thorax in people:
        x = [one.center[0] for one in thorax.lesions]
        bilateral.append(min(x) < 0 < max(x))
        lung = np.isin(thorax.patient.labels, LUNGS)
        middle = np.broadcast_to(axis_mm(thorax.patient, 2), lung.shape)[lung].mean()
        low += [one.center[2] < middle for one in thorax.lesions]
    assert 0.5 <= np.mean(bilateral) and np.mean(low) > 0.6


def test_some_people_are_healthy():
    drawn = [draw_severity(np.random.default_rng(n), None) for n in range(2000)]
    assert abs(np.mean([one == 0 for one in drawn]) - HEALTHY) < 0.03 and max(drawn) > 0.85
    assert draw_severity(np.random.default_rng(0), True) > 0 and draw_severity(np.random.default_rng(0), False) == 0


def test_the_population_has_published_sizes(people):
    men = [t for t in people if t.person.sex == "male"]
    women = [t for t in people if t.person.sex == "female"]
    assert len(men) > 3 and len(women) > 3
    lungs = {sex: np.mean([litres(t, *LUNGS) for t in group]) for sex, group in (("m", men), ("f", women))}
    assert 4.2 < lungs["m"] < 6.0 and 3.2 < lungs["f"] < 4.8 and lungs["m"] > lungs["f"]
    ratio = [extent_mm(t.patient, 0, ids.HEART) / extent_mm(t.patient, 0, *LUNGS) for t in people]
    assert 0.38 < np.mean(ratio) < 0.5
    width = [extent_mm(t.patient, 0, *LUNGS) for t in people]
    assert 250 < np.mean(width) < 295 and 8 < np.std(width) < 25


def test_a_person_is_drawn_the_same_way_every_time():
    first, second = (draw_thorax_person(3, stream(3, 1, Purpose.ANATOMY)) for _ in range(2))
    assert first.age_years == second.age_years and np.array_equal(first.scale, second.scale)


def test_a_tree_reaches_all_its_points_and_tapers():
    points = np.random.default_rng(0).uniform(-50, 50, (200, 3))
    segments, radii = grow(points, np.array([-60.0, 0, 0]), np.array([1.0, 0, 0]), 8.0)
    ends = segments[:, 1]
    assert max(np.linalg.norm(ends - p, axis=1).min() for p in points) < 1e-9
    assert (radii[:, 1] <= radii[:, 0] + 1e-9).all() and radii[0, 0] == 8.0 and radii[:, 1].min() < 1.5


def test_projected_lesions_are_those_of_the_label_map(sick):
    scene = Scene(sick.patient, np.eye(4))
    view = film_view(sick.patient.center, 96)
    projection = CpuProjector().project(scene, (view,), TissueThresholds())
    mask, left, heart = named_masks(scene, projection, ("lesion", "left_lung", "heart"))
    voxels = np.argwhere(sick.patient.labels == ids.LESION)
    points = voxels * sick.patient.spacing_mm + sick.patient.affine[:3, 3]
    column, row = np.rint(view.project(points)[0]).astype(int).T
    inside = (column >= 0) & (column < 96) & (row >= 0) & (row < 96)
    assert mask[row[inside], column[inside]].mean() > 0.97
    wide = np.zeros_like(mask)
    wide[row[inside], column[inside]] = True
    assert not (mask & ~ndimage.binary_dilation(wide, iterations=2)).any()
    assert np.argwhere(left)[:, 1].mean() > 48 and np.argwhere(heart)[:, 1].mean() > 47  # patient's left at image right


def test_a_user_names_a_thorax():
    assert parse_thorax("thorax:7") == (7, None)
    assert parse_thorax("thorax:7?lesions=no") == (7, False) and parse_thorax("thorax:7?lesions=yes") == (7, True)
    assert not planned_landmarks("thorax:7")


@pytest.mark.parametrize(
    "source", ["thorax:", "thorax:-1", "thorax:a", "thorax:7?", "thorax:7?lesions=maybe", "thorax:7?sick=yes",
               "thorax:7?lesions=yes&lesions=no", f"thorax:{2**64}"],
)  # fmt: skip
def test_a_wrong_name_is_refused(source):
    with pytest.raises(ValueError):
        load_patient(source)


def test_files_do_not_go_with_a_thorax():
    with pytest.raises(ValueError, match="no use for the label map"):
        load_patient("thorax:7", labels="labels.nii.gz")
