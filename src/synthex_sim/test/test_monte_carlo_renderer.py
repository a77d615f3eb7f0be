"""Photon transport through the renderer: its unit, its field, its random numbers; kernels that agree with it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from host_device import HostDevice
from sim_worlds import AIM, on_table, paint_ball, water_box

from synthex_sim.carm.placement import supine_pose
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom import make_phantom
from synthex_sim.xray.collimation import Iris, Rectangle
from synthex_sim.xray.cuda import processor as cuda_processor
from synthex_sim.xray.heel import beam_profile
from synthex_sim.xray.monte_carlo.right_angles import with_right_angles
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.processor import CpuProcessor
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.realistic_renderer import RealisticRenderer
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

PIXELS = 48
#: Nothing but the expected image of primary and scatter.
BARE = Physics("none", grid=False, noise=False, blur=False)


@dataclass(frozen=True)
class Dimmer:
    """A field that is open everywhere, in part."""

    share: float

    def mask(self, view):
        return np.full(view.shape, self.share, np.float32)


class Wedge:
    """A field that fades from the left to the right."""

    def mask(self, view):
        return np.broadcast_to(np.linspace(1, 0, view.shape[1], dtype=np.float32), view.shape)


class Images:
    """Scatter images of one scene and view."""

    def __init__(self, carm, patient, pose, source_to_patient_mm=600.0, orbital_deg=0.0):
        self.simulator = XraySimulator(carm)
        self.scene = Scene(patient, pose)
        joints = carm.aim(AIM, source_to_patient_mm, orbital_deg, 0.0)
        self.view = carm.view(joints).resized((PIXELS, PIXELS))

    def energy(self, physics, collimator=None, seed=0, samples=(0,)):
        """(V, R, C) keV."""
        views, exposure = [self.view] * len(samples), Exposure(90, 0.5, collimator)
        images, _ = self.simulator.render(self.scene, views, exposure, physics, seed, samples, labels=False)
        return np.stack([images[n].energy_kev for n in range(len(views))])

    def scatter(self, how, photons=1, heel=False, **more):
        """(V, R, C) keV: the image with scatter less the one without."""
        bare = replace(BARE, heel_effect=heel)
        with_scatter = replace(bare, scatter=how, monte_carlo_photons=photons)
        return self.energy(with_scatter, **more) - self.energy(bare, **more)

    def monte_carlo(self, photons=150_000, **more):
        return self.scatter("monte_carlo", photons, **more)


@pytest.fixture(scope="module")
def water(carm) -> Images:
    """A cube of water of 240 mm that fills the picture."""
    box = water_box(60, 4.0)
    return Images(carm, box, on_table(box))


@pytest.fixture(scope="module")
def reference(water) -> np.ndarray:
    """(1, R, C) of the whole field; its total is known to about a percent."""
    return water.monte_carlo(400_000)


def test_kernels_agree_behind_a_cube_of_water(water, reference):
    kernel = water.scatter("kernel")
    assert kernel.sum() == pytest.approx(reference.sum(), rel=0.08)
    assert np.abs(kernel / reference - 1).mean() < 0.15


@pytest.mark.parametrize(("orbital_deg", "mean_error"), [(0.0, 0.12), (90.0, 0.18)])
def test_kernels_agree_behind_a_pelvis(carm, orbital_deg, mean_error):
    """From the front and from the side."""
    pelvis = make_phantom(7, 4.0)
    images = Images(carm, pelvis, supine_pose(pelvis.reference_point(), AIM), 530.0, orbital_deg)
    shadow = images.energy(BARE)[0] < 0.5 * images.energy(BARE, Dimmer(1.0)).max()
    kernel, monte_carlo = images.scatter("kernel")[0], images.monte_carlo(400_000)[0]
    assert shadow.mean() > 0.5
    assert np.abs(kernel / monte_carlo - 1)[shadow].mean() < mean_error
    assert kernel[shadow].sum() == pytest.approx(monte_carlo[shadow].sum(), rel=0.8 * mean_error)


def test_half_the_beam_gives_half_the_scatter(water):
    """Evenly dimmed the very histories stay, each worth half."""
    whole, dimmed = water.monte_carlo(20_000, collimator=Dimmer(1.0)), water.monte_carlo(20_000, collimator=Dimmer(0.5))
    assert dimmed == pytest.approx(0.5 * whole, rel=0.03)  # some 80 counts each, whole numbers
    assert dimmed.sum() == pytest.approx(0.5 * whole.sum(), rel=2e-3)


def test_both_halves_of_the_field_give_the_whole(water, reference):
    left = water.monte_carlo(collimator=Rectangle(-500, 0, -500, 500), seed=1)[0]
    right = water.monte_carlo(collimator=Rectangle(0, 500, -500, 500), seed=2)[0]
    assert (left + right).sum() == pytest.approx(reference.sum(), rel=0.04)
    assert left[:, :8].sum() > 1.25 * left[:, -8:].sum() and right[:, -8:].sum() > 1.25 * right[:, :8].sum()


@pytest.mark.parametrize("collimator", [Iris(100.0), Rectangle(-100, 100, -15, 15, rotation_deg=45)])
def test_the_shape_of_the_field_counts_not_its_bounds(water, reference, collimator):
    """As much of the open field's scatter as the kernels say, which take the field from the primary."""
    kernel = water.scatter("kernel", collimator=collimator).sum() / water.scatter("kernel").sum()
    monte_carlo = water.monte_carlo(collimator=collimator).sum() / reference.sum()
    assert monte_carlo == pytest.approx(kernel, rel=0.08)


def test_scatter_is_stronger_where_the_beam_is(water):
    """A beam that fades from left to right: each quarter of the picture gets what the kernels say."""
    quarters = lambda image: image[0].reshape(PIXELS, 4, -1).sum(axis=(0, 2))  # noqa: E731
    kernel, monte_carlo = (water.scatter(how, 300_000, collimator=Wedge()) for how in ("kernel", "monte_carlo"))
    assert quarters(kernel)[0] > 1.3 * quarters(kernel)[3]
    assert quarters(monte_carlo) == pytest.approx(quarters(kernel), rel=0.12)


def test_more_photons_change_the_noise_and_not_the_mean(water, reference):
    assert water.monte_carlo(200_000, seed=5).sum() == pytest.approx(reference.sum(), rel=0.035)


def test_samples_have_histories_of_their_own_and_repeat(water):
    batch = water.monte_carlo(5000, samples=(4, 5, 4))
    assert (batch[0] == batch[2]).all()
    assert (batch[1] == water.monte_carlo(5000, samples=(5,))[0]).all()
    other_seed = water.monte_carlo(5000, samples=(4,), seed=1)[0]
    for other in (batch[1], other_seed):
        assert (batch[0] != other).mean() > 0.9 and not np.allclose(batch[0], other, rtol=0.02)


def test_the_processor_follows_the_photons_through_the_field_of_collimator_and_heel_effect(water, carm):
    """Which is how a GPU gets to do it."""

    class Recording(CpuProcessor):
        def __init__(self):
            super().__init__()
            self.asked = []

        def transport(self, problem, photons, key):
            self.asked.append((problem.field, photons))
            return super().transport(problem, photons, key)

    processor, exposure = Recording(), Exposure(90, 0.5, Iris(100.0))
    projection = water.simulator.render(water.scene, [water.view], exposure, BARE, labels=False)[1]
    physics = replace(BARE, scatter="monte_carlo", monte_carlo_photons=1000, heel_effect=True)
    RealisticRenderer(carm, processor).expose(projection, water.scene, [water.view], exposure, physics, 3, [8])
    ((field, photons),) = processor.asked
    expected = Iris(100.0).mask(water.view) * beam_profile(water.view, replace(carm.tube, kvp=90))
    assert photons == 1000 and field.pixels == pytest.approx(expected.sum(), rel=1e-5)
    assert field.share == pytest.approx(expected / expected.max(), rel=1e-5) and 0 < np.ptp(expected[expected > 0.5])


def test_the_cuda_processor_follows_them_on_the_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(cuda_processor, "photon_transport_cuda", lambda *arguments: arguments)
    device = HostDevice(tmp_path)
    assert cuda_processor.CudaProcessor(device).transport("problem", 10, 3) == ("problem", 10, 3, device)


def sheared(patient: Patient, hu: int = -1000) -> Patient:
    """A uniform volume around the same place whose slices are shifted, as behind a tilted gantry."""
    affine = patient.affine.copy()
    affine[1, 2] = 0.35 * affine[2, 2]
    affine[:3, 3] -= affine[:3, :3] @ [0, 0.175 * patient.hu.shape[2], 0]
    return Patient("sheared", np.full(patient.hu.shape, hu, np.int16), affine)


def test_a_sheared_volume_is_straightened_not_refused(carm):
    empty = replace(water_box(60, 4.0), hu=np.full((70, 70, 70), -1000, np.int16))
    straight, tilted = (paint_ball(volume, (0, 0, 0), 100.0, 40, 1) for volume in (empty, sheared(empty)))
    images = [Images(carm, patient, on_table(patient)).monte_carlo(200_000) for patient in (straight, tilted)]
    assert images[1].sum() == pytest.approx(images[0].sum(), rel=0.05)
    back = with_right_angles(tilted)
    inside = back.hu > -500
    assert inside.sum() * np.prod(back.spacing_mm) == pytest.approx(4 / 3 * np.pi * 100.0**3, rel=0.01)
    centre = np.argwhere(inside).mean(axis=0)
    assert back.affine[:3, :3] @ centre + back.affine[:3, 3] == pytest.approx([0, 0, 0], abs=0.5)
    assert (back.labels[inside] == 1).mean() > 0.97 and with_right_angles(straight) is straight
