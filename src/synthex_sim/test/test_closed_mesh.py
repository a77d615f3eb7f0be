"""Closed meshes as solids, checked on a cube and an octahedron, where the answer is known."""

import numpy as np
import pytest

from synthex_sim.patient.phantom.closed_mesh import Subdivision, mesh_distance
from synthex_sim.patient.phantom.shapes import Grid

CORNERS = np.array([(x, y, z) for x in (-10, 10) for y in (-10, 10) for z in (-10, 10)], dtype=np.float64)
CUBE = np.array([(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
                 (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)])  # fmt: skip
TIPS = 10.0 * np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
OCTAHEDRON = np.array(
    [(a, b, c) if (a + b + c) % 2 == 0 else (a, c, b) for a in (0, 1) for b in (2, 3) for c in (4, 5)]
)


def cube_distance(x, y, z):
    over = np.abs(np.stack(np.broadcast_arrays(x, y, z))) - 10
    return np.linalg.norm(np.maximum(over, 0), axis=0) + np.minimum(over.max(axis=0), 0)


@pytest.mark.parametrize("turned", [False, True])
def test_distance_to_a_cube_is_exact_up_to_the_reach(turned):
    grid = Grid(np.array([-15.0, -15, -15]), 1.0, (31, 31, 31))
    field = mesh_distance(grid, CORNERS, CUBE[:, ::-1] if turned else CUBE, 4.0)
    assert np.allclose(field, np.clip(cube_distance(*grid.axes()), -4, 4), atol=1e-5)


def test_a_block_that_holds_only_the_inside_is_inside():
    grid = Grid(np.array([-2.0, -2, -2]), 1.0, (5, 5, 5))
    assert np.allclose(mesh_distance(grid, CORNERS, CUBE, 3.0), -3.0)


def test_subdivision_of_an_octahedron_is_closed_smooth_and_within_it():
    rule = Subdivision(OCTAHEDRON, 6, 3)
    points = rule(TIPS)
    assert len(rule.faces) == 8 * 4**3 and len(points) - len(rule.faces) / 2 == 2, "a closed surface without holes"
    out = np.linalg.norm(points, axis=1)
    assert out.max() < 8.0 and out.std() < 0.08 * out.mean()
    assert np.allclose(rule(TIPS + 3.0), points + 3.0), "it moves with its control points"


def test_a_mesh_with_a_gap_is_refused():
    with pytest.raises(ValueError, match="not closed"):
        Subdivision(OCTAHEDRON[1:], 6, 1)
