"""Orientation and registration of image, mask and projected points: they come from the same rays."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sim_worlds import AIM, on_table, paint_ball, water_box

from cm_kinematics.joint_spline import joint_angles
from synthex_sim import anatomy
from synthex_sim.carm.view import View
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

TISSUE = TissueThresholds()


def test_a_dense_marker_at_the_patients_left_head_front_appears_at_image_right_top(carm):
    """LPS: left +x, head +z, front -y."""
    patient = paint_ball(water_box(), (60.0, -60.0, 60.0), 12.0, 3000)
    view = carm.view(carm.aim(AIM, 700.0, 0.0, 0.0)).resized((128, 128))
    scene = Scene(patient, on_table(patient))
    simulator, ideal = XraySimulator(carm), Physics.ideal()
    image, _ = simulator.acquire(scene, view, Exposure(90, 1), ideal)
    plain, _ = simulator.acquire(Scene(water_box(), on_table(patient)), view, Exposure(90, 1), ideal)
    row, column = np.unravel_index(np.argmin(image.counts / plain.counts.astype(float)), view.shape)
    assert column > 64 + 15 and row < 64 - 15
    # nearer the detector than the middle (front is up, the source is below): less magnified than the isocentre plane
    pixel, depth = view.project(AIM + [60, -60, 60])
    assert depth == pytest.approx(760) and pixel == pytest.approx([column, row], abs=1.0)


def random_view(rng, distance=700.0, size=512):
    rotation = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    k = np.array([[-5257.732, 0, 767.5], [0, 5257.732, 767.5], [0, 0, 1.0]])
    translation = rng.uniform(-25, 25, 3) + [0, 0, distance]
    return View.from_krt(k, rotation, translation, (1536, 1536), 0.194).resized((size, size))


def test_image_of_a_small_sphere_and_its_projected_centre_agree_in_200_random_views():
    rng = np.random.default_rng(3)
    center, radius = np.array([7.3, -11.8, 4.6]), 8.0
    air = water_box(40, 1.5)
    air.hu[:] = -1000
    ball = paint_ball(air, center, radius, 1500)
    projector = CpuProjector()
    worst = 0.0
    for _ in range(200):
        view = random_view(rng, 700.0, 256)
        bone = projector.project(Scene(ball), [view], TISSUE).areas[0, 1].astype(np.float64)
        rows, columns = np.mgrid[: bone.shape[0], : bone.shape[1]]
        centroid = np.array([(bone * columns).sum(), (bone * rows).sum()]) / bone.sum()
        worst = max(worst, float(np.abs(centroid - view.project(center)[0]).max()))
    assert worst <= 0.25


@pytest.mark.parametrize("bend", [0.0, 1.5, -2.5])
def test_cm_mask_is_the_support_of_the_notched_bodys_own_line_integral(cm_geometry, bend):
    """Against an independent line integral: point membership sampled along each ray."""
    angles = joint_angles(np.full(5, bend), cm_geometry.joint_count)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [10, 25, 40], degrees=True).as_matrix()
    pose[:3, 3] = [-10.0, -45.0, 0.0]
    tool = manipulator(cm_geometry, angles, pose)
    k = np.array([[-5257.732, 0, 767.5], [0, 5257.732, 767.5], [0, 0, 1.0]])
    view = View.from_krt(k, np.eye(3), (0, 0, 700.0), (1536, 1536), 0.194).resized((512, 512))
    mask = CpuProjector().project(Scene(None, tools=(tool,)), [view], TISSUE).tool_coverage[0] >= 0.5
    notched = tool.pieces.transformed(tool.pose).only_notched()
    centres, radii = notched.bounding_spheres()
    points, depth = view.project(centres)
    low = np.floor(points.min(axis=0)).astype(int) - 12
    high = np.ceil(points.max(axis=0)).astype(int) + 12
    columns, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    source, directions = view.ray(np.stack([columns, rows], axis=-1))
    support = np.zeros(columns.shape, bool)
    for distance in np.arange(depth.min() - 8.0, depth.max() + 12.0, 0.25):
        support |= notched.contains(source + distance * directions)
    window = mask[low[1]:high[1], low[0]:high[0]]
    assert window.sum() == mask.sum()
    iou = (window & support).sum() / (window | support).sum()
    assert iou >= 0.95


def test_tip_and_base_lie_on_the_ends_of_the_mask(cm_geometry):
    tool = manipulator(cm_geometry, joint_angles(np.full(5, 2.0), cm_geometry.joint_count), np.eye(4))
    view = View.from_krt(np.array([[-2000.0, 0, 127.5], [0, 2000.0, 127.5], [0, 0, 1]]), np.eye(3), (0, -50, 900),
                         (256, 256), 0.5)
    mask = CpuProjector().project(Scene(None, tools=(tool,)), [view], TISSUE).tool_coverage[0] >= 0.5
    for point in (tool.base_world, tool.tip_world):
        (column, row), _ = view.project(point)
        near = mask[round(row) - 3: round(row) + 4, round(column) - 3: round(column) + 4]
        assert near.any() and not near.all()


def test_masks_follow_the_priority_rule(carm):
    """Right femur in front of everything on its ray, left femur over it, the nearer hemipelvis over the farther."""
    box = water_box()
    patient = paint_ball(box, (0, 0, 40), 25.0, 800, anatomy.VERTEBRAE)
    patient = paint_ball(patient, (0, 60, -40), 25.0, 800, anatomy.RIGHT_HEMIPELVIS)
    patient = paint_ball(patient, (0, -60, -40), 25.0, 800, anatomy.LEFT_HEMIPELVIS)
    patient = paint_ball(patient, (0, 60, 40), 10.0, 800, anatomy.UPPER_SACRUM)
    view = carm.view(carm.aim(AIM, 700.0, 0.0, 0.0)).resized((128, 128))
    _, annotation = XraySimulator(carm, "naive").acquire(Scene(patient, on_table(patient)), view, Exposure(90, 1))

    def label_at(point_lps):
        pose = on_table(patient)
        (column, row), _ = view.project(pose[:3, :3] @ np.asarray(point_lps) + pose[:3, 3])
        return int(annotation.mask[round(row), round(column)])

    assert label_at((0, 0, 40)) == anatomy.VERTEBRAE
    # the source is posterior (+y): the right hemipelvis was put there, so it is the nearer one
    assert label_at((0, 60, -40)) == anatomy.RIGHT_HEMIPELVIS
