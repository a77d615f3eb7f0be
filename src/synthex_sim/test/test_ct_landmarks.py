"""Landmarks of a CT: found in its label map, overruled by marked ones, and the same in the plan as in the patient."""

import json

import nibabel
import numpy as np
import pytest

from synthex_sim import anatomy
from synthex_sim.patient.landmarks import write_landmarks
from synthex_sim.patient.phantom import make_phantom
from synthex_sim.patient.source import load_checked_patient, planned_landmarks

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def save(path, array, affine):
    nibabel.save(nibabel.Nifti1Image(array, LPS_TO_RAS @ affine), path)
    return str(path)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(1003, 3.0)


@pytest.fixture(scope="module")
def files(phantom, tmp_path_factory):
    """Paths of the CT and of its label map."""
    folder = tmp_path_factory.mktemp("ct")
    return (save(folder / "ct.nii.gz", phantom.hu, phantom.affine),
            save(folder / "labels.nii.gz", phantom.labels, phantom.affine))


@pytest.fixture(scope="module")
def loaded(files):
    return load_checked_patient(*files)


def test_a_ct_with_a_label_map_has_the_landmarks_that_the_map_shows(loaded, phantom):
    patient = loaded.patient
    assert set(patient.landmarks) == set(anatomy.HIP_LANDMARKS) == set(loaded.found.points)
    errors = [np.linalg.norm(patient.landmarks[n] - phantom.landmarks[n]) for n in anatomy.HIP_LANDMARKS]
    assert np.median(errors) < 2.5 and max(errors) < 10.0
    assert not any("landmark" in note for note in loaded.notes)


def test_it_is_aimed_at_by_its_landmarks(loaded, phantom):
    aim = np.mean([loaded.patient.landmarks[n] for n in ("GSN-l", "GSN-r", "SPS-l", "SPS-r")], axis=0)
    assert np.allclose(loaded.patient.reference_point(), aim)
    assert np.linalg.norm(aim - phantom.reference_point()) < 4.0


def test_a_plan_holds_the_very_same_landmarks_without_the_ct(files, loaded):
    plan = planned_landmarks("/no/such/ct.nii.gz", files[1])
    assert set(plan) == set(loaded.patient.landmarks)
    for name, point in plan.items():
        assert np.array_equal(point, loaded.patient.landmarks[name]), name


def test_plan_and_patient_agree_where_the_ct_has_another_grid(files, phantom, tmp_path):
    affine = phantom.affine @ np.array([[2.0, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1]])
    coarse = save(tmp_path / "coarse.nii.gz", np.ascontiguousarray(phantom.hu[::2, ::2, ::2]), affine)
    patient = load_checked_patient(coarse, files[1]).patient
    plan = planned_landmarks(coarse, files[1])
    assert set(plan) == set(anatomy.HIP_LANDMARKS)
    assert all(np.array_equal(patient.landmarks[name], point) for name, point in plan.items())


def test_without_a_label_map_nothing_is_found(files):
    alone = load_checked_patient(files[0])
    assert not alone.patient.landmarks and alone.found is None
    assert planned_landmarks(files[0]) == {}


def test_what_the_scan_cuts_off_is_named_in_a_note(files, phantom, tmp_path):
    start = int(np.ceil((phantom.landmarks["SPS-l"][2] + 15.0 - phantom.affine[2, 3]) / phantom.affine[2, 2]))
    affine = phantom.affine.copy()
    affine[2, 3] += start * affine[2, 2]
    cut = [save(tmp_path / name, np.ascontiguousarray(array[:, :, start:]), affine)
           for name, array in (("ct.nii.gz", phantom.hu), ("labels.nii.gz", phantom.labels))]
    found = load_checked_patient(*cut)
    assert "SPS-l" not in found.patient.landmarks
    assert any("not found" in note and "SPS-l" in note for note in found.notes)
    # without SPS the aim is the middle of the hip bones that are there
    assert np.isfinite(found.patient.reference_point()).all()


def test_marked_landmarks_count_and_others_are_found(files, loaded, tmp_path):
    marked = {"FH-l": loaded.patient.landmarks["FH-l"] + (0, 0, 2.0), "entry": loaded.patient.landmarks["FH-l"]}
    path = tmp_path / "plan.mrk.json"
    write_landmarks(path, marked)
    patient = load_checked_patient(*files, landmarks=str(path)).patient
    assert np.allclose(patient.landmarks["FH-l"], marked["FH-l"], atol=1e-3) and "entry" in patient.landmarks
    assert np.array_equal(patient.landmarks["FH-r"], loaded.patient.landmarks["FH-r"])
    plan = planned_landmarks(*files, landmarks=str(path))
    assert all(np.array_equal(plan[name], patient.landmarks[name]) for name in patient.landmarks)
    without_map = load_checked_patient(files[0], landmarks=str(path)).patient
    assert set(without_map.landmarks) == set(marked)


def test_sides_marked_the_wrong_way_round_are_noted(files, loaded, tmp_path):
    points = loaded.patient.landmarks
    write_landmarks(tmp_path / "swapped.fcsv", {"FH-l": points["FH-r"], "FH-r": points["FH-l"]})
    notes = load_checked_patient(*files, landmarks=str(tmp_path / "swapped.fcsv")).notes
    assert sum("marked" in note and "side" in note for note in notes) == 2


@pytest.mark.parametrize(("points", "reason"), [
    ({"F-1": [0, 0, 0]}, "none of its points .F-1. is named as a hip landmark"),
    ({"FH-l": [0, 0, 5000]}, "FH-l lies [0-9]+ mm outside of the CT"),
])
def test_landmarks_of_something_else_are_refused(files, points, reason, tmp_path):
    path = tmp_path / "other.mrk.json"
    write_landmarks(path, {name: np.array(point, float) for name, point in points.items()})
    with pytest.raises(ValueError, match=reason):
        load_checked_patient(*files, landmarks=str(path))


def test_files_of_a_ct_do_not_go_with_a_phantom(tmp_path):
    path = tmp_path / "a.mrk.json"
    path.write_text(json.dumps({"markups": []}))
    for call in (load_checked_patient, planned_landmarks):
        with pytest.raises(ValueError, match="landmarks .* go with a CT"):
            call("phantom:7", landmarks=str(path))
        with pytest.raises(ValueError, match="label maps go with a CT"):
            call("phantom:7", str(path))
