"""A picture of three planes through a volume: from below, from the front, from the left; labels and landmarks on them.

Planes are cut in the patient's directions, however the volume is stored, oblique or sheared. As radiologists look at
them: the patient's right at the picture's left; in the sagittal plane the front at the left.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy import ndimage

from synthex_sim import anatomy
from synthex_sim.display import LABEL_COLORS_RGB
from synthex_sim.patient.patient import MAX_LABEL
from synthex_sim.whole_files import write_whole

#: What the greys span on a CT: fat to cortical bone.
CT_WINDOW_HU = (-300.0, 900.0)
_OUTSIDE = 0.12  # grey of what lies beyond the volume
_ALPHA = 0.45
#: Landmarks nearer to a plane than this are drawn on it.
_NEAR_MM = 5.0
_MOST_PIXELS = 900
_MOST_COLUMNS = 8
#: (32, 3) red, green, blue in 0..1 of each label: structures beyond ``anatomy`` have duller colours of their own.
_COLORS = np.concatenate([np.array(LABEL_COLORS_RGB) / 255, [
    hsv_to_rgb((n * 0.381966 % 1.0, 0.45, 0.6 + 0.3 * (n % 2))) for n in range(MAX_LABEL + 1 - len(LABEL_COLORS_RGB))]])


@dataclass(frozen=True)
class _Plane:
    """A plane of the picture.

    Attributes:
        name: title.
        across, down: LPS axis (0..2) and sign of the picture's columns and rows.
        through: LPS axis it is at right angles to.
        edges: words at the left and the right edge.
    """

    name: str
    across: tuple[int, int]
    down: tuple[int, int]
    through: int
    edges: tuple[str, str]


_PLANES = (
    _Plane("axial, from below", (0, 1), (1, 1), 2, ("R", "L")),
    _Plane("coronal, from the front", (0, 1), (2, -1), 1, ("R", "L")),
    _Plane("sagittal, from the left", (1, 1), (2, -1), 0, ("A", "P")),
)


@dataclass(frozen=True, eq=False)
class Picture:
    """What is drawn.

    Attributes:
        values: (I, J, K) numbers.
        affine: (4, 4) voxel index -> LPS mm.
        window: numbers that are black and white.
        center: (3,) LPS mm through which the planes go.
        labels: (I, J, K) uint8 of ``anatomy``, or None.
        landmarks: name -> (3,) LPS mm.
        title: one line; must name no person.
        structures: names of labels beyond those of ``anatomy``, as a ``Patient`` has them.
    """

    values: np.ndarray
    affine: np.ndarray
    window: tuple[float, float]
    center: np.ndarray
    labels: np.ndarray | None
    landmarks: Mapping[str, np.ndarray]
    title: str
    structures: Mapping[int, str] = field(default_factory=dict)


def write_planes(picture: Picture, path: Path) -> None:
    """Writes a PNG of the three planes.

    Raises:
        OSError: it cannot be written.
    """
    figure = Figure(figsize=(15, 6.2), layout="constrained", facecolor="black")
    FigureCanvasAgg(figure)
    figure.suptitle(picture.title + "\nresearch and simulation only, not a medical device", color="white", fontsize=10)
    for axes, plane in zip(figure.subplots(1, 3), _PLANES, strict=True):
        _draw(axes, picture, plane)
    if picture.labels is not None:
        names = dict(enumerate(anatomy.LABEL_NAMES)) | dict(picture.structures)
        present = [int(n) for n in np.flatnonzero(np.bincount(picture.labels.ravel())) if n]
        named = [Patch(color=_COLORS[n], label=names.get(n, f"structure {n}").replace("_", " ")) for n in present]
        columns = max(1, min(len(named), _MOST_COLUMNS))
        figure.legend(handles=named, loc="outside lower center", ncols=columns, frameon=False, labelcolor="white")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_whole(path, buffer.getvalue())


def _draw(axes: Axes, picture: Picture, plane: _Plane) -> None:
    columns, rows, points = _grid(picture, plane)
    index = np.linalg.inv(picture.affine)
    at = np.tensordot(index[:3, :3], points, axes=1) + index[:3, 3][:, None, None]
    low, high = picture.window
    grey = _sampled(picture.values, at, 1, np.nan)
    shade = np.where(np.isnan(grey), _OUTSIDE, np.clip((grey - low) / (high - low), 0, 1))
    rgb = np.repeat(shade[..., None], 3, axis=2)
    if picture.labels is not None:
        labels = _sampled(picture.labels, at, 0, 0.0).astype(int)
        rgb[labels > 0] = (1 - _ALPHA) * rgb[labels > 0] + _ALPHA * _COLORS[labels[labels > 0]]
    axes.imshow(rgb, extent=(columns[0], columns[-1], rows[-1], rows[0]), interpolation="nearest", aspect="equal")
    where = f"{'xyz'[plane.through]} = {round(float(picture.center[plane.through]))} mm"
    axes.set_title(f"{plane.name}, at {where}", color="white", fontsize=10)
    axes.tick_params(colors="gray", labelsize=8)
    for x, word in zip((0.02, 0.95), plane.edges, strict=True):
        axes.text(x, 0.5, word, color="yellow", transform=axes.transAxes, fontsize=13)
    _draw_landmarks(axes, picture, plane)


def _draw_landmarks(axes: Axes, picture: Picture, plane: _Plane) -> None:
    for name, point in picture.landmarks.items():
        if abs(point[plane.through] - picture.center[plane.through]) <= _NEAR_MM:
            at = point[plane.across[0]], point[plane.down[0]]
            axes.plot(*at, "+", color="white", markersize=9)
            axes.annotate(name, at, color="white", fontsize=7, xytext=(4, 4), textcoords="offset points")


def _grid(picture: Picture, plane: _Plane) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """LPS coordinates of the columns and of the rows, and (3, R, C) of all pixels."""
    last = np.array(picture.values.shape) - 1.0
    corners = np.array([[(n >> axis) & 1 for axis in range(3)] for n in range(8)]) * last
    reached = corners @ picture.affine[:3, :3].T + picture.affine[:3, 3]
    low, high = reached.min(axis=0), reached.max(axis=0)
    spacing = np.linalg.norm(picture.affine[:3, :3], axis=0).min()
    step = max(spacing, (high - low).max() / _MOST_PIXELS)
    lines = [np.arange(low[axis], high[axis] + step / 2, step)[::sign] for axis, sign in (plane.across, plane.down)]
    points = np.empty((3, lines[1].size, lines[0].size))
    points[plane.through] = picture.center[plane.through]
    points[plane.across[0]], points[plane.down[0]] = lines[0][None, :], lines[1][:, None]
    return lines[0], lines[1], points


def _sampled(values: np.ndarray, at: np.ndarray, order: int, outside: float) -> np.ndarray:
    """(R, C) float64 of a volume at (3, R, C) voxel indices."""
    size = np.array(values.shape)[:, None, None]
    within = ((at >= -0.5) & (at <= size - 0.5)).all(axis=0)
    found = ndimage.map_coordinates(values, at, output=np.float64, order=order, mode="nearest")
    return np.where(within, found, outside)
