"""``thorax:SEED`` and its options: how a user names a thorax phantom."""

from __future__ import annotations

from urllib.parse import parse_qsl

from synthex_sim.patient.ct_patient import LoadedPatient
from synthex_sim.patient.kept_patients import kept_patient
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.thorax.build import make_thorax

PREFIX = "thorax:"
_LESIONS = {"yes": True, "no": False}


def parse_thorax(source: str) -> tuple[int, bool | None]:
    """Seed, and whether there are lesions (None: as the seed has it), of ``thorax:SEED`` or ``thorax:SEED?lesions=no``.

    Raises:
        ValueError: no whole number, an unknown option or an answer other than yes and no.
    """
    seed, mark, query = source.removeprefix(PREFIX).partition("?")
    if not (seed.isascii() and seed.isdecimal()):
        raise ValueError(f"patient '{source}': a thorax is named by a whole number, for example {PREFIX}7")
    given = parse_qsl(query, keep_blank_values=True)
    if not mark:
        return int(seed), None
    if len(given) != 1 or given[0][0] != "lesions" or given[0][1] not in _LESIONS:
        raise ValueError(f"patient '{source}': the one option is lesions, yes or no, as in {PREFIX}7?lesions=no")
    return int(seed), _LESIONS[given[0][1]]


def thorax_patient(source: str, spacing_mm: float = 1.5) -> Patient:
    """The patient that a name of this kind stands for, built once.

    Raises:
        ValueError: as of ``parse_thorax``, and a seed that is too great.
    """
    seed, with_lesions = parse_thorax(source)
    made_of = ("thorax", seed, with_lesions, float(spacing_mm))
    return kept_patient(made_of, lambda: LoadedPatient(make_thorax(seed, spacing_mm, with_lesions).patient, ())).patient
