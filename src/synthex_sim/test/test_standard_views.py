"""Standard views: which way the detector goes, and that a view shows what it is named for."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from sim_worlds import AIM, CONFIG

from synthex_sim import anatomy
from synthex_sim.carm.carm import CArm
from synthex_sim.carm.placement import supine_pose
from synthex_sim.carm.standard_views import SHORT_OF_DEG, STANDARD_VIEWS, standard_joints
from synthex_sim.patient.phantom import make_phantom


@pytest.fixture(scope="module")
def ring_carm(carm):
    """A device that can be turned all the way round."""
    return replace(carm, limits=dict(carm.limits) | {"orbital_deg": (-180.0, 180.0)})


@pytest.fixture(scope="module")
def hips():
    """Side -> (n, 3) world mm of the voxels of that hemipelvis, supine on the table."""
    patient = make_phantom(7, 2.5)
    pose = supine_pose(patient.reference_point(), AIM)
    points = {}
    for side, label in (("left", anatomy.LEFT_HEMIPELVIS), ("right", anatomy.RIGHT_HEMIPELVIS)):
        lps = np.argwhere(patient.labels == label) @ patient.affine[:3, :3].T + patient.affine[:3, 3]
        points[side] = lps @ pose[:3, :3].T + pose[:3, 3]
    return points


def shadow(view, points):
    """(foramen, whole) in pixels: the largest hole in a bone's shadow, and the shadow with its holes."""
    pixels, _ = view.project(points)
    image = np.zeros(view.shape, bool)
    index = np.rint(pixels[view.contains(pixels)]).astype(int)
    image[index[:, 1], index[:, 0]] = True
    image = ndimage.binary_closing(image)
    filled = ndimage.binary_fill_holes(image)
    holes, _ = ndimage.label(filled & ~image)
    return max(np.bincount(holes.ravel())[1:], default=0), int(filled.sum())


# -- which way -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "detector_moves"), [
    ("inlet", (1, 0)), ("outlet", (-1, 0)), ("lao_30", (0, -1)), ("rao_30", (0, 1)), ("lateral", (0, -1)),
    ("obturator_oblique_left", (0, -1)), ("obturator_oblique_right", (0, 1)),
    ("iliac_oblique_left", (0, 1)), ("iliac_oblique_right", (0, -1)),
])
def test_the_detector_goes_to_the_named_side(carm, name, detector_moves):
    """World x: towards the head; y: towards the patient's right."""
    beam = carm.view(standard_joints(carm, name, AIM, 700.0)).camera_to_world[:3, 2]
    for axis, sign in enumerate(detector_moves):
        assert np.sign(np.round(beam[axis], 6)) == sign


@pytest.mark.parametrize("side", ["left", "right"])
def test_rolling_the_patient_up_on_the_affected_side_is_the_obturator_oblique(ring_carm, side):
    """The textbook's way: beam vertical, the affected side raised by 45 degrees (LPS +x is left, rolling about S)."""
    rolled = supine_pose((0, 0, 0), AIM, (0, 0, np.radians(-45.0 if side == "left" else 45.0)))
    affected = np.array([1.0 if side == "left" else -1.0, 0, 0])
    assert (rolled[:3, :3] @ affected)[2] > 0.7, "the affected side is up"
    vertical_in_patient = rolled[:3, :3].T @ [0, 0, 1]
    flat = supine_pose((0, 0, 0), AIM)
    view = ring_carm.view(standard_joints(ring_carm, f"obturator_oblique_{side}", AIM, 700.0))
    assert flat[:3, :3].T @ view.camera_to_world[:3, 2] == pytest.approx(vertical_in_patient, abs=1e-9)


# -- what is seen --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_obturator_foramen_is_open_and_the_iliac_wing_on_edge_as_named(ring_carm, hips, side):
    seen = {}
    for name in (f"obturator_oblique_{side}", "ap", f"iliac_oblique_{side}"):
        view = ring_carm.view(standard_joints(ring_carm, name, hips[side].mean(axis=0), 780.0)).resized((96, 96))
        seen[name.split("_")[0]] = shadow(view, hips[side])
    foramen, whole = ({name: s[i] for name, s in seen.items()} for i in (0, 1))
    assert foramen["obturator"] > 1.5 * foramen["ap"] > 0 and foramen["iliac"] == 0
    assert whole["iliac"] > 1.3 * whole["obturator"], "the wing is seen en face in the iliac oblique only"


def test_the_inlet_opens_the_pelvic_ring_and_the_outlet_the_foramina(ring_carm, hips):
    """Inlet: pubis and ischium over each other, the foramina closed; outlet: the foramina wider than in AP."""
    foramen = {}
    for name in ("inlet", "ap", "outlet"):
        view = ring_carm.view(standard_joints(ring_carm, name, hips["left"].mean(axis=0), 780.0)).resized((96, 96))
        foramen[name] = shadow(view, hips["left"])[0]
    assert foramen["inlet"] < 0.5 * foramen["ap"] < foramen["outlet"]


# -- reach ---------------------------------------------------------------------------------------------------------
def test_every_view_is_within_the_cios_fusions_reach_to_five_degrees(carm):
    for name, view in STANDARD_VIEWS.items():
        joints = standard_joints(carm, name, AIM, 780.0)
        carm.check_limits(joints)
        assert abs(joints.orbital_deg - view.orbital_deg) <= SHORT_OF_DEG and joints.angular_deg == view.angular_deg
    assert standard_joints(carm, "iliac_oblique_left", AIM, 780.0).orbital_deg == -40.0


def test_a_view_out_of_reach_is_refused_by_joint_and_limits():
    loop_x = CArm.from_yaml(CONFIG / "carm" / "loop_x.yaml")
    assert standard_joints(loop_x, "iliac_oblique_left", AIM, 780.0).orbital_deg == -45.0
    with pytest.raises(ValueError, match=r"loop_x cannot take the view 'outlet': .* angular_deg -40.*\[-30, 60\]"):
        standard_joints(loop_x, "outlet", AIM, 780.0)


def test_an_unknown_view_is_refused_with_the_known_ones(carm):
    with pytest.raises(ValueError, match="unknown view 'judet'; known: ap, inlet, outlet, obturator_oblique_left"):
        standard_joints(carm, "judet", AIM, 780.0)
