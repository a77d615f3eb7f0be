"""The adapter to DeepDRR without a GPU: what is handed over, and what is said where it is missing.

A stand-in with the signatures of DeepDRR 1.2.2 takes what the adapter hands over; the golden matrices are DeepDRR's own
(see test_deepdrr_geometry.py).
"""

import json
import types
from pathlib import Path

import numpy as np
import pytest
from sim_worlds import AIM, on_table, water_box

from synthex_sim.carm.view import View
from synthex_sim.xray import deepdrr
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.processor import CpuProcessor
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.spectrum import Spectrum

GOLDEN = json.loads((Path(__file__).parent / "data" / "deepdrr_geometry.json").read_text())
SPECTRUM = Spectrum(np.array([40.0, 60.0]), np.array([0.25, 0.75]), 1.0, 1000.0, "two lines")


@pytest.mark.parametrize(("hu", "density", "name"), [
    (-1000, 0.001, "air"), (-800, 0.2068, "air"), (-799, 0.2078, "soft tissue"), (0, 1.03, "soft tissue"),
    (350, 1.23601, "soft tissue"), (351, 1.2366, "bone"), (1000, 1.6186, "bone"), (3000, 2.7958, "bone"),
    (-2000, 0.0, "air"),
])
def test_hounsfield_units_become_deepdrrs_densities_and_materials(hu, density, name):
    volume = np.full((2, 3, 4), hu, np.int16)
    assert deepdrr.density_g_cm3(volume) == pytest.approx(density, abs=6e-5)
    assert (deepdrr.material_ids(volume) == deepdrr.MATERIALS[name]).all()


@pytest.mark.parametrize("name", [n for n in GOLDEN if n.startswith("MobileCArm")])
def test_the_camera_handed_over_is_deepdrrs_own(name):
    """Our view of the same exposure, as seen from the detector, gives DeepDRR's P."""
    entry = GOLDEN[name]
    k = np.array([[5257.732, 0, 767.5], [0, 5257.732, 767.5], [0, 0, 1]])
    ours = View(k, entry["camera3d_from_world"], (1536, 1536), 0.194).mirrored()
    intrinsic, camera3d_from_world, mirrored = deepdrr.camera(ours)
    assert mirrored and ours.intrinsics[0, 0] < 0
    assert intrinsic @ camera3d_from_world[:3] == pytest.approx(np.array(entry["P"]), rel=1e-6, abs=0.05)


# -- the call, with a stand-in -------------------------------------------------------------------------------------
class Stand:
    """Keeps what it is called with; a picture is its own column numbers."""

    def __init__(self):
        made = self.made = types.SimpleNamespace(volumes=[], projectors=[], projected=[])

        class Transform:
            def __init__(self, data, **sizes):
                self.data, self.sizes = np.asarray(data), sizes

        class Projection:
            def __init__(self, intrinsic, extrinsic):
                self.intrinsic, self.extrinsic = intrinsic, extrinsic

        class Device:
            def __init__(self, projection, pixel_size):
                self.projection, self.pixel_size = projection, pixel_size

        class Volume:
            def __init__(self, data, materials, **frames):
                self.data, self.materials, self.system = data, materials, frames["anatomical_coordinate_system"]
                self.ijk_to_world = frames["world_from_anatomical"].data @ frames["anatomical_from_IJK"].data
                made.volumes.append(self)

        class Projector:
            def __init__(self, volume, device, **settings):
                self.device, self.settings = device, settings
                made.projectors.append(self)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                return None

            def __call__(self):
                made.projected.append(self.device)
                sizes = self.device.projection.intrinsic.sizes
                return np.tile(np.arange(sizes["sensor_width"], dtype=np.float32), (sizes["sensor_height"], 1))

        self.geo = types.SimpleNamespace(FrameTransform=Transform, CameraIntrinsicTransform=Transform,
                                         CameraProjection=Projection)
        self.Volume, self.Projector, self.CameraProjectionDevice = Volume, Projector, Device


@pytest.fixture
def stand(monkeypatch):
    stand = Stand()
    monkeypatch.setattr(deepdrr, "require_deepdrr", lambda: stand)
    return stand


def test_a_scene_is_handed_over_and_the_picture_comes_back_as_seen_from_the_detector(carm, stand):
    patient = water_box()
    scene = Scene(patient, on_table(patient))
    views = [carm.view(carm.aim(AIM, 700.0, o, 0.0)).resized((8, 8)) for o in (0.0, 30.0)]
    images = deepdrr.deepdrr_intensity(scene, views, SPECTRUM)
    assert images.shape == (2, 8, 8) and (images[0, 0] == np.arange(8)[::-1]).all()
    volume, projector = stand.made.volumes[0], stand.made.projectors[0]
    middle = volume.ijk_to_world @ [*(np.array(patient.hu.shape) - 1) / 2, 1]
    assert middle[:3] == pytest.approx(AIM) and volume.system == "LPS" and volume.data.dtype == np.float32
    assert volume.materials[0] == {"air": 0, "soft tissue": 1, "bone": 2}
    assert projector.settings["neglog"] is False and projector.settings["add_noise"] is False
    assert projector.settings["spectrum"].tolist() == [[40000.0, 0.25], [60000.0, 0.75]]
    for view, device in zip(views, stand.made.projected, strict=True):
        q = device.projection.intrinsic.data @ (device.projection.extrinsic.data @ [*AIM + [9, 5, 0], 1])[:3]
        column, row = q[:2] / q[2] - 0.5
        assert [7 - column, row] == pytest.approx(view.project(AIM + [9, 5, 0])[0])
        assert device.pixel_size == view.pixel_spacing_mm


def test_transmission_is_relative_to_an_empty_beam(carm, stand):
    patient = water_box()
    view = carm.view(carm.aim(AIM, 700.0, 0.0, 0.0)).resized((8, 8))
    renderer = deepdrr.DeepDrrRenderer(carm, CpuProcessor())
    image = renderer.expose(None, Scene(patient, on_table(patient)), [view], Exposure(70.0, 1.0), Physics(), 1, [0])[0]
    energies, weights = stand.made.projectors[0].settings["spectrum"].T
    assert energies.max() <= 70000
    assert image.counts[0, 0] == pytest.approx(60000 * 7 / (energies @ weights / 1000), abs=1)
    assert image.transmission[0, 0] == pytest.approx(image.counts[0, 0] / 60000) and "DeepDRR" in image.spectrum


@pytest.mark.parametrize(("change", "reason"), [
    ({"patient": None}, "needs a patient"),
    ({"tools": ("a tool",)}, "this scene has tools; leave them out or use the renderer 'realistic'"),
    ({"overlays": ("a femur",)}, "has overlays"),
])
def test_what_deepdrr_is_not_given_is_refused(carm, stand, change, reason):
    patient = water_box()
    view = carm.view(carm.aim(AIM, 700.0, 0.0, 0.0))
    with pytest.raises(ValueError, match=reason):
        deepdrr.deepdrr_intensity(Scene(**{"patient": patient} | change), [view], SPECTRUM)


def test_views_must_be_there_and_of_one_shape(carm, stand):
    view = carm.view(carm.aim(AIM, 700.0, 0.0, 0.0))
    for views in ([], [view, view.resized((256, 256))]):
        with pytest.raises(ValueError, match="one or more views of one shape"):
            deepdrr.deepdrr_intensity(Scene(water_box()), views, SPECTRUM)


# -- where it is missing -------------------------------------------------------------------------------------------
def test_without_deepdrr_one_message_says_what_is_missing_and_how_to_get_it(carm, monkeypatch):
    monkeypatch.setattr(deepdrr.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError) as error:
        deepdrr.DeepDrrRenderer(carm, CpuProcessor())
    for part in ("the Python package deepdrr is not installed", "requirements/deepdrr.txt", "NVIDIA GPU", "numpy < 2",
                 "GPL-3"):
        assert part in str(error.value)


def test_each_missing_part_is_named(monkeypatch):
    def cupy_with(devices):
        return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=devices)))

    def no_driver():
        raise RuntimeError("cudaErrorInsufficientDriver")

    monkeypatch.setattr(deepdrr.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(deepdrr.np, "__version__", "2.4.6")
    with pytest.raises(RuntimeError, match="needs numpy < 2, here is 2.4.6"):
        deepdrr.require_deepdrr()
    monkeypatch.setattr(deepdrr.np, "__version__", "1.26.4")
    monkeypatch.setattr(deepdrr.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="no nvcc on the PATH"):
        deepdrr.require_deepdrr()
    monkeypatch.setattr(deepdrr.shutil, "which", lambda name: "/usr/bin/nvcc")
    for devices, reason in ((lambda: 0, "there is no CUDA device"), (no_driver, "cudaErrorInsufficientDriver")):
        monkeypatch.setattr(deepdrr.importlib, "import_module", lambda name, d=devices: cupy_with(d))
        with pytest.raises(RuntimeError, match=reason):
            deepdrr.require_deepdrr()
