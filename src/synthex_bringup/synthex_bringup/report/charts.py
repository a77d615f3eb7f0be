"""Small line charts as inline SVG: no script, no font, no file besides the page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 1120, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 96, 14, 40


@dataclass(frozen=True)
class Series:
    """One quantity over time.

    Attributes:
        name: for the legend.
        colour: CSS colour.
        points: (seconds, value) in the order of time; the line breaks where the value is None.
    """

    name: str
    colour: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Level:
    """A horizontal reference line with a label at its right end."""

    name: str
    colour: str
    value: float


def line_chart(
    series: Sequence[Series],
    *,
    unit: str,
    title: str,
    levels: Sequence[Level] = (),
    top: float | None = None,
    span_s: float | None = None,
) -> str:
    """An SVG element of values over time; an empty text where no series has a point.

    Args:
        series: what to draw; the legend stands at the right.
        unit: of the values, at the top of their axis.
        title: what the chart shows, for those who cannot see it.
        levels: reference lines.
        top: upper end of the value axis; default: a round number above the largest value.
        span_s: right end of the time axis; default: the last point.
    """
    known = [(second, value) for one in series for second, value in one.points if value is not None]
    if not known:
        return ""
    values = [value for _, value in known] + [level.value for level in levels]
    times = [second for second, _ in known]
    frame = _Frame(max(span_s or 0.0, max(times), 1e-3), top or _round_up(max(max(values), 1e-6)))
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">',
        *frame.axes(unit),
    ]
    for one in series:
        parts += _draw_series(frame, one)
    parts += _draw_levels(frame, levels)
    parts += _legend(series)
    return "".join(parts) + "</svg>"


@dataclass(frozen=True)
class _Frame:
    """Maps (seconds, value) to the drawing."""

    span: float
    top: float

    def x(self, second: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * second / self.span

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(value, self.top) / self.top

    def axes(self, unit: str) -> list[str]:
        parts = []
        for tick in _ticks(self.top, 4):
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            label = f"{tick:g}" + (f" {unit}" if unit and tick == _ticks(self.top, 4)[-1] else "")
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{html.escape(label)}</text>')
        for tick in _ticks(self.span, 8):
            x = self.x(tick)
            parts.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{tick:g}'
                f"{' s' if tick == 0 else ''}</text>"
            )
        return parts


def _draw_series(frame: _Frame, one: Series) -> list[str]:
    parts, run = [], []
    for second, value in [*one.points, (0.0, None)]:
        if value is not None:
            run.append(f"{frame.x(second):.1f} {frame.y(value):.1f}")
            parts.append(f'<circle cx="{frame.x(second):.1f}" cy="{frame.y(value):.1f}" r="1.6" fill="{one.colour}"/>')
            continue
        if len(run) > 1:
            path = f"M{'L'.join(run)}"
            parts.append(
                f'<path d="{path}" fill="none" stroke="{one.colour}" stroke-width="1.6" stroke-linejoin="round"/>'
            )
        run = []
    return parts


def _draw_levels(frame: _Frame, levels: Sequence[Level]) -> list[str]:
    parts = []
    for level in levels:
        y = frame.y(level.value)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{level.colour}" '
            'stroke-width="1.2" stroke-dasharray="6 4"/>'
        )
    # Labels at the right end, pushed apart where two lines lie close together.
    floor = math.inf
    for level in sorted(levels, key=lambda item: item.value):
        y = min(frame.y(level.value) + 4, floor - 14)
        floor = y
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 8}" y="{y:.1f}" fill="{level.colour}">{html.escape(level.name)}</text>'
        )
    return parts


def _legend(series: Sequence[Series]) -> list[str]:
    parts = []
    x = _LEFT + 6
    for one in series:
        if all(value is None for _, value in one.points):
            continue
        parts.append(f'<circle cx="{x}" cy="{_HEIGHT - 8}" r="4" fill="{one.colour}"/>')
        parts.append(f'<text x="{x + 10}" y="{_HEIGHT - 4}">{html.escape(one.name)}</text>')
        x += 40 + 7 * len(one.name)  # about the width of the words
    return parts


def _round_up(value: float) -> float:
    """The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999)


def _ticks(top: float, about: int) -> list[float]:
    """Round numbers from 0 to ``top``, about as many as asked for."""
    power = 10.0 ** math.floor(math.log10(top / about))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= top / about * 0.999)
    return [round(i * step, 10) for i in range(int(top / step * 1.0001) + 1)]
