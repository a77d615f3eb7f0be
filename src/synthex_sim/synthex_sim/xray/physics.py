"""Which parts of the physics an image shows: the switches of a renderer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral

#: How scatter is estimated: not at all, by superposed kernels (live), by photon transport (reference images).
SCATTER = ("none", "kernel", "monte_carlo")
#: What the largest count stands for: the open field, or the detector's saturation.
GAIN = ("auto", "fixed")


@dataclass(frozen=True)
class Physics:
    """Switches of one image. Renderers heed those that they have a model for and ignore the others; what they did apply
    stands in ``Radiographs.physics``.

    Lag, the ghosts of earlier frames, has no switch here: it shows where a caller hands over what the panel remembers.

    Attributes:
        scatter: one of SCATTER.
        grid: the device's anti-scatter grid, if it has one.
        noise: quantum noise and readout noise.
        blur: the scintillator's spread of light (MTF).
        heel_effect: the anode's shadow; devices flat-field it away.
        gain: one of GAIN. ``auto`` scales the image so that the open field has 60000 counts; ``fixed`` is the device's.
        monte_carlo_photons: histories of a ``monte_carlo`` scatter image.

    Raises:
        ValueError: an unknown choice, a switch that is neither True nor False, or a number of photons that is none.
    """

    scatter: str = "kernel"
    grid: bool = True
    noise: bool = True
    blur: bool = True
    heel_effect: bool = False
    gain: str = "auto"
    monte_carlo_photons: int = 20_000_000

    def __post_init__(self) -> None:
        for name, value, known in (("scatter", self.scatter, SCATTER), ("gain", self.gain, GAIN)):
            if value not in known:
                raise ValueError(f"unknown {name} '{value}'; known: {', '.join(known)}")
        for switch in (field.name for field in fields(self) if field.type == "bool"):
            if not isinstance(getattr(self, switch), bool):
                raise ValueError(f"{switch} must be True or False, got {getattr(self, switch)!r}")
        photons = self.monte_carlo_photons
        if isinstance(photons, bool) or not isinstance(photons, Integral) or photons < 1:
            raise ValueError(f"a Monte Carlo image needs at least one photon, a whole number, got {photons!r}")

    @classmethod
    def ideal(cls) -> Physics:
        """Only the primary beam: no scatter, noise or blur."""
        return cls(scatter="none", grid=False, noise=False, blur=False)
