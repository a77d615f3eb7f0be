"""The beam's profile over the detector: heel effect, oblique filters and the distance from the source.

Photons that leave the target towards the anode side have crossed more of it: fewer arrive, and harder ones. Devices
divide the profile away with a flat field, which is why it is off by default; what stays in a real image is the noise,
which is that of the photons that did arrive. With it on, an image is what the panel sees before that correction.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import RectBivariateSpline

from synthex_sim.carm.tube_settings import TubeSettings
from synthex_sim.carm.view import View
from synthex_sim.xray.spectrum import filtered_tube

#: SpekPy is asked at so many points along each side; the spline between them is good to 1e-4 of the profile.
_KNOTS = 9
#: Unit vector on the picture (column, row) towards the anode, by the side's name.
_TOWARDS_ANODE = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "top": (0.0, -1.0), "bottom": (0.0, 1.0)}


def beam_profile(view: View, tube: TubeSettings) -> np.ndarray:
    """Energy that arrives per detector area with nothing in the beam, relative to the central ray.

    Multiply expected energy and variance by it. Three parts: absorption in the anode, the longer way through the
    filters, and distance and tilt of the detector's surface (cos^3 of the angle to the central ray). The change of the
    spectrum's shape over the field is left out.

    Args:
        view: where the pixels are.
        tube: the tube; ``anode_side`` says which way the profile falls.

    Returns:
        (R, C) float32, read-only.

    Raises:
        ValueError: the device profile does not say where the anode is, or the field is wider than the anode angle lets
            through.
    """
    if tube.anode_side is None:
        raise ValueError("heel effect: the device profile does not say on which side the anode is (tube: anode_side)")
    k = view.intrinsics
    return _profile(tube, view.shape, view.pixel_spacing_mm, view.source_to_detector_mm, float(k[0, 2]), float(k[1, 2]))


@lru_cache(maxsize=16)
def _profile(
    tube: TubeSettings, shape: tuple[int, int], spacing_mm: float, distance_mm: float, column0: float, row0: float
) -> np.ndarray:
    # edges of the outermost pixels: a spline needs two ends, also over a single row
    rows_mm = (np.array([-0.5, shape[0] - 0.5]) - row0) * spacing_mm
    columns_mm = (np.array([-0.5, shape[1] - 0.5]) - column0) * spacing_mm
    row_knots, column_knots = np.linspace(*rows_mm, _KNOTS), np.linspace(*columns_mm, _KNOTS)
    spek = filtered_tube(tube, 2.0)
    towards = np.array(_TOWARDS_ANODE[tube.anode_side])
    reach_mm = max(np.array([x, y]) @ towards for x in columns_mm for y in rows_mm)
    if np.degrees(np.arctan(reach_mm / distance_mm)) > tube.anode_angle_deg - 0.5:
        raise ValueError(
            f"heel effect: the field reaches {reach_mm:.0f} mm towards the anode, into its shadow at "
            f"{tube.anode_angle_deg:g} deg and {distance_mm:.0f} mm"
        )
    centre = spek.get_eflu(z=distance_mm / 10.0)
    values = np.empty((_KNOTS, _KNOTS))
    for i, y in enumerate(row_knots):
        for j, x in enumerate(column_knots):
            # SpekPy's x runs from anode to cathode, y across it, both in centimetres
            along, across = -np.array([x, y]) @ towards, x * towards[1] - y * towards[0]
            fluence = spek.get_eflu(x=along / 10.0, y=across / 10.0, z=distance_mm / 10.0) / centre
            values[i, j] = fluence * distance_mm / np.sqrt(distance_mm**2 + x**2 + y**2)
    spline = RectBivariateSpline(row_knots, column_knots, values)
    field = spline((np.arange(shape[0]) - row0) * spacing_mm, (np.arange(shape[1]) - column0) * spacing_mm)
    field = field.astype(np.float32)
    field.setflags(write=False)
    return field
