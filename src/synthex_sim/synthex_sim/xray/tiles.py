"""The order in which rays are followed on the CPU: in square tiles of pixels, and along them in slabs of planes.

Rays of a tile are close together: what they need of one slab stays in the first-level cache.
"""

from __future__ import annotations

from numba import njit

#: Pixels along one side of a tile.
TILE = 16
#: Planes of a slab.
SLAB = 64


@njit(inline="always")
def tiles_of(rows, columns):
    """How many tiles cover an image."""
    return ((columns + TILE - 1) // TILE) * ((rows + TILE - 1) // TILE)


@njit(inline="always")
def part_of_image(tile, rows, columns):
    """First row, first column, rows and columns of a tile; tiles are numbered row by row."""
    across = (columns + TILE - 1) // TILE
    row0 = (tile // across) * TILE
    column0 = (tile % across) * TILE
    return row0, column0, min(TILE, rows - row0), min(TILE, columns - column0)
