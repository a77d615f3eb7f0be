"""The bones of the phantom population without volumes: anatomy that can be counted, and what one would measure."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import euler_number

from synthex_sim.patient.phantom import bones, femur, hip_bone, hip_landmarks, sacrum, shapes, spine
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.measurements import measure
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.random_streams import Purpose, stream

PEOPLE = range(700, 750)


def pelvis_of(seed):
    return Pelvis.of(draw_person(seed, stream(seed, 0, Purpose.ANATOMY)))


def around(points, spacing_mm, margin_mm=4.0):
    low, high = points.min(axis=0) - margin_mm, points.max(axis=0) + margin_mm
    return shapes.Grid(low, spacing_mm, tuple(int(n) for n in np.ceil((high - low) / spacing_mm) + 1))


@pytest.fixture(scope="module")
def pelvis():
    return pelvis_of(11)


@pytest.fixture(scope="module")
def people():
    return [(pelvis.person, measure(pelvis)) for pelvis in map(pelvis_of, PEOPLE)]


def test_the_hip_bone_is_one_ring_about_its_foramen(pelvis):
    for side in (1, -1):
        _, _, field = hip_bone.build(pelvis, side, around(hip_bone.surface(pelvis, side)[0], 1.5))
        assert euler_number(field < 0, 3) == 0, "one piece with one hole"


def test_four_pairs_of_foramina_and_the_canal_go_through_the_sacrum(pelvis):
    _, _, field, upper = sacrum.build(pelvis, around(sacrum.surface(pelvis)[0], 1.0))
    pieces, _ = ndimage.label(field < 0)
    sizes = np.bincount(pieces.ravel())[1:]
    assert 1 - euler_number(pieces == 1 + sizes.argmax(), 3) >= 9
    assert 3 <= np.sum(sizes > 100) <= 4, "the coccyx is in pieces"
    assert 0.6 < np.mean(upper[field < 0]) < 0.95, "S1 to S3 are the greater part of it"


def test_five_lumbar_vertebrae_stand_on_the_sacrum_in_order_and_do_not_overlap(pelvis):
    stack = spine.stack(pelvis, 400.0)
    assert [v.number for v in stack] == [5, 4, 3, 2, 1, spine.T12]
    assert np.all(np.diff([v.center[2] for v in stack]) > 25)
    grid = shapes.Grid(np.array([-60.0, -60, 60]), 2.0, (60, 80, 120))
    bodies = []
    for vertebra in stack[:3]:
        whole = np.zeros(grid.shape, dtype=bool)
        block, _, field = spine.build(vertebra, grid)
        whole[block] = field < 0
        bodies.append(whole)
        dressing = spine.dressing(vertebra, grid.block(vertebra.center - 30, vertebra.center + 30)[1])
        assert dressing[0].max() > 1.5 * dressing[0].min(), "arch and end plates are thicker than the flanks"
    for lower, upper in zip(bodies, bodies[1:], strict=False):
        assert (lower & upper).sum() < 0.01 * lower.sum()


def test_the_femoral_head_is_round_about_the_hip_centre_whatever_the_pose(pelvis):
    for pose in (dict(neck_shaft_deg=-15.0), dict(neck_mm=8.0, flexion_deg=25.0), dict(anteversion_deg=20.0)):
        posed = Pelvis(replace(pelvis.person, femurs=(replace(pelvis.person.femurs[0], **pose),) * 2), pelvis.rotation)
        for side in (1, -1):
            points = femur.surface(posed, side)[0] - posed.hip_center(side)
            neck = femur.place(np.array([(15.0, -13.0, 0.0)]), posed, side)[0] - posed.hip_center(side)
            away = points @ neck < -9.0 * np.linalg.norm(neck)
            out = np.linalg.norm(points[away], axis=1)
            assert np.abs(out - pelvis.person.head_radius_mm).max() < 0.5, pose


def test_the_shaft_has_a_thick_cortex_about_fat_and_the_head_a_thin_one(pelvis):
    places = np.array([(41.0, -140.0, -5.0), (0.0, 12.0, 0.0)])
    at = femur.place(places, pelvis, 1)
    for (cortex_from, cortex_to, marrow), point in zip(((4.5, 7.5, 1.0), (0.7, 1.5, 0.0)), at, strict=True):
        cortex, fat, _ = femur.dressing(pelvis, 1, shapes.Grid(point, 1.0, (2, 2, 2)))
        assert cortex_from < cortex[0, 0, 0] < cortex_to and fat[0, 0, 0] == pytest.approx(marrow)


def test_legs_do_not_run_into_the_pelvis():
    for pelvis in map(pelvis_of, range(20)):
        for side in (1, -1):
            center = pelvis.hip_center(side)
            hip, leg = hip_bone.surface(pelvis, side)[0], femur.surface(pelvis, side)[0]
            far = [p[np.linalg.norm(p - center, axis=1) > 42] for p in (hip, leg)]
            assert cKDTree(far[0]).query(far[1])[0].min() > 3.0, pelvis.person.seed


def test_the_ilium_lies_against_the_sacrum_and_reaches_behind_it():
    """As in label maps of CTs: faces that are close over much of a joint, and an overlap as seen from the front."""
    close_mm2, overlap_mm, spine_mm = [], [], []
    for pelvis in map(pelvis_of, range(12)):
        ala = sacrum.surface(pelvis)[0]
        for side in (1, -1):
            hip, faces = hip_bone.surface(pelvis, side)
            a, b, c = (hip[faces[:, k]] for k in range(3))
            near = cKDTree(ala).query((a + b + c) / 3)[0] < 4.0
            close_mm2.append(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)[near].sum())
            hip = hip[hip[:, 1] > pelvis.hip_center(side)[1] + 40]  # without the pubis
            level = lambda points: (points[:, 2] // 4).astype(int)  # noqa: E731
            rows = np.intersect1d(level(hip), level(ala))
            beside = [side * ala[level(ala) == n, 0] for n in rows]
            inner = [(side * hip[level(hip) == n, 0]).min() for n in rows]
            overlap_mm.append(max(out.max() - low for out, low in zip(beside, inner, strict=True)))
            spine_mm.append(min(inner))
    assert min(close_mm2) > 700 and 900 < np.mean(close_mm2) < 3000
    assert min(overlap_mm) > 14 and 18 < np.mean(overlap_mm) < 30
    assert 31 < np.mean(spine_mm) < 41, "posterior superior spines"


def test_nothing_of_the_sacrum_is_nearer_to_the_ilium_than_a_joint(pelvis):
    both = np.concatenate([hip_bone.surface(pelvis, 1)[0], sacrum.surface(pelvis)[0]])
    grid = around(both, 2.0)
    hips = np.full(grid.shape, shapes.REACH_MM, dtype=np.float32)
    block, _, field = hip_bone.build(pelvis, 1, grid)
    hips[block] = field
    block, _, field, _ = sacrum.build(pelvis, grid)
    assert (hips[block][field < 0] < 1.0).any(), "drawn into each other, so that the joint is cut"
    bones.keep_off(field, hips[block], bones.SI_GAP_MM)
    assert hips[block][field < 0].min() >= bones.SI_GAP_MM


def test_landmarks_are_places_of_the_bone_that_were_defined(pelvis):
    points = hip_landmarks.landmarks(pelvis)
    frame = hip_landmarks.anterior_pelvic_plane(points)
    for name, side in (("l", 1), ("r", -1)):
        bone = hip_bone.surface(pelvis, side, 3)[0] @ frame
        p = {key: points[f"{key}-{name}"] @ frame for key in ("ASIS", "SPS", "IPS", "GSN", "IOF", "MOF")}
        for key, point in p.items():
            assert np.linalg.norm(bone - point, axis=1).min() < 1e-6, f"{key}-{name} lies on the bone"
        upper = bone[bone[:, 1] > p["ASIS"][1] - 25]
        assert upper[:, 2].max() - p["ASIS"][2] < 0.5, "nothing of the wing is more anterior than the ASIS"
        assert p["SPS"][1] > p["IPS"][1] + 24 and p["GSN"][2] < p["IOF"][2] < p["MOF"][2]


#: Published means and standard deviations; docs/phantoms.md has the sources.
PUBLISHED = (
    ("inter_asis_mm", None, 227.0, 16.0),
    ("head_diameter_mm", "men", 49.0, 3.0),
    ("head_diameter_mm", "women", 44.0, 3.0),
    ("neck_shaft_deg", None, 124.7, 6.2),
    ("anteversion_deg", None, 14.5, 8.1),
    ("offset_mm", None, 42.9, 6.8),
    ("sacral_slope_deg", None, 39.6, 7.9),
    ("subpubic_angle_deg", "men", 67.9, 9.2),
    ("subpubic_angle_deg", "women", 82.9, 15.1),
    ("conjugate_mm", "men", 105.0, 10.0),
    ("conjugate_mm", "women", 116.0, 10.0),
)


@pytest.mark.parametrize(("quantity", "who", "mean", "sd"), PUBLISHED)
def test_the_population_measures_as_published(people, quantity, who, mean, sd):
    """50 people: their mean is uncertain by 0.15 to 0.2 standard deviations, which is allowed for."""
    chosen = [m for person, m in people if who is None or (person.sex >= 0.5) == (who == "women")]
    values = np.array([np.mean(getattr(m, quantity)[:1] if np.ndim(getattr(m, quantity)) else getattr(m, quantity))
                       for m in chosen])  # fmt: skip
    assert abs(values.mean() - mean) < 0.7 * sd
    assert 0.5 * sd < values.std(ddof=1) < 1.6 * sd
