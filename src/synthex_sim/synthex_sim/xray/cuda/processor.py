"""The GPU as a processor for renderers: see ``xray/processor.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthex_sim.xray.cuda.beer_lambert import attenuate
from synthex_sim.xray.cuda.panel import CudaPanel
from synthex_sim.xray.monte_carlo.simulation import Problem, Tally
from synthex_sim.xray.monte_carlo.transport_cuda import photon_transport_cuda


class CudaProcessor:
    """cupy and the kernels of this folder.

    Attributes:
        xp: the array module.
        panel: the detector's heavy parts.
    """

    def __init__(self, device: Any) -> None:
        """Takes the ``CudaDevice`` that runs the kernels."""
        self.xp = device.xp
        self.panel = CudaPanel(device)
        self._device = device

    def attenuate(
        self, areas: Any, coefficients: np.ndarray, energies_kev: np.ndarray, weights: np.ndarray
    ) -> tuple[Any, Any]:
        """(V, R, C) signal and second moment; arguments as of ``beer_lambert.attenuate``, areas on the device."""
        return attenuate(areas, coefficients, energies_kev, weights, self._device)

    def transport(self, problem: Problem, photons: int, key: int) -> Tally:
        """Follows photons on the GPU; the tally comes back to the host."""
        return photon_transport_cuda(problem, photons, key, self._device)
