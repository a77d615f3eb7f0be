"""The columns of ``frames.csv``: one row for each recorded image."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from synthex_sim.anatomy import HIP_LANDMARKS

from ..report.accuracy import Point, Scale, mean_or_none
from ..report.analysis import cm_dice, hip_dice, hip_errors_px, tip_error_px
from .result import FrameResult

Cell = str | int | float | bool | None
_XYZ = ("x", "y", "z")
_NOTHING: tuple[None, ...] = (None,) * 3


def table_text(results: Iterable[FrameResult]) -> str:
    """The file's text: a line of names, a line for each result, numbers to three decimals, nothing where unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, result in enumerate(results):
        cells = row(number, result)
        if number == 0:
            writer.writerow(cells)
        writer.writerow(_written(value) for value in cells.values())
    return text.getvalue()


def row(number: int, result: FrameResult) -> dict[str, Cell]:
    """Column name -> value of one image.

    Args:
        number: of the image, from 0.
    """
    cells: dict[str, Cell] = {"frame": number, "stamp_ns": result.live.stamp_ns}
    for group in (_found, _navigation, _pelvis, _tip, _image_errors, _space_errors, _live):
        cells |= group(result)
    return cells


def _found(result: FrameResult) -> dict[str, Cell]:
    frame = result.frame
    points = frame.landmarks if frame is not None and frame.landmarks is not None else {}
    cells: dict[str, Cell] = {
        "landmarks_visible": sum(points[n].visible for n in HIP_LANDMARKS if n in points) if frame else None,
        "manipulator": frame.cm.detected if frame and frame.cm else None,
        "manipulator_px": result.manipulator_px if frame else None,
    }
    for end in ("base", "tip"):
        point: Point | None = points.get(f"CM-{end}")
        visible = point is not None and point.visible
        cells |= {f"{end}_x_px": point.x if visible else None, f"{end}_y_px": point.y if visible else None}
    return cells


def _navigation(result: FrameResult) -> dict[str, Cell]:
    told = result.told
    pelvis = told.pelvis if told is not None else None
    return {
        "state": result.state,
        "reason": told.reason if told is not None else result.unusable,
        "landmarks_used": int(pelvis.inliers.sum()) if pelvis is not None else None,
        "residual_px": pelvis.residual_px if pelvis is not None else None,
    }


def _pelvis(result: FrameResult) -> dict[str, Cell]:
    """Position of the CT's origin and rotation vector of ``ct_lps`` in ``carm_source_optical``."""
    pelvis = result.told.pelvis if result.told is not None else None
    values: Sequence[Sequence[float | None]] = (_NOTHING,) * 4
    if pelvis is not None:
        turn = np.rad2deg(Rotation.from_matrix(pelvis.camera_from_ct[:3, :3]).as_rotvec())
        sd = np.sqrt(np.diag(pelvis.covariance))
        values = pelvis.camera_from_ct[:3, 3], turn, sd[:3], np.rad2deg(sd[3:])
    names = ("pelvis_{}_mm", "pelvis_r{}_deg", "pelvis_sd_{}_mm", "pelvis_sd_r{}_deg")
    return _by_axis(names, values)


def _tip(result: FrameResult) -> dict[str, Cell]:
    tool = result.told.manipulator if result.told is not None else None
    values = (tool.tip_mm, np.sqrt(np.diag(tool.tip_covariance))) if tool is not None else (_NOTHING,) * 2
    return _by_axis(("tip_{}_mm", "tip_sd_{}_mm"), values)


def _by_axis(names: Sequence[str], values: Sequence[Sequence[float | None]]) -> dict[str, Cell]:
    return {
        name.format(axis): None if value is None else float(value)
        for name, triple in zip(names, values, strict=True)
        for axis, value in zip(_XYZ, triple, strict=True)
    }


def _image_errors(result: FrameResult) -> dict[str, Cell]:
    frame = result.frame
    cells: dict[str, Cell] = {
        "hip_dice": hip_dice(frame) if frame else None,
        "cm_dice": cm_dice(frame) if frame else None,
    }
    hip = mean_or_none(hip_errors_px(frame)) if frame else None
    for name, error in (("hip_landmarks", hip), ("tip", tip_error_px(frame) if frame else None)):
        cells |= _on_scales(f"{name}_error", error, frame.scale if frame else None)
    return cells


def _on_scales(name: str, error_px: float | None, scale: Scale | None) -> dict[str, Cell]:
    known = error_px is not None and scale is not None
    return {
        f"{name}_px": error_px,
        f"{name}_detector_mm": error_px * scale.pixel_spacing_mm if known else None,
        f"{name}_isocenter_mm": error_px * scale.isocenter_mm_per_px if known else None,
    }


def _space_errors(result: FrameResult) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for name, error in (("tip", result.tip_error), ("pelvis", result.pelvis_error)):
        cells[f"{name}_error_across_mm"] = error.across_mm if error is not None else None
        cells[f"{name}_error_along_mm"] = error.along_mm if error is not None else None
    return cells


def _live(result: FrameResult) -> dict[str, Cell]:
    other = result.difference
    if other is None:
        names = ("agrees", "state", "mask_px", "visibility", "points_px", "tip_mm", "pelvis_mm", "pelvis_deg")
        return {f"live_{name}": None for name in names}
    return {
        "live_agrees": other.agrees,
        "live_state": other.states[0] if other.states is not None else None,
        "live_mask_px": other.mask_px,
        "live_visibility": other.visibility,
        "live_points_px": other.points_px,
        "live_tip_mm": other.tip_mm,
        "live_pelvis_mm": other.pelvis_mm,
        "live_pelvis_deg": other.pelvis_deg,
    }


def _written(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # + 0.0 makes of -0.0 what it is
        return f"{round(value, 3) + 0.0:.3f}" if math.isfinite(value) else ""
    return str(value)
