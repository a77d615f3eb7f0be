"""Where data come from travels with what is made of them, and what is for testing only is not trained on."""

import json

import nibabel
import numpy as np
import pytest
import yaml
from sim_worlds import water_box

from synthex_sim import anatomy
from synthex_sim.dataset.generate import generate
from synthex_sim.dataset.manifest import MANIFEST_NAME, Manifest
from synthex_sim.dataset.tasks.session import SessionTask
from synthex_sim.dataset.terms import dataset_provenance, task_provenance
from synthex_sim.patient.collections.collection import Licence
from synthex_sim.patient.collections.provenance import Provenance, find_provenance, paths_in, refuse_testing_only
from synthex_sim.patient.collections.record import RECORD_NAME, Record
from synthex_sim.xray.simulator import XraySimulator


@pytest.fixture
def collection(tmp_path):
    """A fetched collection of two bones, one of them for testing only."""
    folder = tmp_path / "data" / "bones"
    for name in ("bone-1", "bone-2"):
        (folder / name).mkdir(parents=True)
        (folder / name / "ct.nii.gz").write_bytes(b"ct")
    licence = Licence("CTs", "CC BY-NC 4.0", "https://licence.invalid", True, True, False, False, False, "nobody")
    Record("bones", "Bones", "1", "https://bones.invalid", (licence,), ("Nobody (2026).",), ("bone-2",), "2026-11-24",
           "on the terminal", complete=True).write(folder)
    return folder


def test_data_belong_to_the_collection_in_or_above_whose_folder_they_lie(collection, tmp_path):
    (found,) = find_provenance([collection / "bone-1" / "ct.nii.gz", collection / "bone-1"])
    assert found.collection == "bones" and found.non_commercial and found.testing_only == ()
    assert found.licences == ("CC BY-NC 4.0 (CTs)",) and found.restrictions == ("attribution", "non-commercial")
    assert find_provenance([tmp_path, tmp_path / "data", "phantom:7"]) == ()
    (tmp_path / "mine").symlink_to(collection / "bone-1")
    assert find_provenance([tmp_path / "mine" / "ct.nii.gz"]) == (found,)
    assert Provenance.from_document(json.loads(json.dumps(found.to_document()))) == found


def test_a_patient_s_name_is_searched_for_paths(collection):
    ct = collection / "bone-1" / "ct.nii.gz"
    for name in (f"{ct}", f"{ct}#2", f"dressed:{ct}?seed=3", f"dressed:nowhere?seed=3&mask={ct}", f"kind:{ct}#2?a=b"):
        assert paths_in(name) == (ct,) and len(find_provenance([name])) == 1
    assert paths_in("") == paths_in("phantom:7") == paths_in("x" * 5000) == ()
    assert len(task_provenance({"patients": {"train": ["phantom:1", f"dressed:{ct}?seed=1"]}, "size": 64})) == 1


def test_what_is_for_testing_only_is_found_from_within_and_from_above(collection):
    for place in (collection / "bone-2" / "ct.nii.gz", collection / "bone-2", collection):
        (found,) = find_provenance([collection / "bone-1", place])
        assert found.testing_only == ("bone-2",)
        with pytest.raises(ValueError, match="bone-2 of the collection bones is for testing only, not for training"):
            refuse_testing_only([found], "training")


@pytest.mark.parametrize("content", ["{}", "no json", '{"format": "synthex-collection", "version": 9}', "[]"])
def test_a_record_that_cannot_be_read_is_not_passed_over(collection, content):
    (collection / RECORD_NAME).write_text(content)
    with pytest.raises(ValueError, match="cannot be read .* says what may be done with the data"):
        find_provenance([collection / "bone-1"])


@pytest.fixture
def session_config(config_folder):
    config = yaml.safe_load((config_folder / "tasks" / "session.yaml").read_text())
    return config | {"image_size": 64}


def test_a_data_set_names_its_collections_and_may_image_them_for_measuring(
    collection, session_config, carm, cm_geometry, tmp_path
):
    task = SessionTask(session_config, carm, cm_geometry, water_box(40))
    provenance = find_provenance([collection / "bone-2" / "ct.nii.gz"])
    made = generate(task, XraySimulator(carm), tmp_path / "set", 1, 5, lambda done, count: None, provenance)
    assert made.provenance == provenance == Manifest.read(tmp_path / "set").provenance
    assert dataset_provenance(tmp_path / "set") == provenance
    assert dataset_provenance(tmp_path / "nothing") == ()


def test_nothing_is_trained_on_what_is_for_testing_only(collection, session_config, carm, cm_geometry, tmp_path):
    task = SessionTask(session_config, carm, cm_geometry)
    with pytest.raises(ValueError, match="is for testing only, not for training"):
        generate(task, XraySimulator(carm), tmp_path / "set", 100, 5, None, find_provenance([collection / "bone-2"]))
    task.config["patients"]["real"] = [f"dressed:{collection / 'bone-2' / 'ct.nii.gz'}"]
    with pytest.raises(ValueError, match="is for testing only, not for training"):
        generate(task, XraySimulator(carm), tmp_path / "set", 100, 5, None)
    assert not (tmp_path / "set").exists()


def test_a_set_of_phantoms_has_the_manifest_that_it_always_had(tmp_path):
    manifest = Manifest("session", 0, {}, 7, (64, 64), (), (), ("phantom:1",), {}, "0", ())
    manifest.write(tmp_path)
    assert "provenance" not in json.loads((tmp_path / MANIFEST_NAME).read_text())
    assert Manifest.read(tmp_path) == manifest


def test_the_command_finds_the_collection_of_its_patient(collection, config_folder, tmp_path, capsys, monkeypatch):
    from synthex_sim.dataset import __main__ as command

    orders = []
    monkeypatch.setattr(command, "generate", lambda *order: orders.append(order))
    monkeypatch.setattr(command, "write_contact_sheet", lambda *_: None)
    monkeypatch.setattr(command, "open_dataset", lambda *_: None)
    values = np.full((40, 40, 40), -1000, np.int16)
    values[8:32, 8:32, 8:32] = 20
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-4.0, -4.0, 4.0, 1.0])), collection / "bone-1" / "ct.nii.gz")
    labels = np.where(values > 0, anatomy.VERTEBRAE, 0).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-4.0, -4.0, 4.0, 1.0])), tmp_path / "labels.nii.gz")
    code = command.main(["--patient", str(collection / "bone-1" / "ct.nii.gz"), "--out", str(tmp_path / "set"),
                         "--labels", str(tmp_path / "labels.nii.gz"), "--config-folder", str(config_folder)])
    assert code == 0 and orders[0][-1] == find_provenance([collection / "bone-1"])
    assert "of the collection bones: CC BY-NC 4.0 (CTs); attribution, non-commercial" in capsys.readouterr().out
