"""Path lengths, displaced tissue and labels of the CPU projector, each against a value that is known otherwise."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation
from sim_worlds import paint_ball, water_box
from solid_volumes import box, cylinder, sphere, voxelised

from cm_kinematics.joint_spline import joint_angles
from cm_kinematics.solid import TubePieces
from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import OfOverlay, TissueThresholds, WaterEquivalent
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.materials import BONE, NITINOL, SOFT_TISSUE, STAINLESS_STEEL, Material, material
from synthex_sim.xray.materials import WATER as WATER_ITSELF
from synthex_sim.xray.packed_volume import pack
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.scene import Overlay, Scene, Tool

K = np.array([[-1000.0, 0, 31.5], [0, 1000.0, 31.5], [0, 0, 1.0]])
TISSUE = TissueThresholds()
WATER = WaterEquivalent()


def soft_of(scene, view):
    return CpuProjector().project(scene, [view], TISSUE).areas[0, 0]


def turned(degrees, distance_mm=800.0, shape=(64, 64)):
    """A view of the world's origin, turned about all three axes."""
    rotation = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return View.from_krt(K, rotation, (0, 0, distance_mm), shape, 1.0)


TILT = Rotation.from_euler("xyz", (17, -25, 8), degrees=True).as_matrix()


SOLIDS = {
    "sphere": sphere(80.0),
    "box": box((80, 77, 78)),
    "cylinder": cylinder(78.0, 80.0),
    "tilted slab": box((130, 78, 130), TILT) & box((84, 84, 84)),
}


@lru_cache
def solid_patient(name):
    return voxelised(SOLIDS[name], 172)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (90, 0, 0), (0, 90, 0), (31, -22, 14), (40, 45, 10)])
@pytest.mark.parametrize("name", SOLIDS)
def test_path_lengths_are_the_analytic_ones(name, degrees):
    """160 voxels across, edges mixed by partial volume: within 0.3 % of the chord, away from edges.

    The error is that of entry and exit, up to 0.2 voxels each for rays at 45 degrees to the grid, 0 for rays along it.
    """
    view = turned(degrees)
    length = CpuProjector().project(Scene(solid_patient(name)), [view], WATER).areas[0, 0] * 10.0
    columns, rows = np.meshgrid(np.arange(64.0), np.arange(64.0))
    chords = [SOLIDS[name].chord(*view.ray(np.stack([columns + dc, rows + dr], axis=-1).reshape(-1, 2))).reshape(64, 64)
              for dc in (0, -2, 2) for dr in (0, -2, 2)]
    # away from edges: what lies two pixels around is no edge of the solid, where the chord bends, nor a short cut
    bend = np.max([np.abs(chords[i] + chords[j] - 2 * chords[0]) for i, j in ((1, 2), (3, 6), (4, 8), (5, 7))], axis=0)
    inner = (bend < 1.0) & (np.min(chords, axis=0) > 40.0)
    assert inner.sum() > 300
    assert np.abs(length / np.maximum(chords[0], 1.0) - 1)[inner].max() < 0.003


@pytest.mark.parametrize("seed", range(6))
def test_a_turned_view_of_a_rough_volume_agrees_with_four_times_finer_sampling(seed):
    """Every voxel differs from its neighbours by noise of 40 HU: one sample a plane against one every quarter voxel."""
    rng = np.random.default_rng(seed)
    size = 96
    smooth = 60 * np.sin(np.linspace(0, 9, size))[:, None, None] * np.cos(np.linspace(0, 7, size))[None, :, None]
    hu = (smooth + rng.normal(0, 40, (size,) * 3)).astype(np.int16)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -size + 1.0
    patient = Patient("rough", hu, affine)
    view = View.from_krt(K, Rotation.random(random_state=seed).as_matrix(), (0, 0, 700.0), (64, 64), 1.0)
    projector = CpuProjector()
    areas = projector.project(Scene(patient), [view], WATER).areas[0, 0]
    pixels = rng.uniform(16, 48, (40, 2)).round()
    fine = _fine_sampling(projector.prepare(patient, WATER), view, pixels, 0.5)[:, 0]
    coarse = areas[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
    assert np.abs(coarse / fine - 1).max() < 0.005


def _fine_sampling(volume, view, pixels, step_mm):
    """(n, M) area densities by sampling trilinearly every ``step_mm``; nothing of the projector's in it."""
    index_from_world = np.linalg.inv(volume.affine)
    t = np.arange(300.0, 1000.0, step_mm)
    totals = []
    for pixel in pixels:
        source, direction = view.ray(pixel)
        points = (source + t[:, None] * direction) @ index_from_world[:3, :3].T + index_from_world[:3, 3]
        totals.append([
            map_coordinates(density, points.T, order=1, mode="constant").sum() * step_mm / 10.0
            for density in volume.densities()
        ])
    return np.array(totals)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (90, 0, 0), (0, 90, 0), (20, 30, 10)])
@pytest.mark.parametrize("metal", [None, 2000])
def test_materials_are_told_apart_whichever_axis_the_rays_follow(degrees, metal):
    """Two or three materials (one or two bits of a code), all three dominant axes, against fine sampling of each."""
    rng = np.random.default_rng(1)
    hu = np.full((60, 50, 70), -1000, np.int16)
    hu[5:-5, 5:-5, 5:-5] = rng.choice([20, 900, 2500], (50, 40, 60))
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = -90.0
    decomposition = TissueThresholds(metal_above_hu=metal)
    projector, patient = CpuProjector(), Patient("mixture", hu, affine)
    view = turned(degrees, 700.0)
    areas = projector.project(Scene(patient), [view], decomposition).areas[0]
    assert areas.shape[0] == (2 if metal is None else 3)
    pixels = np.array([[30.0, 33.0], [12.0, 40.0], [50.0, 22.0]])
    fine = _fine_sampling(projector.prepare(patient, decomposition), view, pixels, 0.05)
    for (column, row), expected in zip(pixels.astype(int), fine, strict=True):
        assert areas[:, row, column] == pytest.approx(expected, rel=0.06)
        assert areas[:, row, column].sum() == pytest.approx(expected.sum(), rel=0.03)


def test_a_ray_ends_at_the_detector():
    """The detector, 1000 mm from the source, cuts a box from 780 to 1020 mm: 220 mm of it are in the beam."""
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0)
    assert view.source_to_detector_mm == 1000.0
    assert soft_of(Scene(water_box(240, 1.0)), view)[31:33, 31:33] == pytest.approx(22.0 * 1.03, rel=0.005)


def full_tube(length=100.0, outer=10.0, inner=0.0):
    return TubePieces(np.eye(4)[None], [0], [-length / 2], [length / 2], outer, inner, [True])


def rod(material_=NITINOL, pose=None, **size):
    return Tool(full_tube(**size), np.eye(4) if pose is None else pose, np.zeros(3), np.zeros(3), material_)


def test_a_rod_replaces_the_tissue_it_displaces():
    """A rod of radius 10 mm along y in water: 2 cm of metal on its axis, and 2 cm of water less."""
    patient = water_box(60, 2.0)
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0).resized((256, 256))
    with_rod = CpuProjector().project(Scene(patient, tools=(rod(),)), [view], TISSUE)
    centre = slice(126, 130)
    assert [m.name for m in with_rod.materials] == ["soft_tissue", "bone", "nitinol"]
    assert with_rod.areas[0, 2, centre, centre] == pytest.approx(2.0 * 6.45, rel=0.005)
    lost = soft_of(Scene(patient), view) - with_rod.areas[0, 0]
    assert lost[centre, centre] == pytest.approx(2.0 * 1.03, rel=0.005)


def test_of_two_tools_in_one_place_the_later_one_is_there():
    """A steel rod of 5 mm inside a nitinol rod of 10 mm: 1 cm of steel, 1 cm of nitinol, 2 cm of water displaced."""
    patient = water_box(60, 2.0)
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0).resized((256, 256))
    steel = rod(STAINLESS_STEEL, outer=5.0)
    areas = CpuProjector().project(Scene(patient, tools=(rod(), steel)), [view], TISSUE).areas[0]
    centre = (slice(127, 129),) * 2
    assert areas[2][centre] == pytest.approx(1.0 * 6.45, rel=0.01)
    assert areas[3][centre] == pytest.approx(1.0 * 7.99, rel=0.01)
    assert areas[0][centre] == pytest.approx(soft_of(Scene(patient), view)[centre] - 2.0 * 1.03, rel=0.005)
    hidden = CpuProjector().project(Scene(patient, tools=(steel, rod())), [view], TISSUE)
    assert hidden.materials[2].name == "stainless_steel" and hidden.areas[0, 2][centre] == pytest.approx(0.0, abs=1e-6)


def test_the_lumen_of_a_tube_is_not_metal():
    """Across the axis: 2 (R - r) of wall; the tissue in the lumen stays."""
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0).resized((256, 256))
    projected = CpuProjector().project(Scene(water_box(60, 2.0), tools=(rod(inner=6.0),)), [view], TISSUE)
    assert projected.areas[0, 2, 127:129, 127:129] == pytest.approx(0.8 * 6.45, rel=0.01)


def test_mass_of_the_manipulator_survives_projection(cm_geometry):
    """The integral of length over the detector, scaled to the object, is the solid's volume (parallel limit)."""
    short = replace(cm_geometry, shaft_extension_mm=0.0)  # all of it on the detector
    tool = manipulator(short, joint_angles(np.full(5, 2.0), 27), np.eye(4))
    far = 20000.0
    k = np.array([[-far * 4, 0, 255.5], [0, far * 4, 255.5], [0, 0, 1.0]])
    view = View.from_krt(k, np.eye(3), (-10.0, -35.0, far - 100.0), (512, 512), 1.0)
    area = CpuProjector().project(Scene(None, tools=(tool,)), [view], TISSUE).areas[0, 2] / tool.material.density_g_cm3
    magnification = (far * 4 / (far - 100.0)) ** 2
    assert area.sum() * 10.0 / magnification == pytest.approx(tool.pieces.volumes_mm3.sum(), rel=0.01)


def ball(center, radius, hu=0, label=0, size=40, spacing=2.0):
    """A ball of its own in a volume of air."""
    empty = np.full((size,) * 3, -1000, np.int16)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (size - 1) / 2
    return paint_ball(Patient("ball", empty, affine, np.zeros((size,) * 3, np.uint8)), center, radius, hu, label)


def test_an_overlay_replaces_what_lies_below_and_only_that():
    """A ball of bone in water: 4 cm of bone, 4 cm of water less; beside the ball nothing changes."""
    view = turned((10, 20, 30))
    patient, bone = water_box(60, 2.0), ball((0, 0, 0), 20.0, hu=1000)
    bone.hu[:] = np.where(bone.hu > 0, 1000, -1000)  # cut out as by a mask: all or nothing
    together = CpuProjector().project(Scene(patient, overlays=(Overlay(bone, np.eye(4)),)), [view], TISSUE).areas[0]
    alone = soft_of(Scene(patient), view)
    ball_alone = CpuProjector().project(Scene(bone), [view], TISSUE).areas[0].sum(axis=0)
    centre = (slice(31, 33),) * 2
    assert together[1][centre] == pytest.approx(4.0 * 1.6186, rel=0.03)
    assert together.sum(axis=0)[centre] == pytest.approx((alone + (1 - 1.03 / 1.6186) * ball_alone)[centre], rel=0.003)
    assert together[0][31, 62] == pytest.approx(alone[31, 62], abs=1e-5) and together[1][31, 62] == 0.0


def test_volumes_that_share_voxel_cells_but_no_space_do_not_disturb_each_other():
    """Two half balls in each other's grids: the image is the sum of what each makes alone (a defect of DeepDRR)."""
    view = turned((25, -15, 5))
    first = ball((0, 0, 0), 30.0, hu=0)
    second = Patient("other half", first.hu.copy(), first.affine, None)
    first.hu[:20], second.hu[20:] = -1000, -1000
    second.hu[second.hu > -500] = 1200
    second.hu[19] = -1000  # the layer between them belongs to neither
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()  # another grid, the same half space
    both = CpuProjector().project(Scene(first, overlays=(Overlay(second, pose),)), [view], TISSUE).areas[0]
    alone = [CpuProjector().project(scene, [view], TISSUE).areas[0] for scene in (Scene(first), Scene(second, pose))]
    assert np.abs(both - alone[0] - alone[1]).max() < 0.02 * both.max()
    assert np.abs(both - alone[0] - alone[1]).mean() < 1e-4 * both.max()


def test_a_tool_in_an_overlay_displaces_the_overlay_and_not_what_that_hides():
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0).resized((256, 256))
    scene = Scene(water_box(60, 2.0), overlays=(Overlay(ball((0, 0, 0), 30.0, hu=1000), np.eye(4)),))
    before = CpuProjector().project(scene, [view], TISSUE).areas[0]
    after = CpuProjector().project(replace(scene, tools=(rod(),)), [view], TISSUE).areas[0]
    centre = (slice(127, 129),) * 2
    assert (before[1] - after[1])[centre] == pytest.approx(2.0 * 1.6186, rel=0.01)
    assert (before[0] - after[0])[centre] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("decomposition", [TISSUE, WATER, WaterEquivalent(-130)], ids=["realistic", "naive", "xreg"])
def test_what_an_overlay_hides_does_not_depend_on_the_physics(decomposition):
    """A cube about the patient: of -990 HU it hides nothing; of -300 HU, lungs, all of the patient."""
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0)
    patient = water_box(20, 2.0)
    cube = Patient("cube", np.full((60, 60, 60), -990, np.int16), np.array(
        [[2.0, 0, 0, -59.0], [0, 2, 0, -59.0], [0, 0, 2, -59.0], [0, 0, 0, 1]]))
    cube.hu[0, 0, 0] = 0
    alone = CpuProjector().project(Scene(patient), [view], decomposition).areas[0, 0]
    scene = Scene(patient, overlays=(Overlay(cube, np.eye(4)),))
    over = CpuProjector().project(scene, [view], decomposition).areas[0, 0]
    assert over[31, 31] == pytest.approx(alone[31, 31], rel=1e-4) and alone[31, 31] > 0.5
    lungs = replace(cube, hu=np.full_like(cube.hu, -300))
    scene = Scene(patient, overlays=(Overlay(lungs, np.eye(4)),))
    over = CpuProjector().project(scene, [view], decomposition).areas[0, 0]
    by_itself = max(float(decomposition.table(False)[0][-300 + 32768]), 0.0012) * 12.0
    assert over[31, 31] == pytest.approx(by_itself, rel=0.02)


def test_every_value_of_an_overlay_above_air_is_there():
    for decomposition in (TISSUE, WATER, WaterEquivalent(-130), TissueThresholds(metal_above_hu=2000)):
        cube = Patient("cube", np.arange(-1000, 3096, dtype=np.int16).reshape(16, 16, 16), np.eye(4))
        codes = pack(cube, OfOverlay(decomposition)).codes
        assert np.count_nonzero(codes) == (cube.hu > -800).sum()


def test_a_lower_volumes_labels_count_only_where_nothing_lies_above():
    """Label 1, a ball of 10 mm about the origin, under cubes: one without labels, one with label 2, one of air."""
    view = View.from_krt(K, np.eye(3), (0, 0, 800.0), (64, 64), 1.0)
    patient = paint_ball(water_box(40, 1.0), (0, 0, 0), 10.0, 900, 1)

    def cube(low_z, high_z, hu, label):
        """40 mm across, from low_z to high_z."""
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        affine[:3, 3] = (-19.5, -19.5, low_z + 0.5)
        values = np.full((40, 40, high_z - low_z), hu, np.int16)
        return Overlay(Patient("cube", values, affine, np.full(values.shape, label, np.uint8)), np.eye(4))

    def middle(*overlays):
        projection = CpuProjector().project(Scene(patient, overlays=overlays), [view], TISSUE, depth_labels=(1, 2, 3))
        depths = {label: projection.depths_mm[0, n, 31, 31] for n, label in enumerate(projection.depth_labels)}
        return int(projection.hits[0, 31, 31]) & ~1, depths

    assert middle()[0] == 0b10 and middle()[1][1] == pytest.approx(790.0, abs=1.5)
    hits, depths = middle(cube(-15, 0, 100, 2))  # the ball's nearer half is covered
    assert hits == 0b110 and depths[1] == pytest.approx(800.0, abs=1.5) and depths[2] == pytest.approx(785.0, abs=1.5)
    assert middle(cube(-15, 15, 100, 0))[0] == 0  # all of it, by what has no label itself
    assert middle(cube(-15, 15, 100, 2), cube(-15, 15, 100, 3))[0] == 0b1000  # each covers those below it
    air = cube(-15, 15, -900, 2)
    air.volume.hu[0, 0, 0] = 0
    hits, depths = middle(air)
    assert hits & 0b10 and depths[1] == pytest.approx(790.0, abs=1.5)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (90, 0, 0), (0, 90, 0), (31, -22, 14)])
def test_an_overlay_elsewhere_changes_no_label(degrees):
    """The slower way through volumes with others above them finds what the fast one finds."""
    patient = paint_ball(paint_ball(water_box(30, 3.0), (10, 0, 0), 25.0, 900, 1), (-12, 9, 20), 20.0, 900, 5)
    far = np.eye(4)
    far[:3, 3] = 5000.0
    scenes = Scene(patient), Scene(patient, overlays=(Overlay(water_box(4), far),))
    fast, slow = (CpuProjector().project(scene, [turned(degrees)], TISSUE, depth_labels=(5,)) for scene in scenes)
    # a ray through the border of two voxels may take the one or the other
    assert ((fast.hits ^ slow.hits) & ~np.uint32(1) != 0).mean() < 2e-3 and (fast.hits > 1).mean() > 0.1
    for label in (1, 5):
        a, b = (p.depths_mm[0, p.depth_labels.index(label)] for p in (fast, slow))
        both = np.isfinite(a) & np.isfinite(b)
        assert both.any() and (np.abs(a[both] - b[both]) > 1e-3).mean() < 0.01


def slit_lengths(tool, view, columns, rows, fine=8, steps=40, reach_mm=4.0):
    """(R, C) mean cm of solid in pixels, by membership of points on fine x fine rays, about depth 700 mm."""
    share = (np.arange(fine) + 0.5) / fine - 0.5
    u, v = columns[:, None, None] + share, rows[:, None, None, None] + share[:, None]
    source, directions = view.ray(np.stack(np.broadcast_arrays(u, v), axis=-1))
    per_mm = directions @ view.world_to_camera[2, :3]
    depths = 700.0 + ((np.arange(steps) + 0.5) / steps * 2 - 1) * reach_mm
    points = source + (depths / per_mm[..., None])[..., None] * directions[..., None, :]
    return (tool.pieces.contains(points).mean(axis=-1) * 0.2 * reach_mm / per_mm).mean(axis=(-1, -2))


@pytest.mark.parametrize(("size", "error"), [(360, 0.3), (720, 0.3), (1536, 0.4)])
def test_the_slits_are_resolved(cm_geometry, size, error):
    """0.33 mm wide, of pixels of 0.57, 0.28 and 0.13 mm there: against 64 rays a pixel, as part of their contrast."""
    tool = manipulator(cm_geometry, np.zeros(27), np.eye(4))
    k = np.array([[-5257.732, 0, 767.5], [0, 5257.732, 767.5], [0, 0, 1.0]])
    view = View.from_krt(k, np.eye(3), (0, -52.0, 700.0), (1536, 1536), 0.194).resized((size, size))
    (column, row), _ = view.project((1.5, 52.0, 0.0))
    columns, rows = round(column) + np.arange(2.0), round(row) + np.arange(-9.0, 9.0)
    expected = slit_lengths(tool, view, columns, rows)
    areas = CpuProjector().project(Scene(None, tools=(tool,)), [view], TISSUE).areas[0, 2] / tool.material.density_g_cm3
    got = areas[rows.astype(int)[:, None], columns.astype(int)]
    assert np.ptp(expected) > 0.14 and np.ptp(got) == pytest.approx(np.ptp(expected), rel=0.1)
    assert np.sqrt(((got - expected) ** 2).mean()) < error * expected.std()


def test_a_tool_longer_than_it_is_deep_is_there():
    """A rod of 900 mm across the beam, 400 mm from the source: 2 cm of metal on its axis, over all of the picture."""
    view = View.from_krt(K, np.eye(3), (0, 0, 400.0), (64, 64), 1.0).resized((256, 256))
    areas = CpuProjector().project(Scene(None, tools=(rod(length=900.0),)), [view], TISSUE).areas[0, 2]
    assert areas[[2, 128, 253], 128] == pytest.approx(2.0 * 6.45, rel=0.01) and areas[128, 2] == 0.0
    beside = np.eye(4)
    beside[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()  # along the beam, from behind the source on
    beside[0, 3] = 12.0
    along = CpuProjector().project(Scene(None, tools=(rod(length=1500.0, pose=beside),)), [view], TISSUE).areas[0, 2]
    assert along.max() > 100.0 and (along > 0).any(axis=0).sum() > 20


def test_tools_of_one_name_and_different_composition_are_two_materials():
    mine = Material("nitinol", {"Ti": 0.46, "Ni": 0.54}, 6.4)
    same = Material("nitinol", (("Ti", 0.442), ("Ni", 0.558)), 6.45)
    assert same == NITINOL and hash(same) == hash(NITINOL) and mine != NITINOL
    tools = (rod(outer=3.0), rod(mine), rod(same, outer=2.0))
    areas = CpuProjector().project(Scene(None, tools=tools), [turned((0, 0, 0))], TISSUE)
    assert areas.materials[2:] == (NITINOL, mine) and areas.areas[0, 2:].max(axis=(1, 2)).min() > 0.1


@pytest.mark.parametrize(("fractions", "density", "message"), [
    ({"Ti": 1.0}, float("nan"), "'alloy': the density in g/cm\\^3 must be finite and positive, got nan"),
    ({"Ti": 1.0}, -4.5, "density"),
    ({"Ti": 1.0}, "heavy", "density"),
    ({"Ti": 100.0}, 4.5, "'alloy': its fractions by mass sum to 100"),
    ({}, 4.5, "sum to 0"),
    ({"Ti": 0.5, "Xx": 0.5}, 4.5, "'alloy': unknown element 'Xx'"),
    ({"ti": 1.0}, 4.5, "unknown element 'ti'"),
    ({"Ti": 1.2, "Ni": -0.2}, 4.5, "'alloy': the fraction of Ni"),
])
def test_a_material_that_cannot_be_is_refused_by_name(fractions, density, message):
    with pytest.raises(ValueError, match=message):
        Material("alloy", fractions, density)


def test_labels_and_their_depths_come_from_the_same_rays():
    """Two balls of labels 1 and 2, the second 40 mm nearer to the source: who is met, and how deep."""
    patient = paint_ball(paint_ball(water_box(60, 2.0), (0, 0, 20.0), 10.0, 900, 1), (0, 0, -20.0), 10.0, 900, 2)
    view = View.from_krt(K, np.eye(3), (0, 0, 800.0), (64, 64), 1.0)
    projection = CpuProjector().project(Scene(patient), [view], TISSUE)
    assert projection.hits[0, 31, 31] & 0b110 == 0b110 and projection.hits[0, 31, 60] & 0b110 == 0
    left, right = (projection.depths_mm[0, projection.depth_labels.index(label), 31, 31] for label in (1, 2))
    assert left == pytest.approx(810.0, abs=2.0) and right == pytest.approx(770.0, abs=2.0)
    assert np.isinf(projection.depths_mm[0, 0, 31, 60])


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.integers(0, 2**31))
def test_hits_are_the_labels_of_the_nearest_voxels_along_the_ray(degrees, seed):
    """Against a walk in steps of a tenth of a voxel: whatever a ray spends half a voxel or more in is hit."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 8, (6, 6, 6)), np.ones((5, 5, 5))).astype(np.uint8)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -58.0
    patient = Patient("blocks", np.zeros(labels.shape, np.int16), affine, labels)
    view = turned(degrees, shape=(8, 8))
    hits = CpuProjector().project(Scene(patient), [view], TISSUE).hits[0]
    t = np.arange(600.0, 1000.0, 0.4)
    for pixel in ((0, 0), (3, 5), (7, 2)):
        source, direction = view.ray(np.array(pixel, dtype=float))
        index = np.rint((source + t[:, None] * direction - affine[:3, 3]) / 4.0).astype(int)
        inside = ((index >= 0) & (index < 30)).all(axis=1)
        met = labels[tuple(index[inside].T)]
        lengths = np.bincount(met, minlength=8)
        surely = sum(1 << label for label in range(1, 8) if lengths[label] > 20)
        perhaps = sum(1 << label for label in range(1, 8) if lengths[label] > 0)
        seen = int(hits[pixel[1], pixel[0]]) & 0xFE
        # a plane apart may catch a corner that the walk in between steps over
        assert surely & ~seen == 0 and bin(seen & ~perhaps).count("1") <= 1


def test_views_of_a_batch_are_those_one_by_one():
    scene = Scene(paint_ball(water_box(30, 4.0), (5, 0, 0), 20.0, 900, 1), tools=(rod(),))
    views = [turned((a, 0, 0)) for a in (0, 20, 40)]
    together = CpuProjector().project(scene, views, TISSUE)
    for n, view in enumerate(views):
        single = CpuProjector().project(scene, [view], TISSUE)
        assert (together.areas[n] == single.areas[0]).all() and (together.hits[n] == single.hits[0]).all()


def test_the_number_of_threads_does_not_change_a_pixel():
    from numba import get_num_threads, set_num_threads

    scene = Scene(paint_ball(water_box(30, 4.0), (5, 0, 0), 20.0, 900, 1), tools=(rod(),))
    before = get_num_threads()
    several = CpuProjector().project(scene, [turned((10, 10, 0))], TISSUE)
    try:
        set_num_threads(1)
        one = CpuProjector().project(scene, [turned((10, 10, 0))], TISSUE)
    finally:
        set_num_threads(before)
    assert (several.areas == one.areas).all() and (several.depths_mm == one.depths_mm).all()


def test_a_volume_is_kept_once_and_packed_into_two_bytes_a_voxel():
    patient = water_box(60, 2.0)
    projector = CpuProjector()
    projector.project(Scene(patient), [turned((0, 0, 0))] * 3, TISSUE)
    volume = projector.prepare(patient, TISSUE)
    assert projector.prepare(patient, TISSUE) is volume and volume.codes.nbytes == 2 * 62**3


def test_hounsfield_units_become_the_stated_densities():
    """The golden values of drr_peers.md 1.2, with the material that each belongs to."""
    density, kind = TISSUE.table(in_bone=False)
    for hu, expected, material_ in ((-799, 0.2078, 0), (0, 1.03, 0), (350, 1.23601, 0), (351, 1.2366, 1),
                                    (1000, 1.6186, 1), (3000, 2.7958, 1), (-800, 0.0, -1), (-1000, 0.0, -1)):
        assert density[hu + 32768] == pytest.approx(expected, abs=1e-4) and kind[hu + 32768] == material_


def test_in_labelled_bone_every_value_has_the_attenuation_that_defines_it():
    """HU = 1000 (mu / mu_water - 1) at a scanner's mean energy of 70 keV, marrow or bone."""
    density, kind = TISSUE.table(in_bone=True)
    hu = np.arange(-200, 2001, 50)
    soft, bone, water = (m.mass_attenuation(np.array([70.0]))[0] for m in (SOFT_TISSUE, BONE, WATER_ITSELF))
    attenuation = density[hu + 32768] * np.array([soft, bone])[kind[hu + 32768]]
    assert attenuation == pytest.approx(water * (1 + hu / 1000), rel=1e-5)
    assert kind[450 + 32768] == 0 and kind[451 + 32768] == 1


def test_packing_keeps_densities_to_one_step_and_labels_guide_the_material():
    """400 HU is bone by DeepDRR's threshold, and trabecular bone with marrow where the label map says bone."""
    patient = water_box(20, 2.0)
    patient.hu[10:15, 10:15, 10:15] = 400
    labelled = replace(patient, labels=np.where(patient.hu == 400, 5, 0).astype(np.uint8))
    for given_, plane in ((patient, 1), (labelled, 0)):
        volume = pack(given_, TISSUE)
        inner = volume.densities()[:, 8, 8, 8]
        expected = TISSUE.table(in_bone=given_ is labelled)[0][400 + 32768]
        assert inner[plane] == pytest.approx(expected, abs=volume.density_step) and inner[1 - plane] == 0


@pytest.mark.parametrize(("make", "message"), [
    (lambda: CpuProjector().project(
        Scene(water_box()), [View.from_krt(K, np.eye(3), (0, 0, 10.0), (64, 64), 1.0)], TISSUE), "source lies inside"),
    (lambda: CpuProjector().prepare(Patient("air", np.full((4, 4, 4), -1000, np.int16), np.eye(4)), TISSUE),
     "no voxel is denser"),
    (lambda: CpuProjector().project(Scene(None), [], TISSUE), "no views"),
    (lambda: CpuProjector().project(Scene(None), [turned((0, 0, 0)), turned((0, 0, 0), shape=(32, 32))], TISSUE),
     "one shape"),
    (lambda: Scene(None, np.zeros((4, 4))), "patient's pose"),
    (lambda: rod(pose=np.diag([1.0, 1.0, -1.0, 1.0])), "tool's pose"),
    (lambda: Overlay(water_box(), np.full((4, 4), np.nan)), "overlay's pose"),
    (lambda: CpuProjector().project(Scene(None, tools=(rod(length=2000.0, pose=np.diag([1.0, -1.0, -1.0, 1.0])),)),
                                    [View.from_krt(K, np.eye(3), (0, 0, 5.0), (64, 64), 1.0)], TISSUE),
     "source lies inside tool 0 of the scene \\(nitinol\\)"),
    (lambda: replace(water_box(4), labels=np.full((14, 14, 14), 32, np.uint8)), "ids up to 32, rays tell ids up to 31"),
    (lambda: material("adamantium"), "unknown material 'adamantium'; known: air, bone"),
], ids=["source inside", "air", "no views", "shapes", "patient pose", "mirrored tool", "nan pose", "source in tool",
        "label 32", "material"])
def test_bad_input_is_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()
