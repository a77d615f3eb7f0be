"""The point that a procedure is aimed at: one of the landmarks of the plan."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def planned_target(plan: Mapping[str, np.ndarray], name: str) -> np.ndarray | None:
    """(3,) patient LPS millimetres of a planned landmark; None without a plan or without a name.

    Raises:
        ValueError: the plan has no landmark of that name.
    """
    if not name or not plan:
        return None
    if name not in plan:
        raise ValueError(f"target '{name}' is no planned landmark; there are {', '.join(plan)}")
    return np.asarray(plan[name], dtype=np.float64)
