"""What licences ask of whoever uses the data, in words."""

from __future__ import annotations

from collections.abc import Iterable

from synthex_sim.patient.collections.collection import Licence

#: Restriction -> (what it asks for, a word or two for lists and cards).
WORDS = {
    "attribution": ("name the source wherever you use the data", "attribution"),
    "non_commercial": (
        "no commercial use; here that is taken to hold for weights trained on the data, too", "non-commercial"),
    "share_alike": ("what you make from the data goes under the same licence", "share-alike"),
    "no_redistribution": ("do not pass the data on", "no redistribution"),
    "application": ("access must have been granted to you", "application"),
}


def short_words(licences: Iterable[Licence]) -> list[str]:
    """The restrictions of all licences together, as "non-commercial"; with a "?" where one is not known to hold."""
    found = []
    for key, (_, word) in WORDS.items():
        values = [getattr(licence, key) for licence in licences]
        if True in values:
            found.append(word)
        elif None in values:
            found.append(f"{word}?")
    return found


def sentences(licence: Licence) -> list[str]:
    """What a licence asks for, a sentence each."""
    told = []
    for key, (sentence, _) in WORDS.items():
        value = getattr(licence, key)
        if value:
            told.append(sentence)
        elif value is None:
            told.append(f"not known, act as if so: {sentence}")
    return told
