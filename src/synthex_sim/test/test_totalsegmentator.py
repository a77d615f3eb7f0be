"""TotalSegmentator's program: asked as its documentation says, once for each CT, and its refusals passed on."""

import os
import stat
import sys
import threading

import nibabel
import numpy as np
import pytest
from fabricated_series import AFFINE, body

from synthex_sim import anatomy
from synthex_sim.patient.__main__ import main
from synthex_sim.patient.source import load_checked_patient, planned_landmarks
from synthex_sim.patient.totalsegmentator import segment
from synthex_sim.patient.volume import Volume

CT = Volume(body(), AFFINE, "test")
LEFT, RIGHT = (slice(25, 33), slice(10, 20), slice(5, 25)), (slice(5, 13), slice(10, 20), slice(5, 25))

#: Takes the arguments that the program documents; writes a label map of two femora by their place in RAS.
PROGRAM = '''#!{python}
import argparse, os, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("-i", dest="input", required=True)
parser.add_argument("-o", dest="output", required=True)
parser.add_argument("-ml", "--ml", action="store_true")
parser.add_argument("-f", "--fast", action="store_true")
parser.add_argument("-ta", "--task", choices=["total", "body"], default="total")
parser.add_argument("-d", "--device", default="gpu")
parser.add_argument("--version", action="version", version="{version}")
options = parser.parse_args()
with open("{log}", "a") as log:
    log.write("fast " if options.fast else "full ")
if {fails}:
    print("downloading weights\\nRuntimeError: no space left")
    sys.exit(1)
import nibabel, numpy
assert options.ml and options.task == "total"
ct = nibabel.load(options.input)
assert ct.get_data_dtype() == numpy.int16 and ct.header["sform_code"] == 1 and ct.header["qform_code"] == 1
assert numpy.allclose(ct.get_qform(), ct.get_sform(), atol=1e-3)
time.sleep(0.3)
values = numpy.asanyarray(ct.dataobj)
index = numpy.stack(numpy.meshgrid(*map(numpy.arange, ct.shape), indexing="ij"), -1)
x = (index @ ct.affine[:3, :3].T + ct.affine[:3, 3])[..., 0]
labels = numpy.where(values > 300, numpy.where(x < 0, 75, 76), 0).astype(numpy.uint8)
labels[:2, :2, :2] = 21
image = nibabel.Nifti1Image(labels, ct.affine, ct.header)
image.set_data_dtype(numpy.uint8)
nibabel.save(image, options.output)
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a program of that name on the PATH; returns what it was asked for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(version="2.4.0", fails=False):
        log, program = tmp_path / "log", tmp_path / "bin" / "TotalSegmentator"
        program.parent.mkdir()
        log.touch()
        text = PROGRAM.format(python=sys.executable, version=version, log=log, fails=fails)
        program.write_text(text, encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return lambda: log.read_text().split()

    return put


@pytest.fixture
def ct_file(tmp_path):
    """A CT with a femur on each side, as NIfTI."""
    hu = np.where(body() > 300, 40, body()).astype(np.int16)
    hu[LEFT], hu[RIGHT] = 600, 600
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([-1.0, -1, 1, 1]) @ AFFINE), tmp_path / "ct.nii.gz")
    return str(tmp_path / "ct.nii.gz")


def test_a_patient_gets_the_labels_that_the_program_makes(install, ct_file, config_folder):
    asked = install()
    schemes = str(config_folder / "labels")
    loaded = load_checked_patient(ct_file, "totalsegmentator:fast", scheme_folder=schemes)
    labels = loaded.patient.labels
    assert (labels[LEFT] == anatomy.LEFT_FEMUR).all() and (labels[RIGHT] == anatomy.RIGHT_FEMUR).all()
    assert loaded.patient.structures[labels[0, 0, 0]] == "urinary_bladder"
    assert any("by TotalSegmentator" in note for note in loaded.notes)
    assert planned_landmarks(ct_file, "totalsegmentator:fast", scheme_folder=schemes).keys() == (
        loaded.patient.landmarks.keys())
    assert asked() == ["fast"]


def test_nodes_that_ask_at_the_same_time_share_one_run_and_another_ct_has_its_own(install):
    asked = install()
    found = []
    threads = [threading.Thread(target=lambda: found.append(segment(CT, "totalsegmentator"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked() == ["full"] and (found[0].values == found[1].values).all()
    assert np.allclose(found[0].affine, AFFINE, atol=1e-3)
    segment(Volume(CT.values + np.int16(1), AFFINE, "test"), "totalsegmentator")
    segment(CT, "totalsegmentator:fast")
    assert asked() == ["full", "full", "fast"]


def test_a_sheared_ct_reaches_the_program_at_right_angles(install):
    install()
    sheared = AFFINE.copy()
    sheared[1, 2] = 0.8
    found = segment(Volume(body(), sheared, "test"), "totalsegmentator")
    axes = found.affine[:3, :3] / found.spacing_mm
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-4) and (found.values > 0).any()


def test_without_the_program_the_error_says_how_to_get_it(tmp_path, monkeypatch, ct_file, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    code = main(["inspect", ct_file, "--labels", "totalsegmentator", "--out", str(tmp_path / "a.png")])
    words = capsys.readouterr().err
    assert code == 1 and "TotalSegmentator is not installed here" in words
    assert "pip install TotalSegmentator" in words and "Apache-2.0" in words and "Traceback" not in words


@pytest.mark.parametrize(("installed", "words"), [
    ({"version": "1.5.7"}, "says it is version '1.5.7', the ids of version 2 are known"),
    ({"fails": True}, "failed .exit code 1.: downloading weights / RuntimeError: no space left")])
def test_another_version_and_a_failure_are_passed_on_and_nothing_is_kept(install, tmp_path, installed, words):
    install(**installed)
    with pytest.raises(ValueError, match=words):
        segment(CT, "totalsegmentator")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
