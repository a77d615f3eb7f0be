"""The CUDA projector gives what the CPU projector gives.

Each claim is tested twice: with the kernels compiled for the host (everywhere) and on a GPU (where there is one; the
tests named [gpu] say why they were skipped).
"""

import builtins

import numpy as np
import pytest
from host_device import HostDevice
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from sim_worlds import water_box

from cm_kinematics.joint_spline import joint_angles
from cm_kinematics.solid import TubePieces
from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray import beer_lambert
from synthex_sim.xray.cuda.beer_lambert import attenuate
from synthex_sim.xray.cuda.device import CudaDevice, CudaUnavailableError
from synthex_sim.xray.cuda.projector import CudaProjector
from synthex_sim.xray.decomposition import TissueThresholds, WaterEquivalent
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.materials import NITINOL, STAINLESS_STEEL
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.realistic_renderer import RealisticRenderer
from synthex_sim.xray.scene import Overlay, Scene, Tool
from synthex_sim.xray.tool_boxes import FINEST_DETAIL_MM, MAX_SUBRAYS_PER_AXIS, tool_boxes

TISSUE = TissueThresholds()
#: One, two and up to four materials a voxel.
DECOMPOSITIONS = {0: WaterEquivalent(), 1: TISSUE, 2: TissueThresholds(metal_above_hu=1500)}


@pytest.fixture(scope="module", params=["host", "gpu"])
def device(request, tmp_path_factory):
    if request.param == "host":
        return HostDevice(tmp_path_factory.mktemp("kernels"))
    try:
        return CudaDevice()
    except CudaUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cuda(device):
    return CudaProjector(device=device)


def numbers(array):
    """On the host."""
    return array.get() if hasattr(array, "get") else array


def random_patient(seed=0, shape=(37, 29, 33), spacing=(3.0, 3.4, 2.7)):
    """Lumps of tissue, bone and metal in air, with labels, in a tilted grid."""
    rng = np.random.default_rng(seed)
    lumps = gaussian_filter(rng.standard_normal(shape), 2.0)
    lumps = (lumps - lumps.mean()) / lumps.std()
    hu = np.clip(lumps * 900 + 100 + rng.normal(0, 80, shape), -1000, 3000).astype(np.int16)
    labels = np.clip(np.rint(gaussian_filter(rng.standard_normal(shape), 2.5) * 60 + 2), 0, 9).astype(np.uint8)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (8, -5, 11), degrees=True).as_matrix() * spacing
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Patient(f"random {seed}", hu, affine, labels)


def turned(degrees, focal, shape, spacing):
    k = np.array([[-focal, 0, (shape[1] - 1) / 2], [0, focal, (shape[0] - 1) / 2], [0, 0, 1.0]])
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return View.from_krt(k, turn, (3.0, -2.0, 700.0), shape, spacing)


def wide(*degrees, shape=(50, 66)):
    """A view of the world's origin, turned about all three axes, in which all of a volume and some air beside it are
    seen; the image is no whole number of tiles."""
    return turned(degrees, 400.0, shape, 2.5)


VIEWS = [wide(0, 0, 0), wide(90, 0, 0), wide(0, 90, 0), wide(31, -22, 14), wide(44, 46, 10)]


def compare(cuda, scene, views, decomposition, **arguments):
    """Asserts that both projectors agree, area densities to 1e-5 of the greatest; returns the CPU's projection."""
    expected = CpuProjector().project(scene, views, decomposition, **arguments)
    got = cuda.project(scene, views, decomposition, **arguments)
    assert got.materials == expected.materials and got.depth_labels == expected.depth_labels
    assert [numbers(got.areas).dtype, numbers(got.hits).dtype, numbers(got.depths_mm).dtype] == ["f4", "u4", "f4"]
    assert np.abs(numbers(got.areas) - expected.areas).max() <= 1e-5 * expected.areas.max()
    # one of 16 sub-rays may graze a piece on one side and miss it on the other
    coverage = np.abs(numbers(got.tool_coverage) - expected.tool_coverage)
    assert coverage.max() < 0.07 and (coverage > 1e-6).mean() < 1e-3
    # a ray that runs through the border of two voxels may take the one or the other, in one plane of some dozen
    assert (numbers(got.hits) != expected.hits).mean() < 1e-3
    depths, known = numbers(got.depths_mm), np.isfinite(expected.depths_mm)
    assert (np.isfinite(depths) != known).mean() < 1e-3
    apart = np.abs(np.where(known, depths, 0.0) - np.where(known, expected.depths_mm, 0.0)) > 1e-3
    assert apart.mean() < 1e-3
    return expected


@pytest.mark.parametrize("bits", [0, 1, 2])
def test_area_densities_of_a_random_volume_from_all_sides(cuda, bits):
    expected = compare(cuda, Scene(random_patient()), VIEWS, DECOMPOSITIONS[bits], labels=False)
    assert (expected.areas.max(axis=(2, 3)) > 0.5).all()  # every material is there in every view
    assert not expected.hits.any()


def test_labels_and_depths(cuda):
    expected = compare(cuda, Scene(random_patient(1)), VIEWS, TISSUE, depth_labels=(1, 5, 3))
    assert all((expected.hits >> label & 1).any() for label in range(1, 6))
    assert np.isfinite(expected.depths_mm).any(axis=(0, 2, 3)).all()


def test_labels_of_whole_structures_are_the_same_everywhere(cuda):
    patient = water_box(40, 3.0)
    labels = np.zeros(patient.hu.shape, np.uint8)
    labels[12:30, 9:22, 14:37], labels[20:40, 25:36, 8:20] = 1, 2
    scene = Scene(Patient("boxes", patient.hu, patient.affine, labels))
    views = [wide(7, 3, 2), wide(80, 11, -5), wide(12, 77, 4)]
    expected, got = CpuProjector().project(scene, views, TISSUE), cuda.project(scene, views, TISSUE)
    assert (numbers(got.hits) == expected.hits).all() and expected.hits.any()
    assert numbers(got.depths_mm) == pytest.approx(expected.depths_mm, abs=1e-3)


def in_tissue(cm_geometry):
    """The manipulator with the middle of its notched part in the world's origin."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", (20, 30, 40), degrees=True).as_matrix()
    pose[:3, 3] = -pose[:3, :3] @ (0.0, 52.0, 0.0)
    return manipulator(cm_geometry, joint_angles(np.full(5, 3.0), 27), pose)


def close_up(*degrees):
    """The slits are two pixels wide."""
    return turned(degrees, 3000.0, (61, 80), 0.4)


def test_the_manipulator_in_tissue(cuda, cm_geometry):
    scene = Scene(random_patient(2), tools=(in_tissue(cm_geometry),))
    expected = compare(cuda, scene, [wide(0, 0, 0), wide(75, 5, 8)], TISSUE)
    assert expected.areas[:, 2].max() > 0.3 and expected.tool_coverage.max() > 0.3
    close = compare(cuda, scene, [close_up(0, 0, 0), close_up(-30, 60, 0)], TISSUE)
    assert (close.tool_coverage == 1).any()


def test_the_manipulator_along_its_axis(cuda, cm_geometry):
    """Rays that pass through slit after slit: many intervals."""
    straight = manipulator(cm_geometry, np.zeros(27), np.eye(4))
    along = View.along((0.3, 700.0, 0.2), (0, -1, 0), (0, 0, 1), (40, 40), 0.5, 1000.0)
    slanted = View.along((30.0, 700.0, 10.0), (-0.04, -1, 0), (0, 0, 1), (40, 40), 0.5, 1000.0)
    expected = compare(cuda, Scene(random_patient(2), tools=(straight,)), [along, slanted], TISSUE)
    assert expected.areas[0, 2].max() > 10.0


def test_two_tools_cross_and_one_is_of_a_tissues_material(cuda, cm_geometry):
    rod = TubePieces(np.eye(4)[None], [0], [-40.0], [40.0], 6.0, 2.0, [False])
    across = np.eye(4)
    across[:3, :3] = Rotation.from_euler("x", 80, degrees=True).as_matrix()
    titanium = DECOMPOSITIONS[2].materials[2]
    for materials in ((NITINOL, STAINLESS_STEEL), (STAINLESS_STEEL, titanium), (NITINOL, NITINOL)):
        poses = (np.eye(4), across)
        tools = [Tool(rod, pose, np.zeros(3), np.zeros(3), of) for pose, of in zip(poses, materials, strict=True)]
        scene = Scene(random_patient(3), tools=(*tools, in_tissue(cm_geometry)))
        compare(cuda, scene, [wide(0, 0, 0), wide(20, 50, 8)], DECOMPOSITIONS[2])


def test_tools_without_a_patient(cuda, cm_geometry):
    expected = compare(cuda, Scene(None, tools=(in_tissue(cm_geometry),)), [wide(10, 20, 30)], TISSUE)
    assert expected.areas[:, :2].max() == 0.0 and expected.areas[:, 2].max() > 0.3


def test_two_volumes_that_overlap_with_a_tool_in_both(cuda, cm_geometry):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", (50, 10, -30), degrees=True).as_matrix()
    turn[:3, 3] = (12.0, -20.0, 8.0)
    upper = Overlay(random_patient(5, (20, 24, 18), (2.2, 2.0, 2.5)), turn)
    scene = Scene(random_patient(4), overlays=(upper,))
    alone = CpuProjector().project(Scene(random_patient(4)), VIEWS, DECOMPOSITIONS[2]).areas
    expected = compare(cuda, scene, VIEWS, DECOMPOSITIONS[2])
    assert np.abs(expected.areas - alone).max() > 1.0
    with_tool = Scene(random_patient(4), overlays=(upper,), tools=(in_tissue(cm_geometry),))
    compare(cuda, with_tool, VIEWS[:2], TISSUE)


def test_labels_of_three_volumes_one_over_the_other(cuda):
    """Each hides the labels of those below it; they are of other grids and poses."""
    poses = [np.eye(4), np.eye(4)]
    poses[0][:3, :3] = Rotation.from_euler("xyz", (50, 10, -30), degrees=True).as_matrix()
    poses[0][:3, 3], poses[1][:3, 3] = (12.0, -20.0, 8.0), (-9.0, 4.0, 15.0)
    overlays = [Overlay(random_patient(n + 6, (20, 24, 18), (2.2, 2.0, 2.5)), pose) for n, pose in enumerate(poses)]
    patient = random_patient(8)
    together = compare(cuda, Scene(patient, overlays=overlays), VIEWS, DECOMPOSITIONS[0], depth_labels=(3, 5))
    apart = [CpuProjector().project(scene, VIEWS, DECOMPOSITIONS[0]) for scene in (
        Scene(patient), *(Scene(overlay.volume, overlay.pose) for overlay in overlays)
    )]
    union = apart[0].hits | apart[1].hits | apart[2].hits
    assert (union & ~together.hits & ~np.uint32(1) != 0).mean() > 0.01 and (together.hits & ~union == 0).all()


def test_a_rod_longer_than_it_is_deep(cuda):
    long = TubePieces(np.eye(4)[None], [0], [-700.0], [700.0], 10.0, 0.0, [False])
    along = np.eye(4)
    along[:3, :3] = Rotation.from_euler("xz", (85, 3), degrees=True).as_matrix()
    along[:3, 3] = (30.0, 0.0, 0.0)
    for pose in (np.eye(4), along):
        tool = Tool(long, pose, np.zeros(3), np.zeros(3), NITINOL)
        past = View.along((0, 0, 800.0), (1, 0, 0.2), (0, 1, 0), (50, 66), 1.0, 1000.0)
        expected = compare(cuda, Scene(random_patient(2), tools=(tool,)), [wide(0, 0, 0), past], TISSUE)
        assert expected.areas[0, 2].max() > 12.0


def test_a_view_does_not_depend_on_its_batch(cuda, cm_geometry):
    scene = Scene(random_patient(2), tools=(in_tissue(cm_geometry),))
    together = cuda.project(scene, VIEWS, TISSUE)
    for n, view in enumerate(VIEWS):
        single = cuda.project(scene, [view], TISSUE)
        for field in ("areas", "hits", "depths_mm", "tool_coverage"):
            assert (numbers(getattr(single, field))[0] == numbers(getattr(together, field))[n]).all(), field


def test_views_that_see_no_tool_next_to_one_that_does(cuda, cm_geometry):
    """Boxes of a batch differ: one view looks past the tool, one has it behind its source."""
    past = View.along((0, 0, 800.0), (1, 0, 0.2), (0, 1, 0), (50, 66), 1.0, 1000.0)
    ahead = View.along((0, 0, 800.0), (0, 0, 1), (0, 1, 0), (50, 66), 1.0, 1000.0)
    compare(cuda, Scene(None, tools=(in_tissue(cm_geometry),)), [past, wide(0, 0, 0), ahead], TISSUE)
    assert not numbers(cuda.project(Scene(None, tools=(in_tissue(cm_geometry),)), [past, ahead], TISSUE).areas).any()


def views_of_tools():
    """Lists of views of one shape: from all sides, from very near or from behind, and in small pixels."""
    from_all_sides = [wide(*degrees) for degrees in np.random.default_rng(0).uniform(-180, 180, (20, 3))]
    near = [
        View.along((0, 0, distance), direction, (0, 1, 0), (50, 66), 1.0, 1000.0)
        for direction in ((0, 0, 1), (0.5, 0.1, -1), (1, 0, 0)) for distance in (60.0, 15.0, 400.0)
    ]
    fine = [turned((tilt, 0, 0), focal, (80, 90), 0.4) for tilt in (0, 70) for focal in (1500, 4000)]
    return [*from_all_sides, *near], fine


@pytest.mark.parametrize("views", views_of_tools(), ids=["coarse", "fine"])
@pytest.mark.parametrize("with_shaft", [True, False])
def test_all_pieces_are_looked_for_where_they_are_and_finely_enough(views, with_shaft, cm_geometry):
    tool = in_tissue(cm_geometry)
    pieces = tool.pieces if with_shaft else tool.pieces.only_notched()
    centres, radii = pieces.transformed(tool.pose).bounding_spheres()
    around = np.random.default_rng(1).normal(size=(200, 3))
    surface = centres[:, None] + radii[:, None, None] * around / np.linalg.norm(around, axis=-1, keepdims=True)
    rows, columns = views[0].shape
    for view, (row0, row1, column0, column1, subrays) in zip(views, tool_boxes(views, centres, radii), strict=True):
        depth = view.project(centres)[1]
        if ((depth > -radii) & (depth < radii + 1)).any():  # a sphere reaches the source's plane
            assert (row0, row1, column0, column1) == (0, rows, 0, columns)
        elif not (depth > 0).any():
            assert subrays == 0
        else:
            pixels = view.project(surface)[0][depth > 0]
            low, high = pixels.min(axis=(0, 1)) + 0.5, pixels.max(axis=(0, 1)) + 0.5
            seen = (low < (columns, rows)).all() and (high > 0).all()
            if seen:
                assert column0 <= max(low[0], 0) and column1 >= min(high[0], columns)
                assert row0 <= max(low[1], 0) and row1 >= min(high[1], rows) and subrays > 0
            if subrays and (depth > 4 * radii).all():
                margin = (3 + 1.5 * radii / depth * np.abs(view.intrinsics[:2, :2]).max())[:, None]
                low, high = (pixels.min(axis=1) - margin).min(axis=0), (pixels.max(axis=1) + margin).max(axis=0)
                assert column0 >= min(low[0], columns) and column1 <= max(high[0], 0)
                assert row0 >= min(low[1], rows) and row1 <= max(high[1], 0)
        if subrays and (depth > radii + 1).any():
            pixel_mm = depth[depth > radii + 1].min() / np.abs(view.intrinsics[:2, :2]).max()
            assert subrays == MAX_SUBRAYS_PER_AXIS or pixel_mm / subrays <= FINEST_DETAIL_MM / 2
            assert subrays == 1 or pixel_mm / (subrays - 1) > FINEST_DETAIL_MM / 2


def test_beer_lambert(device):
    rng = np.random.default_rng(0)
    energies = np.linspace(15.0, 120.0, 106)
    for materials in (1, 3, 8, 11):
        areas = rng.uniform(0, 6, (2, materials, 19, 31)).astype(np.float32)
        coefficients = rng.uniform(0.1, 1.0, (materials, 106)) * (40.0 / energies) ** 2
        weights = rng.uniform(0, 1e5, 106)
        got = attenuate(device.array(areas), coefficients, energies, weights, device)
        passed = np.exp(-np.einsum("vmrc,me->vrce", areas, coefficients)) * weights * energies
        assert numbers(got[0]) == pytest.approx(passed.sum(axis=-1), rel=1e-5)
        assert numbers(got[1]) == pytest.approx((passed * energies).sum(axis=-1), rel=1e-5)
        for ours, cpu in zip(got, beer_lambert.attenuate(areas, coefficients, energies, weights), strict=True):
            assert numbers(ours) == pytest.approx(cpu, rel=3e-5)


def test_beer_lambert_refuses_what_does_not_fit(device):
    areas = device.array(np.ones((1, 2, 4, 4), np.float32))
    with pytest.raises(ValueError, match="2 materials and 3 energies"):
        attenuate(areas, np.ones((3, 3)), np.ones(3), np.ones(3), device)
    with pytest.raises(ValueError, match="float32"):
        attenuate(device.array(np.ones((1, 2, 4, 4))), np.ones((2, 3)), np.ones(3), np.ones(3), device)


def test_volumes_stay_on_the_device_and_the_oldest_goes(device):
    projector = CudaProjector(kept_volumes=2, device=device)
    patients = [random_patient(seed, (8, 9, 10)) for seed in range(3)]
    first = projector.prepare(patients[0], TISSUE)
    assert projector.prepare(patients[0], TISSUE) is first
    assert projector.prepare(patients[0], DECOMPOSITIONS[0]) is not first
    projector.prepare(patients[2], TISSUE)
    assert projector.prepare(patients[0], TISSUE) is not first


def test_bad_input_is_refused(cuda):
    inside = wide(0, 0, 0).world_to_camera.copy()
    inside[:3, 3] = 0.0
    inside = View(VIEWS[0].intrinsics, inside, VIEWS[0].shape, VIEWS[0].pixel_spacing_mm)
    with pytest.raises(ValueError, match="source lies inside"):
        cuda.project(Scene(random_patient()), [VIEWS[0], inside], TISSUE)
    solid = TubePieces(np.eye(4)[None], [0], [-9.0], [9.0], 8.0, 0.0, [False])
    around_source = np.eye(4)
    around_source[:3, 3] = VIEWS[1].source
    with pytest.raises(ValueError, match=r"source lies inside tool 0 of the scene \(nitinol\)"):
        tool = Tool(solid, around_source, np.zeros(3), np.zeros(3), NITINOL)
        cuda.project(Scene(None, tools=(tool,)), VIEWS[:2], TISSUE)
    with pytest.raises(ValueError, match="no views"):
        cuda.project(Scene(None), [], TISSUE)
    with pytest.raises(ValueError, match="one shape"):
        cuda.project(Scene(None), [wide(0, 0, 0), wide(0, 0, 0, shape=(9, 9))], TISSUE)


def test_an_empty_room_is_empty(cuda):
    projection = cuda.project(Scene(None), VIEWS[:2], TISSUE)
    assert projection.areas.shape == (2, 2, 50, 66) and not numbers(projection.areas).any()
    assert np.isinf(numbers(projection.depths_mm)).all()


def test_without_cupy_the_message_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def missing(name, *arguments, **named):
        if name == "cupy":
            raise ModuleNotFoundError("No module named 'cupy'")
        return original(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(CudaUnavailableError, match=r"needs CuPy.*requirements/gpu\.txt.*projector 'cpu'"):
        CudaProjector()


def test_a_projection_goes_to_torch_without_a_copy(cuda):
    torch = pytest.importorskip("torch")
    if cuda.device.xp is not np and not torch.cuda.is_available():
        pytest.skip("this torch is built without CUDA")
    projection = cuda.project(Scene(random_patient()), VIEWS[:1], TISSUE)
    tensor = torch.from_dlpack(projection.areas)
    tensor[0, 0, 0, 0] = 123.0
    assert numbers(projection.areas)[0, 0, 0, 0] == 123.0


@pytest.mark.parametrize("scatter", ["none", "kernel"])
def test_whole_images_are_the_same(cuda, cm_geometry, carm, scatter):
    """From the projector to counts, with blur and noise: a count more or less where a rounding decides."""
    scene = Scene(random_patient(2), tools=(in_tissue(cm_geometry),))
    images = []
    for projector in (CpuProjector(), cuda):
        renderer = RealisticRenderer(carm, projector.processor)
        projection = projector.project(scene, VIEWS[:2], renderer.decomposition)
        exposed = renderer.expose(projection, scene, VIEWS[:2], Exposure(80, 0.1), Physics(scatter), 7, (3, 2**33))
        images.append(numbers(exposed.counts).astype(int))
    apart = np.abs(images[1] - images[0])
    # one quantum more or less, which blur and the open field's 60000 counts make some dozens, in few pixels
    assert images[0].std() > 1000 and (apart > 2).mean() < 0.002 and apart.max() < 200
