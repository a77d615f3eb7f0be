"""Label maps: on other grids, of other people's schemes, and which side is left."""

import numpy as np
import pytest
from fabricated_series import AFFINE, body

from synthex_sim import anatomy
from synthex_sim.patient.ct_patient import patient_from_volumes
from synthex_sim.patient.label_scheme import LabelScheme, apply_scheme, load_scheme
from synthex_sim.patient.label_sides import name_sides
from synthex_sim.patient.volume import Volume

CT = Volume(body(), AFFINE, "test")
LEFT, RIGHT, SACRUM = (slice(25, 33), slice(10, 20), slice(5, 25)), (slice(5, 13), slice(10, 20), slice(5, 25)), (
    slice(16, 22), slice(20, 26), slice(8, 20))


def label_map(ids, affine=AFFINE, shape=(40, 44, 30)):
    """Blocks on the patient's left, right (LPS x grows with i here) and in the middle."""
    values = np.zeros(shape, np.int16)
    for block, label in ids:
        values[block] = label
    return Volume(values, affine, "test")


BOTH = [(LEFT, anatomy.LEFT_HEMIPELVIS), (RIGHT, anatomy.RIGHT_HEMIPELVIS)]


def points_of(labels, affine, label):
    """LPS mm of a label's voxels."""
    return np.argwhere(labels == label) @ affine[:3, :3].T + affine[:3, 3]


def test_a_finer_cropped_label_map_lands_on_the_same_places():
    """Another grid: finer, stored the other way round, around the left bone only."""
    fine = np.diag([-1.0, 1.0, 1.25, 1.0])
    fine[:3, 3] = (45, -35, 108)
    values = np.zeros((40, 50, 50), np.int16)
    values[10:31, 12:32, 6:26] = anatomy.LEFT_HEMIPELVIS
    loaded = patient_from_volumes(CT, Volume(values, fine, "test"))
    expected = points_of(values, fine, anatomy.LEFT_HEMIPELVIS)
    found = points_of(loaded.patient.labels, AFFINE, anatomy.LEFT_HEMIPELVIS)
    assert len(found) * np.prod([3, 2, 2.5]) == pytest.approx(len(expected) * 1.25, rel=0.15)
    assert found.mean(axis=0) == pytest.approx(expected.mean(axis=0), abs=1.3)
    assert any("another grid" in note for note in loaded.notes)


def test_every_voxel_gets_the_label_at_its_centre():
    rng = np.random.default_rng(0)
    coarse = np.diag([5.0, 5.0, 5.0, 1.0])
    coarse[:3, 3] = (-63, -53, 97)
    values = rng.integers(0, 3, (26, 20, 17)).astype(np.int16)
    values[:10], values[16:] = values[:10] * 0 + 2, 1
    labels = patient_from_volumes(CT, Volume(values, coarse, "test")).patient.labels
    for index in rng.integers((0, 0, 0), (40, 44, 30), (200, 3)):
        at = (AFFINE[:3, :3] @ index + AFFINE[:3, 3] - coarse[:3, 3]) / 5
        nearest = np.floor(at + 0.5).astype(int)
        inside = (nearest < values.shape).all()
        if np.abs(at + 0.5 - np.rint(at + 0.5)).min() > 1e-6:
            assert labels[tuple(index)] == (values[tuple(nearest)] if inside else 0)


def test_labels_at_the_edge_of_the_map_are_not_lost():
    """The same grid but for half a voxel's rounding: no layer may vanish."""
    shifted = AFFINE.copy()
    shifted[:3, 3] += (0.9, -0.6, 0.7)
    labels = label_map([((slice(0, 20),), anatomy.VERTEBRAE), ((slice(20, 40),), anatomy.UPPER_SACRUM)], shifted)
    assert (patient_from_volumes(CT, labels).patient.labels > 0).all()


@pytest.mark.parametrize(("shift", "words"), [
    ((200, 0, 0), "overlap nowhere"), ((0, 60, 0), "in 3. % of the smaller one's volume only")])
def test_a_label_map_elsewhere_is_refused(shift, words):
    away = AFFINE.copy()
    away[:3, 3] += shift
    with pytest.raises(ValueError, match=words):
        patient_from_volumes(CT, label_map(BOTH, away))


def test_a_label_map_whose_bones_lie_beyond_the_ct_is_refused():
    longer = AFFINE.copy()
    longer[2, 3] -= 75
    labels = label_map([((LEFT[0], LEFT[1], slice(2, 20)), 1)], longer, (40, 44, 60))
    with pytest.raises(ValueError, match="none of the label map's structures lies within the CT"):
        patient_from_volumes(CT, labels)


def test_a_partial_overlap_and_labels_beside_the_bone_are_noted():
    away = AFFINE.copy()
    away[2, 3] += 20
    notes = patient_from_volumes(CT, label_map(BOTH, away)).notes
    assert any("overlap in 7" in note for note in notes)
    assert any("% of left_hemipelvis is brighter than 100 HU" in note for note in notes)
    fitting = Volume(np.where(np.isin(label_map(BOTH).values, (1, 2)), 400, CT.values).astype(np.int16), AFFINE, "test")
    assert not any("brighter" in note for note in patient_from_volumes(fitting, label_map(BOTH)).notes)


@pytest.mark.parametrize("flip", [0, 1, 2])
def test_a_label_map_whose_bones_lie_beside_those_of_the_ct_is_refused(flip):
    """The label map of a scan on the same grid, of somebody else or stored the other way round."""
    block = (slice(2, 14), slice(6, 18), slice(3, 12))
    labels = np.zeros(CT.shape, np.int16)
    labels[block] = anatomy.VERTEBRAE
    bone = np.where(labels > 0, 400, np.minimum(CT.values, 60)).astype(np.int16)
    large = AFFINE @ np.diag([3.0, 3.0, 3.0, 1.0])
    large_labels = Volume(labels, large, "test")
    notes = patient_from_volumes(Volume(bone, large, "test"), large_labels).notes
    assert not any("brighter" in note for note in notes)
    with pytest.raises(ValueError, match="only 0 % of the label map's bones lie where the CT is brighter than 100 HU"):
        patient_from_volumes(Volume(np.flip(bone, flip), large, "test"), large_labels)


@pytest.mark.parametrize("mirrored", [np.diag([-1.0, 1, 1, 1]), None])
def test_swapped_sides_are_refused(mirrored):
    swapped = BOTH if mirrored is not None else [(LEFT, 2), (RIGHT, 1)]
    labels = label_map(swapped, AFFINE if mirrored is None else mirrored @ AFFINE)
    with pytest.raises(ValueError, match="left hemipelvis does not lie on the patient's left"):
        patient_from_volumes(CT, labels)


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_ctpelvic1k_hips_are_named_by_where_they_lie(config_folder, order):
    scheme = load_scheme(config_folder / "labels" / "ctpelvic1k.yaml")
    labels = label_map([(LEFT, order[0]), (RIGHT, order[1]), (SACRUM, 1)])
    found = patient_from_volumes(CT, labels, scheme).patient.labels
    assert (found[LEFT] == anatomy.LEFT_HEMIPELVIS).all() and (found[RIGHT] == anatomy.RIGHT_HEMIPELVIS).all()
    assert (found[SACRUM] == anatomy.UPPER_SACRUM).all()


def test_one_hip_alone_is_named_by_the_sacrum_or_refused(config_folder):
    scheme = load_scheme(config_folder / "labels" / "ctpelvic1k.yaml")
    with_sacrum = label_map([(RIGHT, 3), (SACRUM, 1)])
    assert (patient_from_volumes(CT, with_sacrum, scheme).patient.labels[RIGHT] == anatomy.RIGHT_HEMIPELVIS).all()
    with pytest.raises(ValueError, match="does not tell which side a hemipelvis is of"):
        patient_from_volumes(CT, label_map([(RIGHT, 3)]), scheme)


def test_sides_follow_the_affine_however_the_map_is_stored():
    turned = np.array([[0, 0, -2.0, 30], [0, 3.0, 0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]])  # x falls with k
    labels = np.zeros((10, 10, 30), np.uint8)
    labels[2:8, 2:8, 2:6], labels[2:8, 2:8, 24:28] = 128, 129
    scheme = LabelScheme({5: 128, 9: 129}, {128: "femur", 129: "femur"})
    named = name_sides(labels, turned, scheme)
    assert named[5, 5, 3] == anatomy.LEFT_FEMUR and named[5, 5, 25] == anatomy.RIGHT_FEMUR


@pytest.mark.parametrize(("name", "ids"), [
    ("totalsegmentator_v1", {
        90: 1, 91: 2, 18: 3, 22: 3, 92: 4, 88: 5, 89: 6, 50: 0, 57: "colon", 58: "ribs", 81: "ribs",
        23: "thoracic_vertebrae", 13: "left_lung", 17: "right_lung", 104: "urinary_bladder"}),
    ("totalsegmentator_v2", {
        77: 1, 78: 2, 27: 3, 31: 3, 25: 4, 26: 4, 75: 5, 76: 6, 90: 0, 22: 0, 32: "thoracic_vertebrae",
        88: "iliopsoas_muscles", 21: "urinary_bladder", 92: "ribs", 115: "ribs", 116: "sternum",
        117: "costal_cartilages", 10: "left_lung", 14: "right_lung", 51: "heart"}),
    ("deepfluoro", {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 0}),
    ("ctpelvic1k", {1: 4, 4: 3}),
    ("pelvic_ref", {3: 4, 4: 3, 5: "gluteus_maximus_muscle", 28: "oblique_muscle", 29: 0}),
])
def test_shipped_schemes_mean_what_their_sources_say(config_folder, name, ids):
    scheme = load_scheme(config_folder / "labels" / f"{name}.yaml")
    found = apply_scheme(np.array(list(ids)), scheme).tolist()
    assert [scheme.structures.get(label, label) for label in found] == list(ids.values())


def test_every_shipped_scheme_can_be_read(config_folder):
    assert len([load_scheme(path) for path in (config_folder / "labels").glob("*.yaml")]) >= 5


@pytest.mark.parametrize(("content", "reason"), [
    ("1: hemipelvis\n", "give it two ids"), ("yes: femur\n", "not an id"), ("1: [femur]\n", "not an id and a name"),
    ("1: Left Femur\n", "lower-case letters"), ("1: left_femurs\n", "is it left_femur"),
    ("1: vertebra\n", "is it vertebrae"), ("0: left_femur\n", "0 is what belongs to no structure"),
    ("-1: left_femur\n", "ids are 1 to"), ("70000: left_femur\n", "ids are 1 to"),
    ("1: continuum_manipulator\n", "a patient has no continuum_manipulator"),
    ("1: femora\n2: left_femur\n", "bones of both sides"), ("1: femora\n2: femur\n3: femur\n", "bones of both sides"),
])
def test_a_scheme_that_cannot_be_meant_is_refused(tmp_path, content, reason):
    (tmp_path / "scheme.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        load_scheme(tmp_path / "scheme.yaml")


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_numbers_too_great_for_ids_are_refused(kind):
    with pytest.raises(ValueError, match="values up to 1e[+]13, which are no ids"):
        apply_scheme(np.array([0, 1, 10**13]).astype(kind), LabelScheme({1: anatomy.LEFT_FEMUR}))


@pytest.mark.parametrize("values", [[0.5, 1], [-1, 1], [np.nan, 1]])
def test_what_is_no_label_map_is_refused(values):
    with pytest.raises(ValueError, match="not whole numbers"):
        apply_scheme(np.array(values), None)
