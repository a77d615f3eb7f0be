"""What carm_node's parameters are, what they must not be, and what the library makes of them.

The functions take the values by name; of the running node's live values they give what holds at the moment of the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cm_kinematics.nodes.parameters import REQUIRED, Parameter
from synthex_sim.carm.carm import CArm
from synthex_sim.xray import radiograph
from synthex_sim.xray.collimation import Rectangle, field_masks
from synthex_sim.xray.heel import beam_profile
from synthex_sim.xray.physics import GAIN, SCATTER, Physics
from synthex_sim.xray.renderer import PATIENT_ALONE, RENDERERS
from synthex_sim.xray.simulator import PROJECTORS

TABLE = (
    Parameter("patient", str, "phantom:7", "phantom:SEED, path of a CT, others of docs/patients.md, or none",
              read_only=True),
    Parameter("labels", str, "", "path of a label map for the CT, or totalsegmentator", read_only=True),
    Parameter("label_scheme", str, "", "label scheme of that map: a name in label_scheme_folder or a file; empty: the "
              "project's own ids", read_only=True),
    Parameter("label_scheme_folder", str, "", "folder with the shipped label schemes", read_only=True),
    Parameter("landmarks", str, "", "path of landmarks that were marked on the CT in 3D Slicer (.mrk.json, .fcsv); "
              "others are found in the label map", read_only=True),
    Parameter("device_file", str, REQUIRED, "C-arm profile, one of config/carm/*.yaml", read_only=True),
    Parameter("cm_device_file", str, REQUIRED, "manipulator, one of config/cm/*.yaml", read_only=True),
    Parameter("renderer", str, "realistic", "X-ray physics", choices=tuple(RENDERERS), read_only=True),
    Parameter("projector", str, "cpu", "where rays are cast", choices=tuple(PROJECTORS), read_only=True),
    Parameter("image_size", int, 256, "rows of the images; the columns follow from the detector", "px",
              range=(32, 4096), read_only=True),
    Parameter("rate_hz", float, 3.0, "frames due per second", "Hz", range=(0.1, 60.0), read_only=True),
    Parameter("seed", int, 1, "seed of the noise", range=(0, 2**53), read_only=True),
    Parameter("kvp", float, 0.0, "tube voltage; 0: the device profile's", "kV", range=(0.0, radiograph.KVP_RANGE[1])),
    Parameter("mas", float, 0.0, "tube current-time product of a frame; 0: the profile's", "mA s",
              range=(0.0, radiograph.MAX_MAS)),
    Parameter("collimation_mm", list[float], [0.0, 0.0, 0.0, 0.0], "blades on the detector: left, right, top, bottom "
              "from the central ray, as seen in the picture; zeros: the whole field", "mm", length=4),
    Parameter("scatter", str, "kernel", "scattered radiation: none, by superposed kernels, or by photon transport (a "
              "minute an image)", choices=SCATTER),
    Parameter("monte_carlo_photons", int, Physics.monte_carlo_photons, "photons followed for one image with scatter by "
              "photon transport; noise falls with the root, time grows with the number", range=(1, 10**9)),
    Parameter("grid", bool, True, "the device's anti-scatter grid, if it has one"),
    Parameter("noise", bool, True, "quantum and readout noise"),
    Parameter("blur", bool, True, "the scintillator's spread of light"),
    Parameter("heel_effect", bool, False, "the anode's shadow, which devices flat-field away"),
    Parameter("lag", bool, False, "ghosts of earlier frames"),
    Parameter("gain", str, "auto", "auto: the open field has 60000 counts; fixed: the device's own", choices=GAIN),
    Parameter("manipulator", bool, True, "whether the manipulator on cm/shape is in the beam"),
    Parameter("manipulator_wait_s", float, 5.0, "no frames without the manipulator for so long after activation: it "
              "may still be starting", "s", range=(0.0, 600.0), read_only=True),
    Parameter("ground_truth", bool, True, "whether carm/ground_truth is published", read_only=True),
    Parameter("table_height_mm", float, 1000.0, "table top over the floor", "mm", range=(500.0, 1500.0),
              read_only=True),
    Parameter("reference_height_mm", float, 120.0, "patient's reference point over the table top", "mm",
              range=(0.0, 400.0), read_only=True),
    Parameter("aim_offset_mm", list[float], [0.0, 0.0, 0.0], "aim from the reference point, table frame", "mm",
              length=3, read_only=True),
    Parameter("source_to_aim_mm", float, 780.0, "from the source to the aim", "mm", range=(200.0, 1000.0),
              read_only=True),
    Parameter("script", bool, True, "tour slowly around the aim until the first command", read_only=True),
    Parameter("script_orbital_deg", list[float], [0.0], "way points of the tour, orbital joint", "deg", read_only=True),
    Parameter("script_angular_deg", list[float], [0.0], "way points of the tour, angular joint", "deg", read_only=True),
    Parameter("script_period_s", float, 60.0, "duration of one tour", "s", range=(1.0, 3600.0), read_only=True),
    Parameter("autostart", bool, False, "configure and activate at once", read_only=True),
)

_ANSWER_TIMEOUT_S = 10.0
#: Photons followed in a second where two slow cores are shared with others (a third of what they do alone).
_PHOTONS_PER_S = 1e5


def check_values(values: Mapping[str, Any]) -> None:
    """Refuses what no exposure can be made with, so that no frame has to fail for it.

    Raises:
        ValueError: there is such; the reason.
    """
    if values["kvp"]:
        radiograph.Exposure(values["kvp"], 1.0)
    blades = _collimator(values)
    if values["renderer"] in PATIENT_ALONE and (values["manipulator"] or blades is not None):
        raise ValueError(
            f"the renderer '{values['renderer']}' takes a patient alone: set manipulator to false and collimation_mm "
            "to zeros"
        )
    if blades is not None or values["heel_effect"]:
        _check_device(_device(values["device_file"]), blades, values["heel_effect"])


def exposure_from(
    values: Mapping[str, Any], carm: CArm, kvp: float = 0.0, mas: float = 0.0
) -> radiograph.Exposure:
    """The exposure to make: as asked for, else as the parameters say, else the device profile's.

    Args:
        kvp, mas: tube voltage in kV and current-time product in mA s that somebody asks for; 0: nobody does.

    Raises:
        ValueError: no generator makes it.
    """
    return radiograph.Exposure(
        kvp or values["kvp"] or carm.tube.kvp, mas or values["mas"] or carm.mas, _collimator(values)
    )


def physics_from(values: Mapping[str, Any]) -> Physics:
    """What the images show."""
    names = ("scatter", "grid", "noise", "blur", "heel_effect", "gain", "monte_carlo_photons")
    return Physics(**{name: values[name] for name in names})


def answer_timeout_s(values: Mapping[str, Any]) -> float:
    """How long a single shot may take: photon transport, with the frame before it that may be under way, is slow."""
    photons = values["monte_carlo_photons"] if values["scatter"] == "monte_carlo" else 0
    return _ANSWER_TIMEOUT_S + 2.0 * photons / _PHOTONS_PER_S


def _device(path: str) -> CArm:
    try:
        return CArm.from_yaml(path)
    except OSError as error:
        raise ValueError(f"C-arm profile {path}: {error.strerror or error}") from error


def _check_device(carm: CArm, blades: Rectangle | None, heel_effect: bool) -> None:
    view = carm.view(carm.rest)
    if blades is not None:
        field_masks(blades, [view])
    if heel_effect:
        beam_profile(view, carm.tube)


def _collimator(values: Mapping[str, Any]) -> Rectangle | None:
    blades = values["collimation_mm"]
    return Rectangle(*blades) if any(blades) else None
