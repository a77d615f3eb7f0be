"""Asking for consent to a collection's licences: a person at a terminal, or a script that names the collection."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from synthex_sim.patient.collections.collection import Collection
from synthex_sim.patient.collections.restrictions import sentences


def licence_lines(collection: Collection) -> list[str]:
    """The licences of a collection with what they ask for, to be read before consent."""
    lines = []
    for licence in collection.licences:
        lines.append(f"licence of {licence.of}: {licence.name}")
        lines.append(f"  text: {licence.url}")
        lines.append(f"  stated by: {licence.stated}")
        lines += [f"  - {sentence}" for sentence in sentences(licence)]
    if collection.testing_only:
        lines.append(f"for testing only, never to train on: {', '.join(collection.testing_only)}")
    lines.append("cite:")
    lines += [f"  {item}" for item in collection.citation]
    return lines


def asker(accepted: Sequence[str], say: Callable[[str], None]) -> Callable[[Collection], str]:
    """A function that gets the consent to a collection's licences and returns how.

    Args:
        accepted: names of collections whose licences were agreed to on the command line.
        say: shows the licences.

    Returns:
        raises PermissionError without consent.
    """

    def ask(collection: Collection) -> str:
        for line in licence_lines(collection):
            say(line)
        if collection.name in accepted:
            return "by --accept-licence"
        if sys.stdin is None or not sys.stdin.isatty():  # None where a script has closed it
            raise PermissionError(
                f"nobody is at the terminal to agree to the licence of {collection.name}; scripts say "
                f"--accept-licence {collection.name} after a person has read it. Nothing was downloaded"
            )
        say(f"To agree to these terms and keep to them, type {collection.name} ; anything else ends here.")
        if sys.stdin.readline().strip() != collection.name:
            raise PermissionError("not agreed; nothing was downloaded")
        return "on the terminal"

    return ask
