"""Counter-based random numbers: the one entrance of randomness into the simulator.

A stream is addressed by (seed, sample, purpose), never by the order of calls, so the noise of sample 17 is the same
whether it is made alone, in a batch, by eight workers or after a restart. The generator is Philox4x64-10 (Salmon et
al., SC 2011) as numpy ships it: key = (seed, purpose), upper counter word = sample.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is used for. Numbers are part of every data set's identity: append, never renumber."""

    QUANTUM_NOISE = 1
    ANATOMY = 2
    VIEW = 3
    MANIPULATOR_SHAPE = 4
    MANIPULATOR_POSE = 5
    EXPOSURE = 6
    AUGMENTATION = 7
    SPLIT = 8
    SESSION_MOTION = 9
    SCENE_CHOICE = 10
    READOUT_NOISE = 11
    PHYSICS = 12
    PHOTON_TRANSPORT = 13
    SOFT_TISSUE = 14
    IMPLANTS = 15


def stream(seed: int, sample: int, purpose: Purpose) -> np.random.Generator:
    """The generator for one use of randomness.

    Args:
        seed: the run's seed, 0 <= seed < 2**64.
        sample: index of the image, patient or frame, 0 <= sample < 2**64.
        purpose: what the numbers are for; two purposes never share a stream.

    Raises:
        ValueError: seed or sample is negative or does not fit 64 bits.
    """
    for name, value in (("seed", seed), ("sample", sample)):
        if not 0 <= int(value) < 2**64:
            raise ValueError(f"{name} must be an integer in [0, 2**64), got {value}")
    key = np.array([int(seed), int(purpose)], dtype=np.uint64)
    counter = np.array([0, 0, 0, int(sample)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
