"""DeepDRR (Unberath et al. 2018, Gao et al. 2023) as a renderer: our scene and view in, DeepDRR's own picture out.

Optional, for cross-checks and for those who have it. DeepDRR 1.2.2 needs an NVIDIA GPU with the whole CUDA toolkit (its
kernels are compiled by nvcc when first used), EGL, and numpy below 2, while this project's pins are above; so it gets
an environment of its own::

    pip install -r requirements/deepdrr.txt

**Licence.** DeepDRR is under the GNU General Public License 3; this file only calls it, nothing of it is copied here.
Using both together is free to anyone. Whoever passes on a combination that contains DeepDRR has to do so under the
GPL-3 as a whole, source included; this project alone, without DeepDRR, stays under its own licence.

What is converted::

    density   rho = max(min(0.001029 HU, 0.0005886 HU) + 1.03, 0)      g/cm^3, DeepDRR's two lines, knee at 0 HU
    material  air up to -800 HU, soft tissue up to 350 HU, bone above   DeepDRR's thresholds
    pose      IJK -> LPS is the patient's affine, LPS -> world the scene's pose
    camera    K and [R|t] of the view as seen from the source (View.mirrored), principal point + 0.5 pixel
    picture   columns back in the order seen from the detector

Research and simulation only, not a medical device.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.lag import Lag
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.processor import Processor
from synthex_sim.xray.projection import Projection
from synthex_sim.xray.radiograph import OPEN_FIELD_COUNTS, Exposure, Radiographs
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.spectrum import Spectrum, tube_spectrum

#: DeepDRR's materials by voxel value. A voxel in no mask would count as the first.
MATERIALS: Mapping[str, int] = {"air": 0, "soft tissue": 1, "bone": 2}
#: DeepDRR's default distance of samples along a ray, world millimetres.
STEP_MM = 0.1

_HOW_TO_GET_IT = (
    "DeepDRR wants an environment of its own on a machine with an NVIDIA GPU: CUDA toolkit with nvcc, EGL, Python >= "
    "3.10, then pip install -r requirements/deepdrr.txt (numpy < 2, cuda-python < 13). It is under the GPL-3: who "
    "passes on a combination with it does so under the GPL-3. The renderer 'realistic' needs none of this"
)


def require_deepdrr() -> ModuleType:
    """The package ``deepdrr``, if it can run here.

    Raises:
        RuntimeError: something is missing; one message says what, and how to get it.
    """
    reason = _missing()
    if reason:
        raise RuntimeError(f"the renderer 'deepdrr' cannot run here: {reason}. {_HOW_TO_GET_IT}")
    return importlib.import_module("deepdrr")


def _missing() -> str:
    """What keeps DeepDRR from running, or an empty string."""
    for package in ("deepdrr", "cupy"):
        if importlib.util.find_spec(package) is None:
            return f"the Python package {package} is not installed"
    if int(np.__version__.split(".")[0]) >= 2:
        return f"DeepDRR needs numpy < 2, here is {np.__version__}"
    if shutil.which("nvcc") is None:
        return "there is no nvcc on the PATH, with which DeepDRR compiles its kernels"
    try:
        if importlib.import_module("cupy").cuda.runtime.getDeviceCount() < 1:
            return "there is no CUDA device"
        importlib.import_module("deepdrr")
    except Exception as error:  # noqa: BLE001 - a driver, a library, a version: any of it means that it cannot run
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


# -- what we have, as DeepDRR wants it -----------------------------------------------------------------------------
def density_g_cm3(hu: np.ndarray) -> np.ndarray:
    """Float32 densities of Hounsfield units, any shape: DeepDRR's two straight lines."""
    hu = np.asarray(hu, dtype=np.float32)
    return np.maximum(np.minimum(np.float32(0.001029) * hu, np.float32(0.0005886) * hu) + np.float32(1.03), 0)


def material_ids(hu: np.ndarray) -> np.ndarray:
    """uint16 values of ``MATERIALS`` for Hounsfield units, any shape: DeepDRR's thresholds."""
    hu = np.asarray(hu)
    return (hu > -800).astype(np.uint16) + (hu > 350)


def camera(view: View) -> tuple[np.ndarray, np.ndarray, bool]:
    """A view as DeepDRR's camera.

    Returns:
        intrinsic: (3, 3), both focal lengths positive, pixel centres at half-integers.
        camera3d_from_world: (4, 4) millimetres.
        mirrored: whether the columns of DeepDRR's picture have to be reversed to give the view's.
    """
    mirrored = bool(view.intrinsics[0, 0] < 0)
    return (*(view.mirrored() if mirrored else view).to_deepdrr(), mirrored)


def spectrum_array(spectrum: Spectrum) -> np.ndarray:
    """(n, 2) float64: energies in eV and photons, DeepDRR's form of a spectrum."""
    return np.column_stack([spectrum.energies_kev * 1000.0, spectrum.weights])


# -- calling it ----------------------------------------------------------------------------------------------------
def deepdrr_intensity(
    scene: Scene, views: Sequence[View], spectrum: Spectrum, step_mm: float = STEP_MM
) -> np.ndarray:
    """Mean detected energy of an emitted photon, without noise, by DeepDRR.

    Args:
        scene: a patient alone. DeepDRR has tools as meshes and takes several volumes, but a volume on top blanks those
            below it over its whole bounding box, air included; so neither is handed on.
        views: one or more, all of one shape.
        step_mm: distance of the samples along a ray.

    Returns:
        (V, R, C) float64, keV per photon, columns as in the views; with nothing in the beam the spectrum's mean energy.

    Raises:
        RuntimeError: DeepDRR cannot run here (``require_deepdrr``).
        ValueError: there is no patient, or there are tools or overlays; views of different shapes; no view.
    """
    patient = _only_patient(scene)
    _check_one_shape(views)
    deepdrr = require_deepdrr()
    geo = deepdrr.geo
    volume = deepdrr.Volume(
        density_g_cm3(patient.hu),
        (dict(MATERIALS), material_ids(patient.hu)),
        anatomical_from_IJK=geo.FrameTransform(patient.affine),
        world_from_anatomical=geo.FrameTransform(scene.patient_pose),
        anatomical_coordinate_system="LPS",
    )
    projector = deepdrr.Projector(
        volume, device=_device(deepdrr, views[0])[0], step=step_mm, spectrum=spectrum_array(spectrum), add_noise=False,
        neglog=False,
    )
    pictures = []
    with projector:
        for view in views:
            projector.device, mirrored = _device(deepdrr, view)
            picture = np.asarray(projector(), dtype=np.float64)
            pictures.append(picture[:, ::-1] if mirrored else picture)
    return np.stack(pictures)


def _only_patient(scene: Scene) -> Patient:
    if scene.patient is None:
        raise ValueError("the renderer 'deepdrr' needs a patient; an empty room has nothing that DeepDRR could project")
    extra = [name for name in ("tools", "overlays") if getattr(scene, name)]
    if extra:
        raise ValueError(
            f"the renderer 'deepdrr' takes a patient alone, this scene has {' and '.join(extra)}; leave them out or "
            "use the renderer 'realistic'"
        )
    return scene.patient


def _check_one_shape(views: Sequence[View]) -> None:
    if len({view.shape for view in views}) != 1:
        raise ValueError(f"DeepDRR takes one or more views of one shape, got {[view.shape for view in views]}")


def _device(deepdrr: ModuleType, view: View) -> tuple[Any, bool]:
    """The view as DeepDRR's device of a given camera, and whether its picture is mirrored."""
    intrinsic, camera3d_from_world, mirrored = camera(view)
    rows, columns = view.shape
    geo = deepdrr.geo
    projection = geo.CameraProjection(
        geo.CameraIntrinsicTransform(intrinsic, sensor_height=rows, sensor_width=columns),
        geo.FrameTransform(camera3d_from_world),
    )
    return deepdrr.CameraProjectionDevice(projection, pixel_size=view.pixel_spacing_mm), mirrored


class DeepDrrRenderer:
    """DeepDRR behind one tube (``renderer.Renderer``). Made where DeepDRR can run, or not at all."""

    name = "deepdrr"

    def __init__(self, carm: CArm, processor: Processor) -> None:
        """Raises RuntimeError where DeepDRR cannot run (``require_deepdrr``); its GPU is not the processor's."""
        require_deepdrr()
        self.decomposition = TissueThresholds()
        self._tube = carm.tube

    def expose(
        self, projection: Projection, scene: Scene, views: Sequence[View], exposure: Exposure, physics: Physics,
        seed: int, samples: Sequence[int], lag: Lag | None = None, interval_s: float = 1.0,
    ) -> Radiographs:
        """The images of a scene; see ``Renderer``. DeepDRR casts its own rays: the projection serves the labels only.

        Of the exposure only the tube voltage is heeded; there is no noise, scatter, blur or lag.

        Raises:
            ValueError: see ``deepdrr_intensity``.
        """
        _check_one_shape(views)
        tube = replace(self._tube, kvp=float(exposure.kvp))
        spectrum = tube_spectrum(tube, round(views[0].source_to_detector_mm, 3))
        transmission = deepdrr_intensity(scene, views, spectrum) / spectrum.mean_energy_kev
        return Radiographs(
            counts=np.clip(np.rint(transmission * OPEN_FIELD_COUNTS), 0, 65535).astype(np.uint16),
            open_field=np.full(len(views), float(OPEN_FIELD_COUNTS)),
            exposure=exposure,
            spectrum=f"{spectrum.description}, rendered by DeepDRR",
        )
