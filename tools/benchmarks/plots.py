"""The benchmark's plots: cost of a frame against pixels and against the volume's side, with straight lines fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from contestants import ALL
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLORS = dict(zip([entry.key for entry in ALL], ["C3", "C0", "C2", "C1", "C4", "C6", "C5"], strict=True))
_NAMES = {entry.key: entry.name for entry in ALL}


def draw(found: dict[str, Any], out: Path) -> None:
    """Writes render_pixels.svg, render_side.svg and, where whole exposures were measured, render_exposures.svg."""
    cell = found["ratio_cell"]
    rows = [row for row in found["line_integrals"] if not row["cut_to_body"]]
    _scaling(
        [row for row in rows if row["side"] == cell["side"]], lambda row: row["pixels"] ** 2 / 1e3,
        "thousand pixels", "per thousand pixels", f"bare line integral, volume of {cell['side']}³ voxels",
        out / "render_pixels.svg")
    _scaling(
        [row for row in rows if row["pixels"] == cell["pixels"]], lambda row: row["side"],
        "voxels on a side of the volume", "per voxel", f"bare line integral, {cell['pixels']}² pixels",
        out / "render_side.svg")
    if found["exposures"]:
        _exposures(found["exposures"], out / "render_exposures.svg")


def line_fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Offset, slope and R^2 of the straight line through (n,) points by least squares."""
    slope, offset = np.polyfit(x, y, 1)
    rest = y - (offset + slope * x)
    return float(offset), float(slope), float(1.0 - (rest**2).sum() / ((y - y.mean()) ** 2).sum())


def _scaling(rows: list[dict[str, Any]], x_of: Any, label: str, each: str, title: str, path: Path) -> None:
    """CPU time of whoever has at least three sizes, and the straight line through it."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    highest = 0.0
    for key in _NAMES:
        points = sorted((x_of(row), row["cpu_ms"]) for row in rows if row["contestant"] == key)
        if len(points) < 3:
            continue
        x, y = np.array(points).T
        offset, slope, r2 = line_fit(x, y)
        words = f"{_NAMES[key]}: {offset:.0f} ms + {slope:.3g} ms {each}, R² {r2:.4f}"
        axes.plot(x, y, "o", color=_COLORS[key], label=words)
        axes.plot([0, x.max()], [offset, offset + slope * x.max()], "-", color=_COLORS[key], linewidth=1)
        highest = max(highest, y.max())
    axes.set(xlabel=label, ylabel="CPU time of a frame, ms", title=title, xlim=(0, None), ylim=(0, 1.05 * highest or 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def _exposures(rows: list[dict[str, Any]], path: Path) -> None:
    """Frames per second of whole exposures against the picture's side."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    styles = {"naive": "C0", "heuristic": "C2", "realistic": "C3"}
    combinations = sorted({(row["physics"], row["tool"], row["projector"]) for row in rows})
    for physics, tool, projector in combinations:
        points = sorted(
            (row["pixels"], 1e3 / row["wall_ms"]) for row in rows
            if (row["physics"], row["tool"], row["projector"]) == (physics, tool, projector))
        axes.plot(
            *np.array(points).T, marker="o", color=styles[physics], linestyle="-" if tool else "--",
            alpha=1.0 if projector == "cpu" else 0.5, label=f"{physics}{', manipulator' if tool else ''} ({projector})")
    axes.set(
        xlabel="pixels on a side", ylabel="exposures per second, one at a time", xscale="log", yscale="log",
        title=f"whole exposures with labels, volume of {rows[0]['side']}³ voxels")
    sizes = sorted({row["pixels"] for row in rows})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    rates = [1e3 / row["wall_ms"] for row in rows]
    shown = [n * 10.0**power for power in range(-3, 5) for n in (1, 2, 5)]
    shown = [rate for rate in shown if 0.7 * min(rates) <= rate <= 1.4 * max(rates)]
    axes.set_yticks(shown, [f"{rate:g}" for rate in shown])
    axes.minorticks_off()
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
