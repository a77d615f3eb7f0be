"""CmGeometry: the measures of one notched tube, from a device file.

Coordinates of the straight device (the shaft frame): y along the axis from the shaft's proximal end towards the tip,
hinges parallel to z, bending in the x-y plane. Hinge i (1..n) joins rigid segment i-1 to segment i; segment 0 is the
shaft. The slits lie half way between hinges, on the -x side at mid(0), mid(2), ... and on the +x side at mid(1),
mid(3), ...
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cm_kinematics.checks import finite, positive
from cm_kinematics.device_file import read_section

#: n hinges make n + 4 pieces (solid.py), and a ray caster has room for the pieces that one ray can meet: this many.
MAX_HINGES = 44


@dataclass(frozen=True)
class CmGeometry:
    """One manipulator. All lengths along the axis count from the shaft's proximal end, straight device.

    Attributes:
        name: of the device.
        outer_diameter_mm, inner_diameter_mm: of the tube; the lumen is open.
        length_mm: to the end of the tip ring.
        flexible_start_mm: where the solid shaft ends and the notched body begins.
        shaft_extension_mm: how far the shaft goes on behind its proximal end, towards the drive outside the patient;
            0 for a device that ends there. It moves no coordinate.
        first_hinge_mm: position of hinge 1.
        hinge_pitches_mm: hinge i to hinge i+1; one fewer than hinges, of which there are 3 to MAX_HINGES.
        slit_width_mm: of every slit, along the axis.
        tendon_offset_mm: distance of a tendon from the neutral plane x = 0.
        material: of the tube, a word for people.
        density_g_per_cm3: of that material.
        mass_fractions: (element symbol, part by mass), sum 1. A mapping is accepted and sorted by symbol.

    Raises:
        ValueError: a value is no finite number, or they describe a body that cannot be built.
    """

    name: str
    outer_diameter_mm: float
    inner_diameter_mm: float
    length_mm: float
    flexible_start_mm: float
    shaft_extension_mm: float
    first_hinge_mm: float
    hinge_pitches_mm: tuple[float, ...]
    slit_width_mm: float
    tendon_offset_mm: float
    material: str
    density_g_per_cm3: float
    mass_fractions: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        for name in ("name", "material"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a word, got {getattr(self, name)!r}")
        for name in ("outer_diameter_mm", "inner_diameter_mm", "length_mm", "flexible_start_mm", "first_hinge_mm",
                     "slit_width_mm", "tendon_offset_mm", "density_g_per_cm3"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        object.__setattr__(self, "shaft_extension_mm", finite("shaft_extension_mm", self.shaft_extension_mm))
        if self.shaft_extension_mm < 0:
            raise ValueError(f"shaft_extension_mm must not be negative, got {self.shaft_extension_mm}")
        object.__setattr__(self, "hinge_pitches_mm", _pitches(self.hinge_pitches_mm))
        object.__setattr__(self, "mass_fractions", _fractions(self.mass_fractions))
        self._check_body()

    def _check_body(self) -> None:
        if not self.inner_diameter_mm < self.outer_diameter_mm:
            raise ValueError(f"inner diameter {self.inner_diameter_mm} mm must be smaller than the outer diameter "
                             f"{self.outer_diameter_mm} mm")
        if not self.tendon_offset_mm < self.outer_diameter_mm / 2:
            raise ValueError(f"tendon offset {self.tendon_offset_mm} mm must be inside the outer radius "
                             f"{self.outer_diameter_mm / 2} mm")
        first_slit, last_slit = self.slit_centres_mm[0], self.slit_centres_mm[-1]
        half = self.slit_width_mm / 2
        if not self.flexible_start_mm < first_slit - half:
            raise ValueError(f"the flexible part starts at {self.flexible_start_mm} mm, behind the first slit's edge "
                             f"at {first_slit - half:.3f} mm; lower flexible_start_mm or raise first_hinge_mm")
        if not last_slit + half < self.length_mm:
            raise ValueError(f"the last slit ends at {last_slit + half:.3f} mm, behind the tip at {self.length_mm} mm; "
                             "raise length_mm or shorten hinge_pitches_mm")
        if not self.slit_width_mm < self.outer_diameter_mm / 2:
            raise ValueError(f"slit width {self.slit_width_mm} mm must be smaller than the outer radius")
        # Plates of one side lie between slits two apart.
        thinnest = float(np.min(self.slit_centres_mm[2:] - self.slit_centres_mm[:-2])) - self.slit_width_mm
        if not thinnest > 0:
            raise ValueError(f"slits of {self.slit_width_mm} mm leave no plate between them "
                             f"(thinnest {thinnest:.3f} mm)")

    # -- derived ----------------------------------------------------------------------------------------------------
    @property
    def outer_radius_mm(self) -> float:
        """Half the outer diameter."""
        return self.outer_diameter_mm / 2

    @property
    def inner_radius_mm(self) -> float:
        """Half the inner diameter."""
        return self.inner_diameter_mm / 2

    @property
    def joint_count(self) -> int:
        """Number of hinges n; there are n + 1 rigid segments."""
        return len(self.hinge_pitches_mm) + 1

    @property
    def hinges_mm(self) -> np.ndarray:
        """(n,) float64: position of hinge 1..n along the straight device."""
        return self.first_hinge_mm + np.concatenate([[0.0], np.cumsum(self.hinge_pitches_mm)])

    @property
    def segment_origins_mm(self) -> np.ndarray:
        """(n + 1,) float64: position of each segment's origin, straight: 0 for the shaft, hinge i for segment i."""
        return np.concatenate([[0.0], self.hinges_mm])

    @property
    def slit_centres_mm(self) -> np.ndarray:
        """(n + 1,) float64: mid(0)..mid(n), straight; even ones on the -x side, odd ones on the +x side.

        mid(i) is half way between hinges i and i+1. The first and the last lie half a pitch outside the hinges, with
        the pitch continued linearly.
        """
        pitches = np.asarray(self.hinge_pitches_mm)
        before = 2 * pitches[0] - pitches[1]
        after = 2 * pitches[-1] - pitches[-2]
        hinges = self.hinges_mm
        inner = (hinges[:-1] + hinges[1:]) / 2
        return np.concatenate([[hinges[0] - before / 2], inner, [hinges[-1] + after / 2]])

    @property
    def bend_limit_rad(self) -> float:
        """Total bend to one side at which that side's slits close.

        A slit of width w closes, seen from the neutral plane at the outer radius R, at asin(w / R); the slits of one
        side close together: ((n + 1) // 2) asin(w / R). 88 degrees for the published device.
        """
        return ((self.joint_count + 1) // 2) * math.asin(self.slit_width_mm / self.outer_radius_mm)


def load_geometry(path: str | Path) -> CmGeometry:
    """The geometry of a device file (section ``geometry`` of config/cm/*.yaml).

    Raises:
        OSError: the file cannot be read.
        ValueError: not YAML, a key missing or unknown, or a value out of its bounds; the file is named.
    """
    values = read_section(path, "geometry", CmGeometry)
    try:
        return CmGeometry(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _pitches(values: object) -> tuple[float, ...]:
    if not isinstance(values, (list, tuple, np.ndarray)) or len(values) < 2:
        raise ValueError(f"hinge_pitches_mm must be a list of at least two numbers, got {values!r}")
    if len(values) + 1 > MAX_HINGES:
        raise ValueError(f"hinge_pitches_mm has {len(values)} entries, for {len(values) + 1} hinges; "
                         f"a device has at most {MAX_HINGES} hinges")
    return tuple(positive(f"hinge_pitches_mm[{i}]", value) for i, value in enumerate(values))


def _fractions(values: object) -> tuple[tuple[str, float], ...]:
    pairs = sorted(values.items()) if isinstance(values, Mapping) else values
    try:
        fractions = tuple((str(symbol), positive(f"mass_fractions[{symbol}]", part)) for symbol, part in pairs)
    except TypeError:
        raise ValueError(f"mass_fractions must map element symbols to parts by mass, got {values!r}") from None
    total = finite("sum of mass_fractions", sum(part for _, part in fractions))
    if abs(total - 1) > 1e-6:
        raise ValueError(f"mass_fractions must sum to 1, they sum to {total:g}")
    return fractions
