"""Label schemes: from the ids of somebody's segmentation to the structures of ``synthex_sim.anatomy`` and others.

A scheme is a YAML file such as ``config/labels/totalsegmentator_v1.yaml`` that maps ids to structure names. Ids alone
do not tell a scheme apart (75 is a heart chamber in one version of TotalSegmentator and a femur in the next), so it is
never guessed, except for files that already use the project's own ids 0..6.

``hemipelvis`` and ``femur`` name a bone whose side the file tells by its place alone; each such id is one side's bone.
``hemipelves`` and ``femora`` name both sides' bones in one id. Any other name in lower case is a structure that is kept
by that name, besides the six that networks are trained on; several ids may share one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synthex_sim import anatomy
from synthex_sim.patient.patient import FIRST_STRUCTURE, MAX_LABEL, STRUCTURE_NAME
from synthex_sim.yaml_file import read_mapping

#: Bones that a scheme may name without their side: the left one's and the right one's label.
SIDELESS: Mapping[str, tuple[int, int]] = {
    "hemipelvis": (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS),
    "femur": (anatomy.LEFT_FEMUR, anatomy.RIGHT_FEMUR),
}
#: Names of both sides' bones in one id, and the bone of one side.
BOTH_SIDES: Mapping[str, str] = {"hemipelves": "hemipelvis", "femora": "femur"}
#: Labels between reading and naming of sides: one for each sideless id, above all others.
FIRST_SIDELESS = 128
_STRUCTURES = {anatomy.LABEL_NAMES[label]: label for label in anatomy.BONE_LABELS}
_KNOWN = (*_STRUCTURES, *SIDELESS, *BOTH_SIDES)
_PAIR = 2
#: Names so similar to a known one are misspelt rather than other structures ("lower_sacrum" is just below).
_SIMILAR = 0.85
#: No scheme has so many ids; greater numbers come from files that are no label maps.
_LARGEST_ID = 65535


@dataclass(frozen=True)
class LabelScheme:
    """What the ids of a label map mean.

    Attributes:
        labels: id in the file -> id of ``anatomy``, of ``structures``, or of bone without side: ``FIRST_SIDELESS`` and
            up.
        sideless: label of bone without side -> its name in ``SIDELESS`` or ``BOTH_SIDES``.
        structures: label from ``FIRST_STRUCTURE`` on -> name of a structure beyond the six.
    """

    labels: Mapping[int, int]
    sideless: Mapping[int, str] = field(default_factory=dict)
    structures: Mapping[int, str] = field(default_factory=dict)


OWN_IDS = LabelScheme({label: label for label in anatomy.BONE_LABELS})


def load_scheme(path: str | Path) -> LabelScheme:
    """Reads a scheme.

    Structures beyond the six get labels from ``FIRST_STRUCTURE`` on, in the order of the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not YAML, or not a mapping of integers to structure names, or names too many; the message
            names the entry.
    """
    labels: dict[int, int] = {}
    sideless: dict[int, str] = {}
    others: dict[str, int] = {}
    for key, name in read_mapping(path, "label scheme").items():
        _check_entry(key, name, f"label scheme {path}")
        if name in SIDELESS or name in BOTH_SIDES:
            labels[key] = FIRST_SIDELESS + len(sideless)
            sideless[labels[key]] = name
        elif name in _STRUCTURES:
            labels[key] = _STRUCTURES[name]
        else:
            labels[key] = others.setdefault(name, FIRST_STRUCTURE + len(others))
    _check_sideless(list(sideless.values()), labels, f"label scheme {path}")
    _check_number(list(others), f"label scheme {path}")
    return LabelScheme(labels, sideless, {label: name for name, label in others.items()})


def _check_entry(key: object, name: object, where: str) -> None:
    entry = f"{where}: '{key}: {name}'"
    if not isinstance(key, int) or isinstance(key, bool) or not isinstance(name, str):
        raise ValueError(f"{entry} is not an id and a name")
    if not 0 < key <= _LARGEST_ID:
        raise ValueError(f"{entry}: ids are 1 to {_LARGEST_ID}; 0 is what belongs to no structure")
    if name in _KNOWN:
        return
    if not re.fullmatch(STRUCTURE_NAME, name):
        raise ValueError(f"{entry}: names are of lower-case letters, digits and _, as in urinary_bladder")
    if name in anatomy.LABEL_NAMES:
        raise ValueError(f"{entry}: a patient has no {name}; leave the id out")
    similar = difflib.get_close_matches(name, _KNOWN, 1, _SIMILAR)
    if similar:
        raise ValueError(f"{entry}: is it {similar[0]}? If it is another structure, give it a more different name")


def _check_sideless(names: list[str], labels: Mapping[int, int], where: str) -> None:
    for both, one in BOTH_SIDES.items():
        if names.count(one) not in (0, _PAIR):
            raise ValueError(f"{where}: '{one}' stands for one of two bones; give it two ids, or name sides")
        if names.count(both) and (names.count(one) or set(SIDELESS[one]) & set(labels.values())):
            raise ValueError(f"{where}: '{both}' are the bones of both sides; name no side's beside it")


def _check_number(names: list[str], where: str) -> None:
    room = MAX_LABEL - FIRST_STRUCTURE + 1
    if len(names) > room:
        raise ValueError(
            f"{where} names {len(names)} structures besides the six, {room} can be told apart along a ray; leave out "
            f"{len(names) - room} of them, or give several ids one name: the last are {', '.join(names[room:])}"
        )


def apply_scheme(labels: np.ndarray, scheme: LabelScheme | None) -> np.ndarray:
    """Renames label ids.

    Args:
        labels: (...,) of any number type with whole values >= 0.
        scheme: what they mean; None for files that use the project's own ids.

    Returns:
        (...,) uint8 of the labels that the scheme gives (sideless ones, too, see ``label_sides``); ids that the scheme
        does not name become background.

    Raises:
        ValueError: values are not whole or too great, no scheme is given for foreign ids, or nothing is left.
    """
    lowest, highest = labels.min(), labels.max()
    if not np.isfinite(highest) or lowest < 0 or not (labels.dtype.kind in "iub" or _whole(labels)):
        raise ValueError("the label map holds values that are not whole numbers >= 0; is it a label map?")
    if highest > _LARGEST_ID:
        raise ValueError(f"the label map holds values up to {highest:g}, which are no ids; is it a label map?")
    if scheme is None:
        if highest > max(anatomy.BONE_LABELS):
            raise ValueError(
                f"the label map uses ids up to {highest:.0f}, which are not this project's (0..6): "
                "name its label scheme (totalsegmentator_v1 or another of config/labels, or a YAML file like those)"
            )
        scheme = OWN_IDS
    table = np.zeros(round(float(highest)) + 1, np.uint8)
    for key, label in scheme.labels.items():
        if key < table.size:
            table[key] = label
    renamed = table[labels if labels.dtype.kind in "iub" else np.rint(labels).astype(np.int32)]
    if not renamed.any():
        raise ValueError("the label map holds none of the structures its scheme names; is it the right scheme?")
    return renamed


def _whole(labels: np.ndarray) -> bool:
    return bool(np.abs(np.rint(labels) - labels).max() <= 1e-3)
