"""One CT in every format is one patient, and gives one radiograph; files that are no CT are refused with the reason."""

import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from fabricated_series import AFFINE, body, write_series
from scipy.spatial.transform import Rotation

from synthex_sim.carm.view import View
from synthex_sim.patient.source import load_patient
from synthex_sim.patient.volume_file import read_volume
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.scene import Scene

TURNED = np.array([[2.7, -0.4, 0.3, -60], [0.5, 1.9, 0.2, -50], [-0.3, 0.3, 2.4, 100], [0, 0, 0, 1]])
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MIDDLE = np.array([0.0, -7.0, 136.0])
K = np.array([[-480.0, 0, 31.5], [0, 480.0, 31.5], [0, 0, 1.0]])


def save_nifti(path, hu, affine, axes_ras=True):
    """Stores the voxels in the order of RAS or LPS axes; the affine says where they are either way."""
    if axes_ras:
        flip = np.diag([-1.0, -1.0, 1.0, 1.0])
        flip[:2, 3] = np.array(hu.shape[:2]) - 1
        hu, affine = hu[::-1, ::-1], affine @ flip
    nibabel.save(nibabel.Nifti1Image(hu, RAS @ affine), path)
    return path


def save_itk(path, hu, affine):
    image = sitk.GetImageFromArray(np.ascontiguousarray(hu.T))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def save_dicom(path, hu, affine):
    write_series(path, hu, affine)
    return path


def save_zip(path, hu, affine):
    write_series(path.parent / "series", hu, affine)
    return shutil.make_archive(str(path.with_suffix("")), "zip", path.parent / "series")


def save_tar_xz(path, hu, affine):
    write_series(path.parent / "series", hu, affine)
    return shutil.make_archive(str(path.parent / "a"), "xztar", path.parent / "series")


WAYS = {
    "ras.nii.gz": lambda *a: save_nifti(*a, axes_ras=True),
    "lps.nii": lambda *a: save_nifti(*a, axes_ras=False),
    "a.nrrd": save_itk,
    "a.mha": save_itk,
    "a.mhd": save_itk,
    "folder": save_dicom,
    "a.zip": save_zip,
    "a.tar.xz": save_tar_xz,
}


def straight(affine):
    """The same with axes at right angles: what DICOM, NRRD and MetaImage can all say."""
    turned, lengths = np.linalg.qr(affine[:3, :3])
    result = affine.copy()
    result[:3, :3] = turned * np.sign(np.diag(lengths)) * np.linalg.norm(affine[:3, :3], axis=0)
    return result


def radiographs(patient):
    """(3, materials, R, C) area densities as seen from three sides of one place in LPS."""
    turns = Rotation.from_euler("xyz", [(90, 0, 0), (90, 90, 0), (50, 30, 20)], degrees=True).as_matrix()
    views = [View.from_krt(K, turn, (0, 0, 700.0) - turn @ MIDDLE, (64, 64), 2.5) for turn in turns]
    return CpuProjector().project(Scene(patient), views, TissueThresholds(), labels=False).areas


@pytest.mark.parametrize("affine", [AFFINE, straight(TURNED)], ids=["axial", "oblique"])
def test_one_ct_in_every_format_gives_one_radiograph(tmp_path, affine):
    images = {}
    for name, save in WAYS.items():
        patient = load_patient(str(save(tmp_path / name, body(), affine)))
        assert patient.hu.dtype == np.int16
        images[name] = radiographs(patient)
    first = images["lps.nii"]
    assert first.max() > 8 and first.std() > 1
    assert np.abs(radiographs(replace(patient, hu=patient.hu[::-1])) - first).max() > 0.1 * first.max()
    for name, image in images.items():
        assert np.abs(image - first).max() <= 1e-5 * first.max(), name


def test_a_sheared_nrrd_keeps_its_shear(tmp_path):
    lines = ["NRRD0004", "type: short", "dimension: 3", "space: right-anterior-superior", "sizes: 4 5 6",
             "space directions: (2,0,0) (0,2,0) (0,1,3)", "endian: little", "encoding: raw", "space origin: (1,2,3)"]
    values = np.arange(120, dtype="<i2")
    (tmp_path / "a.nrrd").write_bytes(("\n".join(lines) + "\n\n").encode() + values.tobytes())
    volume = read_volume(str(tmp_path / "a.nrrd"))
    assert volume.affine == pytest.approx(np.array([[-2, 0, 0, -1], [0, -2, -1, -2], [0, 0, 3, 3], [0, 0, 0, 1.0]]))
    assert volume.values[1, 2, 3] == 1 + 4 * (2 + 5 * 3)


@pytest.mark.parametrize(("stored", "kept"), [
    (np.int32, np.int16), (np.float64, np.int16), (np.uint8, np.int16), (np.float32, np.int16), (np.uint16, np.int16)])
def test_whole_numbers_are_kept_as_int16(tmp_path, stored, kept):
    values = np.arange(60).reshape(3, 4, 5).astype(stored)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "a.nii")
    volume = read_volume(str(tmp_path / "a.nii"), "label map")
    assert volume.values.dtype == kept and np.array_equal(volume.values, values)


@pytest.mark.parametrize("change", [lambda v: v + 0.25, lambda v: v * 1000])
def test_other_numbers_are_kept_as_float32(tmp_path, change):
    values = change(np.arange(60).reshape(3, 4, 5).astype(np.float64))
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "a.nii")
    volume = read_volume(str(tmp_path / "a.nii"))
    assert volume.values.dtype == np.float32 and np.array_equal(volume.values, values)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd"])
def test_a_truncated_file_is_refused(tmp_path, name, capfd):
    data = save_itk(tmp_path / name, body(), AFFINE).with_suffix({".mhd": ".zraw"}.get(name[1:], name[1:]))
    data.write_bytes(data.read_bytes()[:9000])
    with pytest.raises(ValueError, match="cannot be read as"):
        read_volume(str(tmp_path / name))
    capfd.readouterr()  # ITK says it, too


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
@pytest.mark.parametrize(("array", "reason"), [
    (np.zeros((4, 5), np.int16), "no 3D volume"),
    (np.zeros((2, 4, 5, 6), np.int16), "no 3D volume"),
    (np.zeros((1, 5, 6), np.int16), "no 3D volume"),
    (np.where(np.arange(6) == 2, np.nan, np.zeros((4, 5, 6), np.float32)).astype(np.float32), "20 voxels that are NaN"),
    ("colours", "colours"),
])
def test_what_is_no_volume_of_numbers_is_refused(tmp_path, name, array, reason):
    image = (sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True) if isinstance(array, str)
             else sitk.GetImageFromArray(array, isVector=False))
    sitk.WriteImage(image, str(tmp_path / name))
    with pytest.raises(ValueError, match=reason):
        read_volume(str(tmp_path / name))


@pytest.mark.parametrize(("name", "line", "other", "reason"), [
    ("a.nrrd", "space: left-posterior-superior", "space: scanner-xyz", "does not state its orientation"),
    ("a.nrrd", "space: left-posterior-superior", 'space: LPS\nspace units: "m" "m" "m"', "in m m m"),
    ("a.mha", "TransformMatrix = 1 0 0 0 1 0 0 0 1\n", "", "does not state its orientation"),
    ("a.mha", "ElementSpacing = 3 2 2.5\n", "", "does not state the size of its voxels"),
])
def test_a_file_that_does_not_say_where_it_is_is_refused(tmp_path, name, line, other, reason):
    path = save_itk(tmp_path / name, body(), AFFINE)
    content = path.read_bytes()
    assert line.encode() in content
    path.write_bytes(content.replace(line.encode(), other.encode()))
    with pytest.raises(ValueError, match=reason):
        read_volume(str(path))


def test_unknown_formats_and_series_of_files_without_series_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no volume", encoding="utf-8")
    with pytest.raises(ValueError, match="no known format; read are NIfTI"):
        read_volume(str(tmp_path / "notes.txt"))
    path = save_nifti(tmp_path / "ct.nii.gz", body(), AFFINE)
    with pytest.raises(ValueError, match="series numbers .#2. go with DICOM"):
        read_volume(f"{path}#2")
    with pytest.raises(FileNotFoundError, match="missing.mha"):
        read_volume(str(tmp_path / "missing.mha"))
    odd = shutil.copy(path, tmp_path / "ct#2.nii.gz")
    assert read_volume(str(odd)).shape == (40, 44, 30)


@pytest.mark.parametrize(("code", "words"), [(1, "affine in meter"), (4, "a unit that does not exist")])
def test_a_nifti_file_in_another_unit_is_refused(tmp_path, code, words):
    path = save_nifti(tmp_path / "ct.nii", body(), AFFINE)
    content = bytearray(path.read_bytes())
    content[123] = code
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=words):
        read_volume(str(path))
