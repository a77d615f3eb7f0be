"""Tools of a scene as kernels take them: the structure of ``tube_intervals.cuh``."""

from __future__ import annotations

import numpy as np

from synthex_sim.xray.scene import Tool
from synthex_sim.xray.tube_intervals import tube_table

#: ``Piece`` of tube_intervals.cuh.
PIECE = np.dtype(
    [
        ("rotation", np.float64, 9), ("centre", np.float64, 3), ("axis", np.float64, 3), ("radius", np.float64),
        ("side", np.float64), ("y_start", np.float64), ("y_end", np.float64), ("outer", np.float64),
        ("inner", np.float64), ("tool", np.int32), ("plane", np.int32), ("density", np.float32), ("notched", np.int32),
    ],
    align=True,
)


def piece_records(
    tools: tuple[Tool, ...], plane_of_tool: list[int], sources: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of all tools and where the X-ray sources are for them.

    Args:
        plane_of_tool: which plane of the area densities each tool is added to.
        sources: (V, 3) world mm.

    Returns:
        pieces: (P,) PIECE.
        in_pieces: (V, P, 3) float64, the sources in every piece's frame, mm.
    """
    # the source at the origin: what the table then says of it is each frame's own shift
    table = tube_table(tools, np.zeros(3))
    pieces = np.zeros(len(table.tool), PIECE)
    pieces["rotation"] = table.rotation.reshape(-1, 9)
    for field, values in (
        ("centre", table.centres), ("axis", table.axes), ("radius", table.radii), ("side", table.side),
        ("y_start", table.y_start), ("y_end", table.y_end), ("outer", table.outer), ("inner", table.inner),
        ("tool", table.tool), ("notched", table.notched),
    ):
        pieces[field] = values
    pieces["plane"] = np.array(plane_of_tool)[table.tool]
    pieces["density"] = np.array([tool.material.density_g_cm3 for tool in tools])[table.tool]
    in_pieces = np.einsum("pij,vj->vpi", table.rotation, sources) + table.source
    return pieces, np.ascontiguousarray(in_pieces)
