"""Kept phantoms: as they were built, and one for every parameter."""

import numpy as np
import pytest

from synthex_sim.patient.phantom import cache, make_phantom


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """How the phantoms of an empty cache were built; each is the same coarse one."""
    monkeypatch.setenv("SYNTHEX_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("SYNTHEX_PATIENT_CACHE_MB", raising=False)
    built, calls = make_phantom(4, 6.0), []

    def build(*arguments):
        calls.append(arguments)
        return built

    monkeypatch.setattr(cache, "make_phantom", build)
    return calls


def test_a_kept_phantom_is_the_built_one_to_the_last_bit(calls):
    first, second = cache.cached_phantom(4, 6.0), cache.cached_phantom(4, 6.0)
    assert len(calls) == 1 and second is not first
    assert second.name == first.name and second.digest() == first.digest()
    assert np.array_equal(second.hu, first.hu) and np.array_equal(second.labels, first.labels)


def test_every_parameter_asks_for_another_phantom(calls):
    asked = [(4, 6.0, (), False), (5, 6.0, (), False), (4, 5.5, (), False), (4, 6.0, ("total_hip_left",), False),
             (4, 6.0, (), True)]  # fmt: skip
    for arguments in (*asked, *asked):
        cache.cached_phantom(*arguments)
    assert calls == asked
