"""Phantoms that are built once and then read from disk (``kept_patients``)."""

from __future__ import annotations

from collections.abc import Sequence

from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.kept_patients import kept_patient
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.phantom.build import make_phantom


def cached_phantom(seed: int, spacing_mm: float = 1.5, implants: Sequence[str] = (), table: bool = False) -> Patient:
    """The phantom of ``make_phantom`` with these arguments, to the last bit, from disk where it has been built before.

    Raises:
        ValueError: as of ``make_phantom`` and ``kept_patient``.
    """
    made_of = ("phantom", int(seed), float(spacing_mm), tuple(implants), bool(table))
    return kept_patient(made_of, lambda: LoadedPatient(make_phantom(seed, spacing_mm, implants, table), ())).patient
