"""What a dressed label map promises: outlines as they were drawn, Hounsfield units of living tissue, landmarks."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.patient.dressed import dressed_patient
from synthex_sim.patient.dressed.solid import filled, solid_distances, true_distances
from synthex_sim.patient.label_scheme import LabelScheme
from synthex_sim.patient.made_patient import load_made, mask_beside, parse_made
from synthex_sim.patient.patient import FIRST_STRUCTURE
from synthex_sim.patient.phantom import make_phantom
from synthex_sim.patient.phantom.shapes import Grid
from synthex_sim.patient.slice_distances import slice_distances
from synthex_sim.patient.source import load_checked_patient
from synthex_sim.patient.volume import Volume

#: Bones as the project has them, and one muscle.
MUSCLE = 20
SCHEME = LabelScheme(
    {**{label: label for label in anatomy.BONE_LABELS}, MUSCLE: FIRST_STRUCTURE}, structures={FIRST_STRUCTURE: "flesh"}
)


@pytest.fixture(scope="module")
def drawn():
    """A phantom's labels on slices of 6 mm, a muscle beside its thigh, and its body mask."""
    phantom = make_phantom(7, 3.0)
    labels = phantom.labels[:, :, ::2].astype(np.int16)
    body = ndimage.binary_fill_holes(phantom.hu[:, :, ::2] > -500)
    box = np.zeros_like(body)
    middle = np.array(body.shape) // 2
    box[middle[0] + 26 : middle[0] + 36, middle[1] + 2 : middle[1] + 14, 4:14] = True
    labels[box & (labels == 0) & ndimage.binary_erosion(body, iterations=3)] = MUSCLE
    affine = phantom.affine.copy()
    affine[:3, 2] *= 2
    return Volume(labels, affine, "label map"), Volume(body.astype(np.int16), affine, "mask"), phantom


@pytest.fixture(scope="module")
def dressed(drawn):
    labels, mask, _ = drawn
    return dressed_patient(labels, SCHEME, mask, seed=3, spacing_mm=3.0)


def at(patient, labels, affine):
    """A map's labels at the voxels of a patient."""
    old = np.linalg.inv(affine) @ patient.affine
    return ndimage.affine_transform(labels, np.diag(old[:3, :3]), old[:3, 3], output_shape=patient.hu.shape, order=0)


def test_bones_lie_where_they_were_drawn(drawn, dressed):
    _, _, phantom = drawn
    patient = dressed.patient
    truth = at(patient, phantom.labels, phantom.affine)
    for label in (1, 2, 5, 6):
        both = np.count_nonzero((truth == label) & (patient.labels == label))
        assert 2 * both > 0.85 * (np.count_nonzero(truth == label) + np.count_nonzero(patient.labels == label)), label


def test_landmarks_are_those_of_the_bones(drawn, dressed):
    _, _, phantom = drawn
    for name, most_mm in (("FH-l", 2.5), ("FH-r", 2.5), ("ASIS-l", 6.0), ("ASIS-r", 6.0)):
        assert np.linalg.norm(dressed.patient.landmarks[name] - phantom.landmarks[name]) < most_mm, name


def test_tissue_has_its_hounsfield_units(drawn, dressed):
    _, mask, _ = drawn
    patient = dressed.patient
    hu, labels = patient.hu.astype(float), patient.labels
    body = at(patient, mask.values, mask.affine) > 0
    outside = ~ndimage.binary_dilation(body, iterations=2)
    assert (hu[outside] == -1000).all()
    muscle = ndimage.binary_erosion(labels == FIRST_STRUCTURE)
    assert 30 < hu[muscle].mean() < 80
    shell = (labels == 5) & ~ndimage.binary_erosion(labels == 5, iterations=1)
    inside = ndimage.binary_erosion(labels == 5, iterations=3)
    assert hu[labels == 5].max() > 700 and hu[shell].mean() > hu[inside].mean()
    rest = hu[ndimage.binary_erosion(body, iterations=3) & (labels == 0)]
    assert np.percentile(rest, 5) < -60 and (rest < -800).any()  # fat, and gas in the bowel
    assert patient.structures == {FIRST_STRUCTURE: "flesh"}


def test_a_seed_is_one_patient_and_another_is_another(drawn):
    labels, mask, _ = drawn
    one, same, other = (dressed_patient(labels, SCHEME, mask, seed, 6.0).patient for seed in (1, 1, 2))
    assert np.array_equal(one.hu, same.hu)
    assert np.array_equal(one.labels, other.labels) and not np.array_equal(one.hu, other.hu)


def test_the_way_the_file_is_stored_does_not_matter(drawn):
    labels, mask, _ = drawn
    flipped = labels.affine.copy()
    flipped[:3, 3] += labels.affine[:3, 1] * (labels.shape[1] - 1)
    flipped[:3, 1] *= -1
    turn = (2, 1, 0, 3)
    turned = [Volume(np.ascontiguousarray(v.values[:, ::-1].transpose(2, 1, 0)), flipped[:, turn], v.source)
              for v in (labels, mask)]
    one, other = dressed_patient(labels, SCHEME, mask, 1, 6.0), dressed_patient(*[turned[0], SCHEME, turned[1], 1, 6.0])
    assert np.allclose(one.patient.affine, other.patient.affine)
    assert np.array_equal(one.patient.labels, other.patient.labels)
    assert np.abs(one.patient.hu.astype(int) - other.patient.hu).max() <= 1


def test_without_a_mask_skin_lies_around_the_labels(drawn):
    labels, _, _ = drawn
    loaded = dressed_patient(labels, SCHEME, None, 1, 6.0)
    assert any("mask" in note for note in loaded.notes)
    bone = loaded.patient.labels > 0
    assert (loaded.patient.hu[bone] > -500).mean() > 0.99 and (loaded.patient.hu == -1000).mean() > 0.05


def test_what_cannot_be_dressed_is_refused(drawn):
    labels, mask, _ = drawn
    with pytest.raises(ValueError, match="another grid"):
        dressed_patient(labels, SCHEME, Volume(mask.values[1:], mask.affine, "mask"))
    with pytest.raises(ValueError, match="empty"):
        dressed_patient(labels, SCHEME, Volume(np.zeros_like(mask.values), mask.affine, "mask"))
    with pytest.raises(ValueError, match="both hip bones"):
        one_sided = np.where(labels.values == 1, 0, labels.values).astype(np.int16)
        dressed_patient(Volume(one_sided, labels.affine, ""), SCHEME)
    with pytest.raises(ValueError, match="possible"):
        dressed_patient(labels, SCHEME, mask, spacing_mm=0.1)
    oblique = labels.affine.copy()
    angle = np.radians(20)
    oblique[:2, :2] = [[3 * np.cos(angle), -3 * np.sin(angle)], [3 * np.sin(angle), 3 * np.cos(angle)]]
    with pytest.raises(ValueError, match="oblique"):
        dressed_patient(Volume(labels.values, oblique, ""), SCHEME)


def test_a_hollow_bone_is_filled_and_its_canal_stays_open():
    x, y, z = np.ogrid[-20:21, -20:21, -12:13]
    solid = (np.hypot(x, y) < 15) & (abs(z) < 9)
    shell = solid & ~ndimage.binary_erosion(solid, iterations=2)
    shell[20, 5:9, 12] = False  # a vein's hole
    whole = filled(shell, np.ones(3))
    assert (whole | shell)[solid].mean() > 0.99 and not whole[~solid].any()
    tube = (np.hypot(x, y) < 15) & (np.hypot(x, y) > 8) & (abs(z) < 9)
    assert np.array_equal(filled(tube, np.ones(3)), tube)


def test_depths_are_those_of_a_ball_drawn_on_slices():
    spacing = np.array([1.0, 1.0, 3.0])
    x, y, z = np.ogrid[-25:26, -25:26, -30:31:3]
    mask = x * x + y * y + z * z < 18**2
    grid = Grid(np.array([-25.0, -25, -30]), 1.0, (51, 51, 61))
    block, part, field = solid_distances(mask, np.array([-25.0, -25, -30]), spacing, grid)
    depth = true_distances(field, 1.0)
    gx, gy, gz = part.axes()
    exact = np.sqrt(gx**2 + gy**2 + gz**2) - 18
    near = (exact > -12) & (exact < 1)
    assert np.abs(depth - exact)[near].max() < 1.6 and np.abs(depth - exact)[near].mean() < 0.5


def test_distances_of_slices_are_of_the_sign_of_the_outline():
    mask = np.zeros((9, 9, 4), bool)
    mask[3:6, 3:6, 1] = True
    distance = slice_distances(mask, 2, np.array([1.0, 1.0, 3.0]))
    assert ((distance < 0) == mask).all()
    assert (distance[:, :, 0] == 4.5).all() and distance[4, 4, 1] == pytest.approx(-1.5)


def test_distances_of_slices_are_those_that_the_whole_slice_gives():
    rng = np.random.default_rng(5)
    mask = ndimage.gaussian_filter(rng.standard_normal((40, 30, 6)), (3, 3, 0)) > 0.12
    mask[:25, :, 2] = mask[:, 8:, 3] = False  # small, and at a border
    spacing, reach = np.array([1.0, 1.2, 3.0]), 4.5
    distance = slice_distances(mask, 2, spacing)
    for k in range(6):
        inside = ndimage.distance_transform_edt(mask[..., k], sampling=spacing[:2])
        outside = ndimage.distance_transform_edt(~mask[..., k], sampling=spacing[:2])
        whole = np.clip(np.where(mask[..., k], 0.55 - inside, outside - 0.55), -reach, reach)
        assert np.array_equal(distance[..., k], whole.astype(np.float32))


def test_air_beside_the_body_changes_nothing(drawn):
    labels, mask, _ = drawn
    more = [(60, 70), (50, 0), (0, 0)]
    affine = labels.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ (60, 50, 0)
    wide = [Volume(np.pad(volume.values, more), affine, "") for volume in (labels, mask)]
    one, other = (dressed_patient(a, SCHEME, b, 3, 6.0).patient for a, b in ((labels, mask), wide))
    assert np.allclose(one.affine, other.affine) and np.array_equal(one.labels, other.labels)
    assert np.abs(one.hu.astype(int) - other.hu).max() <= 1  # the last bit of the origin is another


def write(path, volume):
    image = sitk.GetImageFromArray(volume.values.transpose(2, 1, 0))
    image.SetSpacing([float(n) for n in volume.spacing_mm])
    image.SetOrigin([float(n) for n in volume.affine[:3, 3]])
    sitk.WriteImage(image, str(path))


def test_a_label_map_is_a_patient_by_its_name(drawn, tmp_path):
    labels, mask, _ = drawn
    own = Volume(np.where(labels.values == MUSCLE, 0, labels.values).astype(np.int16), labels.affine, "")
    write(tmp_path / "label.mha", own)
    write(tmp_path / "mask.mha", mask)
    assert mask_beside(tmp_path / "label.mha") == tmp_path / "mask.mha"
    loaded = load_checked_patient(f"dressed:{tmp_path / 'label.mha'}?seed=4", spacing_mm=6.0)
    assert loaded.patient.name == "dressed-4" and not any("no body mask" in note for note in loaded.notes)
    with pytest.raises(ValueError, match="no option"):
        load_made(f"dressed:{tmp_path / 'label.mha'}?colour=red", None)
    with pytest.raises(FileNotFoundError, match="label map"):
        parse_made("dressed:nowhere.mhd")
    with pytest.raises(ValueError, match="no use for the label map"):
        load_checked_patient(f"dressed:{tmp_path / 'label.mha'}", labels="x.mha")


@pytest.mark.slow
@pytest.mark.skipif("SYNTHEX_DATA" not in os.environ, reason="SYNTHEX_DATA names no folder with labels_pelvic_ref")
@pytest.mark.parametrize("name", ["Pelvic-Ref-001", "Pelvic-Ref-002"])
def test_real_label_maps_have_all_landmarks(name):
    path = Path(os.environ["SYNTHEX_DATA"]) / "labels_pelvic_ref" / name / "label.mhd"
    schemes = Path(__file__).resolve().parents[3] / "config" / "labels"
    patient = load_checked_patient(f"dressed:{path}", "", "pelvic_ref", str(schemes), 2.0).patient
    assert set(patient.landmarks) == set(anatomy.HIP_LANDMARKS)
    assert set(np.unique(patient.labels)) >= set(anatomy.BONE_LABELS)
