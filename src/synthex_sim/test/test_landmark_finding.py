"""Landmarks found in label maps of phantoms, which know theirs exactly; files of 3D Slicer."""

import numpy as np
import pytest

from synthex_sim import anatomy
from synthex_sim.patient.landmarks.find import find_landmarks
from synthex_sim.patient.landmarks.slicer import read_landmarks, write_landmarks
from synthex_sim.patient.phantom import make_phantom

MARKUPS = '{"markups": [{"type": "Fiducial", "controlPoints": [{"label": %s}]}]}'


@pytest.fixture(scope="module", params=[1003, 1008])
def phantom(request):
    return make_phantom(request.param, 2.0)


def errors_mm(found, exact):
    assert not found.refused
    return np.array([np.linalg.norm(found.points[name] - exact[name]) for name in anatomy.HIP_LANDMARKS])


def mirrored(phantom):
    """The label map, its affine and landmarks as in a mirror at x = 0, with the sides' names changed over."""
    swap = np.arange(256, dtype=np.uint8)
    for left, right in ((anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS), (anatomy.LEFT_FEMUR, anatomy.RIGHT_FEMUR)):
        swap[[left, right]] = right, left
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    exact = {n[:-1] + {"l": "r", "r": "l"}[n[-1]]: flip[:3, :3] @ p for n, p in phantom.landmarks.items()
             if n in anatomy.HIP_LANDMARKS}
    return swap[phantom.labels], flip @ phantom.affine, exact


def test_they_are_where_the_phantom_has_them(phantom):
    found = find_landmarks(phantom.labels, phantom.affine)
    errors = errors_mm(found, phantom.landmarks)
    assert np.median(errors) < 1.3 and errors.max() < 5.0
    heads = [n.startswith("FH") for n in anatomy.HIP_LANDMARKS]
    assert errors[heads].max() < 0.5
    assert set(found.quality_mm) == set(found.points) and min(found.quality_mm.values()) > 0
    assert found.frame is not None


def test_storage_order_does_not_matter(phantom):
    plain = find_landmarks(phantom.labels, phantom.affine)
    turn = np.eye(4)[:, [2, 0, 1, 3]]
    turn[:3, 3] = [0, 0, 0]
    other = find_landmarks(np.transpose(phantom.labels, (2, 0, 1)), phantom.affine @ np.linalg.inv(turn).T)
    for name, point in plain.points.items():
        assert np.allclose(other.points[name], point, atol=0.3), name


def test_a_mirrored_pelvis_has_mirrored_landmarks(phantom):
    labels, affine, exact = mirrored(phantom)
    errors = errors_mm(find_landmarks(labels, affine), exact)
    assert np.median(errors) < 1.3 and errors.max() < 5.0


def test_sides_the_wrong_way_round_are_refused(phantom):
    with pytest.raises(ValueError, match="left|mirror"):
        find_landmarks(phantom.labels, np.diag([-1.0, 1.0, 1.0, 1.0]) @ phantom.affine)


def test_what_the_field_of_view_cuts_off_is_refused(phantom):
    """A scan that ends above the pubis still has the upper landmarks."""
    top = phantom.landmarks["SPS-l"][2] + 15.0
    start = int(np.ceil((top - phantom.affine[2, 3]) / phantom.affine[2, 2]))
    affine = phantom.affine.copy()
    affine[2, 3] += start * affine[2, 2]
    found = find_landmarks(np.ascontiguousarray(phantom.labels[:, :, start:]), affine)
    for name in ("SPS-l", "SPS-r", "IPS-l", "IPS-r", "IOF-l", "IOF-r"):
        assert name in found.refused and name not in found.points
    for name in set(found.points):
        assert np.linalg.norm(found.points[name] - phantom.landmarks[name]) < 8.0, name


def test_no_hip_bone_no_landmarks():
    empty = find_landmarks(np.zeros((20, 20, 20), np.uint8), np.eye(4))
    assert not empty.points and set(empty.refused) == set(anatomy.HIP_LANDMARKS) and empty.frame is None


def test_labels_that_meet_in_a_plane_are_refused_in_plain_words():
    halves = np.full((40, 40, 40), anatomy.RIGHT_HEMIPELVIS, np.uint8)
    halves[20:] = anatomy.LEFT_HEMIPELVIS
    with pytest.raises(ValueError, match="hip bones is one plane"):
        find_landmarks(halves, np.diag([3.0, 3.0, 3.0, 1.0]))


def test_a_hip_bone_far_from_its_socket_is_no_error():
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[40:], labels[5:15, 20:40, 20:40] = anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS
    assert set(find_landmarks(labels, np.diag([3.0, 3.0, 3.0, 1.0])).refused) == set(anatomy.HIP_LANDMARKS)


@pytest.mark.parametrize("name", ["points.mrk.json", "points.fcsv"])
def test_slicer_files_hold_what_was_written(tmp_path, name):
    points = {"FH-l": np.array([83.25, -1.5, 1000.125]), "ASIS-r": np.array([-116.0, 0.0, 40.0])}
    write_landmarks(tmp_path / name, points)
    read = read_landmarks(tmp_path / name)
    assert list(read) == list(points)
    for key, point in points.items():
        assert np.allclose(read[key], point, atol=1e-3)


def test_points_in_ras_become_lps(tmp_path):
    file = tmp_path / "old.fcsv"
    file.write_text(
        "# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        "1,10.0,20.0,30.0,0,0,0,1,1,1,0,FH-l,,\n"
    )
    assert np.allclose(read_landmarks(file)["FH-l"], [-10.0, -20.0, 30.0])


@pytest.mark.parametrize(("name", "text", "reason"), [
    ("a.mrk.json", "{", "landmarks .*a.mrk.json"),
    ("a.fcsv", "", "a.fcsv"),
    ("a.txt", "", "end in .mrk.json or .fcsv"),
    ("a.mrk.json", MARKUPS % '"FH-l", "position": [5.0]', "'FH-l' has no position of three numbers"),
    ("a.mrk.json", MARKUPS % '"FH-l", "position": 5.0', "'FH-l' has no position of three numbers"),
    ("a.mrk.json", MARKUPS % 'null, "position": [1.0, 2.0, 3.0]', "no proper name"),
    ("a.fcsv", "# CoordinateSystem = LPS\n" + 200_000 * "1", "line 2 is not comma separated"),
])
def test_files_that_hold_no_landmarks_are_refused(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_landmarks(tmp_path / name)
