"""DICOM series: what comes out of good ones, and every way in which a folder of files can be wrong."""

import io
import logging
import pickle
import shutil
import zipfile
from dataclasses import asdict

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from fabricated_series import AFFINE, SECRETS, body, rewrite, slice_dataset, write_series
from pydicom.uid import RLELossless

from synthex_sim.patient.dicom import read_dicom
from synthex_sim.patient.dicom_series import find_series
from synthex_sim.patient.dicom_words import harmless_words
from synthex_sim.patient.source import load_checked_patient
from synthex_sim.patient.volume_file import read_volume

AXIAL = "ImageOrientationPatient"


def moved(dataset, millimetres):
    position = [float(n) for n in dataset.ImagePositionPatient]
    dataset.ImagePositionPatient = [*position[:2], position[2] + millimetres]


def test_slices_are_sorted_by_position_whatever_their_names_and_numbers_say(tmp_path):
    write_series(tmp_path, body())
    volume = read_dicom(tmp_path)
    assert np.array_equal(volume.values, body()) and volume.affine == pytest.approx(AFFINE)
    assert volume.values.dtype == np.int16 and volume.notes == ()
    assert volume.source == "DICOM series (Pelvis 1.5mm B30f), 30 slices"


def test_a_series_listed_from_head_to_foot_is_the_same_volume(tmp_path):
    down = AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 29], [0, 0, 0, 1.0]])
    write_series(tmp_path, body()[:, :, ::-1], down, permuted=False)
    volume = read_dicom(tmp_path)
    assert np.array_equal(volume.values, body()) and volume.affine == pytest.approx(AFFINE)


def test_empty_identifiers_and_names_without_suffix_are_no_obstacle(tmp_path):
    def emptied(dataset, _):
        dataset.SeriesInstanceUID = dataset.SOPInstanceUID = dataset.StudyInstanceUID = dataset.SOPClassUID = ""
        dataset.SeriesNumber = None
    write_series(tmp_path, change=emptied)
    assert np.array_equal(read_dicom(tmp_path).values, body())


def test_slope_and_intercept_of_each_slice_are_its_own(tmp_path):
    def scaled(dataset, k):
        if k % 2:
            dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "-1100.5"
            stored = (body()[:, :, k].T + 1100.5) / 0.5
            dataset.PixelData = np.rint(stored).astype("<i2").tobytes()
    write_series(tmp_path, change=scaled)
    volume = read_dicom(tmp_path)
    assert volume.values.dtype == np.float32
    assert volume.values == pytest.approx(body().astype(np.float32), abs=1e-3)


def test_what_lies_outside_the_field_of_view_becomes_air(tmp_path):
    hu = body()
    hu[:3] = -3024

    def padded(dataset, _):
        stored = np.frombuffer(dataset.PixelData, "<i2").reshape(dataset.Rows, dataset.Columns).copy()
        stored[-2:] = 32767  # a padding that would be metal
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "SS", 32767)
    write_series(tmp_path, hu, change=padded)
    patient = load_checked_patient(str(tmp_path)).patient
    assert (patient.hu[:3] == -1024).all() and (patient.hu[:, -2:] == -1024).all()
    assert np.array_equal(patient.hu[3:, :-2], hu[3:, :-2])


def test_a_padding_stored_as_unsigned_in_signed_pixels_is_understood(tmp_path):
    write_series(tmp_path, change=lambda dataset, _: dataset.add_new("PixelPaddingValue", "US", 63536))
    assert np.array_equal(read_dicom(tmp_path).values, body())


def test_a_tilted_gantry_makes_a_sheared_volume(tmp_path):
    tilt = np.deg2rad(18.5)
    affine = AFFINE.copy()
    affine[:3, 1] = 2 * np.array([0, np.cos(tilt), -np.sin(tilt)])
    write_series(tmp_path, body(), affine)
    volume = read_dicom(tmp_path)
    assert volume.affine == pytest.approx(affine) and np.array_equal(volume.values, body())
    assert volume.notes == ("the gantry was tilted by 18.5 degrees; the volume is sheared accordingly",)


def test_the_scanner_may_change_its_step(tmp_path):
    """Twelve slices 2 mm apart, then 4 mm: values that grow linearly with height do so in the resampled volume, too."""
    height = np.concatenate([np.arange(12) * 2.0, 22 + 4.0 * np.arange(1, 13)])
    hu = np.broadcast_to(height * 10, (20, 24, 24)).astype(np.int16).copy()
    hu[:10] = -1000
    write_series(tmp_path, hu, change=lambda dataset, k: moved(dataset, height[k] - 2.5 * k))
    volume = read_dicom(tmp_path)
    assert volume.spacing_mm[2] == pytest.approx(2.0) and volume.shape == (20, 24, 36)
    assert volume.values[12, 5] == pytest.approx(np.arange(36) * 20.0, abs=0.5)
    assert "resampled to planes 2.00 mm apart" in volume.notes[0]


@pytest.mark.parametrize("codec", ["JPEG2000", "JPEG", "RLE"])
def test_compressed_pixels_are_decoded_without_loss(tmp_path, codec):
    paths = write_series(tmp_path / "series", body()[:, :, :4])
    for path in paths:
        rewrite(path, lambda dataset: compress(dataset, codec, tmp_path / "packed.dcm"))
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(read_dicom(tmp_path / "series").values, body()[:, :, :4])


def compress(dataset, codec, scratch):
    """With an encoder that is not the decoder's code where there is one (RLE: pydicom's own)."""
    if codec == "RLE":
        dataset.compress(RLELossless)
        return
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor(codec)
    writer.SetFileName(str(scratch))
    writer.Execute(sitk.GetImageFromArray(dataset.pixel_array[None].astype(np.int16)))
    packed = pydicom.dcmread(scratch)
    for name in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"):
        setattr(dataset, name, packed[name].value)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_is_read_like_its_folder(tmp_path, kind):
    write_series(tmp_path / "study" / "deep")
    (tmp_path / "study" / "README.txt").write_text("not DICOM", encoding="utf-8")
    archive = shutil.make_archive(str(tmp_path / "a"), kind, tmp_path / "study")
    assert np.array_equal(read_volume(archive).values, body())


def test_one_of_several_series_is_chosen_by_number(tmp_path):
    write_series(tmp_path / "b", body(seed=1), series=7, uid="1.2.826.0.1.99.7")
    write_series(tmp_path / "a", body(seed=2)[:, :, :20], series=12, uid="1.2.826.0.1.99.12")
    with pytest.raises(ValueError, match=r"several series; name one, for example .*#1:\n  #1: 30 x 40 x 44, pixels "
                                         r"3 x 2 mm, slices 2\.5 mm apart, 'Pelvis 1\.5mm B30f'\n  #2: 20 x"):
        read_volume(str(tmp_path))
    assert np.array_equal(read_volume(f"{tmp_path}#1").values, body(seed=1))
    assert np.array_equal(read_volume(str(tmp_path), series=2).values, body(seed=2)[:, :, :20])
    with pytest.raises(ValueError, match="no series 3"):
        read_volume(f"{tmp_path}#3")
    with pytest.raises(ValueError, match="names series 1, and series 2 is asked for"):
        read_volume(f"{tmp_path}#1", series=2)


def localizer(dataset, _):
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def test_a_localizer_beside_the_series_is_left_out_and_alone_is_refused(tmp_path):
    write_series(tmp_path / "scout", body()[:, :, :2], change=localizer, uid="1.2.826.0.1.99.1", series=1)
    with pytest.raises(ValueError, match=r"holds no CT volume:\n  #1: .*not usable: localizer"):
        read_volume(str(tmp_path))
    write_series(tmp_path / "ct")
    volume = read_volume(str(tmp_path))
    assert np.array_equal(volume.values, body())
    assert volume.notes[0].startswith("series 2 of several; not read: #1: 2 x 40 x 44")
    assert "localizer" in volume.notes[0]
    with pytest.raises(ValueError, match="series 1 of .* is no CT volume: localizer"):
        read_volume(f"{tmp_path}#1")


def test_images_of_other_size_or_plane_in_one_series_are_told_apart(tmp_path):
    write_series(tmp_path / "a")
    sagittal = AFFINE[:, [1, 2, 0, 3]] @ np.diag([1.0, -1, 1, 1])
    write_series(tmp_path / "b", body((20, 24, 12)), sagittal)
    assert [len(one.slices) for one in find_series(tmp_path)[1]] == [30, 12]
    with pytest.raises(ValueError, match="several series"):
        read_volume(str(tmp_path))


@pytest.mark.parametrize(("change", "reason"), [
    ({"skip": (11,)}, r"lacks 1 slice: they are 2\.50 mm apart, but 5\.00 mm between files \d+ and \d+"),
    ({"skip": (3, 4, 17)}, "lacks 3 slices"),
    ({"change": lambda d, k: moved(d, -2.5 * (k == 9))}, "1 positions with more than one slice"),
    ({"change": lambda d, k: moved(d, 0.9 * (k % 2)) or setattr(d, "InstanceNumber", k // 2)},
     "slices 1.60 to 3.40 mm apart whose numbers do not run on: two series"),
    ({"change": lambda d, k: moved(d, 300.0 * (k > 14))}, "up to 302.5 mm apart: several blocks"),
    ({"change": lambda d, k: d.ImagePositionPatient.__setitem__(0, -60 + 3.0 * (k == 5))}, "shifted against each"),
    ({"change": lambda d, k: setattr(d, AXIAL, [1, 0, 0, 0.3, 0.95394, 0])}, "not at right angles"),
    ({"change": lambda d, k: d.__delattr__("ImagePositionPatient")}, "no position, orientation or pixel spacing"),
    ({"change": lambda d, k: setattr(d, "Modality", "MR")}, "modality MR, no CT"),
    ({"change": lambda d, k: setattr(d, "RescaleSlope", "0")}, "slope or intercept makes no sense"),
    ({"change": lambda d, k: setattr(d, "NumberOfFrames", 40)}, "several frames in one file"),
    ({"change": lambda d, k: setattr(d, "SamplesPerPixel", 3)}, "colours"),
    ({"skip": tuple(range(1, 30))}, "a single image"),
])
def test_a_series_that_is_no_volume_is_refused_with_the_reason(tmp_path, change, reason):
    write_series(tmp_path, **change)
    with pytest.raises(ValueError, match=reason):
        read_volume(str(tmp_path))


def test_two_phases_in_one_series_are_told_by_their_acquisitions(tmp_path):
    for phase in (1, 2):
        write_series(tmp_path / str(phase), change=lambda d, k, phase=phase: setattr(d, "AcquisitionNumber", phase))
    with pytest.raises(ValueError, match="30 positions with more than one slice .*acquisition numbers are 1, 2"):
        read_volume(str(tmp_path))


def test_equal_numbers_of_slices_are_noted(tmp_path):
    write_series(tmp_path, change=lambda d, k: setattr(d, "InstanceNumber", k // 2))
    assert "slice numbers occur more than once" in read_volume(str(tmp_path)).notes[0]


@pytest.mark.parametrize("size", [140, 700, 1500, 3000])
def test_a_truncated_file_is_refused_by_its_place(tmp_path, size):
    path = write_series(tmp_path)[4]
    path.write_bytes(path.read_bytes()[:size])
    place = sorted(tmp_path.iterdir()).index(path) + 1
    with pytest.raises(ValueError, match=rf"file {place}\b.*(cut off|damaged)") as caught:
        read_volume(str(tmp_path))
    assert "Janedoe" not in str(caught.value).replace(str(tmp_path), "")


def test_truncated_compressed_pixels_are_refused(tmp_path, capfd):
    path = write_series(tmp_path / "series", body()[:, :, :4])[2]
    rewrite(path, lambda dataset: compress(dataset, "JPEG2000", tmp_path / "packed.dcm"))

    def cut(dataset):
        frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = pydicom.encaps.encapsulate([frame[:len(frame) // 2]])
        dataset["PixelData"].is_undefined_length = True
    rewrite(path, cut)
    with pytest.raises(ValueError, match="pixels are cut off"):
        read_volume(str(tmp_path / "series"))
    capfd.readouterr()  # the decoder says it, too


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_a_damaged_archive_is_refused(tmp_path, name):
    write_series(tmp_path / "series", body(seed=3))
    kind = {"a.zip": "zip", "a.tar.gz": "gztar", "a.tar.xz": "xztar"}[name]
    archive = shutil.make_archive(str(tmp_path / "a"), kind, tmp_path / "series")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match="damaged, cut off or no archive"):
        read_volume(archive)


def test_an_encrypted_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("file", "content")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(ValueError, match="encrypted; unpack it"):
        read_volume(str(tmp_path / "a.zip"))


def test_folders_without_images_and_single_files_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no DICOM images"):
        read_volume(str(tmp_path))
    path = write_series(tmp_path)[0]
    with pytest.raises(ValueError, match="one slice of a DICOM series; name the folder"):
        read_volume(str(path))
    rewrite(path, lambda dataset: setattr(dataset, "Modality", "DX"))
    with pytest.raises(ValueError, match="modality DX, no CT"):
        read_volume(str(path))


def test_old_files_without_preamble_are_read(tmp_path):
    for path in write_series(tmp_path):
        dataset = pydicom.dcmread(path)
        plain = pydicom.Dataset()
        plain.update(dataset)
        plain.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert np.array_equal(read_volume(str(tmp_path)).values, body())


def test_nothing_of_the_header_that_names_a_person_gets_out(tmp_path, caplog, capfd, recwarn):
    def odd(dataset, k):
        dataset.ImageComments = "Janedoe Stmarys"
        dataset.SeriesNumber = 3
        if k == 3:
            dataset.add_new("StudyID", "SH", "Janedoe far too long for a short string")
    write_series(tmp_path / "series", change=odd)
    archive = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "series")
    with caplog.at_level(logging.DEBUG):
        files, found = find_series(tmp_path / "a.zip")
        loaded = load_checked_patient(archive)
    out, error = capfd.readouterr()
    shown = " ".join([str(found[0]), repr(asdict(found[0])), repr(loaded), out, error, caplog.text,
                      " ".join(str(w.message) for w in recwarn), repr(pickle.dumps(loaded.patient.name))])
    for secret in SECRETS:
        assert secret not in shown and secret.lower() not in shown.lower()


@pytest.mark.parametrize(("text", "kept"), [
    ("Pelvis 1.5 mm Br38f", "Pelvis 1.5mm Br38f"), ("Ann Smith 12.03.1955", ""), ("20210304 CT ABD/HIP", "CT ABD HIP"),
    ("12/03/1955", ""), (None, ""), ("['Br38f', '3']", "Br38f"), ("Thorax_Meyer_soft tissue", "Thorax soft tissue"),
])
def test_only_harmless_words_of_a_description_are_kept(text, kept):
    assert harmless_words(text) == kept


def test_a_header_that_makes_no_sense_is_refused_without_quoting_it(tmp_path):
    dataset = slice_dataset(body()[:, :, 0], AFFINE, 0, 3, "1.2.826.0.1.99.3", -1024.0)
    with pydicom.config.disable_value_validation():
        buffer = io.BytesIO()
        dataset.add_new("InstanceNumber", "IS", "5")
        dataset.save_as(buffer, enforce_file_format=True)
    content = buffer.getvalue().replace(b"RescaleSlope", b"")
    at = content.index(b"IS\x02\x005 ")
    (tmp_path / "a.dcm").write_bytes(content[:at] + b"IS\x08\x00Janedoe " + content[at + 6:])
    with pytest.raises(ValueError, match="file 1 of .*header is damaged") as caught:
        read_volume(str(tmp_path))
    assert "Janedoe" not in str(caught.value) and caught.value.__cause__ is None
