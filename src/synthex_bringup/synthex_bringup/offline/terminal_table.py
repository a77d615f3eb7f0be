"""What a person sees of an offline replay: counts, a table of errors, how it compares with the live answers."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..report.session import ErrorStatistics
from ..report.summary import NO_TRUTH, NOTHING, rows_table
from .summary import LiveComparison, Summary

_REASONS_SHOWN = 4
_NONE = ErrorStatistics(None, None, None, 0)


def counts_table(summary: Summary) -> Table:
    """What was replayed, what navigation says, how much of it the session had said."""
    return rows_table(_counts(summary))


def errors_table(summary: Summary) -> Table:
    """Errors in the image, on each of their scales."""
    table = _error_table("in the image", ("px", "detector mm", "isocentre mm"))
    hip, cm = summary.hip, summary.cm
    for name, points in (
        ("hip landmarks", hip.landmarks if hip else None),
        ("manipulator base", cm.base if cm else None),
        ("manipulator tip", cm.tip if cm else None),
    ):
        errors = (points.error.px, points.error.detector_mm, points.error.isocenter_mm) if points else (_NONE,) * 3
        table.add_row(name, str(errors[0].count), *map(_both, errors))
    return table


def places_table(summary: Summary) -> Table:
    """Errors of what navigation says, in the room."""
    table = _error_table("in the room", ("mm across the beam", "mm along it"))
    for name, places in (("pelvis", summary.pelvis), ("manipulator tip", summary.tip)):
        table.add_row(name, str(places.across_mm.count), _both(places.across_mm), _both(places.along_mm))
    return table


def _error_table(title: str, scales: tuple[str, ...]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption="median / 95 % within", caption_justify="left")
    table.add_column(title, style="bold", no_wrap=True)
    for name in ("n", *scales):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _counts(summary: Summary) -> list[tuple[str, str]]:
    made = summary.circumstances
    unanswered = summary.images - summary.answered
    rows = [
        ("bag", made.bag),
        ("weights", made.weights),
        ("plan", made.plan if made.plan != "none" else "none: the pelvis stays unknown"),
        ("images", f"{summary.images}" + (f", {unanswered} without a camera_info of theirs" if unanswered else "")),
        ("navigation", ", ".join(f"{count} {state}" for state, count in summary.states.items())),
    ]
    reasons = list(summary.reasons.items())
    rows += [("", f"{count} x {reason}") for reason, count in reasons[:_REASONS_SHOWN]]
    if more := sum(count for _, count in reasons[_REASONS_SHOWN:]):
        rows.append(("", f"{more} x for {len(reasons) - _REASONS_SHOWN} other reasons"))
    rows.append(("hip Dice", _dice(summary.hip.dice if summary.hip else None)))
    rows.append(("manipulator Dice", _dice(summary.cm.dice if summary.cm else None)))
    if summary.live is None:
        return [*rows, ("live session", "the bag holds no answers to compare with")]
    return [*rows, ("live session", _agreement(summary.live)), *_rest(summary.live), *_other_weights(summary)]


def _agreement(live: LiveComparison) -> str:
    return f"{live.agree} of {live.compared} answers agree, {live.states_differ} have another state"


def _rest(live: LiveComparison) -> list[tuple[str, str]]:
    scales = (
        ("pixels of the mask", live.rest_mask_px),
        ("px, furthest landmark", live.rest_points_px),
        ("mm, tip", live.rest_tip_mm),
        ("mm, pelvis", live.rest_pelvis_mm),
        ("deg, pelvis", live.rest_pelvis_deg),
    )
    return [("", f"the rest by {_both(values)} {what} (median / 95 %)") for what, values in scales if values.p95]


def _other_weights(summary: Summary) -> list[tuple[str, str]]:
    live = summary.circumstances.live_weights
    return [("", f"it ran with {live}")] if live is not None and live != summary.circumstances.weights else []


def _both(values: ErrorStatistics) -> str:
    return NOTHING if values.p50 is None or values.p95 is None else f"{_digits(values.p50)} / {_digits(values.p95)}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _dice(value: float | None) -> str:
    return NO_TRUTH if value is None else f"{value:.3f}"
