"""What a phantom promises: a person from a seed, six bones, landmarks on these bones, and a plausible population."""

import numpy as np
import pytest
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.patient.phantom import draw_person, make_phantom
from synthex_sim.random_streams import Purpose, stream

SPACING_MM = 2.0
SURFACE_LANDMARKS = ("GSN", "IOF", "MOF", "SPS", "IPS", "ASIS")
SIDES = (("l", anatomy.LEFT_HEMIPELVIS, anatomy.LEFT_FEMUR), ("r", anatomy.RIGHT_HEMIPELVIS, anatomy.RIGHT_FEMUR))


@pytest.fixture(scope="module", params=[0, 7])
def patient(request):
    return make_phantom(request.param, SPACING_MM)


@pytest.fixture(scope="module")
def population():
    return [make_phantom(seed, 3.0) for seed in range(100, 108)]


def voxel(patient, point_mm):
    return tuple(np.rint((point_mm - patient.affine[:3, 3]) / patient.spacing_mm).astype(int))


def surface_distance_mm(patient, label, point_mm):
    """Distance of a point to the nearest voxel boundary of a label, mm, positive outside."""
    index = np.rint((point_mm - patient.affine[:3, 3]) / patient.spacing_mm).astype(int)
    part = tuple(slice(max(0, i - 15), i + 16) for i in index)
    inside = patient.labels[part] == label
    distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    local = (point_mm - patient.affine[:3, 3]) / patient.spacing_mm - [s.start for s in part]
    return float(ndimage.map_coordinates(distance, local[:, None], order=1)[0] * patient.spacing_mm[0])


def test_the_thighs_go_on_to_the_lower_end_of_the_volume(population):
    for one in population:
        below = one.landmarks["FH-l"][2] - one.affine[2, 3]
        assert below > 180, one.name
        for _, _, femur in SIDES:
            shaft = one.labels[:, :, 1] == femur
            assert 20 < 2 * np.sqrt(shaft.sum() * 9.0 / np.pi) < 40, "a shaft's width, mm"


def test_same_seed_gives_the_same_patient_to_the_last_voxel():
    a, b = make_phantom(5, 4.0), make_phantom(5, 4.0)
    assert np.array_equal(a.hu, b.hu) and np.array_equal(a.labels, b.labels) and np.array_equal(a.affine, b.affine)
    assert all(np.array_equal(a.landmarks[name], b.landmarks[name]) for name in anatomy.HIP_LANDMARKS)


def test_two_seeds_are_two_people():
    a, b = make_phantom(5, 4.0), make_phantom(6, 4.0)
    width = [np.linalg.norm(p.landmarks["ASIS-l"] - p.landmarks["ASIS-r"]) for p in (a, b)]
    assert abs(width[0] - width[1]) > 0.5 and a.name != b.name


def test_landmarks_do_not_depend_on_the_voxel_size():
    fine, coarse = make_phantom(5, 2.0), make_phantom(5, 4.0)
    for name in anatomy.HIP_LANDMARKS:
        assert np.allclose(fine.landmarks[name], coarse.landmarks[name], atol=1e-6), name


@pytest.mark.parametrize("spacing_mm", [0.0, 0.2, 10.0, float("nan")])
def test_a_voxel_size_out_of_range_is_refused(spacing_mm):
    with pytest.raises(ValueError, match="spacing_mm"):
        make_phantom(0, spacing_mm)


def test_all_six_bones_have_the_volume_of_bones(patient):
    litres = np.bincount(patient.labels.ravel(), minlength=7) * SPACING_MM**3 * 1e-6
    assert patient.labels.max() == 6
    plausible = {1: (0.2, 0.5), 2: (0.2, 0.5), 3: (0.06, 0.3), 4: (0.1, 0.35), 5: (0.08, 0.3), 6: (0.08, 0.3)}
    for bone, (low, high) in plausible.items():
        assert low < litres[bone] < high, anatomy.LABEL_NAMES[bone]


def test_each_bone_is_one_piece_and_left_is_left(patient):
    x = patient.affine[0, 3] + patient.spacing_mm[0] * np.arange(patient.labels.shape[0])
    for bone in (1, 2, 4, 5, 6):
        pieces, _ = ndimage.label(patient.labels == bone, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() > 0.98 * sizes.sum(), anatomy.LABEL_NAMES[bone]
        middle = (x[:, None, None] * (patient.labels == bone)).sum() / sizes.sum()
        assert abs(middle) < 8 if bone == 4 else (middle > 50 if bone in (1, 5) else middle < -50)


def test_head_centre_is_the_centre_of_the_femoral_head(patient):
    person = draw_person(*_seed_and_stream(patient))
    for side, hip, femur in SIDES:
        center = patient.landmarks[f"FH-{side}"]
        assert patient.labels[voxel(patient, center)] == femur
        for direction in ([0, -1, 0], [0, 0, 1], [0, -0.7, 0.7]):  # away from the neck
            reach = np.arange(0, 40, 0.5)
            ray = center + reach[:, None] * np.array(direction)
            index = np.rint((ray - patient.affine[:3, 3]) / patient.spacing_mm).astype(int)
            on_femur = patient.labels[tuple(index.T)] == femur
            assert abs(reach[np.argmin(on_femur)] - person.head_radius_mm) < 1.6 * SPACING_MM
        touching = ndimage.binary_dilation(patient.labels == femur) & (patient.labels == hip)
        assert not touching.any(), "there is a joint space between head and acetabulum"


def _seed_and_stream(patient):
    seed = int(patient.name.split("-")[1])
    return seed, stream(seed, 0, Purpose.ANATOMY)


def test_bony_landmarks_lie_on_the_surface_of_their_hip_bone(patient):
    for side, hip, _ in SIDES:
        for name in SURFACE_LANDMARKS:
            point = patient.landmarks[f"{name}-{side}"]
            assert abs(surface_distance_mm(patient, hip, point)) < 3.0, f"{name}-{side}"
            assert (point[0] > 0) == (side == "l")


def test_landmarks_stand_to_each_other_as_in_a_pelvis(patient):
    for side, _, _ in SIDES:
        p = {name: patient.landmarks[f"{name}-{side}"] for name in ("FH", *SURFACE_LANDMARKS)}
        assert 26 < np.linalg.norm(p["SPS"] - p["IPS"]) < 40
        assert p["ASIS"][2] > p["FH"][2] > p["IOF"][2] and p["GSN"][2] > p["FH"][2]
        assert p["ASIS"][1] < p["FH"][1] < p["GSN"][1]
        assert abs(p["MOF"][0]) < abs(p["IOF"][0]) < abs(p["FH"][0]) < abs(p["ASIS"][0]) + 15
        assert p["SPS"][2] > p["IPS"][2]


def test_asis_is_the_most_anterior_point_of_the_upper_ilium(patient):
    """Within the anterior pelvic plane frame, as the landmark is defined."""
    p = patient.landmarks
    x = p["ASIS-l"] - p["ASIS-r"]
    x /= np.linalg.norm(x)
    up = 0.5 * (p["ASIS-l"] + p["ASIS-r"] - p["IPS-l"] - p["IPS-r"])
    up -= x * (up @ x)
    front = np.cross(x, up / np.linalg.norm(up))
    for side, hip, _ in SIDES:
        points = np.argwhere(patient.labels == hip) * patient.spacing_mm + patient.affine[:3, 3]
        near = points[np.linalg.norm(points - p[f"ASIS-{side}"], axis=1) < 22]
        assert ((near - p[f"ASIS-{side}"]) @ front).max() < 3.0


def test_obturator_foramen_is_a_hole_in_a_ring_of_bone(patient):
    """Looking along the foramen's axis: no bone on the ray through its middle, bone all around it."""
    for side, hip, _ in SIDES:
        p = {name: patient.landmarks[f"{name}-{side}"] for name in ("IOF", "MOF", "FH", "SPS")}
        across = p["IOF"] - p["MOF"]
        normal = np.cross(across, p["FH"] - p["SPS"])
        normal /= np.linalg.norm(normal)
        across -= normal * (across @ normal)
        across /= np.linalg.norm(across)
        u, v, w = (np.arange(-n, n + 1.0, 1.0) for n in (45, 45, 30))
        middle = (p["IOF"] + p["MOF"] + p["FH"]) / 3
        a, b, c = np.meshgrid(u, v, w, indexing="ij")
        points = middle + a[..., None] * across + b[..., None] * np.cross(normal, across) + c[..., None] * normal
        index = np.rint((points - patient.affine[:3, 3]) / patient.spacing_mm).astype(int)
        index = np.clip(index, 0, np.array(patient.labels.shape) - 1)
        seen = (patient.labels[tuple(np.moveaxis(index, -1, 0))] == hip).any(axis=2)
        hole = ndimage.binary_fill_holes(seen) & ~seen
        pieces, _ = ndimage.label(hole)
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.size and sizes.max() > 500, f"{side}: the foramen should be open over more than 5 cm2"


def test_tissues_have_their_hounsfield_units(patient):
    hu, labels = patient.hu, patient.labels
    assert hu.min() == -1000 or hu.min() >= -1024
    corner = hu[:3, :3, :3]
    assert (corner == -1000).all(), "air around the body"
    for bone in anatomy.BONE_LABELS:
        inner = ndimage.binary_erosion(labels == bone, iterations=2)
        shell = (labels == bone) & ~ndimage.binary_erosion(labels == bone)
        assert np.median(hu[labels == bone]) > 60
        if bone in (5, 6):
            assert np.percentile(hu[labels == bone], 90) > 600, "the shaft has a cortex"
        else:
            assert np.percentile(hu[shell], 90) > np.percentile(hu[inner], 60), "cortex is denser than what it encloses"
    soft = hu[(labels == 0) & (hu > -300)]
    assert np.mean(np.abs(soft + 100) < 40) > 0.1 and np.mean(np.abs(soft - 55) < 30) > 0.12


def test_the_body_is_not_cut_at_its_sides(population):
    for person in population:
        body = person.hu > -500
        assert not (body[0].any() or body[-1].any() or body[:, 0].any() or body[:, -1].any()), person.name


def test_landmarks_of_the_population_are_as_far_apart_as_in_people(population):
    width = np.array([np.linalg.norm(p.landmarks["ASIS-l"] - p.landmarks["ASIS-r"]) for p in population])
    assert 215 < width.mean() < 245
    hips = np.array([np.linalg.norm(p.landmarks["FH-l"] - p.landmarks["FH-r"]) for p in population])
    assert 160 < hips.mean() < 190
    faces = [(p.landmarks[f"SPS-{side}"], p.landmarks[f"IPS-{side}"]) for p in population for side in "lr"]
    heights = np.array([np.linalg.norm(top - bottom) for top, bottom in faces])
    assert 26 < heights.min() and heights.max() < 40


def test_every_landmark_of_the_population_is_on_its_bone(population):
    for person in population:
        for side, hip, femur in SIDES:
            assert person.labels[voxel(person, person.landmarks[f"FH-{side}"])] == femur
            for name in SURFACE_LANDMARKS:
                gap = surface_distance_mm(person, hip, person.landmarks[f"{name}-{side}"])
                assert abs(gap) < 3.5, f"{person.name} {name}-{side}: {gap:.1f} mm"
