"""Philox4x32-10, a counter-based random number generator, for compiled loops (Salmon et al., SC 2011).

Photon history h of a run draws the blocks counter = (block, 0, h low, h high) under key = (seed low, seed high). What
a history draws thus depends on nothing but the seed and its number: not on threads, chunks or the other histories.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_U = np.uint64
_MASK = _U(0xFFFFFFFF)
_SHIFT = _U(32)
_M0, _M1 = _U(0xD2511F53), _U(0xCD9E8D57)
_W0, _W1 = _U(0x9E3779B9), _U(0xBB67AE85)
#: Words of the state array: block, history low and high, key low and high, the four numbers drawn, the next to use.
STATE_WORDS = 10


@njit(nogil=True, cache=True)
def philox(c0, c1, c2, c3, k0, k1):
    """One block: four 32-bit words (held in uint64) from a counter of four and a key of two."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _MASK, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _MASK
        k0 = (k0 + _W0) & _MASK
        k1 = (k1 + _W1) & _MASK
    return c0, c1, c2, c3


@njit(nogil=True, cache=True, inline="always")
def start(state, seed, history):
    """Makes (10,) uint64 ``state`` the beginning of a history's stream."""
    state[0] = _U(0)
    state[1] = history & _MASK
    state[2] = history >> _SHIFT
    state[3] = seed & _MASK
    state[4] = seed >> _SHIFT
    state[9] = _U(4)


@njit(nogil=True, cache=True)
def _refill(state):
    state[5], state[6], state[7], state[8] = philox(state[0], _U(0), state[1], state[2], state[3], state[4])
    state[0] += _U(1)
    state[9] = _U(0)


@njit(nogil=True, cache=True, inline="always")
def uniform(state):
    """The next number of the stream, uniform in (0, 1): never 0, so that its logarithm is finite."""
    if state[9] == _U(4):
        _refill(state)
    word = state[_U(5) + state[9]]
    state[9] += _U(1)
    return (np.float64(word) + 0.5) * (1.0 / 4294967296.0)
