"""Philox4x32-10, the counter-based random number generator of the compiled loops (Salmon et al., SC 2011).

Four 32-bit words from a counter of four words and a key of two: what is drawn depends on the address, never on what
was drawn before. Noise of pixels (``noise.py``) and photon histories (``monte_carlo/history_random.py``) each have a
layout of their own for counter and key.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_32 = np.uint64(32)


@njit(inline="always")
def _round(c0, c1, c2, c3, k0, k1):
    """One of Philox's ten rounds."""
    product_0 = np.uint64(c0) * _MULTIPLIER_0
    product_1 = np.uint64(c2) * _MULTIPLIER_1
    return (
        np.uint32(product_1 >> _32) ^ c1 ^ k0,
        np.uint32(product_1),
        np.uint32(product_0 >> _32) ^ c3 ^ k1,
        np.uint32(product_0),
    )


@njit(inline="always")
def philox_words(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10: four uint32 from a counter of four and a key of two. Unrolled and vectorised by the compiler."""
    for _ in range(9):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0, k1 = np.uint32(k0 + _WEYL_0), np.uint32(k1 + _WEYL_1)
    return _round(c0, c1, c2, c3, k0, k1)


@njit(nogil=True, cache=True)
def philox(counter, key):
    """Philox4x32-10 of one counter.

    Args:
        counter: (4,) uint32.
        key: (2,) uint32.

    Returns:
        (4,) uint32.
    """
    words = np.empty(4, np.uint32)
    a, b, c, d = philox_words(counter[0], counter[1], counter[2], counter[3], key[0], key[1])
    words[0], words[1], words[2], words[3] = a, b, c, d
    return words
