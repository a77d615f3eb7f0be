"""Processor: where arrays live and who does arithmetic on them. A projector brings its own; renderers are given it."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Protocol

import numpy as np

from synthex_sim.xray.beer_lambert import attenuate
from synthex_sim.xray.detector import Panel
from synthex_sim.xray.detector_cpu import CpuPanel
from synthex_sim.xray.monte_carlo.simulation import Problem, Tally, photon_transport


class Processor(Protocol):
    """What renderers need of a processor.

    Attributes:
        xp: the array module, numpy or cupy.
        panel: the detector's heavy parts.
    """

    xp: ModuleType
    panel: Panel

    def attenuate(
        self, areas: Any, coefficients: np.ndarray, energies_kev: np.ndarray, weights: np.ndarray
    ) -> tuple[Any, Any]:
        """Beer-Lambert law; see ``beer_lambert.attenuate``."""

    def transport(self, problem: Problem, photons: int, key: int) -> Tally:
        """Follows photons; see ``photon_transport``."""


class CpuProcessor:
    """numpy and numba."""

    xp = np

    def __init__(self) -> None:
        self.panel = CpuPanel()

    def attenuate(
        self, areas: np.ndarray, coefficients: np.ndarray, energies_kev: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(V, R, C) signal and second moment."""
        return attenuate(areas, coefficients, energies_kev, weights)

    def transport(self, problem: Problem, photons: int, key: int) -> Tally:
        """Follows photons with as many threads as numba has."""
        return photon_transport(problem, photons, key)
