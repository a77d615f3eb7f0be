"""What a model card says of the public collections behind the training data, and of what follows for the weights."""

from __future__ import annotations

from collections.abc import Sequence

from synthex_sim.patient.collections.provenance import Provenance


def weights_terms(provenance: Sequence[Provenance]) -> str:
    """A line for the head of the card: empty where no collection restricts what may be done with the weights."""
    restricting = [entry for entry in provenance if entry.non_commercial]
    if not restricting:
        return ""
    names = ", ".join(entry.title for entry in restricting)
    doubt = "" if any("non-commercial" in entry.restrictions for entry in restricting) else (
        ", whose licence is not known to allow more")
    return f"**Weights: non-commercial.** They were trained on images made from {names}{doubt}.\n"


def collection_lines(provenance: Sequence[Provenance]) -> list[str]:
    """An item of a Markdown list for each collection: what it is, its licences, what they ask for, what to cite."""
    return [
        f"- From the public collection *{entry.title}* ({entry.home}, version {entry.data_version}): "
        f"{', '.join(entry.licences)}; asks for {', '.join(entry.restrictions) or 'nothing'}"
        + (" (? : not known, taken as asked for)" if any("?" in word for word in entry.restrictions) else "")
        + f". Cite: {' '.join(entry.citation)}"
        for entry in provenance
    ]
