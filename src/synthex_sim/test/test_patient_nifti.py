"""CTs from NIfTI: orientation, label maps, and every way in which a file can be wrong."""

import nibabel
import numpy as np
import pytest

from synthex_sim import anatomy
from synthex_sim.patient.source import NO_LABELS, load_patient

RAS_AFFINE = np.array([[3.0, 0, 0, -30], [0, 3, 0, -40], [0, 0, 3, 100], [0, 0, 0, 1]])


def save(path, array, affine=RAS_AFFINE):
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def loaded(path, labels=NO_LABELS):
    return load_patient(str(path), str(labels))


def ct(dtype=np.int32):
    volume = np.full((20, 24, 28), -1000, dtype)
    volume[4:-4, 4:-4, 4:-4] = 40
    return volume


def labels_of(**ids):
    volume = np.zeros((20, 24, 28), np.float64)
    for i, value in enumerate(ids.values()):
        volume[5 + i, 6:9, 6:9] = value
    return volume


def test_ras_on_disk_becomes_lps_in_memory(tmp_path):
    """NIfTI affine diag(3, 3, 3) with origin (-30, -40, 100) RAS is (-3, -3, 3) and (30, 40, 100) in LPS."""
    volume = ct()
    volume[6, 7, 8] = 1234
    patient = loaded(save(tmp_path / "ct.nii.gz", volume))
    assert patient.hu[6, 7, 8] == 1234 and patient.hu.dtype == np.int16
    assert patient.affine @ [6, 7, 8, 1] == pytest.approx([30 - 18, 40 - 21, 100 + 24, 1])


def test_the_same_ct_stored_ras_and_lps_is_the_same_patient(tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.integers(-1000, 1500, (20, 24, 28)).astype(np.int16)
    first = loaded(save(tmp_path / "ras.nii.gz", volume))
    flipped = RAS_AFFINE @ np.array([[-1.0, 0, 0, 19], [0, -1, 0, 23], [0, 0, 1, 0], [0, 0, 0, 1]])
    second = loaded(save(tmp_path / "lps.nii.gz", volume[::-1, ::-1], flipped))
    assert first.affine @ [3, 4, 5, 1] == pytest.approx(second.affine @ [16, 19, 5, 1])
    assert first.hu[3, 4, 5] == second.hu[16, 19, 5]


def test_a_label_scheme_names_the_structures(tmp_path, config_folder):
    path = save(tmp_path / "ct.nii.gz", ct())
    labels = save(tmp_path / "labels.nii.gz", labels_of(hip=90, femur=89, l5=18, other=3))
    patient = load_patient(str(path), str(labels), "totalsegmentator_v1", str(config_folder / "labels"))
    assert patient.labels[5, 7, 7] == anatomy.LEFT_HEMIPELVIS
    assert patient.labels[6, 7, 7] == anatomy.RIGHT_FEMUR
    assert patient.labels[7, 7, 7] == anatomy.VERTEBRAE
    assert patient.structures[patient.labels[8, 7, 7]] == "kidneys"


def test_foreign_ids_without_a_scheme_are_refused(tmp_path):
    path, labels = save(tmp_path / "ct.nii.gz", ct()), save(tmp_path / "l.nii.gz", labels_of(hip=90))
    with pytest.raises(ValueError, match="name its label scheme"):
        loaded(path, labels)


def test_own_ids_need_no_scheme(tmp_path):
    path, labels = save(tmp_path / "ct.nii.gz", ct()), save(tmp_path / "l.nii.gz", labels_of(hip=2))
    assert loaded(path, labels).labels[5, 7, 7] == anatomy.RIGHT_HEMIPELVIS


@pytest.mark.parametrize(("array", "reason"), [
    (np.where(np.arange(28) == 3, np.nan, ct(np.float32)).astype(np.float32), "NaN"),
    (np.zeros((20, 24), np.int16), "no 3D volume"),
    (np.zeros((20, 24, 28, 3), np.int16), "no 3D volume"),
    (np.full((20, 24, 28), 7, np.int16), "Hounsfield"),
])
def test_what_is_no_ct_is_refused_with_the_reason(tmp_path, array, reason):
    with pytest.raises(ValueError, match=reason):
        loaded(save(tmp_path / "ct.nii.gz", array))


def test_a_colour_image_is_refused(tmp_path):
    colours = np.zeros((5, 6, 7), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(ValueError, match="colours"):
        loaded(save(tmp_path / "rgb.nii.gz", colours))


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "ct.nii.gz").write_bytes(b"not an image")
    with pytest.raises(ValueError, match="cannot be read"):
        loaded(tmp_path / "ct.nii.gz")


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
def test_a_truncated_file_is_refused(tmp_path, name):
    path = save(tmp_path / name, np.random.default_rng(0).integers(-1000, 1000, (20, 24, 28)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ValueError, match="cannot be read"):
        loaded(path)


def test_a_file_that_does_not_say_where_it_is_is_refused(tmp_path):
    image = nibabel.Nifti1Image(ct(np.int16), RAS_AFFINE)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "ct.nii.gz")
    with pytest.raises(ValueError, match="orientation"):
        loaded(tmp_path / "ct.nii.gz")


def test_a_file_whose_affine_is_no_number_is_refused_by_name(tmp_path):
    for bad in (np.nan, np.inf):
        affine = RAS_AFFINE.astype(float)
        affine[0, 3] = bad
        image = nibabel.Nifti1Image(ct(np.int16), None)
        image.header["sform_code"] = 1
        for row, key in enumerate(("srow_x", "srow_y", "srow_z")):
            image.header[key] = affine[row]
        nibabel.Nifti1Image(ct(np.int16), None, image.header).to_filename(tmp_path / "ct.nii")
        with pytest.raises(ValueError, match="ct.nii has an affine that is not invertible"):
            loaded(tmp_path / "ct.nii")


def test_a_scheme_without_a_label_map_is_refused():
    with pytest.raises(ValueError, match="goes with a label map"):
        load_patient("phantom:7", "", "totalsegmentator_v1")


@pytest.mark.parametrize(("source", "labels", "error", "reason"), [
    ("missing.nii.gz", "", FileNotFoundError, "does not exist"),
    ("phantom:seven", "", ValueError, "phantom:7"),
    ("phantom:7", "labels.nii.gz", ValueError, "no use for the label map"),
    ("none", "labels.nii.gz", ValueError, "no use for the label map"),
    (__file__, "", ValueError, "NIfTI"),
])
def test_a_patient_that_cannot_be_understood_is_refused(source, labels, error, reason):
    with pytest.raises(error, match=reason):
        load_patient(source, labels)


def test_an_empty_room_is_a_choice():
    assert load_patient("none") is None
