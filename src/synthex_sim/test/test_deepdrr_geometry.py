"""DeepDRR's own camera matrices, from our positioner and our View.

``data/deepdrr_geometry.json`` holds what DeepDRR 1.2.2 (arcadelab/deepdrr at cb2cb3a, single precision) gave for its
``MobileCArm`` and ``SimpleDevice``; made once by running that package's geometry, nothing of its code is here.

DeepDRR's MobileCArm and our chain turn alike, R = Ry Rx, but its world lies half a turn about z from ours (its +x is
inferior), so alpha = -orbital and beta = -angular; its picture is seen from the source, and its pixel centres lie at
half-integers.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthex_sim.carm.carm import CArm, CArmJoints
from synthex_sim.carm.inverse import joints_from_view
from synthex_sim.carm.view import View

GOLDEN = json.loads((Path(__file__).parent / "data" / "deepdrr_geometry.json").read_text())
#: Ours -> DeepDRR's world.
HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])
POSES = {
    "MobileCArm a=0 b=0 g=0 iso=(0, 0, 0)": (0, 0, 0, (0, 0, 0)),
    "MobileCArm a=30 b=10 g=0 iso=(0, 0, 0)": (30, 10, 0, (0, 0, 0)),
    "MobileCArm a=-20 b=45 g=0 iso=(10, -5, 30)": (-20, 45, 0, (10, -5, 30)),
    "MobileCArm a=0 b=0 g=15 iso=(0, 0, 0)": (0, 0, 15, (0, 0, 0)),
    "MobileCArm a=90 b=0 g=0 iso=(0, 0, 0)": (90, 0, 0, (0, 0, 0)),
    "MobileCArm a=15 b=-30 g=5 iso=(1, 2, 3)": (15, -30, 5, (1, 2, 3)),
}
POINTS = np.array([[10, 20, 30], [0, 0, 0], [-60, 45, 10], [80, -70, -50], [3, -90, 60.0]])


@pytest.fixture
def mobile_carm(carm):
    """The Cios Fusion with its isocentre at the origin when all joints are zero, as DeepDRR's, and free to turn."""
    limits = {name: (-400.0, 400.0) for name in carm.limits}
    return replace(carm, limits=limits, isocenter_height_mm=0.0)


def deepdrr_pixels(entry, points):
    """P (X, 1) in DeepDRR's pixels, whose centres lie at half-integers."""
    q = np.column_stack([points, np.ones(len(points))]) @ np.array(entry["P"]).T
    return q[:, :2] / q[:, 2:]


def ours(mobile_carm: CArm, alpha, beta, gamma, isocenter) -> View:
    """The same exposure by our positioner: our own picture, in DeepDRR's world."""
    x, y, z = isocenter
    joints = CArmJoints(longitudinal_mm=-x, transverse_mm=-y, lift_mm=z, orbital_deg=-alpha, angular_deg=-beta)
    return mobile_carm.view(joints).with_world(HALF_TURN).turned(gamma)


@pytest.mark.parametrize("name", POSES)
def test_our_positioner_gives_deepdrrs_picture_mirrored(mobile_carm, name):
    view = ours(mobile_carm, *POSES[name])
    seen_from_source = view.mirrored()
    assert seen_from_source.project(POINTS)[0] + 0.5 == pytest.approx(deepdrr_pixels(GOLDEN[name], POINTS), abs=1e-3)
    worked = GOLDEN[name]["px_of_world_10_20_30"]
    assert seen_from_source.project([10, 20, 30])[0] + 0.5 == pytest.approx(worked, abs=1e-3)
    assert view.source == pytest.approx(GOLDEN[name]["source"], abs=1e-3)
    k, camera3d_from_world = seen_from_source.to_deepdrr()
    assert camera3d_from_world == pytest.approx(np.array(GOLDEN[name]["camera3d_from_world"]), abs=5e-5)
    assert k == pytest.approx(np.array([[5257.732, 0, 768], [0, 5257.732, 768], [0, 0, 1]]), abs=1e-3)


@pytest.mark.parametrize("name", POSES)
def test_deepdrrs_matrices_are_read_and_give_the_joints_back(mobile_carm, name):
    alpha, beta, gamma, isocenter = POSES[name]
    p = np.array(GOLDEN[name]["P"])
    view = View.from_projection_matrix(np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]]) @ p, (1536, 1536), 0.194)
    assert view.project(POINTS)[0] + 0.5 == pytest.approx(deepdrr_pixels(GOLDEN[name], POINTS), abs=1e-3)
    ours_again = view.mirrored().turned(-gamma).with_world(HALF_TURN)
    joints = joints_from_view(mobile_carm, ours_again, CArmJoints())
    assert (joints.orbital_deg, joints.angular_deg, joints.wig_wag_deg) == pytest.approx((-alpha, -beta, 0), abs=1e-4)
    assert (-joints.longitudinal_mm, -joints.transverse_mm, joints.lift_mm) == pytest.approx(isocenter, abs=2e-3)


@pytest.mark.parametrize(("name", "point", "direction", "up", "share"), [
    ("SimpleDevice default", (0, 0, 0), (0, 0, 1), (0, -1, 0), 0.5),
    ("SimpleDevice point=(5,6,7) dir=+y up=+z frac=.6", (5, 6, 7), (0, 1, 0), (0, 0, 1), 0.6),
])
def test_a_view_along_a_direction_gives_the_simple_device(name, point, direction, up, share):
    source = np.array(point) - 1000.0 * share * np.array(direction)
    view = View.along(source, direction, up, (384, 384), 1.0, 1000.0).mirrored()
    assert view.project(POINTS)[0] + 0.5 == pytest.approx(deepdrr_pixels(GOLDEN[name], POINTS), abs=1e-3)
