"""Bone of a CT without a label map: found by its brightness, named only where that is sure, never on the wrong side."""

import nibabel
import numpy as np
import pytest
from fabricated_hips import AFFINE, SHAPE, TRUNK, hips
from fabricated_series import body

from synthex_sim import anatomy
from synthex_sim.patient.bone_by_brightness import UNNAMED, find_bone
from synthex_sim.patient.patient import FIRST_STRUCTURE
from synthex_sim.patient.phantom import make_phantom
from synthex_sim.patient.source import load_checked_patient

FEMORA = (anatomy.LEFT_FEMUR, anatomy.RIGHT_FEMUR)
TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])


def overlap(found, truth):
    """Dice."""
    return 2 * np.count_nonzero(found & truth) / max(1, np.count_nonzero(found) + np.count_nonzero(truth))


def stored(flipped=(), order=(0, 1, 2), turn=None):
    """The same places on a grid whose axes run another way."""
    shape, affine = np.array(SHAPE), AFFINE.copy()
    if turn is not None:
        affine[:3] = turn @ affine[:3]
    for axis in flipped:
        affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
        affine[:3, axis] *= -1
    return tuple(shape[list(order)]), np.column_stack([affine[:, list(order)], affine[:, 3]])


@pytest.mark.parametrize("grid", [stored(), stored((0,)), stored((1, 2), (2, 0, 1)), stored(turn=TURN)])
def test_femora_get_the_side_they_lie_on_however_the_ct_is_stored(grid):
    hu, truth = hips(*grid)
    found = find_bone(hu, grid[1])
    assert found.map.structures == {FIRST_STRUCTURE: UNNAMED}
    for label in FEMORA:
        assert overlap(found.map.labels == label, truth == label) > 0.9
    assert overlap(found.map.labels == FIRST_STRUCTURE, truth == TRUNK) > 0.85
    assert "only left femur and right femur could be named" in found.notes[0]


def test_table_and_metal_are_no_bone_and_marrow_is():
    hu, truth = hips()
    labels = find_bone(hu, AFFINE).map.labels
    y = (np.arange(SHAPE[1]) * 3.0 - 127)[None, :, None]
    assert hu[np.broadcast_to(y > 126, SHAPE)].max() == 400  # there is a table
    assert not labels[np.broadcast_to(y > 122, SHAPE)].any() and not labels[hu > 2500].any()
    marrow = (hu == -50) & (truth == anatomy.LEFT_FEMUR)
    assert (labels[marrow] == anatomy.LEFT_FEMUR).mean() > 0.95


@pytest.mark.parametrize("person", [
    np.diag([-1.0, -1, 1]), np.diag([-1.0, 1, -1]), np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])])
def test_a_person_who_lies_otherwise_than_the_header_says_has_no_named_sides(person):
    """Prone, feet first, on the side, standing: sides told by places would be wrong."""
    affine = AFFINE.copy()
    affine[:3, 3] = -203
    found = find_bone(hips((136, 136, 136), affine, person)[0], affine)
    assert set(np.unique(found.map.labels)) == {0, FIRST_STRUCTURE}
    assert "could not be named" in found.notes[0]


@pytest.mark.parametrize(("kept", "named"), [
    ((slice(68, None), slice(None), slice(None)), {anatomy.LEFT_FEMUR}),
    ((slice(0, 60), slice(None), slice(None)), {anatomy.RIGHT_FEMUR}),
    ((slice(None), slice(None), slice(0, 34)), set()),
    ((slice(None), slice(None), slice(45, None)), set()),
])
def test_of_a_cut_off_ct_only_whole_joints_are_named(kept, named):
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ [part.start or 0 for part in kept]
    hu, truth = hips()
    labels = find_bone(np.ascontiguousarray(hu[kept]), affine).map.labels
    assert {int(n) for n in np.unique(labels)} - {0, FIRST_STRUCTURE} == named
    for label in named:
        assert not (labels[truth[kept] == 11 - label] == label).any()


def test_a_ball_in_a_shallow_socket_is_no_hip():
    labels = find_bone(hips(socket=0.8)[0], AFFINE).map.labels
    assert set(np.unique(labels)) == {0, FIRST_STRUCTURE}


def test_a_ct_without_bone_is_left_as_it_is():
    water = np.full((40, 40, 40), -1000, np.int16)
    water[10:30, 10:30, 10:30] = 20
    assert find_bone(water, np.diag([3.0, 3, 3, 1])) is None


def test_a_phantom_is_named_right_or_not_at_all():
    patient = make_phantom(11, 3.0)
    labels = find_bone(patient.hu, patient.affine).map.labels
    assert np.isin(patient.labels[labels > 0], anatomy.BONE_LABELS).mean() > 0.75
    for label in FEMORA:
        assert not (patient.labels[labels == label] == 11 - label).any()


def test_a_fine_ct_is_labelled_to_its_own_voxels():
    hu, _ = hips()
    fine = np.repeat(np.repeat(hu[:, :, 34:58], 3, axis=0), 3, axis=1)
    affine = AFFINE @ np.diag([1 / 3, 1 / 3, 1, 1])
    affine[:3, 3] += (-1.0, -1.0, 34 * 3)
    labels = find_bone(fine, affine).map.labels
    coarse = find_bone(np.ascontiguousarray(hu[:, :, 34:58]), affine @ np.diag([3, 3, 1, 1.0])).map.labels
    assert labels.shape == fine.shape
    assert overlap(labels > 0, np.repeat(np.repeat(coarse > 0, 3, axis=0), 3, axis=1)) > 0.95


def test_without_a_label_map_bone_is_labelled_unless_that_is_declined(tmp_path):
    path = tmp_path / "ct.nii.gz"
    hu = body((60, 66, 45))
    hu[20:32, 20:32, 10:30] = 600
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([-3.0, -3, 3, 1])), path)
    loaded = load_checked_patient(str(path))
    assert loaded.patient.structures == {FIRST_STRUCTURE: UNNAMED} and loaded.patient.labels[25, 25, 20] == 8
    assert any("no label map: bone is labelled by its brightness" in note for note in loaded.notes)
    assert load_checked_patient(str(path), "none").patient.labels is None
