"""Label schemes: from the ids of somebody's segmentation to the structures of ``synthex_sim.anatomy``.

A scheme is a YAML file such as ``config/labels/totalsegmentator_v1.yaml`` that maps ids to structure names. Ids alone
do not tell a scheme apart (75 is a heart chamber in one version of TotalSegmentator and a femur in the next), so it is
never guessed, except for files that already use the project's own ids 0..6.

``hemipelvis`` and ``femur`` name a bone whose side the file tells by its place alone; each such id is one side's bone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synthex_sim import anatomy
from synthex_sim.yaml_file import read_mapping

#: Bones that a scheme may name without their side: the left one's and the right one's label.
SIDELESS: Mapping[str, tuple[int, int]] = {
    "hemipelvis": (anatomy.LEFT_HEMIPELVIS, anatomy.RIGHT_HEMIPELVIS),
    "femur": (anatomy.LEFT_FEMUR, anatomy.RIGHT_FEMUR),
}
#: Labels between reading and naming of sides: one for each sideless id, above all others.
FIRST_SIDELESS = 128
_STRUCTURES = {anatomy.LABEL_NAMES[label]: label for label in anatomy.BONE_LABELS}
_PAIR = 2


@dataclass(frozen=True)
class LabelScheme:
    """What the ids of a label map mean.

    Attributes:
        labels: id in the file -> id of ``anatomy``, or of a bone without side: ``FIRST_SIDELESS`` and up.
        sideless: label of a bone without side -> its name in ``SIDELESS``.
    """

    labels: Mapping[int, int]
    sideless: Mapping[int, str] = field(default_factory=dict)


OWN_IDS = LabelScheme({label: label for label in anatomy.BONE_LABELS})


def load_scheme(path: str | Path) -> LabelScheme:
    """Reads a scheme.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not YAML, or not a mapping of integers to structure names; the message names the entry.
    """
    labels, sideless = {}, {}
    for key, name in read_mapping(path, "label scheme").items():
        if not isinstance(key, int) or isinstance(key, bool) or name not in (*_STRUCTURES, *SIDELESS):
            known = ", ".join((*_STRUCTURES, *SIDELESS))
            raise ValueError(f"label scheme {path}: '{key}: {name}' is not an id and one of {known}")
        if name in SIDELESS:
            labels[key] = FIRST_SIDELESS + len(sideless)
            sideless[labels[key]] = name
        else:
            labels[key] = _STRUCTURES[name]
    for name in SIDELESS:
        if list(sideless.values()).count(name) not in (0, _PAIR):
            raise ValueError(
                f"label scheme {path}: '{name}' stands for one of two bones; give it two ids, or name sides"
            )
    return LabelScheme(labels, sideless)


def apply_scheme(labels: np.ndarray, scheme: LabelScheme | None) -> np.ndarray:
    """Renames label ids.

    Args:
        labels: (...,) of any number type with whole values >= 0.
        scheme: what they mean; None for files that use the project's own ids.

    Returns:
        (...,) uint8 of ``anatomy`` ids (and of sideless ones, see ``label_sides``); ids that the scheme does not name
        become background.

    Raises:
        ValueError: values are not whole, no scheme is given for foreign ids, or nothing is left.
    """
    lowest, highest = labels.min(), labels.max()
    if not np.isfinite(highest) or lowest < 0 or not (labels.dtype.kind in "iub" or _whole(labels)):
        raise ValueError("the label map holds values that are not whole numbers >= 0; is it a label map?")
    if scheme is None:
        if highest > max(anatomy.BONE_LABELS):
            raise ValueError(
                f"the label map uses ids up to {highest:.0f}, which are not this project's (0..6): "
                "name its label scheme (LABEL_SCHEME=totalsegmentator_v1, or a YAML file like those in config/labels)"
            )
        scheme = OWN_IDS
    table = np.zeros(round(float(highest)) + 1, np.uint8)
    for key, label in scheme.labels.items():
        if 0 <= key < table.size:
            table[key] = label
    renamed = table[labels if labels.dtype.kind in "iub" else np.rint(labels).astype(np.int32)]
    if not renamed.any():
        raise ValueError("the label map holds none of the structures its scheme names; is it the right scheme?")
    return renamed


def _whole(labels: np.ndarray) -> bool:
    return bool(np.abs(np.rint(labels) - labels).max() <= 1e-3)
