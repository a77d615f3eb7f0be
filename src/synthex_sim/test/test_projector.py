"""Line integrals, displaced tissue and the detector's signal, each against a value that can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from cm_kinematics.joint_spline import joint_angles
from cm_kinematics.solid import TubePieces
from sim_worlds import AIM, on_table, water_box
from scipy.spatial.transform import Rotation

from synthex_sim.carm.carm import TubeSettings
from synthex_sim.carm.view import View
from synthex_sim.xray.manipulator import manipulator
from synthex_sim.xray.materials import BONE, SOFT_TISSUE, Material, tissue_densities
from synthex_sim.xray.polychromatic import OPEN_FIELD_COUNTS, PolychromaticRenderer
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.projector_cpu import CpuProjector
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene, Tool
from synthex_sim.xray.simulator import XraySimulator
from synthex_sim.xray.spectrum import tube_spectrum

K = np.array([[-1000.0, 0, 31.5], [0, 1000.0, 31.5], [0, 0, 1.0]])
NITINOL = Material("nitinol", {"Ni": 0.558, "Ti": 0.442}, 6.45)


def test_path_length_through_a_water_box_is_the_analytic_one():
    """240 mm of water at 1.03 g/cm^3 seen under an angle a: 24 cm / cos a. Edges are half a voxel soft."""
    patient = water_box(240, 1.0)
    view = View.from_krt(K, np.eye(3), (0, 0, 800.0), (64, 64), 1.0)
    soft = CpuProjector().project(Scene(patient), view).soft
    rows, columns = np.mgrid[20:44, 20:44]
    slant = np.sqrt(1 + ((columns - 31.5) / 1000) ** 2 + ((rows - 31.5) / 1000) ** 2)
    assert soft[20:44, 20:44] == pytest.approx(24.0 * 1.03 * slant, rel=0.003)


def test_a_ray_ends_at_the_detector():
    """The detector, 1000 mm from the source, cuts a box from 780 to 1020 mm: 220 mm of it are in the beam."""
    patient = water_box(240, 1.0)
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0)
    assert view.source_to_detector_mm == 1000.0
    soft = CpuProjector().project(Scene(patient), view).soft
    assert soft[31:33, 31:33] == pytest.approx(22.0 * 1.03, rel=0.005)


@pytest.mark.parametrize("seed", range(5))
def test_a_tilted_view_gives_the_same_integral_as_fine_sampling(seed):
    rng = np.random.default_rng(seed)
    patient = water_box(40, 3.0)
    patient.hu[...] = np.where(patient.hu > -500, rng.integers(-100, 300, patient.hu.shape), -1000)
    view = View.from_krt(K, Rotation.random(random_state=seed).as_matrix(), (0, 0, 700.0), (64, 64), 1.0)
    projector = CpuProjector()
    soft = projector.project(Scene(patient), view).soft
    volume = projector.prepare(patient)
    index_from_world = np.linalg.inv(volume.affine)
    source, direction = view.ray(np.array([40.0, 25.0]))
    steps = np.arange(500.0, 900.0, 0.05)
    points = (source + steps[:, None] * direction) @ index_from_world[:3, :3].T + index_from_world[:3, 3]
    from scipy.ndimage import map_coordinates

    fine = map_coordinates(volume.density[..., 0], points.T, order=1, mode="constant").sum() * 0.005
    assert soft[25, 40] == pytest.approx(fine, rel=0.02)


def full_tube(length=100.0, outer=10.0, inner=0.0):
    return TubePieces(np.eye(4)[None], [0], [-length / 2], [length / 2], outer, inner, [True])


def test_a_rod_replaces_the_tissue_it_displaces():
    """A rod of radius 10 mm along y in water: 2 cm of metal on its axis, and 2 cm of water less."""
    patient = water_box(60, 2.0)
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0).resized((256, 256))
    rod = Tool(full_tube(), np.eye(4), np.array([0, -50.0, 0]), np.array([0, 50.0, 0]), NITINOL)
    with_rod = CpuProjector().project(Scene(patient, tools=(rod,)), view)
    without = CpuProjector().project(Scene(patient), view)
    centre = slice(126, 130)
    assert with_rod.tools[0][centre, centre] == pytest.approx(2.0 * 6.45, rel=0.005)
    assert (without.soft - with_rod.soft)[centre, centre] == pytest.approx(2.0 * 1.03, rel=0.005)


def test_the_lumen_of_a_tube_is_not_metal():
    """Across the axis: 2 (R - r) of wall; the tissue in the lumen stays."""
    patient = water_box(60, 2.0)
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0).resized((256, 256))
    tube = Tool(full_tube(inner=6.0), np.eye(4), np.zeros(3), np.zeros(3), NITINOL)
    projected = CpuProjector().project(Scene(patient, tools=(tube,)), view)
    assert projected.tools[0][127:129, 127:129] == pytest.approx(0.8 * 6.45, rel=0.01)


def test_mass_of_the_manipulator_survives_projection(cm_geometry):
    """The integral of length over the detector, scaled to the object, is the solid's volume (parallel limit)."""
    short = replace(cm_geometry, shaft_extension_mm=0.0)  # all of it on the detector
    tool = manipulator(short, joint_angles(np.full(5, 2.0), 27), np.eye(4))
    far = 20000.0
    k = np.array([[-far * 4, 0, 255.5], [0, far * 4, 255.5], [0, 0, 1.0]])
    view = View.from_krt(k, np.eye(3), (-10.0, -35.0, far), (512, 512), 1.0)
    area = CpuProjector().project(Scene(None, tools=(tool,)), view).tools[0] / tool.material.density_g_cm3
    assert area.sum() * 10.0 / 16.0 == pytest.approx(tool.pieces.volumes_mm3.sum(), rel=0.01)


def test_hounsfield_units_become_the_stated_densities():
    soft, bone = tissue_densities(np.array([-1000, -799, 0, 350, 351, 1000, 3000], np.int16))
    assert soft == pytest.approx([0, 0.2078, 1.03, 1.236, 0, 0, 0], abs=1e-3)
    assert bone == pytest.approx([0, 0, 0, 0, 1.2366, 1.6186, 2.7958], abs=1e-3)


@pytest.mark.parametrize(("material", "expected"), [(SOFT_TISSUE, [0.379, 0.2048, 0.17532]), (BONE, [1.331, 0.3148, 0.20231])])
def test_attenuation_agrees_with_nist(material, expected):
    """mu/rho in cm^2/g at 30, 60, 90 keV (NIST XCOM, ICRU-44 tissues)."""
    assert material.mass_attenuation(np.array([30.0, 60.0, 90.0])) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("kvp", "aluminium", "mean"), [(60, 3.5, 37.53), (90, 4.0, 49.25), (120, 4.3, 58.16)])
def test_spectra_have_deepdrrs_mean_energies(kvp, aluminium, mean):
    assert tube_spectrum(TubeSettings(kvp, 12.0, aluminium)).mean_energy_kev == pytest.approx(mean, rel=0.015)


def slab(soft=0.0, bone=0.0, shape=(64, 64)):
    zero = np.zeros(shape, np.float32)
    return Projection(zero + np.float32(soft), zero + np.float32(bone), (), np.zeros(shape, np.uint8), zero > 1, zero)


@pytest.mark.parametrize(("soft_cm", "bone_cm", "expected"), [
    (10, 0, 4.795579 / 49.2449), (20, 0, 0.5458339 / 49.2449), (20, 2, 0.1996558 / 49.2449),
])
def test_transmission_follows_beer_lambert_with_deepdrrs_golden_numbers(soft_cm, bone_cm, expected):
    """DeepDRR's tables, 90 kV behind 4 mm Al; our spectrum is SpekPy's, hence 6 %."""
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (64, 64), 1.0)
    renderer = PolychromaticRenderer(TubeSettings(90, 12, 4.0))
    image = renderer.expose(slab(1.03 * soft_cm, 1.6 * bone_cm), view, Exposure(90, 1, noise=False), (), 0, 0)
    assert image.transmission[0, 0] == pytest.approx(expected, rel=0.06)


def test_open_field_has_the_stated_counts_and_noise_has_the_variance_of_its_quanta():
    view = View.from_krt(K, np.eye(3), (0, 0, 900.0), (256, 256), 0.2)
    tube = TubeSettings(90, 12, 4.0)
    spectrum = tube_spectrum(tube, 200.0)
    for mas in (0.02, 0.2):
        image = PolychromaticRenderer(tube).expose(slab(20.6, shape=(256, 256)), view, Exposure(90, mas), (), 5, 9)
        clean = PolychromaticRenderer(tube).expose(slab(20.6, shape=(256, 256)), view, Exposure(90, mas, False), (), 5, 9)
        transmission = np.exp(-20.6 * SOFT_TISSUE.mass_attenuation(spectrum.energies_kev))
        detected = spectrum.weights * transmission * spectrum.photons_per_mm2_mas * mas * 0.04
        energies = spectrum.energies_kev
        relative = np.sqrt((detected * energies**2).sum()) / (detected * energies).sum()
        assert image.counts.mean() == pytest.approx(clean.counts.mean(), rel=0.01)
        assert image.counts.std() / image.counts.mean() == pytest.approx(relative, rel=0.05)
    empty = PolychromaticRenderer(tube).expose(slab(shape=(256, 256)), view, Exposure(90, 1, noise=False), (), 0, 0)
    assert (empty.counts == OPEN_FIELD_COUNTS).all()


def test_same_scene_view_and_seed_give_the_same_pixels_and_another_sample_does_not(carm):
    patient = water_box()
    view = carm.view(carm.aim(AIM, 700.0, 10.0, 5.0)).resized((64, 64))
    scene = Scene(patient, on_table(patient))
    first, again, other = (
        XraySimulator(carm.tube).acquire(scene, view, Exposure(90, 0.1), 3, sample)[0].counts for sample in (7, 7, 8)
    )
    assert (first == again).all() and (first != other).any()


def test_a_source_inside_the_patient_is_refused():
    view = View.from_krt(K, np.eye(3), (0, 0, 10.0), (64, 64), 1.0)
    with pytest.raises(ValueError, match="source lies inside"):
        CpuProjector().project(Scene(water_box()), view)


def test_a_volume_of_air_is_refused():
    air = water_box()
    air.hu[:] = -1000
    with pytest.raises(ValueError, match="no voxel is denser"):
        CpuProjector().prepare(air)
