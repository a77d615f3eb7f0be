"""The name of a phantom taken apart: ``phantom:7``, ``phantom:7?implant=total_hip_left&table=yes``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from synthex_sim.patient.phantom.implants import check_implants

PHANTOM = "phantom:"
_HOW = "phantom:7 or phantom:7?implant=total_hip_left&table=yes"


@dataclass(frozen=True)
class PhantomName:
    """Which phantom is meant.

    Attributes:
        seed: the person.
        implants: names of implants, in the order given.
        table: whether it lies on a table.
    """

    seed: int
    implants: tuple[str, ...] = ()
    table: bool = False


def parse_phantom(source: str) -> PhantomName:
    """Takes the name of a phantom apart.

    Raises:
        ValueError: the seed is no whole number below 2**64, an option is not known, or an implant does not exist.
    """
    seed, mark, query = source.removeprefix(PHANTOM).partition("?")
    if not (seed.isascii() and seed.isdecimal()) or int(seed) >= 2**64:
        raise ValueError(f"patient '{source}': a phantom is named by a whole number, for example phantom:7")
    options = parse_qsl(query, keep_blank_values=True)
    if mark and (not options or any(name not in ("implant", "table") for name, _ in options)):
        raise ValueError(f"patient '{source}': a phantom takes implant and table, as in {_HOW}")
    implants = tuple(value for name, value in options if name == "implant")
    tables = [value for name, value in options if name == "table"]
    if tables not in ([], ["yes"], ["no"]):
        raise ValueError(f"patient '{source}': table is yes or no, as in {_HOW}")
    try:
        check_implants(implants)
    except ValueError as error:
        raise ValueError(f"patient '{source}': {error}") from None
    return PhantomName(int(seed), implants, tables == ["yes"])
