"""Ours computes the line integrals that renderers compute which nobody here wrote: RTK, nanodrr, DiffDRR.

The comparison itself is slow (it installs the peers) and wants a CT in Hounsfield units:

    SYNTHEX_TEST_CT=my_ct.nii.gz tools/run_in_workspace python -m pytest tests/test_peer_agreement.py -m slow
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.placement import supine_pose
from synthex_sim.carm.view import rigid_inverse
from synthex_sim.patient.source import NO_LABELS, load_patient

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY / "tools" / "benchmarks"))

import ours  # noqa: E402
import peers_environment  # noqa: E402
from agreement import compare  # noqa: E402
from contestants import OURS, PEERS, Absent, Contestant, python_of  # noqa: E402
from geometry import VIEWS, Shot, cios_shot  # noqa: E402
from reference import fine_line_integrals  # noqa: E402
from render import headline  # noqa: E402
from volume_files import VolumeFiles  # noqa: E402


@pytest.mark.parametrize("view", VIEWS)
def test_the_shots_of_the_comparison_are_the_c_arms_own_views(view):
    carm = CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml")
    isocenter, at_world = np.array([10.0, -20.0, 30.0]), np.array([0.0, 0.0, 1100.0])
    pose = supine_pose(isocenter, at_world)
    theirs = carm.view(carm.aim(at_world, 530.0, *VIEWS[view])).resized((96, 96)).with_world(rigid_inverse(pose))
    shot = Shot.from_json(cios_shot(96, isocenter, *VIEWS[view]).to_json())
    mine = ours.view_of(shot)
    points = isocenter + np.array([[0, 0, 0], [30, 0, 0], [0, -40, 0], [5, 6, 50]])
    assert mine.project(points)[0] == pytest.approx(theirs.project(points)[0], abs=1e-6)
    assert mine.source == pytest.approx(theirs.source, abs=1e-6)
    # and a pixel's centre is seen at that pixel
    rows, columns = np.array([0, 7, 95]), np.array([3, 95, 0])
    seen_at, _ = mine.project(shot.pixel_centers(rows, columns))
    assert seen_at == pytest.approx(np.stack([columns, rows], axis=-1), abs=1e-6)


def test_the_fine_reference_measures_the_way_through_a_block():
    """A block of ones, air around it: 40 mm thick between the half-density planes, longer for oblique rays."""
    volume = np.zeros((60, 44, 60), np.float32)
    volume[5:-5, 2:-2, 5:-5] = 1.0
    affine = np.eye(4)
    affine[:3, 3] = [-29.5, -21.5, -29.5]
    shot = cios_shot(24, np.zeros(3), 0.0, 0.0)
    pixels, found = fine_line_integrals(volume, affine, shot, 4)
    ways = shot.pixel_centers(*pixels) - shot.source
    expected = 40.0 * np.linalg.norm(ways, axis=1) / np.abs(ways[:, 1])
    within = (np.abs(ways[:, [0, 2]]).max(axis=1) / np.abs(ways[:, 1])) < 22.0 / 550.0
    assert within.sum() >= 4 and found[within] == pytest.approx(expected[within], rel=1e-4)


def test_agreement_notices_a_scale_and_a_shift():
    rng = np.random.default_rng(1)
    picture = 100.0 + np.add.outer(np.arange(64.0), np.arange(64.0)) + 20.0 * rng.random((64, 64))
    assert compare(picture * 1.005, picture).good
    assert not compare(picture * 1.011, picture).good
    assert not compare(np.roll(picture, 1, axis=1), picture).good
    with pytest.raises(ValueError, match="not finite"):
        compare(np.full_like(picture, np.nan), picture)


def test_the_headline_says_how_many_times_faster_ours_is_by_cpu_time():
    def row(key, side, cpu_ms, wall_ms, cut=False):
        size = {"side": side, "pixels": 360, "cut_to_body": cut}
        return {"contestant": key, **size, "cpu_ms": cpu_ms, "wall_ms": wall_ms}

    costs = [row("ours", 400, 100.0, 80.0), row("rtk", 400, 400.0, 160.0), row("ours", 400, 90.0, 80.0, cut=True)]
    whole = [{"physics": "realistic", "tool": True, "projector": "cpu", "pixels": 360, "wall_ms": 125.0}]
    found = headline(costs, whole)
    assert found["ratios_360_400"] == {"rtk": 4.0} and found["ratios_360_400_wall"] == {"rtk": 2.0}
    assert found["realistic_360_fps_cpu"] == 8.0


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """The CT of SYNTHEX_TEST_CT, its two outermost layers turned to air: what lies beyond is a matter of opinion."""
    path = os.environ.get("SYNTHEX_TEST_CT")
    if not path:
        pytest.skip("SYNTHEX_TEST_CT names no CT")
    patient = load_patient(str(path), NO_LABELS)
    hu = np.full_like(patient.hu, -1000)
    inner = (slice(2, -2),) * 3
    hu[inner] = patient.hu[inner]
    volume = VolumeFiles.write(tmp_path_factory.mktemp("ct"), hu, np.zeros(hu.shape, np.uint8), patient.affine)
    return volume, patient.center


def pictures(entry, volume, center, folder):
    """(R, C) line integrals of the views."""
    with Contestant(entry, python_of(entry, peers_environment.folder()), cores=2) as contestant:
        contestant.ask("load", folder=str(volume.folder))
        result = {}
        for view, angles in VIEWS.items():
            out = folder / f"{entry.key}_{view}.npy"
            contestant.ask("image", shot=cios_shot(360, center, *angles).to_json(), out=str(out))
            result[view] = np.load(out)
    return result


@pytest.fixture(scope="module")
def our_pictures(ct, tmp_path_factory):
    return pictures(OURS, *ct, tmp_path_factory.mktemp("ours"))


@pytest.mark.slow
@pytest.mark.parametrize("entry", [e for e in PEERS if e.key != "plastimatch"], ids=lambda e: e.key)
def test_line_integrals_of_a_ct_correlate_and_differ_by_less_than_a_percent(entry, ct, our_pictures, tmp_path):
    """plastimatch stays out: it takes voxels for blocks of constant density, another picture on coarse voxels."""
    try:
        peers_environment.make_ready(entry.key)
        theirs = pictures(entry, *ct, tmp_path)
    except Absent as error:
        pytest.skip(str(error))
    for view, picture in theirs.items():
        found = compare(our_pictures[view], picture)
        print(entry.key, view, found)
        assert found.good, f"{view}: {found}"


@pytest.mark.slow
def test_line_integrals_of_a_ct_are_those_of_a_four_times_finer_sampling(ct, our_pictures):
    volume, center = ct
    for view, angles in VIEWS.items():
        pixels, fine = fine_line_integrals(volume.density, volume.affine, cios_shot(360, center, *angles), 5)
        found = compare(our_pictures[view][pixels], fine)
        print(view, found)
        assert found.correlation > 0.9995 and found.difference < 0.005, f"{view}: {found}"
