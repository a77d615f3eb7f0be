"""``python -m synthex_sim.patient inspect``: says what a CT is, draws it the right way round, names nobody."""

import nibabel
import numpy as np
import pytest
from fabricated_series import AFFINE, SECRETS, body, write_series
from matplotlib.image import imread

from synthex_sim.display import LABEL_COLORS_RGB
from synthex_sim.patient.__main__ import main
from synthex_sim.patient.inspection import Request, inspect_source

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def files(tmp_path):
    """A CT as a DICOM series, and its label map: a left and a right hemipelvis in a box of LPS."""
    write_series(tmp_path / "ct")
    labels = np.zeros((40, 44, 30), np.uint8)
    labels[26:34, 12:30, 8:22], labels[6:14, 12:30, 8:22] = 1, 2
    nibabel.save(nibabel.Nifti1Image(labels, RAS @ AFFINE), tmp_path / "labels.nii.gz")
    return tmp_path


def test_it_prints_what_was_understood_and_names_nobody(files, capsys):
    out = files / "picture.png"
    code = main(["inspect", str(files / "ct"), "--labels", str(files / "labels.nii.gz"), "--out", str(out)])
    text = capsys.readouterr().out
    assert code == 0
    assert ("DICOM series (Pelvis 1.5mm B30f), 30 slices, 40 x 44 x 30 voxels of 3 x 2 x 2.5 mm, axes point to L, P, S"
            in text)
    assert "LPS mm: x -60 to 57, y -50 to 36, z 100 to 172" in text
    assert "peaks: air at -9" in text and "left hemipelvis 30 cm3, right hemipelvis 30 cm3" in text
    assert "research and simulation only, not a medical device" in text
    picture = out.read_bytes()
    assert not any(secret in text.replace(str(files), "") or secret.encode() in picture for secret in SECRETS)


def test_the_picture_shows_the_left_hip_at_the_right_and_the_head_up(files):
    found = inspect_source(Request(str(files / "ct"), str(files / "labels.nii.gz")))
    assert found.usable and found.picture.center == pytest.approx([0.0, -9.0, 136.25], abs=2)
    assert main(["inspect", str(files / "ct"), "--labels", str(files / "labels.nii.gz"), "--out",
                 str(files / "a.png")]) == 0
    image = imread(files / "a.png")[:, :, :3]
    third = image.shape[1] // 3
    for part in (image[:, :third], image[:, third:2 * third]):
        assert column_of(part, LABEL_COLORS_RGB[1]) > column_of(part, LABEL_COLORS_RGB[2]) + 20


def column_of(image, rgb):
    """Mean column of pixels of a label's hue, without the legend at the bottom."""
    upper = image[: int(0.85 * len(image))]
    tinted = upper - upper.mean(axis=2, keepdims=True)
    hue = np.array(rgb) / 255 - np.mean(rgb) / 255
    strength = (tinted @ hue) / (np.linalg.norm(tinted, axis=2) * np.linalg.norm(hue) + 1e-6)
    return np.argwhere((strength > 0.97) & (np.linalg.norm(tinted, axis=2) > 0.1))[:, 1].mean()


def test_a_volume_of_no_use_is_drawn_and_said_to_be_so(files, capsys):
    code = main(["inspect", str(files / "labels.nii.gz"), "--out", str(files / "a.png")])
    text = capsys.readouterr().out
    assert code == 2 and "of no use as a patient: it spans 0..2" in text and (files / "a.png").exists()


def test_several_series_are_listed_in_one_plain_error(files, capsys):
    write_series(files / "ct" / "more", body(seed=4), series=9, uid="1.2.826.0.1.99.9")
    assert main(["inspect", str(files / "ct"), "--out", str(files / "a.png")]) == 1
    shown = capsys.readouterr()
    assert "#2: 30 x 40 x 44" in shown.err and "patient: error:" in shown.err and "Traceback" not in shown.err
    second = ["--series", "2", "--spacing-mm", "3", "--out", str(files / "a.png")]
    assert main(["inspect", str(files / "ct"), *second]) == 0
    assert "resampled to cubes of 3 mm" in capsys.readouterr().out


def test_a_phantom_shows_its_landmarks(tmp_path, monkeypatch):
    from synthex_sim.patient import source
    coarse = source.cached_phantom(7, 6.0)
    monkeypatch.setattr(source, "cached_phantom", lambda *arguments: coarse)
    found = inspect_source(Request("phantom:7"))
    assert found.usable and len(found.picture.landmarks) == 14
    assert any(line.startswith("landmarks: FH-l") for line in found.lines)


def test_a_thorax_is_inspected_too_with_the_voxels_that_were_asked_for(monkeypatch):
    from synthex_sim.patient import source
    coarse = source.cached_phantom(7, 6.0)
    asked = []
    for name in ("thorax_patient", "cached_phantom"):
        monkeypatch.setattr(source, name, lambda first, spacing_mm, *more: asked.append((first, spacing_mm)) or coarse)
    assert inspect_source(Request("thorax:3?lesions=no", spacing_mm=3.0)).usable
    assert inspect_source(Request("phantom:7", spacing_mm=4.0)).usable
    assert inspect_source(Request("phantom:8")).usable
    assert asked == [("thorax:3?lesions=no", 3.0), (7, 4.0), (8, 1.5)]


@pytest.mark.parametrize(("arguments", "words"), [
    (["phantom:7", "--series", "2"], "series numbers go with DICOM"),
    (["phantom:7", "--spacing-mm", "-3"], "within 0.5 and 6"),
    (["thorax:3?lesions=maybe"], "lesions, yes or no"),
    (["thorax:3", "--labels", "labels.nii.gz"], "no use for the label map"),
    ([""], "patient '' does not exist; give a CT"),
    (["missing.nii.gz"], "patient 'missing.nii.gz' does not exist; give a CT"),
    (["ct", "--label-scheme", "totalsegmentator_v1"], "goes with a label map, and none is given"),
    (["ct", "--out", "nowhere/a.png"], "the folder nowhere does not exist"),
    (["ct", "--out", "a.jpg"], "ends in .png"),
])
def test_what_cannot_be_meant_is_one_line_and_no_picture(files, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(files)
    before = sorted(files.rglob("*"))
    assert main(["inspect", *arguments]) == 1
    shown = capsys.readouterr()
    assert words in shown.err and shown.err.count("\n") == 1 and not shown.out
    assert sorted(files.rglob("*")) == before


def test_structures_beyond_the_six_are_told_by_name(files, capsys):
    (files / "scheme.yaml").write_text("1: left_hemipelvis\n2: costal_cartilages\n", encoding="utf-8")
    assert main(["inspect", str(files / "ct"), "--labels", str(files / "labels.nii.gz"), "--label-scheme",
                 str(files / "scheme.yaml"), "--out", str(files / "a.png")]) == 0
    text = capsys.readouterr().out
    assert "structures: left hemipelvis 30 cm3\nothers: costal cartilages 30 cm3\n" in text
