"""Random numbers of photon histories.

History h of a run draws the Philox blocks counter = (block, 0, h low, h high) under the run's 64-bit key = (low, high).
What a history draws thus depends on nothing but the key and its number: not on threads, chunks or other histories. The
key of an image is drawn from its own stream, addressed by (seed, sample, purpose) as all randomness here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from synthex_sim.random_streams import Purpose, stream
from synthex_sim.xray.philox import philox_words

_U = np.uint32
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
#: Words of the state array: block, history low and high, key low and high, the four numbers drawn, the next to use.
STATE_WORDS = 10


def history_key(seed: int, sample: int) -> int:
    """The 64-bit key of the histories of one image.

    Args:
        seed: of the run.
        sample: number of the image within the run.

    Raises:
        ValueError: one of them is negative or does not fit 64 bits.
    """
    return int(stream(seed, sample, Purpose.PHOTON_TRANSPORT).integers(2**64, dtype=np.uint64))


@njit(nogil=True, cache=True, inline="always")
def start(state, key, history):
    """Makes (10,) uint32 ``state`` the beginning of a history's stream; ``key`` and ``history`` are uint64."""
    state[0] = _U(0)
    state[1] = _U(history & _LOW)
    state[2] = _U(history >> _SHIFT)
    state[3] = _U(key & _LOW)
    state[4] = _U(key >> _SHIFT)
    state[9] = _U(4)


@njit(nogil=True, cache=True)
def _refill(state):
    state[5], state[6], state[7], state[8] = philox_words(state[0], _U(0), state[1], state[2], state[3], state[4])
    state[0] = _U(state[0] + _U(1))
    state[9] = _U(0)


@njit(nogil=True, cache=True, inline="always")
def uniform(state):
    """The next number of the stream, uniform in (0, 1): never 0, so that its logarithm is finite."""
    if state[9] == _U(4):
        _refill(state)
    word = state[np.uint64(5) + np.uint64(state[9])]
    state[9] = _U(state[9] + _U(1))
    return (np.float64(word) + 0.5) * (1.0 / 4294967296.0)
