"""Randomness is addressed, not consumed in order."""

import numpy as np
import pytest

from synthex_sim.random_streams import Purpose, stream


def test_the_scheme_is_fixed():
    """These numbers are part of every data set's identity; if they change, all data sets change."""
    assert stream(1, 2, Purpose.VIEW).integers(0, 1000, 4).tolist() == [96, 92, 498, 414]


def test_streams_do_not_depend_on_the_order_of_calls():
    forward = [stream(9, i, Purpose.QUANTUM_NOISE).normal() for i in range(5)]
    backward = [stream(9, i, Purpose.QUANTUM_NOISE).normal() for i in reversed(range(5))]
    assert forward == backward[::-1]


@pytest.mark.parametrize("other", [(1, 2, Purpose.VIEW), (2, 1, Purpose.VIEW), (1, 1, Purpose.EXPOSURE)])
def test_seed_sample_and_purpose_each_give_another_stream(other):
    a, b = stream(1, 1, Purpose.VIEW).random(50), stream(*other).random(50)
    assert np.abs(np.corrcoef(a, b)[0, 1]) < 0.5 and (a != b).all()


def test_samples_far_apart_do_not_overlap():
    """The sample index is the upper counter word: 2^192 blocks lie between neighbours."""
    long = stream(1, 0, Purpose.VIEW).random(10000)
    assert not np.isin(stream(1, 1, Purpose.VIEW).random(100), long).any()


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed"):
        stream(-1, 0, Purpose.VIEW)
