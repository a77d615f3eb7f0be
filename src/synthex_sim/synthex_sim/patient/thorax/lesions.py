"""Seeded lesions of a viral pneumonia: ground-glass opacities and consolidations.

How they lie follows reports on COVID-19 in CT: both lungs in 79 %, peripheral in 70 %, the lower lobes most often
(Karimian and Azami, Pol J Radiol 2021: 40 studies, 4598 patients), posterior in 82 % and ground glass in 87 % of 552
patients (PMC7355135).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.texture import noise

GROUND_GLASS_HU, CONSOLIDATION_HU = (-700.0, -400.0), (-100.0, 40.0)
_BILATERAL = 0.79
#: Of the persons whose lesions were not asked for or against.
HEALTHY = 0.25


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion.

    Attributes:
        center: (3,) LPS mm.
        axes_mm: (3,) half axes, the first towards the pleura.
        rotation: (3, 3) its axes as rows.
        border_mm: width over which it fades out.
        rough: how irregular its border is, fraction of its size.
        hu: of its ground glass.
        core: 0 to 1, size of the consolidated core against the whole; 0: none.
        core_hu: of that core.
    """

    center: np.ndarray
    axes_mm: np.ndarray
    rotation: np.ndarray
    border_mm: float
    rough: float
    hu: float
    core: float
    core_hu: float


def draw_severity(rng: np.random.Generator, lesions: bool | None) -> float:
    """0 (healthy) to 1 (most of both lungs); None draws whether there are any."""
    healthy = rng.uniform() < HEALTHY
    severity = float(np.clip(rng.beta(1.5, 1.9), 0.03, 1.0))
    return 0.0 if lesions is False or (lesions is None and healthy) else severity


def draw_lesions(
    severity: float, depth_mm: np.ndarray, grid: shapes.Grid, sides: np.ndarray, rng: np.random.Generator
) -> list[Lesion]:
    """Draws where lesions lie and what they are.

    Args:
        severity: 0 to 1.
        depth_mm: (I, J, K) float32 depth under the wall of the chest.
        grid: its voxels; a coarse one suffices.
        sides: (I, J, K) int8, 1 in the left lung, -1 in the right one, 0 elsewhere.
        rng: the randomness.
    """
    if severity <= 0:
        return []
    x, y, z = np.broadcast_arrays(*grid.axes())
    inside = sides != 0
    low, high = z[inside].min(), z[inside].max()
    front, back = y[inside].min(), y[inside].max()
    weight = np.exp(-depth_mm / rng.uniform(9, 50))  # peripheral
    weight *= 1 / (1 + np.exp(((z - low) / (high - low) - 0.45) / 0.10))  # lower lobes
    weight *= 0.1 + np.clip((y - front) / (back - front), 0, 1) ** 2  # dependent parts
    main = int(rng.choice((-1, 1)))
    other = rng.uniform(0.35, 1.0) if rng.uniform() < _BILATERAL else 0.0
    share = {main: 1 / (1 + other), -main: other / (1 + other)}
    number = 1 + (other > 0) + int(rng.poisson(1.5 + 11 * severity))
    whole = rng.uniform() < 0.6 * severity + 0.15  # how far it has turned into consolidation
    lesions = []
    for n in range(number):
        side = int(rng.choice((main, -main), p=[share[main], share[-main]]))
        if n < 2 and other > 0:  # at least one on each side
            side = (main, -main)[n]
        chosen = np.where(sides == side, weight, 0).ravel().astype(np.float64)
        index = int(np.searchsorted(np.cumsum(chosen), rng.uniform() * chosen.sum()))
        center = np.array([v.ravel()[index] for v in (x, y, z)], dtype=np.float64)
        lesions.append(_lesion(center, _outward(depth_mm, index, rng), severity, whole, rng))
    return lesions


def _outward(depth_mm: np.ndarray, index: int, rng: np.random.Generator) -> np.ndarray:
    """(3,) unit vector towards the pleura at a voxel."""
    at = np.clip(np.unravel_index(index, depth_mm.shape), 1, np.array(depth_mm.shape) - 2)
    slope = np.array([
        depth_mm[tuple(at + e)] - depth_mm[tuple(at - e)] for e in np.eye(3, dtype=int)
    ])  # fmt: skip
    vector = -slope + rng.normal(0, 0.3, 3)
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _lesion(center, outward, severity, whole, rng) -> Lesion:
    size = float(np.clip(rng.lognormal(np.log(12 + 15 * severity), 0.4), 5, 48))
    side = np.cross(outward, rng.normal(0, 1, 3))
    side /= np.linalg.norm(side)
    axes = size * np.array([rng.uniform(0.55, 0.95), rng.uniform(0.9, 1.5), rng.uniform(0.9, 1.5)])
    dense = rng.uniform() < (0.75 if whole else 0.2)
    return Lesion(
        center=center,
        axes_mm=axes,
        rotation=np.stack([outward, side, np.cross(outward, side)]),
        border_mm=float(np.clip(rng.normal(0.4 * size, 2), 4, 14)),
        rough=float(rng.uniform(0.18, 0.42)),
        hu=float(rng.uniform(*GROUND_GLASS_HU)),
        core=float(rng.uniform(0.35, 0.85)) if dense else 0.0,
        core_hu=float(rng.uniform(*CONSOLIDATION_HU)),
    )


def add_lesions(
    hu: np.ndarray, lungs: np.ndarray, lesions: list[Lesion], grid: shapes.Grid, rng: np.random.Generator
) -> np.ndarray:
    """Raises the parenchyma of lungs where lesions lie.

    Args:
        hu: (I, J, K) float32 volume with lungs still without vessels and bronchi, HU; changed.
        lungs: (I, J, K) float32 signed distance of both lungs, mm.
        lesions: what to put in.
        grid: their voxels.
        rng: the shapes of the borders.

    Returns:
        (I, J, K) bool: where a lesion has at least half of its strength.
    """
    label = np.zeros(hu.shape, dtype=bool)
    for lesion in lesions:
        reach = lesion.axes_mm.max() * (1 + 2.5 * lesion.rough) + lesion.border_mm
        block, part = grid.block(lesion.center - reach, lesion.center + reach)
        size = float(lesion.axes_mm.mean())
        ragged = 0.7 * noise(rng, part, 0.45 * size) + 0.45 * noise(rng, part, max(4.0, 0.16 * size))
        u = part.coordinates(lesion.rotation, lesion.center)
        q = np.sqrt(sum((v / np.float32(a)) ** 2 for v, a in zip(u, lesion.axes_mm, strict=True)))
        q = q + np.float32(lesion.rough) * ragged
        inside = np.clip(0.5 - lungs[block] / grid.spacing_mm, 0, 1)
        strength = _smooth_step(0.5 - (q - 1) * size / lesion.border_mm) * inside
        view = hu[block]
        speckle = 1 + 0.12 * noise(rng, part, 2.5)
        glass = np.float32(lesion.hu) * speckle
        np.copyto(view, np.maximum(view, view + (glass - view) * strength))
        if lesion.core > 0:
            dense = _smooth_step(0.5 - (q - lesion.core) * size / min(lesion.border_mm, 7.0)) * inside
            np.copyto(view, np.maximum(view, view + (np.float32(lesion.core_hu) - view) * dense))
        label[block] |= (strength >= 0.5) & (lungs[block] < 0)
    return label


def _smooth_step(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
