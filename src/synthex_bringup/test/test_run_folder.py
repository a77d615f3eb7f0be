"""Run folders: never overwritten, proved writable, gone if nothing came of them."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from synthex_bringup.recording.details import RecordingDetails, RosDetails
from synthex_bringup.recording.files import RunFolder, RunFolderError, default_run_folder, link_latest


def test_default_names_are_utc_times_and_never_collide(tmp_path):
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = default_run_folder(now, tmp_path)
    assert first.name == "20260102T030405Z-session"
    first.mkdir()
    assert default_run_folder(now, tmp_path).name == "20260102T030405Z-session-2"


def test_a_folder_with_something_in_it_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "x").write_text("1")
    with pytest.raises(RunFolderError, match="not empty"):
        RunFolder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_cannot_be_made_leaves_no_parents(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="name another"):
        RunFolder(tmp_path / "file" / "run")
    with pytest.raises(RunFolderError, match="cannot write"):
        RunFolder(tmp_path / "a" / "b" / ("n" * 300))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_discarding_takes_away_only_what_was_made(tmp_path):
    (tmp_path / "kept").mkdir()
    run = RunFolder(tmp_path / "kept" / "a" / "b")
    assert run.path.is_dir() and not any(run.path.iterdir())
    run.discard()
    assert list((tmp_path / "kept").iterdir()) == []


def test_latest_follows_the_newest_run_and_spares_what_is_no_link(tmp_path):
    for name in ("one", "two"):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        assert link_latest(run) == tmp_path / "runs" / "latest"
        assert os.readlink(tmp_path / "runs/latest") == name
    assert link_latest(tmp_path / "elsewhere") is None
    (tmp_path / "other/runs/latest").mkdir(parents=True)
    (tmp_path / "other/runs/one").mkdir()
    assert link_latest(tmp_path / "other/runs/one") is None


def test_recording_details_survive_the_file_and_damage_is_told(tmp_path):
    details = RecordingDetails(
        "2026", "p", 4, None, RosDetails("jazzy", "system", "rmw", "3.12"), "frames", 1.5, {"/a": 1}
    )
    details.write(tmp_path)
    assert RecordingDetails.read(tmp_path) == details
    assert RecordingDetails.read(tmp_path / "nowhere") == RecordingDetails()
    (tmp_path / "recording.json").write_text('{"unknown": 1}')
    with pytest.raises(ValueError, match="damaged"):
        RecordingDetails.read(tmp_path)
