"""What a shape model promises: files are understood or refused, samples are people, and their bones fit together."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from synthex_sim import anatomy
from synthex_sim.patient.landmarks.find import find_landmarks
from synthex_sim.patient.made_patient import load_made, parse_made
from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.hip_bone import surface
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.patient.shape_model.alignment import align_surfaces, finer, fit_similarity, surface_distances
from synthex_sim.patient.shape_model.atlas import load_atlas
from synthex_sim.patient.shape_model.bones import upper_sacrum_points
from synthex_sim.patient.shape_model.closing import closed
from synthex_sim.patient.shape_model.patient import sample_pelvis, shape_model_patient
from synthex_sim.patient.shape_model.statismo import MOST_SD, read_statismo
from synthex_sim.random_streams import Purpose, stream

OCTAHEDRON = np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)], dtype=float)
FACES = np.array([(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)])


def write_model(path, points, faces, variances=(0.09, 0.01), scaled=False, **changed):
    """A statismo file: modes are growth of all and stretch along z, as far as two of them go."""
    modes = np.stack([points.ravel(), (points * (0, 0, 1)).ravel()], axis=1)
    basis = np.linalg.qr(modes)[0] * np.sign(np.diag(np.linalg.qr(modes)[1]))
    if scaled:
        basis = basis * np.sqrt(variances)
    data = {
        "model/mean": points.ravel(), "model/pcaBasis": basis, "model/pcaVariance": np.array(variances),
        "representer/points": points.T, "representer/cells": faces.T.astype(np.uint32),
    } | changed  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            if values is not None:
                file[name] = values
    return path


def test_a_mode_moves_the_mean_by_its_standard_deviation(tmp_path):
    points, faces = finer(OCTAHEDRON, FACES, 2)
    model = read_statismo(write_model(tmp_path / "a.h5", points, faces))
    assert np.allclose(model.shape(np.zeros(2)), points, atol=1e-6)
    moved = model.shape(np.array([1.0, 0.0])) - points
    assert np.linalg.norm(moved) == pytest.approx(0.3, rel=1e-5)
    assert (np.einsum("ij,ij->i", moved, points) > 0).all()


def test_a_basis_that_is_scaled_already_gives_the_same_model(tmp_path):
    points, faces = finer(OCTAHEDRON, FACES, 2)
    one = read_statismo(write_model(tmp_path / "a.h5", points, faces))
    other = read_statismo(write_model(tmp_path / "b.h5", points, faces, scaled=True))
    assert np.allclose(one.modes, other.modes, atol=1e-9)


def test_unlikely_coefficients_are_limited(tmp_path):
    model = read_statismo(write_model(tmp_path / "a.h5", *finer(OCTAHEDRON, FACES, 1)))
    assert np.array_equal(model.shape(np.array([40.0])), model.shape(np.array([MOST_SD])))
    assert all(np.abs(model.draw(np.random.default_rng(n))).max() <= MOST_SD for n in range(200))
    with pytest.raises(ValueError, match="2 modes"):
        model.shape(np.zeros(3))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model/pcaVariance": None}, "no model/pcaVariance"),
        ({"model/mean": np.zeros(7)}, "three coordinates"),
        ({"model/pcaBasis": np.zeros((5, 2))}, "pcaBasis is"),
        ({"model/pcaVariance": np.array([4.0, 1.0]), "model/pcaBasis": np.full((18, 2), 3.0)}, "neither length 1"),
        ({"model/pcaVariance": np.array([0.1, -1.0])}, "negative variances"),
        ({"representer/cells": np.array([[0], [1], [99]])}, "do not exist"),
        ({"representer/cells": FACES.astype(float).T}, "indices of triangles"),
    ],
)
def test_another_layout_is_refused_with_the_reason(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        read_statismo(write_model(tmp_path / "a.h5", OCTAHEDRON, FACES, **changed))


def test_a_file_that_is_no_hdf5_and_one_that_is_missing(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"not at all")
    with pytest.raises(ValueError, match="HDF5"):
        read_statismo(tmp_path / "a.h5")
    with pytest.raises(FileNotFoundError):
        read_statismo(tmp_path / "b.h5")


def test_a_hole_in_a_mesh_is_closed_and_a_bone_cut_open_is_refused():
    points, faces = finer(OCTAHEDRON, FACES, 3)
    whole = closed(faces[7:])
    sides = np.sort(np.concatenate([whole[:, [0, 1]], whole[:, [1, 2]], whole[:, [2, 0]]]), axis=1)
    assert (np.unique(sides, axis=0, return_counts=True)[1] % 2 == 0).all()
    assert np.array_equal(closed(faces), faces)
    points, faces = finer(OCTAHEDRON, FACES, 5)
    with pytest.raises(ValueError, match="not closed"):
        closed(faces[(points[faces, 2] > 0).all(axis=1)])


def random_points(seed, count=4000):
    """(N, 3) points all over an egg."""
    directions = np.random.default_rng(seed).standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * (3.0, 2.0, 1.0) * (1 + 0.2 * directions[:, :1])


def test_a_similarity_is_recovered_from_points_and_from_surfaces():
    angle = np.radians(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    points = random_points(0)
    targets = 7.0 * points @ turn.T + (1, 2, 3)
    exact = fit_similarity(points, targets)
    assert exact.size == pytest.approx(7.0) and np.allclose(exact.turn, turn) and np.allclose(exact.shift, (1, 2, 3))
    found = align_surfaces(random_points(1), targets)
    assert np.arccos((np.trace(found.turn @ turn.T) - 1) / 2) < np.radians(2) and abs(found.size - 7.0) < 0.1
    assert np.median(surface_distances(found(random_points(2)), targets)) < 0.4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models whose means are the bones of phantom 3, centred and small."""
    path = tmp_path_factory.mktemp("models")
    pelvis = Pelvis.of(draw_person(3, stream(3, 0, Purpose.ANATOMY)))
    for name, side in (("LeftHip.h5", 1), ("RightHip.h5", -1)):
        points, faces = surface(pelvis, side)
        write_model(path / name, (points - points.mean(axis=0)) / 73.0, faces)
    points = upper_sacrum_points(pelvis)
    grid = shapes.Grid(points.min(axis=0) - 12, 3.0, tuple(int(n) for n in np.ptp(points, axis=0) / 3 + 8))
    x, y, z = grid.axes()
    middle, half = points.mean(axis=0), 0.4 * np.ptp(points, axis=0)
    block = np.maximum.reduce(np.broadcast_arrays(
        abs(x - middle[0]) - half[0], abs(y - middle[1]) - half[1], abs(z - middle[2]) - half[2]))
    points, faces, _, _ = marching_cubes(block.astype(np.float32), 0.0)
    points = (points - points.mean(axis=0)) * 3.0
    write_model(path / "Sacrum.h5", points / 40.0, faces)
    return path


def test_a_sampled_pelvis_is_put_together_without_overlap(folder):
    atlas = load_atlas(folder)
    rng = stream(5, 0, Purpose.ANATOMY)
    person = Pelvis.of(draw_person(5, rng))
    pelvis, bones = sample_pelvis(atlas, person, rng)
    left, right = (bones._placed.hips[side] for side in (1, -1))
    gap = cKDTree(left).query(right)[0].min()
    assert 1.5 < gap < 12.0
    for side in (1, -1):
        assert np.linalg.norm(pelvis.hip_center(side) - person.hip_center(side)) < 15.0
        assert 150 < np.ptp(bones._placed.hips[side][:, 2]) < 280
    assert 17 < pelvis.person.head_radius_mm < 29


def test_a_shape_model_makes_a_patient_with_six_bones_and_landmarks(folder):
    loaded = load_made(f"shape_model:{folder}?seed=2", None, 3.0)
    patient = loaded.patient
    assert set(np.unique(patient.labels)) >= {0, *anatomy.BONE_LABELS} and patient.name == "shape-model-2"
    assert len(patient.landmarks) >= 12 and any("sample" in note for note in loaded.notes)
    assert patient.landmarks["ASIS-l"][0] > patient.landmarks["ASIS-r"][0] + 150
    other = shape_model_patient(folder, 3, 3.0).patient
    assert np.linalg.norm(other.landmarks["FH-l"] - patient.landmarks["FH-l"]) > 0.1


def test_the_same_seed_samples_the_same_bones(folder):
    atlas = load_atlas(folder)
    twice = []
    for _ in range(2):
        rng = stream(4, 0, Purpose.ANATOMY)
        twice.append(sample_pelvis(atlas, Pelvis.of(draw_person(4, rng)), rng)[0])
    assert np.array_equal(twice[0].left, twice[1].left) and twice[0].person.seed == twice[1].person.seed


def test_missing_models_and_wrong_names_are_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no LeftHip.h5"):
        load_made(f"shape_model:{tmp_path}", None)
    with pytest.raises(ValueError, match="whole number"):
        parse_made(f"shape_model:{folder}?seed=-1")
    with pytest.raises(ValueError, match="takes seed"):
        parse_made(f"shape_model:{folder}?mask=a")
    with pytest.raises(ValueError, match="given twice"):
        parse_made(f"shape_model:{folder}?seed=1&seed=2")
    with pytest.raises(ValueError, match="spacing|voxels"):
        shape_model_patient(folder, 0, 60.0)
    for name in ("LeftHip.h5", "RightHip.h5", "Sacrum.h5"):
        write_model(tmp_path / name, *finer(OCTAHEDRON, FACES, 3))
    with pytest.raises(ValueError, match="no hip bones|LPS"):
        load_made(f"shape_model:{tmp_path}", None)


@pytest.mark.slow
@pytest.mark.skipif("SYNTHEX_DATA" not in os.environ, reason="SYNTHEX_DATA names no folder with pelvis_ssm_istar")
@pytest.mark.parametrize("seed", range(4))
def test_samples_of_a_real_atlas_have_all_landmarks(seed):
    patient = shape_model_patient(Path(os.environ["SYNTHEX_DATA"]) / "pelvis_ssm_istar", seed, 2.0).patient
    assert not find_landmarks(patient.labels, patient.affine).refused
    assert 190 < np.linalg.norm(patient.landmarks["ASIS-l"] - patient.landmarks["ASIS-r"]) < 280
