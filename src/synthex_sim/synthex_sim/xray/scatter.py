"""Scattered radiation by kernel superposition: a fast estimate from the primary image.

Every pixel's primary ray scatters some of its energy, which arrives around it on the detector:

    S(u) = k sum_u'  P(u')  A(t') K(u - u'; t', g')  exp(d (g(u) - g'))  h(T(u) - t')
    K    = sum_i w_i(t', g') G(u - u'; s_i)

P: primary energy in the pixel, t: water-equivalent thickness along its ray, g: air gap between patient and detector
there (t' and g' at u'), A: scattered per primary energy, K: how it spreads behind the gap, a sum of Gaussians of fixed
widths s_i (in the manner of Ohnesorge et al. 1999 and Sun and Star-Lack 2010). A and w come from pencil beams of single
energies in slabs of water, followed by this package's own Monte Carlo (``tools/calibrate_scatter.py``), and are added
up over the tube's spectrum here. As the widths are fixed, there is one convolution for each, and thickness and gap can
change from pixel to pixel.

Three factors say what slabs do not know. What leaves a narrow body sideways does not scatter back: k falls with the
body's width across the beam over its thickness along it. The exponential is the asymmetry of a surface that the beam
leaves at a slant: scatter leaves along its normal, towards the side where the gap is wider. And h is what is lost on
the way into thicker parts (T: thickness, smoothed): the bright rim of a body would else flood its dark middle. As h
joins pairs of pixels, the sources are shared out between levels of thickness, each of which is spread by itself. All
three are fitted to patients.

All of it is array arithmetic: the same code runs on numpy and on cupy. Figures and limits: docs/scatter.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import xraydb
from numpy.typing import ArrayLike
from scipy.fft import next_fast_len
from scipy.special import erf

from synthex_sim.carm.view import View
from synthex_sim.xray.materials import WATER, Material

_TABLES = Path(__file__).with_name("scatter_kernels.npz")
#: Edge of the detector pixels that scatter is computed on; it is smooth over several times this length.
COARSE_MM = 5.0
#: The thickness that h looks at, where scatter arrives, is the mean over such a length of the detector: what arrives in
#: a pixel has come through more than what the pixel's own ray sees, and shows no edges of it.
_AROUND_MM = 50.0
#: Distance of the levels of thickness that sources are shared out between; 4 cm gives the same, 12 cm does not.
_LEVEL_CM = 6.0
#: The exponent of the slant is held within +- this.
_MOST_SLANT = 1.0
#: Steps of the look-up table over thickness, cm, and how many.
_THICKNESS_STEP_CM, _THICKNESSES = 0.5, 121


@dataclass(frozen=True)
class PatientEffects:
    """What slabs do not tell: how a body's scatter differs from a slab's of the same thickness and gap.

    The defaults are fitted to the Monte Carlo behind phantoms (``tools/fit_scatter.py``, docs/scatter.md).

    Attributes:
        factor: k of a divergent beam and a round body.
        wide, narrow: what scatters out of a narrow body sideways does not scatter back. Where the body's width across
            the beam over its thickness along it is less than the first, k falls with this power of it.
        slant_per_mm: d, 1/mm.
        thicker_by_cm, into_thicker_per_cm: h: where the body is thicker than at the source by more than the first,
            scatter falls exponentially by the second.
    """

    factor: float = 1.014
    wide: float = 1.25
    narrow: float = 0.555
    slant_per_mm: float = 0.0055
    thicker_by_cm: float = 9.7
    into_thicker_per_cm: float = 0.152


FITTED = PatientEffects()
#: As the tables are: for slabs that fill the picture.
SLABS = PatientEffects(factor=1.0)


@dataclass(frozen=True, eq=False)
class ScatterImage:
    """Scatter on a view's pixels, numpy or cupy.

    Attributes:
        energy_kev: (V, R, C) float32, expected energy absorbed from scattered photons, in the unit of the primary.
        energy_ratio_kev: (V, R, C) float32, sum of their squared energies over the sum of their energies: the variance
            of their quantum noise is ``energy_kev * energy_ratio_kev``.
    """

    energy_kev: Any
    energy_ratio_kev: Any


def water_equivalent_factors(materials: tuple[Material, ...]) -> np.ndarray:
    """(M,) cm of water that scatter like 1 g/cm^2 of each material: electrons per gram over water's."""
    return np.array([_electrons_per_gram(m) for m in materials]) / _electrons_per_gram(WATER)


def _electrons_per_gram(material: Material) -> float:
    return sum(w * xraydb.atomic_number(e) / xraydb.atomic_mass(e) for e, w in material.mass_fractions.items())


class KernelScatter:
    """The estimate for one spectrum and one scintillator."""

    def __init__(
        self,
        energies_kev: ArrayLike,
        weights: ArrayLike,
        absorbed_fraction: ArrayLike | None = None,
        *,
        patient: PatientEffects = FITTED,
        xp: ModuleType = np,
    ) -> None:
        """Adds the tables up over a spectrum.

        Args:
            energies_kev: (e,) photon energies, ascending.
            weights: (e,) shares of photons, any scale.
            absorbed_fraction: (e,) share of the energy that the detector absorbs; None for all of it.
            patient: what tells a body from a slab; ``SLABS`` for slabs.
            xp: numpy, or cupy to work on GPU arrays.

        Raises:
            ValueError: lists of different lengths, energies not ascending, no photons, or a negative weight.
        """
        energies = np.asarray(energies_kev, dtype=np.float64)
        shares = np.asarray(weights, dtype=np.float64)
        absorbed = np.asarray(1.0 + 0 * energies if absorbed_fraction is None else absorbed_fraction, dtype=np.float64)
        if not energies.shape == shares.shape == absorbed.shape or energies.ndim != 1:
            raise ValueError("energies, weights and absorbed fractions must be three lists of one length")
        if (np.diff(energies) <= 0).any():
            raise ValueError("energies must ascend")
        if (shares < 0).any() or not shares.sum() > 0:
            raise ValueError("a spectrum needs weights that are not negative, and not all zero")
        tables = _tables()
        strength, ratio = _fold(tables, energies, shares / shares.sum(), absorbed)
        self._xp = xp
        self._patient = patient
        self._sigmas = tuple(tables["sigmas_mm"].tolist())
        self._strength = xp.asarray(strength, dtype=np.float32)  # (gap, thickness, s)
        self._gaps = xp.asarray(tables["gaps_mm"])
        self._gap_numbers = xp.arange(self._gaps.size, dtype=np.float64)
        self._ratio = xp.asarray(ratio, dtype=np.float32)

    def estimate(
        self, primary_kev: Any, water_cm: Any, view: View, air_gap_mm: ArrayLike, aspect: ArrayLike = np.inf
    ) -> ScatterImage:
        """Scatter of a batch of images.

        Args:
            primary_kev: (V, R, C) primary energy absorbed in each pixel, without noise; zero outside a collimated
                field.
            water_cm: (V, R, C) water-equivalent thickness of the tissue along each ray (``water_equivalent_factors``);
                tools are left out, they show in the primary.
            view: any of the batch's views: pixel size and detector shape, which all must share.
            air_gap_mm: how far behind the patient the detector stands: one number, (V,), or (V, r, c) over the detector
                (``BodyOutline.air_gap_mm``).
            aspect: how wide the body is across the beam over how thick it is along it, one number or (V,)
                (``BodyOutline.aspect``).

        Raises:
            ValueError: arrays that do not fit the view or each other.
        """
        xp = self._xp
        if primary_kev.ndim != 3 or primary_kev.shape != water_cm.shape or primary_kev.shape[1:] != view.shape:
            raise ValueError(
                f"primary and thickness must be (views, {view.shape[0]}, {view.shape[1]}), got {primary_kev.shape} and "
                f"{water_cm.shape}"
            )
        coarse = _pixels(view.shape, view.pixel_spacing_mm, COARSE_MM)
        primary, water = (resampled(xp, a, coarse) for a in (primary_kev, water_cm))
        water = xp.clip(water, 0.0, (_THICKNESSES - 1.001) * _THICKNESS_STEP_CM)
        gap = _gap_map(air_gap_mm, primary.shape)
        slant = xp.asarray(_slant(gap, self._patient.slant_per_mm))
        width = xp.asarray(self._width(aspect))
        sources, ratio = self._sources(width * primary / slant, water, xp.asarray(gap))
        energy = resampled(xp, self._spread(sources, water, view) * slant, view.shape)
        return ScatterImage(energy, xp.broadcast_to(ratio[:, None, None], energy.shape))

    def _width(self, aspect: ArrayLike) -> np.ndarray:
        """(V or 1, 1, 1) float32, the factor k."""
        narrowness = np.minimum(np.asarray(aspect, dtype=np.float64) / self._patient.wide, 1.0)
        return (self._patient.factor * narrowness**self._patient.narrow).astype(np.float32).reshape(-1, 1, 1)

    def _sources(self, primary: Any, water: Any, gap: Any) -> tuple[Any, Any]:
        """(V, s, r, c) energy that every pixel's ray sends into each Gaussian, and (V,) mean energy ratio."""
        xp = self._xp
        place = water * np.float32(1.0 / _THICKNESS_STEP_CM)
        low = place.astype(np.int32)
        part = (place - low)[..., None]
        between = xp.interp(gap.ravel(), self._gaps, self._gap_numbers).reshape(gap.shape)
        near = xp.minimum(between.astype(np.int32), self._gaps.size - 2)
        wider = (between - near)[..., None].astype(np.float32)
        strength = 0.0
        for step, share in ((0, 1.0 - wider), (1, wider)):
            nearer, further = self._strength[near + step, low], self._strength[near + step, low + 1]  # (V, r, c, s)
            strength = strength + share * (nearer + part * (further - nearer))
        sources = xp.moveaxis(strength * primary[..., None], -1, 1)
        amount = sources.sum(axis=1)
        ratio = (amount * self._ratio[low]).sum(axis=(1, 2)) / xp.maximum(amount.sum(axis=(1, 2)), 1e-30)
        return sources, ratio

    def _spread(self, sources: Any, water: Any, view: View) -> Any:
        """Convolves (V, s, r, c) with the Gaussians and adds them up, less what thicker parts keep: (V, r, c)."""
        xp, patient = self._xp, self._patient
        place = water * np.float32(1.0 / _LEVEL_CM)
        blocks = _pixels(view.shape, view.pixel_spacing_mm, _AROUND_MM)
        around = resampled(xp, resampled(xp, water, blocks), water.shape[1:])
        total = xp.zeros_like(water)
        for level in range(int(place.min()), int(place.max()) + 2):
            share = xp.maximum(1.0 - abs(place - level), 0.0)
            thicker_cm = xp.maximum(around - np.float32(level * _LEVEL_CM + patient.thicker_by_cm), 0.0)
            total += self._convolved(sources * share[:, None], view) * xp.exp(-patient.into_thicker_per_cm * thicker_cm)
        return total

    def _convolved(self, sources: Any, view: View) -> Any:
        """(V, s, r, c) each with its Gaussian, and summed: (V, r, c)."""
        xp = self._xp
        rows, cols = sources.shape[-2:]
        size = (next_fast_len(2 * rows - 1, real=True), next_fast_len(2 * cols - 1, real=True))
        spacing = _coarse_spacing(view.shape, view.pixel_spacing_mm)
        transfer = xp.asarray(_gaussians(size, (rows, cols), spacing, self._sigmas))
        spectrum = (xp.fft.rfft2(sources, s=size) * transfer).sum(axis=1)
        return xp.ascontiguousarray(xp.fft.irfft2(spectrum, s=size)[:, :rows, :cols])


def _fold(
    tables: dict[str, np.ndarray], energies: np.ndarray, shares: np.ndarray, absorbed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The single-energy tables summed over a spectrum.

    Returns:
        strength: (gap, thickness, s) A(t) w_i(t, g): absorbed scatter over absorbed primary energy, per Gaussian.
        ratio: (thickness,) keV, squared over single energies of the absorbed scattered photons.
    """
    known, thickness = tables["energies_kev"], tables["thicknesses_cm"]
    at = np.clip(energies, known[0], known[-1])
    amount = np.exp(_along(np.log(tables["amount"]), known, at))  # (e, t)
    ratio_shares = _along(tables["ratio_shares"], known, at)  # (e, t, k)
    after = energies[:, None] * tables["energy_ratios"]
    kept = np.interp(after, energies, absorbed)
    mu = WATER.mass_attenuation(energies) * WATER.density_g_cm3
    arriving = (shares * energies)[:, None] * np.exp(-mu[:, None] * thickness)  # (e, t)
    scattered = arriving * amount * np.einsum("etk,ek->et", ratio_shares, kept)
    squared = arriving * amount * np.einsum("etk,ek->et", ratio_shares, kept * after)
    primary = (arriving * absorbed[:, None]).sum(axis=0)
    kernels = np.einsum("et,etgs->tgs", scattered, _along(tables["weights"], known, at)) / primary[:, None, None]
    # thin layers scatter in proportion to their thickness: it is the ratio to it that is interpolated
    fine_cm = np.arange(_THICKNESSES) * _THICKNESS_STEP_CM
    per_cm = _along(kernels / thickness[:, None, None], thickness, fine_cm)
    ratio = np.interp(fine_cm, thickness, squared.sum(axis=0) / scattered.sum(axis=0))
    return np.moveaxis(per_cm, 1, 0) * fine_cm[:, None], ratio


def _gap_map(air_gap_mm: ArrayLike, shape: tuple[int, int, int]) -> np.ndarray:
    """(V, r, c) air gaps on the coarse image, from one number, one per view or a map per view."""
    gap = np.asarray(air_gap_mm, dtype=np.float64)
    if gap.ndim < 2:
        return np.broadcast_to(gap.reshape(-1, 1, 1), shape)
    if gap.ndim != 3 or gap.shape[0] not in (1, shape[0]):
        raise ValueError(f"air gaps must be one number, one per view or one map per view ({shape[0]}), got {gap.shape}")
    wide = _interpolating(shape[1], gap.shape[1]) @ gap @ _interpolating(shape[2], gap.shape[2]).T
    return np.broadcast_to(wide, shape)


def _slant(gap: np.ndarray, per_mm: float) -> np.ndarray:
    """(V, r, c) float32 exp(d (gap - its mean over the view))."""
    exponent = per_mm * (gap - gap.mean(axis=(1, 2), keepdims=True))
    return np.exp(np.clip(exponent, -_MOST_SLANT, _MOST_SLANT)).astype(np.float32)


def _along(table: np.ndarray, known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Linear interpolation of a table along its first axis, constant beyond the ends."""
    place = np.interp(wanted, known, np.arange(known.size))
    low = np.minimum(place.astype(int), known.size - 2)
    part = (place - low).reshape(-1, *(1,) * (table.ndim - 1))
    return table[low] * (1.0 - part) + table[low + 1] * part


@lru_cache(maxsize=1)
def _tables() -> dict[str, np.ndarray]:
    """Read once; float64."""
    with np.load(_TABLES) as data:
        return {name: data[name].astype(np.float64) for name in data.files}


def _pixels(shape: tuple[int, int], spacing_mm: float, wanted_mm: float) -> tuple[int, int]:
    """How many pixels of about another size cover the same detector."""
    return tuple(max(1, int(round(n * spacing_mm / wanted_mm))) for n in shape)


def _coarse_spacing(shape: tuple[int, int], spacing_mm: float) -> tuple[float, float]:
    """(along rows, along columns) mm."""
    coarse = _pixels(shape, spacing_mm, COARSE_MM)
    return shape[0] * spacing_mm / coarse[0], shape[1] * spacing_mm / coarse[1]


def resampled(xp: ModuleType, images: Any, shape: tuple[int, int]) -> Any:
    """(V, R, C) images with other pixels, float32: area means downwards, linear interpolation upwards.

    OpenCV on the CPU: as a product of matrices this would wake the linear algebra library's threads for every image,
    which costs a busy machine more than the rest of the estimate.
    """
    images = images.astype(np.float32)
    if xp is np:
        how = cv2.INTER_AREA if shape[0] < images.shape[1] else cv2.INTER_LINEAR
        return np.stack([cv2.resize(image, (shape[1], shape[0]), interpolation=how) for image in images])
    left, right = (xp.asarray(m) for m in _resampling(images.shape[1:], shape))
    return left @ images @ right


@lru_cache(maxsize=16)
def _resampling(before: tuple[int, int], after: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Matrices for the left and the right of an image that resample it."""
    rows, cols = (
        _averaging(n, m) if m < n else _interpolating(m, n) for n, m in zip(before, after, strict=True)
    )
    return rows, np.ascontiguousarray(cols.T)


def _averaging(fine: int, coarse: int) -> np.ndarray:
    """(coarse, fine) float32: mean over the fine pixels that a coarse one covers, partly covered ones in part."""
    edges = np.linspace(0.0, fine, coarse + 1)
    pixel = np.arange(fine)
    overlap = np.minimum(edges[1:, None], pixel + 1.0) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(overlap, 0.0, None) * (coarse / fine)).astype(np.float32)


def _interpolating(fine: int, coarse: int) -> np.ndarray:
    """(fine, coarse) float32: linear interpolation between coarse pixel centres, constant beyond the outermost."""
    place = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0.0, coarse - 1.0)
    return np.clip(1.0 - np.abs(place[:, None] - np.arange(coarse)), 0.0, None).astype(np.float32)


@lru_cache(maxsize=16)
def _gaussians(
    size: tuple[int, int], shape: tuple[int, int], spacing_mm: tuple[float, float], sigmas_mm: tuple[float, ...]
) -> np.ndarray:
    """(s, h, w) float32 transforms of the Gaussians, each integrated over pixels and of integral 1 over the plane.

    They are cut where no two pixels of the image are further apart, so that nothing comes round the transform's edge.
    """
    lines = [_line_transforms(n, m, d, sigmas_mm) for n, m, d in zip(size, shape, spacing_mm, strict=True)]
    return (lines[0][:, :, None] * lines[1][:, None, : size[1] // 2 + 1]).astype(np.float32)


def _line_transforms(size: int, pixels: int, spacing_mm: float, sigmas_mm: tuple[float, ...]) -> np.ndarray:
    """(s, size) Fourier transforms of Gaussians along one axis; real, as they are even."""
    edges = (np.arange(-pixels, pixels) + 0.5) * spacing_mm
    inside = np.diff(0.5 * erf(edges / (np.sqrt(2.0) * np.array(sigmas_mm)[:, None])), axis=1)
    line = np.zeros((len(sigmas_mm), size))
    line[:, np.arange(1 - pixels, pixels)] = inside
    return np.fft.fft(line, axis=1).real
