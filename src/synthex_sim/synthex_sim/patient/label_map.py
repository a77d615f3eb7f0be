"""A label map in this project's labels, from somebody's ids: renamed, sides told and checked, others by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.label_scheme import OWN_IDS, LabelScheme, apply_scheme
from synthex_sim.patient.label_sides import name_sides


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Labels as a ``Patient`` has them.

    Attributes:
        labels: (I, J, K) uint8 of ``anatomy`` ids and of those of ``structures``.
        structures: label from ``patient.FIRST_STRUCTURE`` on -> name; not all need be in this map.
    """

    labels: np.ndarray
    structures: Mapping[int, str]


def label_map(values: np.ndarray, affine: np.ndarray, scheme: LabelScheme | None = None) -> LabelMap:
    """Renames the ids of a label map, with or without a CT.

    Args:
        values: (I, J, K) of any number type with whole values >= 0.
        affine: (4, 4) voxel index -> patient LPS mm.
        scheme: what the ids mean; None for the project's own.

    Raises:
        ValueError: it is no label map, not of this scheme, or its sides are the wrong way round or cannot be told.
    """
    labels = name_sides(apply_scheme(values, scheme), affine, scheme or OWN_IDS)
    return LabelMap(labels, (scheme or OWN_IDS).structures)
