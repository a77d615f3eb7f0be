"""The few lines about a session that stand in the terminal at its end."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .session import LandmarkAccuracy, Session

NOTHING = "–"
NO_TRUTH = "no ground truth"
NO_BONE = "no bone in the ground truth"


def summary_table(session: Session) -> Table:
    """A table for a rich console."""
    return rows_table(summary_rows(session))


def rows_table(rows: Iterable[tuple[str, str]]) -> Table:
    """Names and values under each other, without lines."""
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    return table


def summary_rows(session: Session) -> list[tuple[str, str]]:
    """Name and value of each line."""
    skipped = NOTHING if session.frames_skipped is None else str(session.frames_skipped)
    rate = f", {session.frame_rate_hz:.2f} Hz" if session.frame_rate_hz else ""
    rows = [("frames", f"{session.frames_published} published, {skipped} skipped{rate}")]
    fraction = session.detections.fraction
    rows.append(
        (
            "detections",
            f"{session.detections.count} of {session.frames_recorded} frames"
            + (f" ({100 * fraction:.1f} %)" if fraction is not None else ""),
        )
    )
    for name, stage in (("scene to detection", "end_to_end"), ("image to detection", "publish_to_detection")):
        times = session.latency_ms[stage]
        if times.p50 is not None:
            rows.append((name, f"{times.p50:.0f} ms median, 95 % within {times.p95:.0f} ms"))
    if session.hip is not None:
        hip = session.hip
        rows.append(("hip Dice", _dice(hip.dice) if hip.structures else NO_BONE))
        rows.append(("hip landmarks", _error(hip.landmarks) if hip.landmarks_by_name else NO_TRUTH))
    elif session.cm is not None:
        rows.append(("hip", NO_TRUTH))
    if session.cm is not None:
        false = f", {session.cm.false_detections} false" if session.cm.false_detections else ""
        rows.append(("manipulator Dice", f"{_dice(session.cm.dice)}{false}"))
        rows.append(("manipulator tip", _error(session.cm.tip)))
    if session.hip is None and session.cm is None:
        rows.append(("accuracy", f"{NO_TRUTH} in the bag"))
    lost = sum(session.messages_lost.values())
    rows.append(("messages", f"{sum(session.messages.values())}" + (f", {lost} lost" if lost else "")))
    return rows


def _dice(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _error(points: LandmarkAccuracy) -> str:
    error = points.error
    if error.px.p50 is None:
        return "never found in view" if points.in_image else "never in view"
    text = f"{error.px.p50:.1f} px median"
    if error.detector_mm.p50 is not None and error.isocenter_mm.p50 is not None:
        text += f" ({error.detector_mm.p50:.1f} mm at the detector, {error.isocenter_mm.p50:.1f} mm at the isocentre)"
    return f"{text}, n = {error.px.count}"
