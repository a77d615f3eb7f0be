"""Label schemes: from the ids of somebody's segmentation to the structures of ``synthex_sim.anatomy``.

A scheme is a YAML file such as ``config/labels/totalsegmentator_v1.yaml`` that maps ids to structure names. Ids alone
do not tell a scheme apart (75 is a heart chamber in one version of TotalSegmentator and a femur in the next), so it is
never guessed, except for files that already use the project's own ids 0..6.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from synthex_sim import anatomy
from synthex_sim.yaml_file import read_mapping

_STRUCTURES = {anatomy.LABEL_NAMES[label]: label for label in anatomy.BONE_LABELS}


def load_scheme(path: str | Path) -> dict[int, int]:
    """Reads a scheme as id in the file -> id of ``anatomy``.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not YAML, or not a mapping of integers to structure names; the message names the entry.
    """
    scheme = {}
    for key, name in read_mapping(path, "label scheme").items():
        if not isinstance(key, int) or name not in _STRUCTURES:
            raise ValueError(f"label scheme {path}: '{key}: {name}' is not an id and one of {', '.join(_STRUCTURES)}")
        scheme[key] = _STRUCTURES[name]
    return scheme


def apply_scheme(labels: np.ndarray, scheme: Mapping[int, int] | None, source: str) -> np.ndarray:
    """Renames label ids.

    Args:
        labels: (...,) of any number type with whole values >= 0.
        scheme: id in the file -> id of ``anatomy``; None for files that use the project's own ids.
        source: name of the file for messages.

    Returns:
        (...,) uint8 of ``anatomy`` ids; ids that the scheme does not name become background.

    Raises:
        ValueError: values are not whole, no scheme is given for foreign ids, or nothing is left.
    """
    whole = np.rint(labels)
    if not np.isfinite(labels).all() or np.abs(whole - labels).max() > 1e-3 or whole.min() < 0:
        raise ValueError(f"label map {source} holds values that are not whole numbers >= 0; is it a label map?")
    whole = whole.astype(np.int64)
    if scheme is None:
        if whole.max() > max(anatomy.BONE_LABELS):
            raise ValueError(
                f"label map {source} uses ids up to {whole.max()}, which are not this project's (0..6): "
                "name its label scheme (LABEL_SCHEME=totalsegmentator_v1, or a YAML file like those in config/labels)"
            )
        scheme = {label: label for label in anatomy.BONE_LABELS}
    table = np.zeros(int(whole.max()) + 1, np.uint8)
    for key, label in scheme.items():
        if 0 <= key < table.size:
            table[key] = label
    renamed = table[whole]
    if not renamed.any():
        raise ValueError(f"label map {source} holds none of the structures its scheme names; is it the right scheme?")
    return renamed
