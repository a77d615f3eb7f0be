"""The ray caster has room for every tool that the manipulator's geometry lets through."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cm_kinematics.geometry import MAX_HINGES, CmGeometry, load_geometry
from cm_kinematics.solid import solid_pieces
from synthex_sim.xray import tool_cpu

SHIPPED = load_geometry(Path(__file__).resolve().parents[1] / "config" / "cm" / "notched_27.yaml")


def with_hinges(count: int) -> CmGeometry:
    return dataclasses.replace(SHIPPED, hinge_pitches_mm=(1.2,) * (count - 1), length_mm=200.0)


@pytest.mark.parametrize("hinges", [3, MAX_HINGES])
def test_a_ray_along_which_every_piece_lies_fits(hinges):
    geometry = with_hinges(hinges)
    pieces = solid_pieces(geometry, np.zeros(geometry.joint_count))
    # Any ray meets a piece in two intervals at most: the wall in front of the lumen and the wall behind it.
    assert 2 * len(pieces) <= tool_cpu._MAX_INTERVALS


def test_one_hinge_more_would_not_fit_and_is_refused():
    assert 2 * (len(solid_pieces(with_hinges(MAX_HINGES), np.zeros(MAX_HINGES))) + 1) > tool_cpu._MAX_INTERVALS
    with pytest.raises(ValueError, match=f"at most {MAX_HINGES} hinges"):
        with_hinges(MAX_HINGES + 1)
