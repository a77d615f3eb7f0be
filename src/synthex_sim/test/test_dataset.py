"""Data sets: exactly repeatable, resumable, consistent with their labels, and refused where they must be."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import yaml
from sim_worlds import water_box

from synthex_sim.carm.view import View
from synthex_sim.dataset import generate as generation
from synthex_sim.dataset.__main__ import main
from synthex_sim.dataset.manifest import MANIFEST_NAME, Manifest
from synthex_sim.dataset.reader import open_dataset
from synthex_sim.dataset.tasks.session import SessionTask
from synthex_sim.patient import phantom
from synthex_sim.xray.simulator import XraySimulator


@pytest.fixture(scope="module")
def coarse_phantoms(module_mocker=None):
    """Phantoms on a 4 mm grid: real anatomy, small enough for a test."""
    import synthex_sim.dataset.tasks.session as session

    fine = session.cached_phantom
    made = {}

    def coarse(seed):
        if seed not in made:
            made[seed] = phantom.make_phantom(seed, 4.0)
        return made[seed]

    session.cached_phantom = coarse
    yield
    session.cached_phantom = fine


@pytest.fixture
def task(config_folder, carm, cm_geometry, coarse_phantoms):
    config = yaml.safe_load((config_folder / "tasks" / "session.yaml").read_text())
    config["image_size"] = 64
    config["patients"] |= {"train": 2, "valid": 1}
    return SessionTask(config, carm, cm_geometry)


def make(task, carm, folder, count=9):
    return generation.generate(task, XraySimulator(carm), folder, count, 5, lambda done, count: None)


def test_the_same_order_gives_the_same_bytes_also_after_a_kill(task, carm, tmp_path, monkeypatch):
    monkeypatch.setattr(generation, "SHARD_SIZE", 2)
    whole = make(task, carm, tmp_path / "whole")

    def killed_at_sample_five(done, count):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generation.generate(task, XraySimulator(carm), tmp_path / "killed", 9, 5, killed_at_sample_five)
    assert not (tmp_path / "killed" / MANIFEST_NAME).exists()
    assert not list((tmp_path / "killed").glob(".*.tmp"))
    resumed = make(task, carm, tmp_path / "killed")
    assert [s.sha256 for s in resumed.shards] == [s.sha256 for s in whole.shards]


def test_labels_agree_with_the_view_stored_beside_the_image(task, carm, tmp_path):
    make(task, carm, tmp_path)
    dataset = open_dataset(tmp_path)
    checked = 0
    for split in ("train", "valid"):
        for sample in (dataset.split(split)[i] for i in range(len(dataset.split(split)))):
            view = View(sample.intrinsics, sample.world_to_camera, sample.image.shape, sample.pixel_spacing_mm)
            patient = task.load_patient(sample.patient, 5)
            for name, pixel, visible in zip(
                dataset.manifest.landmark_names, sample.landmarks, sample.visible, strict=True
            ):
                if name in patient.landmarks and np.isfinite(pixel).all():
                    assert view.project(patient.landmarks[name])[0] == pytest.approx(pixel, abs=1e-3)
                    assert view.contains(pixel) == visible
                    checked += 1
    assert checked > 50


def test_the_split_is_by_patient(task, carm, tmp_path):
    make(task, carm, tmp_path)
    dataset = open_dataset(tmp_path)
    splits = {name: dataset.split(name) for name in ("train", "valid")}
    patients = {name: {split[i].patient for i in range(len(split))} for name, split in splits.items()}
    assert patients == {"train": {0, 1}, "valid": {2}}


def test_the_manifest_round_trips_and_says_what_is_there(task, carm, tmp_path):
    written = make(task, carm, tmp_path)
    read = Manifest.read(tmp_path)
    assert read == written and read.count == 9 and read.image_shape == (64, 64)
    with h5py.File(tmp_path / read.shards[0].file) as file:
        assert file["image"].dtype == np.uint16 and "bone dark" in file["image"].attrs["meaning"]


def test_a_folder_with_another_data_set_is_refused_and_left_alone(task, carm, tmp_path):
    make(task, carm, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="another data set"):
        make(task, carm, tmp_path, count=12)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_another_device_patient_or_code_is_another_data_set(task, carm, cm_geometry, tmp_path, monkeypatch):
    make(task, carm, tmp_path / "phantoms")
    raw = {k: v for k, v in task.config.items() if k not in ("carm", "manipulator_device")}
    other_arm = replace(carm, source_to_isocenter_mm=carm.source_to_isocenter_mm + 1.0)
    with pytest.raises(ValueError, match="its config differs"):
        make(SessionTask(raw, other_arm, cm_geometry), carm, tmp_path / "phantoms")

    first, second = water_box(40), water_box(40)
    second.hu[20, 20, 20] = 1
    make(SessionTask(raw, carm, cm_geometry, first), carm, tmp_path / "given", count=2)
    assert make(SessionTask(raw, carm, cm_geometry, water_box(40)), carm, tmp_path / "given", count=2).count == 2
    with pytest.raises(ValueError, match="its config differs"):
        make(SessionTask(raw, carm, cm_geometry, second), carm, tmp_path / "given", count=2)

    monkeypatch.setattr(generation, "code_version", lambda: "0.0.1")
    with pytest.raises(ValueError, match="its code_version differs"):
        make(task, carm, tmp_path / "phantoms")


def test_too_few_images_are_refused(task, carm, tmp_path):
    with pytest.raises(ValueError, match="at least 3"):
        make(task, carm, tmp_path, count=2)


def test_a_full_disk_leaves_no_half_shard(task, carm, tmp_path, monkeypatch):
    """The real writer against a real limit on file size stands for a disk that fills."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))
        with pytest.raises(OSError):
            make(task, carm, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.glob("*.h5")) and not list(tmp_path.glob(".*.tmp"))
    assert make(task, carm, tmp_path).count == 9


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--task", "knee"], "unknown task 'knee'"),
    (["--n", "3"], "at least"),
    (["--config-folder", "nowhere"], "does not exist"),
    (["--labels", "map.nii.gz"], "go with --patient"),
    (["--patient", "thorax:1"], "shows none of the structures that task 'session' labels (left_hemipelvis"),
])
def test_the_command_refuses_with_one_line_and_a_non_zero_exit(arguments, reason, tmp_path, capsys, config_folder):
    given = ["--out", str(tmp_path / "out"), "--config-folder", str(config_folder), *arguments]
    assert main(given) == 1
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_finished_data_set_is_no_data_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished data set"):
        open_dataset(tmp_path)
