"""The fast scatter estimate: against the Monte Carlo, and what any such estimate must do."""

import numpy as np
import pytest

from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.air_gap import BodyOutline
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.materials import BONE, SOFT_TISSUE, WATER
from synthex_sim.xray.monte_carlo import MaterialGrid, make_problem, photon_transport, ray_sums
from synthex_sim.xray.scatter import SLABS, KernelScatter, _resampling, resampled, water_equivalent_factors

ENERGIES, WEIGHTS = np.array([40.0, 60.0, 80.0]), np.array([1.0, 2.0, 1.0])
SDD = 1020.0


def panel(pixels: int = 60, size_mm: float = 300.0) -> View:
    """A detector of this size across the z axis, the source at the origin."""
    spacing = size_mm / pixels
    focal, middle = SDD / spacing, (pixels - 1) / 2
    return View.from_krt(
        [[focal, 0, middle], [0, focal, middle], [0, 0, 1]], np.eye(3), np.zeros(3), (pixels, pixels), spacing
    )


def water_slab(thickness_cm: float, pixels: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Primary energy per photon and thickness, (1, R, C), behind water across the beam."""
    view = panel(pixels)
    place = (np.arange(pixels) - (pixels - 1) / 2) * view.pixel_spacing_mm
    slant = thickness_cm * np.sqrt(1 + (place[:, None] ** 2 + place**2) / SDD**2)
    mu = WATER.mass_attenuation(ENERGIES)
    primary = np.einsum("e,erc->rc", WEIGHTS / 4 * ENERGIES, np.exp(-mu[:, None, None] * slant))
    return primary[None].astype(np.float32), slant[None].astype(np.float32)


@pytest.mark.parametrize(("thickness_cm", "gap_mm"), [(10.0, 150.0), (22.0, 300.0)])
def test_slabs_scatter_as_in_the_monte_carlo(thickness_cm, gap_mm):
    """As for slabs, not patients; a divergent beam scatters some percent more than the pencil beams of the tables."""
    height = 10 * thickness_cm
    affine = np.diag([1200.0, 1200.0, height, 1.0])
    affine[2, 3] = SDD - gap_mm - height / 2
    grid = MaterialGrid(np.zeros((1, 1, 1), np.uint8), np.ones((1, 1, 1), np.float32), (WATER,), affine)
    tally = photon_transport(make_problem(grid, panel(), ENERGIES, WEIGHTS, pixels=(6, 6)), 120_000, 1)
    primary, water = water_slab(thickness_cm)
    image = KernelScatter(ENERGIES, WEIGHTS, patient=SLABS).estimate(primary, water, panel(), gap_mm)
    kernel = image.energy_kev[0].reshape(6, 10, 6, 10).sum(axis=(1, 3))
    reference = tally.scatter * 3600
    assert kernel.sum() == pytest.approx(reference.sum(), rel=0.12)
    assert np.abs(kernel / kernel.sum() - reference / reference.sum()).max() < 0.2 / 36
    assert image.energy_ratio_kev.shape == (1, 60, 60)
    assert image.energy_ratio_kev[0, 0, 0] == pytest.approx(tally.scatter_squared.sum() / tally.scatter.sum(), rel=0.05)


def test_the_rim_of_a_narrow_body_near_the_detector_does_not_flood_its_middle():
    """Water, 36 cm along the beam and 22 across, its middle 700 mm from the source: slabs give half too much."""
    step_mm = 5.0
    x, y, z = np.meshgrid(*(step_mm * (np.arange(n) - (n - 1) / 2) for n in (48, 80, 76)), indexing="ij")
    hu = np.where((x / 110) ** 2 + (z / 180) ** 2 < 1, 0, -1000).astype(np.int16)
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = x[0, 0, 0], y[0, 0, 0], 700 + z[0, 0, 0]
    trunk, view = Patient("trunk", hu, affine), panel(40)
    grid = MaterialGrid.from_patient(trunk, TissueThresholds())
    tally = photon_transport(make_problem(grid, view, ENERGIES, WEIGHTS, pixels=(5, 5)), 400_000, 1)
    areas = ray_sums(grid, view)
    attenuation = np.stack([m.mass_attenuation(ENERGIES) for m in grid.materials])
    primary = np.tensordot(WEIGHTS / 4 * ENERGIES, np.exp(-np.einsum("me,mrc->erc", attenuation, areas)), axes=1)
    water = np.tensordot(water_equivalent_factors(grid.materials), areas, axes=1)
    outline = BodyOutline.of(trunk)
    gap, kernels = outline.air_gap_mm(view), KernelScatter(ENERGIES, WEIGHTS)
    image = kernels.estimate(primary[None], water[None], view, gap[None], outline.aspect(view)).energy_kev[0]
    kernel, reference = image.reshape(5, 8, 5, 8).sum(axis=(1, 3)), tally.scatter * 1600
    assert kernel.sum() == pytest.approx(reference.sum(), rel=0.15)
    assert kernel[1:4, 1:4].sum() == pytest.approx(reference[1:4, 1:4].sum(), rel=0.2)


def test_a_larger_gap_lets_less_scatter_in():
    primary, water = water_slab(20.0)
    kernels = KernelScatter(ENERGIES, WEIGHTS)
    totals = [kernels.estimate(primary, water, panel(), gap).energy_kev.sum() for gap in (150.0, 250.0, 350.0, 450.0)]
    assert (np.diff(totals) < 0).all() and 0.3 < totals[-1] / totals[0] < 0.7


def test_scatter_to_primary_grows_with_thickness_and_vanishes_without():
    kernels = KernelScatter(ENERGIES, WEIGHTS)
    ratios = []
    for thickness in (0.0, 1.0, 5.0, 15.0, 30.0):
        primary, water = water_slab(thickness)
        ratios.append(float(kernels.estimate(primary, water, panel(), 250.0).energy_kev.sum() / primary.sum()))
    assert ratios[0] == pytest.approx(0, abs=1e-4) and (np.diff(ratios) > 0).all() and 0.5 < ratios[-1] < 4


def test_it_is_linear_in_the_primary_and_does_not_come_round_the_edge():
    """Light in one corner: least at the opposite one."""
    primary, water = water_slab(20.0)
    corner = np.zeros_like(primary)
    corner[:, :10, :10] = primary[:, :10, :10]
    kernels = KernelScatter(ENERGIES, WEIGHTS)
    whole, part, rest = (
        kernels.estimate(p, water, panel(), 200.0).energy_kev[0] for p in (primary, corner, primary - corner)
    )
    assert np.allclose(whole, part + rest, rtol=1e-4)
    assert part[0, 0] > part[0, 30] > part[0, 59] > part[59, 59] > 0


def test_scatter_leans_to_the_side_with_the_wider_gap():
    primary, water = water_slab(20.0)
    gap = np.broadcast_to(np.linspace(250.0, 350.0, 12), (1, 12, 12))
    image = KernelScatter(ENERGIES, WEIGHTS).estimate(primary, water, panel(), gap).energy_kev[0]
    level = KernelScatter(ENERGIES, WEIGHTS).estimate(primary, water, panel(), 300.0).energy_kev[0]
    assert image[:, 50].mean() > 1.05 * level[:, 50].mean() and image[:, 9].mean() < 0.97 * level[:, 9].mean()
    assert image.sum() == pytest.approx(level.sum(), rel=0.04)


def test_views_of_a_batch_do_not_touch_each_other():
    """And the image size does not matter."""
    (p10, w10), (p25, w25) = water_slab(10.0), water_slab(25.0)
    kernels = KernelScatter(ENERGIES, WEIGHTS, [0.8, 0.7, 0.6])
    both = kernels.estimate(np.concatenate([p10, p25]), np.concatenate([w10, w25]), panel(), [200.0, 300.0])
    for i, (p, w, gap) in enumerate([(p10, w10, 200.0), (p25, w25, 300.0)]):
        alone = kernels.estimate(p, w, panel(), gap)
        assert np.allclose(both.energy_kev[i], alone.energy_kev[0], rtol=1e-5)
        assert both.energy_ratio_kev[i, 3, 3] == pytest.approx(float(alone.energy_ratio_kev[0, 3, 3]), rel=1e-5)
    large = kernels.estimate(*water_slab(25.0, 240), panel(240), 300.0).energy_kev[0]
    assert large.shape == (240, 240)
    assert np.allclose(large[2::4, 2::4], both.energy_kev[1], rtol=0.01)


def test_a_detector_that_absorbs_half_sees_half():
    primary, water = water_slab(15.0)
    full = KernelScatter(ENERGIES, WEIGHTS).estimate(primary, water, panel(), 250.0)
    half = KernelScatter(ENERGIES, WEIGHTS, [0.5] * 3).estimate(0.5 * primary, water, panel(), 250.0)
    assert np.allclose(half.energy_kev, 0.5 * full.energy_kev, rtol=1e-5)
    # scattered photons have lost energy: a detector that absorbs only hard ones sees less scatter for its primary
    hard = KernelScatter(ENERGIES, WEIGHTS, [0.1, 0.5, 0.9])
    soft = KernelScatter(ENERGIES, WEIGHTS, [0.9, 0.5, 0.1])
    ratios = [float(k.estimate(primary, water, panel(), 250.0).energy_kev.sum()) for k in (hard, soft)]
    assert ratios[0] < ratios[1]


def test_resampling_is_the_same_by_opencv_and_by_matrices():
    images = np.random.default_rng(1).random((2, 61, 80)).astype(np.float32)
    for shape in ((12, 16), (244, 320)):
        left, right = _resampling(images.shape[1:], shape)
        assert np.allclose(resampled(np, images, shape), left @ images @ right, atol=1e-5)
    assert resampled(np, images, (12, 16)).mean() == pytest.approx(images.mean(), rel=1e-4)


def test_the_gap_is_where_the_body_ends():
    hu = np.full((40, 40, 30), -1000, np.int16)
    hu[5:35, 5:35, 6:24] = 30  # 300 x 300 x 180 mm
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = [-195, -195, 450]
    outline = BodyOutline.of(Patient("box", hu, affine))
    gap = outline.air_gap_mm(panel())  # last voxel centre at z = 680
    assert gap.shape == (12, 12) and np.allclose(gap, SDD - 680, atol=1.0)
    moved = np.eye(4)
    moved[2, 3] = 100.0
    assert np.allclose(outline.air_gap_mm(panel(), moved), SDD - 780, atol=1.0)
    moved[0, 3] = 2000.0
    assert (outline.air_gap_mm(panel(), moved) == SDD).all()


def test_the_gap_behind_a_slab_thinner_than_the_outlines_points_is_that_behind_the_slab():
    """4 mm of water in voxels of 2 mm, where the points are 10 mm apart."""
    hu = np.full((60, 60, 40), -1000, np.int16)
    hu[:, :, 8:10] = 0
    affine = np.diag([5.0, 5.0, 2.0, 1.0])
    affine[:3, 3] = [-147.5, -147.5, 600]  # the slab's voxels at z = 616 and 618
    gap = BodyOutline.of(Patient("slab", hu, affine)).air_gap_mm(panel())
    assert np.allclose(gap, SDD - 617, atol=1.5)


@pytest.mark.parametrize("turn_deg", [0.0, 25.0, 90.0])
def test_the_aspect_of_an_ellipsoid_is_that_of_its_sections(turn_deg):
    """Half axes of 160, 90 and 400 mm, turned about the long one, the beam along what was the second."""
    normals = np.random.default_rng(2).normal(size=(200_000, 3))
    points = normals / np.linalg.norm(normals, axis=1, keepdims=True) * [160.0, 90.0, 400.0]
    turn = np.deg2rad(turn_deg)
    along = 1 / np.hypot(np.cos(turn) / 90, np.sin(turn) / 160)
    across = 1 / np.hypot(np.sin(turn) / 90, np.cos(turn) / 160)
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(turn), np.sin(turn), 0], [0, 0, 1], [-np.sin(turn), np.cos(turn), 0]]
    assert BodyOutline(points).aspect(panel(), pose) == pytest.approx(across / along, rel=0.01)
    assert BodyOutline(np.zeros((0, 3))).aspect(panel()) == np.inf


def test_a_narrow_body_scatters_less_and_a_wide_one_as_much_as_ever():
    primary, water = water_slab(20.0)
    kernels = KernelScatter(ENERGIES, WEIGHTS)
    narrow, round_, wide, wider = (
        kernels.estimate(primary, water, panel(), 250.0, aspect).energy_kev.sum() for aspect in (0.6, 1.0, 2.0, np.inf)
    )
    assert narrow < 0.8 * round_ < 0.8 * wide and wide == wider
    both = kernels.estimate(primary.repeat(2, 0), water.repeat(2, 0), panel(), 250.0, [0.6, 1.0]).energy_kev
    assert both.sum(axis=(1, 2)) == pytest.approx([narrow, round_], rel=1e-5)


def test_electrons_per_gram():
    soft, bone, water = water_equivalent_factors((SOFT_TISSUE, BONE, WATER))
    assert water == 1.0 and soft == pytest.approx(0.99, abs=0.01) and bone == pytest.approx(0.927, abs=0.01)


def test_bad_input_is_refused():
    primary, water = water_slab(10.0)
    kernels = KernelScatter(ENERGIES, WEIGHTS)
    with pytest.raises(ValueError, match=r"must be \(views, 60, 60\)"):
        kernels.estimate(primary[0], water[0], panel(), 200.0)
    with pytest.raises(ValueError, match="air gaps must be"):
        kernels.estimate(primary, water, panel(), np.ones((3, 12, 12)))
    with pytest.raises(ValueError, match="one length"):
        KernelScatter(ENERGIES, WEIGHTS[:2])
    with pytest.raises(ValueError, match="ascend"):
        KernelScatter(ENERGIES[::-1], WEIGHTS)
    with pytest.raises(ValueError, match="not all zero"):
        KernelScatter(ENERGIES, 0 * WEIGHTS)
