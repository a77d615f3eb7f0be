"""The offline replay as a command: the same bag gives the same bytes, and a wrong word gives one line."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from bringup_fabricate import FabricatedFrame, write_session

from synthex_bringup.offline.__main__ import main
from synthex_bringup.recording.details import RecordingDetails
from synthex_perception.network.compact_transunet import build_network
from synthex_perception.network.config import CompactTransUNetConfig
from synthex_perception.network.weights import WeightsMetadata, save_weights
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS

REPOSITORY = Path(__file__).resolve().parents[3]
SIZE = (64, 64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network whose random weights let it see some of everything in noise."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    sizes = CompactTransUNetConfig(input_size_px=64, width=8, head_width=8, embed_dim=24, depth=1, heads=2)
    save_weights(path, build_network(sizes, 9), WeightsMetadata(sizes, "session", LABEL_NAMES, SESSION_LANDMARKS, 1.68))
    return path


def frames(count: int = 4) -> list[FabricatedFrame]:
    rng = np.random.default_rng(3)
    truth = np.zeros(SIZE, np.uint8)
    truth[10:40, 10:40], truth[30:34, 30:50] = 1, 7
    points = {"FH-l": (20.0, 25.0), "CM-base": (50.0, 32.0), "CM-tip": (30.0, 32.0)}
    return [
        FabricatedFrame(
            at_ms=300.0 * i, image=rng.integers(500, 50_000, SIZE, dtype=np.uint16), counter=i + 1, true_mask=truth,
            true_points=points, true_cm=True, points=points, cm=True,
        )
        for i in range(count)
    ]


@pytest.fixture
def run(tmp_path):
    """A run folder with a bag of four images of phantom:7."""
    write_session(tmp_path / "run", frames())
    RecordingDetails(patient="phantom:7").write(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def offline(weights, monkeypatch, tmp_path_factory):
    """The command, in the repository's folder, where its configuration lies; everything that is seen counts."""
    monkeypatch.chdir(REPOSITORY)
    credulous = tmp_path_factory.mktemp("config") / "credulous.yaml"
    credulous.write_text("/**/perception_node: {ros__parameters: {landmark_threshold: 0.0, cm_min_pixels: 1}}")
    fixed = ["--weights", str(weights), "--config", str(credulous)]
    return lambda bag, *options: main([str(bag), *fixed, *map(str, options)])


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "frames.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_two_runs_write_the_same_bytes_and_hold_no_time_of_day(run, offline, tmp_path, capsys):
    assert offline(run, "--out", tmp_path / "a") == offline(run / "bag", "--out", tmp_path / "b") == 0
    for name in ("frames.csv", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    summary = json.loads((tmp_path / "a/summary.json").read_text())
    assert (summary["images"], summary["answered"], sum(summary["states"].values())) == (4, 4, 4)
    assert summary["circumstances"]["plan"] == "phantom:7" and summary["circumstances"]["bag"] == "run/bag"
    assert "not a medical device" in summary["disclaimer"]
    out = capsys.readouterr().out
    assert "s an image" in out and "not a medical device" in out and "median / 95 % within" in out


def test_the_table_has_a_row_for_each_image_in_the_order_of_stamps(run, offline, tmp_path):
    assert offline(run, "--out", tmp_path / "out") == 0
    rows = table(tmp_path / "out")
    assert all(int(row["landmarks_visible"]) > 4 for row in rows)
    assert [int(row["stamp_ns"]) for row in rows] == [frame.stamp_ns for frame in frames()]
    assert all(row["state"] in ("tracking", "uncertain", "lost") for row in rows)
    assert all(row["state"] == "tracking" or row["reason"] for row in rows)
    # a network of chance agrees with nobody, and says by how much it does not
    assert {row["live_agrees"] for row in rows} == {"false"} and all(int(row["live_mask_px"]) > 0 for row in rows)


def test_every_column_is_explained_in_the_documentation(run, offline, tmp_path):
    assert offline(run, "--out", tmp_path / "out", "--plan", "none") == 0
    page = (REPOSITORY / "docs/replay.md").read_text()
    assert [name for name in table(tmp_path / "out")[0] if f"`{name}`" not in page] == []


def test_without_a_folder_results_lie_beside_the_bag_and_none_are_overwritten(run, offline):
    assert offline(run, "--plan", "none") == offline(run / "bag", "--plan", "none") == 0
    assert sorted(path.name for path in run.iterdir()) == ["bag", "offline", "offline-2", "recording.json"]
    assert (run / "offline/summary.json").read_bytes() == (run / "offline-2/summary.json").read_bytes()


def nothing(tmp_path, weights):
    return [tmp_path / "nowhere"], "nowhere does not exist"


def no_images(tmp_path, weights):
    write_session(tmp_path / "blind", [])
    return [tmp_path / "blind"], "holds no carm/image_raw"


def torn(tmp_path, weights):
    write_session(tmp_path / "torn", frames(2))
    os.truncate(tmp_path / "torn/bag/bag.mcap", 4000)
    return [tmp_path / "torn"], "damaged or cut off"


def color(tmp_path, weights):
    write_session(tmp_path / "color", [FabricatedFrame(at_ms=0.0, image=np.zeros(SIZE, np.uint8))])
    return [tmp_path / "color"], "must be mono16, got mono8"


def no_weights(tmp_path, weights):
    return [tmp_path / "run", "--weights", tmp_path / "none.safetensors"], "no weights file at"


def other_weights(tmp_path, weights):
    sizes = CompactTransUNetConfig(64, num_landmarks=2, width=8, embed_dim=24, depth=1, heads=2)
    metadata = WeightsMetadata(sizes, "session", LABEL_NAMES, ("FH-l", "FH-r"), 1.68)
    save_weights(tmp_path / "other.safetensors", build_network(sizes), metadata)
    return [tmp_path / "run", "--weights", tmp_path / "other.safetensors"], "knows the landmarks FH-l, FH-r"


def other_plan(tmp_path, weights):
    return [tmp_path / "run", "--plan", "phantom:8"], "not of whom the recording shows (phantom:7)"


def full_folder(tmp_path, weights):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    return [tmp_path / "run"], "out exists and is not empty; nothing is overwritten, name another with --out"


def unwritable_folder(tmp_path, weights):
    return [tmp_path / "run", "--out", "/proc/out"], "cannot write to /proc/out"


def unknown_parameter(tmp_path, weights):
    (tmp_path / "p.yaml").write_text("/**/navigation_node: {ros__parameters: {lateral: 3.0}}")
    return [tmp_path / "run", "--config", tmp_path / "p.yaml"], "navigation_node has no parameter lateral"


@pytest.mark.parametrize("case", [
    nothing, no_images, torn, color, no_weights, other_weights, other_plan, full_folder, unwritable_folder,
    unknown_parameter,
], ids=lambda case: case.__name__)
def test_bad_input_is_one_line_and_leaves_nothing(case, run, weights, offline, tmp_path, capsys):
    out = tmp_path / "out"
    (bag, *options), reason = case(tmp_path, weights)
    before = sorted(tmp_path.rglob("*"))
    assert offline(bag, "--out", out, *options) == 1
    said = capsys.readouterr()
    assert said.err.startswith("offline: error: ") and said.err.count("\n") == 1 and reason in said.err, said.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_cannot_be_written_takes_the_other_with_it(run, offline, tmp_path, monkeypatch, capsys):
    from synthex_bringup.offline import replay

    written = []

    def second_fails(path, text):
        if written:
            raise OSError(28, "No space left on device")
        written.append(path.write_text(text))

    monkeypatch.setattr(replay, "write_whole", second_fails)
    assert offline(run, "--out", tmp_path / "out") == 1 and written
    assert "No space left" in capsys.readouterr().err and not (tmp_path / "out").exists()
