"""Tools of a scene as kernels take them: the structures of ``tube_intervals.cuh`` and ``tools.cu``."""

from __future__ import annotations

import numpy as np

from synthex_sim.xray import tool_cpu
from synthex_sim.xray.cuda.view_table import ViewTable
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
    table = tube_table([tool.pieces.transformed(tool.pose) for tool in tools], np.zeros(3))
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


def tool_boxes(views: ViewTable, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Where tools are in each view, by the rule of ``tool_cpu``, for all views at once.

    Args:
        centres: (P, 3) world mm.
        radii: (P,) mm.

    Returns:
        (V, 5) int32 ``ToolBox`` structures: row0, row1, column0, column1 around all spheres in front of the source, and
        sub-rays along each direction of a pixel; the whole detector where a sphere reaches the source's plane; zeros
        where there are none.
    """
    camera = centres @ views.world_to_camera[:, :3, :3].transpose(0, 2, 1) + views.world_to_camera[:, None, :3, 3]
    depth = camera[..., 2]
    ahead = depth > radii + 1.0
    safe = np.where(ahead, depth, np.inf)
    focal = np.stack([views.intrinsics[:, 0, 0], views.intrinsics[:, 1, 1]], axis=-1)
    offset = camera[..., :2] / safe[..., None]
    pixels = offset * focal[:, None] + views.intrinsics[:, None, :2, 2]
    # a sphere's shadow reaches at most focal * r / (z - r) from its centre's, and is stretched off the central ray
    tilt = np.hypot(1.0, np.linalg.norm(offset, axis=-1))
    reach = (radii * tilt / (safe - radii))[..., None] * np.abs(focal)[:, None] * 1.1 + 1.0
    low = np.where(ahead[..., None], np.floor(pixels - reach), np.inf).min(axis=1)
    high = np.where(ahead[..., None], np.ceil(pixels + reach) + 1.0, -np.inf).max(axis=1)
    rows, columns = views.shape
    low, high = np.clip(low, 0, [columns, rows]), np.clip(high, 0, [columns, rows])
    reaching = ~ahead & (depth > -radii)
    whole = reaching.any(axis=1, keepdims=True)
    low, high = np.where(whole, 0, low), np.where(whole, [columns, rows], high)
    nearest = np.where(ahead.any(axis=1), safe.min(axis=1), np.where(reaching, depth, 0.0).max(axis=1).clip(min=0.0))
    footprint_mm = nearest / np.abs(focal).max(axis=1)
    subrays = np.clip(np.ceil(2 * footprint_mm / tool_cpu.FINEST_DETAIL_MM), 1, tool_cpu.MAX_SUBRAYS_PER_AXIS)
    boxes = np.stack([low[:, 1], high[:, 1], low[:, 0], high[:, 0], subrays], axis=-1)
    return np.where((low < high).all(axis=1, keepdims=True), boxes, 0).astype(np.int32)
