"""Tools in the beam, with the tissue they displace, on the CPU.

Along every ray the intervals of a tool's pieces are united, so slivers where neighbouring pieces overlap count once. Of
two tools in the same place the later one of the scene is there. A pixel is split into sub-rays fine enough for the
slits; area densities are averaged over them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from synthex_sim.carm.view import View
from synthex_sim.xray.pixel_ray import direction_through, point_at, squared_length
from synthex_sim.xray.scene import Tool
from synthex_sim.xray.tissue_cpu import Tissue, visible
from synthex_sim.xray.tool_boxes import tool_boxes
from synthex_sim.xray.tube_intervals import length_of, near_pieces, piece_intervals, tube_table, unite

_MAX_INTERVALS = 96
#: Tissue inside a tool is sampled at least this finely, mm: under a voxel of a usual CT.
DISPLACED_STEP_MM = 1.0


@njit(inline="always")
def _set_ray(pixel_to_world, u, v, d):
    """Sets d to the unit direction of the ray through a pixel position; returns mm of ray for one mm of camera z."""
    d[0], d[1], d[2] = direction_through(pixel_to_world, u, v)
    norm = math.sqrt(squared_length(d))
    for axis in range(3):
        d[axis] /= norm
    return norm


@njit(nogil=True, cache=True)
def _collect(table, near, candidates, d, limit, starts, stops, lengths):
    """Intervals of all tools along one sub-ray; returns how many united ones, and whether a notched piece is met.

    lengths: (T,) filled with the mm of ray inside each tool that no later tool takes.
    """
    taken = 0
    notched = False
    before = 0.0
    candidate = candidates - 1
    while candidate >= 0:
        tool = table.tool[near[candidate]]
        count = taken
        while candidate >= 0 and table.tool[near[candidate]] == tool:
            if count + 2 > _MAX_INTERVALS:
                # fuller than any tool: ends are lost
                count = min(unite(starts, stops, taken, count), _MAX_INTERVALS - 2)
            met = piece_intervals(table, near[candidate], d, limit, starts, stops, count)
            if met > count and table.notched[near[candidate]]:
                notched = True
            count = met
            candidate -= 1
        if count > taken:
            # what this tool adds to the union is what no later one holds
            taken = unite(starts, stops, 0, count)
            union = length_of(starts, stops, 0, taken)
            lengths[tool] = union - before
            before = union
    return taken, notched


@njit(parallel=True, nogil=True, cache=True)
def _cast(
    table, codes, index_from_world, steps, bits, source, pixel_to_world, box, subrays, reach_mm, lengths_cm, coverage,
    displaced,
):
    """Fills (T, R, C) lengths, (R, C) coverage and (M, R, C) displaced area densities within a box of pixels."""
    row0, row1, column0, column1 = box
    share = 1.0 / (subrays * subrays)
    tools, materials = lengths_cm.shape[0], displaced.shape[0]
    # how far apart the rays of neighbouring pixels are at unit distance, at most
    pitch = max(np.linalg.norm(pixel_to_world[:, 0]), np.linalg.norm(pixel_to_world[:, 1]))
    for row in prange(row0, row1):
        starts, stops = np.empty(_MAX_INTERVALS + 2), np.empty(_MAX_INTERVALS + 2)
        d = np.empty(3)
        densities, alone = np.empty(4), np.empty(4)
        lengths = np.empty(tools)
        near = np.empty(table.tool.shape[0], np.int64)
        for column in range(column0, column1):
            _set_ray(pixel_to_world, column, row, d)
            candidates = near_pieces(table, source, d, pitch, near)
            if candidates == 0:
                continue
            for sub in range(subrays * subrays):
                v = row - 0.5 + (sub // subrays + 0.5) / subrays
                u = column - 0.5 + (sub % subrays + 0.5) / subrays
                limit = reach_mm * _set_ray(pixel_to_world, u, v, d)
                lengths[:] = 0.0
                count, notched = _collect(table, near, candidates, d, limit, starts, stops, lengths)
                if notched:
                    coverage[row, column] += share
                for tool in range(tools):
                    lengths_cm[tool, row, column] += 0.1 * share * lengths[tool]
                for i in range(count):
                    span = stops[i] - starts[i]
                    samples = int(math.ceil(span / DISPLACED_STEP_MM))
                    weight = 0.1 * span / samples * share
                    for s in range(samples):
                        t = starts[i] + (s + 0.5) * span / samples
                        visible(codes, index_from_world, steps, bits, point_at(source, t, d), densities, alone)
                        for m in range(materials):
                            displaced[m, row, column] += weight * densities[m]


def cast_tools(
    tools: tuple[Tool, ...], view: View, tissue: Tissue, materials: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solid length, coverage and displaced tissue of a scene's tools in one view.

    Args:
        tissue: what is around the tools.
        materials: how many materials the tissue can be of.

    Returns:
        lengths: (T, R, C) float32, cm of each tool's solid along the ray, mean over the pixel.
        coverage: (R, C) float32, share of the pixel covered by notched pieces.
        displaced: (M, R, C) float32, g/cm^2 of tissue displaced.

    Raises:
        ValueError: the source lies inside a tool.
    """
    refuse_sources_inside(tools, view.source[None])
    rows, columns = view.shape
    lengths = np.zeros((len(tools), rows, columns), np.float32)
    coverage = np.zeros((rows, columns), np.float32)
    displaced = np.zeros((materials, rows, columns), np.float32)
    if tools:
        table = tube_table(tools, view.source)
        *box, subrays = (int(number) for number in tool_boxes((view,), table.centres, table.radii)[0])
        if subrays:
            _cast(
                table, *tissue, view.source, view.pixel_to_direction, tuple(box), subrays, view.source_to_detector_mm,
                lengths, coverage, displaced,
            )
    return lengths, coverage, displaced


def refuse_sources_inside(tools: tuple[Tool, ...], sources: np.ndarray) -> None:
    """Raises ValueError where any of the sources, (V, 3) world mm, lies inside the solid of a tool."""
    for number, tool in enumerate(tools):
        if tool.pieces.transformed(tool.pose).contains(sources).any():
            raise ValueError(
                f"the X-ray source lies inside tool {number} of the scene ({tool.material.name}); move the tool or the "
                "C-arm"
            )
