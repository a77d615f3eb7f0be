"""Noise of single pixels, addressed by counters: the value of a pixel depends on (seed, sample, purpose, pixel) only.

The generator is Philox4x32-10 (Salmon et al., SC 2011). Key = seed; counter = (index, purpose and draw, sample), so two
purposes, two samples or two draws never share a number. One counter gives four 32-bit words. Pixels are taken in groups
of 1024, in row-major order of their image: counter ``256 g + l`` gives pixels ``1024 g + 256 j + l``, j = 0..3. That
order lets 256 threads of a GPU, or the lanes of a vector unit, write side by side; ``cuda/noise.cu`` draws the same
numbers.

Quantum noise: a pixel that expects the energy e with the variance v (Poisson quanta of different energies) is given
k e / n, where k is a Poisson count of mean n = e^2 / v. k is the inverse of the Poisson distribution at the pixel's
uniform number: summed up term by term below ``FEW_QUANTA``, above it from the Cornish-Fisher expansion, with the
lattice taken into account (Giles, ACM TOMS 42, 2016, gives the same expansion), rounded down::

    k = floor(n + sqrt(n) w + (2 + w^2)/6 - (2 w + w^3)/(72 sqrt(n)) + (3 w^4 + 7 w^2 - 16)/(810 n)),   w normal
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit, prange

from synthex_sim.random_streams import Purpose
from synthex_sim.xray.philox import philox_words

#: Below this many expected quanta the Poisson distribution is summed up exactly.
FEW_QUANTA = 10.0
#: Pixels of one group, and counters behind them.
GROUP = 1024
LANES = 256

#: No reassociation: a pixel's value must not depend on where a vector loop ends.
_MATH = {"contract"}
_F = np.float32


@njit(inline="always")
def _fill_words(words, group, tag, sample, key):
    """The 1024 words of one group of pixels; ``sample`` and ``key`` are (low, high) uint32."""
    first = np.uint32(group * LANES)
    for lane in range(LANES):
        a, b, c, d = philox_words(np.uint32(first + np.uint32(lane)), tag, sample[0], sample[1], key[0], key[1])
        words[lane], words[LANES + lane], words[2 * LANES + lane], words[3 * LANES + lane] = a, b, c, d


@njit(inline="always")
def _fill_normals(words, normals, group, tag, sample, key):
    """The words of one group of pixels, and unit normals from them: the inverse normal distribution at
    (word + 1/2) / 2^32.

    With t = sqrt(-2 ln p) of the tail p <= 1/2 the quantile is a smooth function of t; the rational fit is good to
    4e-8 over p >= 1e-10.
    """
    _fill_words(words, group, tag, sample, key)
    bits = normals.view(np.int32)  # ``normals`` holds the logarithm's argument on the way
    for i in range(GROUP):
        tail = min(words[i], np.uint32(~words[i]))
        normals[i] = _F(np.int32(tail)) + _F(0.5)
    for i in range(GROUP):
        # normals[i] = 2^exponent * m with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1))
        exponent = (bits[i] - np.int32(0x3F3504F3)) >> np.int32(23)
        bits[i] = np.int32(bits[i] - np.int32(exponent << np.int32(23)))
        s = (normals[i] - _F(1.0)) / (normals[i] + _F(1.0))
        s2 = s * s
        series = _F(1.0) + s2 * (_F(1 / 3) + s2 * (_F(1 / 5) + s2 * (_F(1 / 7) + s2 * _F(1 / 9))))
        log_tail = _F(np.int32(exponent - 32)) * _F(0.6931471805599453) + _F(2.0) * s * series
        t = np.sqrt(_F(-2.0) * log_tail)
        top = _F(-3.201481487787324) + t * (
            _F(-7.750316724720842)
            + t * (_F(3.35641837113361) + t * (_F(4.117213063382188) + t * _F(0.49616283254526106)))
        )
        bottom = _F(1.0) + t * (
            _F(5.397871927945948) + t * (_F(4.139054975623375) + t * _F(0.49586325775185736))
        )
        upper = words[i] >= np.uint32(0x80000000)
        normals[i] = top / bottom if upper else -(top / bottom)


@njit(nogil=True, cache=True)
def _few_quanta(mean, word):
    """The Poisson count of a small mean (float64) at the uniform number of a word, summed up term by term."""
    uniform = (np.float64(word) + 0.5) / 4294967296.0
    term = np.exp(-mean)
    below = term
    count = 0
    while uniform > below and count < 200:
        count += 1
        term *= mean / count
        below += term
    return count


@njit(nogil=True, cache=True)
def _draw_special(energy, variance, words, drawn, count):
    """The pixels of one group that the expansion does not fit: few quanta, none, and those without variance."""
    for i in range(count):
        e, v = energy[i], variance[i]
        if v <= _F(0.0) or not e * (e / v) < _F(1e30):
            drawn[i] = e
        elif e * (e / v) < _F(FEW_QUANTA):  # the same rounding as in _draw_energy, so that both agree whose pixel it is
            quanta = _few_quanta(np.float64(e) * np.float64(e) / np.float64(v), words[i])
            drawn[i] = quanta * (np.float64(v) / np.float64(e)) if quanta > 0 else 0.0


@njit(parallel=True, nogil=True, cache=True, fastmath=_MATH)
def _draw_energy(energy, variance, samples, tag, key, drawn):
    """energy, variance, drawn: (V, P) float32; samples: (V, 2) uint32. Returns how many groups hold bad numbers."""
    views, pixels = energy.shape
    groups = (pixels + GROUP - 1) // GROUP
    few, largest = _F(FEW_QUANTA), _F(3e38)
    bad_groups = 0
    for task in prange(views * groups):
        view, group = task // groups, task % groups
        words = np.empty(GROUP, np.uint32)
        normals = np.empty(GROUP, np.float32)
        _fill_normals(words, normals, group, tag, samples[view], key)
        start = group * GROUP
        count = min(GROUP, pixels - start)
        e = energy[view, start : start + count]
        v = variance[view, start : start + count]
        out = drawn[view, start : start + count]
        special, bad = 0, 0
        for i in range(count):
            bad |= not (e[i] >= _F(0.0) and v[i] >= _F(0.0) and e[i] < largest and v[i] < largest)
            # a pixel without quanta has no n; the second loop gives it nothing
            n = max(e[i], _F(1e-30)) * (e[i] / max(v[i], _F(1e-30)))
            special |= not few <= n < _F(1e30)
            inverse_root = _F(1.0) / np.sqrt(n)
            w = normals[i]
            w2 = w * w
            shift = (_F(2.0) + w2) * (_F(1 / 6) - w * inverse_root * _F(1 / 72))
            shift += (w2 * (_F(3.0) * w2 + _F(7.0)) - _F(16.0)) * _F(1 / 810) * inverse_root * inverse_root
            count_of_quanta = max(n + (n * inverse_root * w + shift), _F(0.0))
            # conversion to integer rounds down and is vectorised; beyond 2^24 float32 has no fractions anyway
            whole = _F(np.int32(count_of_quanta)) if count_of_quanta < _F(1e9) else count_of_quanta
            out[i] = whole * (e[i] / n)
        if special:
            _draw_special(e, v, words, out, count)
        bad_groups += bad
    return bad_groups


@njit(parallel=True, nogil=True, cache=True, fastmath=_MATH)
def _draw_normals(samples, tag, key, drawn):
    """drawn: (V, P) float32; samples: (V, 2) uint32."""
    views, pixels = drawn.shape
    groups = (pixels + GROUP - 1) // GROUP
    for task in prange(views * groups):
        view, group = task // groups, task % groups
        words = np.empty(GROUP, np.uint32)
        normals = np.empty(GROUP, np.float32)
        _fill_normals(words, normals, group, tag, samples[view], key)
        start = group * GROUP
        for i in range(min(GROUP, pixels - start)):
            drawn[view, start + i] = normals[i]


def absorbed_energy(
    energy_kev: np.ndarray,
    variance_kev2: np.ndarray,
    seed: int,
    samples: Sequence[int],
    purpose: Purpose = Purpose.QUANTUM_NOISE,
    draw: int = 0,
) -> np.ndarray:
    """The energy that one exposure really leaves in each pixel.

    Args:
        energy_kev: (V, R, C) expected absorbed energy, keV; used as float32.
        variance_kev2: (V, R, C) its variance, keV^2; 0 gives the expected energy back.
        seed: of the run, 0 <= seed < 2**64.
        samples: (V,) number of each image within the run.
        purpose, draw: which of the independent sets of numbers is used.

    Returns:
        (V, R, C) float32, keV.

    Raises:
        ValueError: shapes that do not fit, negative or not finite energy or variance, seed or sample out of range.
    """
    energy = np.ascontiguousarray(energy_kev, dtype=np.float32)
    variance = np.ascontiguousarray(variance_kev2, dtype=np.float32)
    refuse_other_shapes(energy, variance)
    drawn = np.empty_like(energy)
    address = noise_address(seed, samples, energy.shape[0], purpose, draw)
    flat = (energy.shape[0], -1)
    if energy.size:
        refuse_bad_numbers(_draw_energy(energy.reshape(flat), variance.reshape(flat), *address, drawn.reshape(flat)))
    return drawn


def unit_normals(
    shape: tuple[int, int, int], seed: int, samples: Sequence[int], purpose: Purpose, draw: int = 0
) -> np.ndarray:
    """Normally distributed numbers of mean 0 and variance 1, one for each pixel.

    Args:
        shape: (V, R, C).
        seed, samples, purpose, draw: as in ``absorbed_energy``.

    Returns:
        (V, R, C) float32.
    """
    drawn = np.empty(shape, np.float32)
    if drawn.size:
        _draw_normals(*noise_address(seed, samples, shape[0], purpose, draw), drawn.reshape(shape[0], -1))
    return drawn


def refuse_other_shapes(energy: Any, variance: Any) -> None:
    """Raises ValueError unless both are (V, R, C)."""
    if energy.ndim != 3 or variance.shape != energy.shape:
        raise ValueError(f"energy and variance must both be (V, R, C), got {energy.shape} and {variance.shape}")


def refuse_bad_numbers(found: int) -> None:
    """Raises ValueError where a kernel has found energies or variances that are negative or not finite."""
    if found:
        raise ValueError("expected energy and variance must be finite and not negative everywhere")


def noise_address(
    seed: int, samples: Sequence[int], views: int, purpose: Purpose, draw: int
) -> tuple[np.ndarray, np.uint32, np.ndarray]:
    """What the kernels need to know: (V, 2) uint32 samples, the tag of purpose and draw, (2,) uint32 key.

    Raises:
        ValueError: there is not one sample for each view, or a number does not fit.
    """
    numbers = [int(sample) for sample in samples]
    if len(numbers) != views:
        raise ValueError(f"{views} images need as many sample numbers, got {len(numbers)}")
    for name, value in (("seed", int(seed)), *(("sample", number) for number in numbers)):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} must be an integer in [0, 2**64), got {value}")
    if not 0 <= int(draw) < 2**16:
        raise ValueError(f"draw must lie in 0..65535, got {draw}")
    halves = np.array([(number & 0xFFFFFFFF, number >> 32) for number in numbers], np.uint32).reshape(views, 2)
    tag = np.uint32((int(purpose) << 16) | int(draw))
    return halves, tag, np.array([int(seed) & 0xFFFFFFFF, int(seed) >> 32], np.uint32)
