"""Small line charts as inline SVG, coloured by the page's style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

Curve = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 420.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 10.0, 24.0
_MAX_POINTS = 300


def group_curves(curves: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Curves by chart: ``"psnr/train"`` and ``"psnr/heldout"`` share the chart ``"psnr"``."""
    charts: dict[str, dict[str, Curve]] = {}
    for name, points in curves.items():
        finite = [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        if finite:
            chart, _, series = name.partition("/")
            charts.setdefault(chart, {})[series or chart] = finite
    return charts


def line_chart(title: str, series: Mapping[str, Curve], x_label: str = "step") -> str:
    """One ``<figure>`` with an SVG chart; at least one finite point a series.

    Lines carry the classes ``series s0``, ``series s1`` ... and have no colour of their own.
    """
    points = [point for curve in series.values() for point in curve]
    x_low, x_high = _range([x for x, _ in points], pad=0.0)
    y_low, y_high = _range([y for _, y in points], pad=0.06)

    def to_x(value: float) -> float:
        return _LEFT + (value - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)

    def to_y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)

    marks = []
    for value in ticks(y_low, y_high, 4):
        y = to_y(value)
        marks.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" {_at("y", y)}/>')
        marks.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in ticks(x_low, x_high, 5):
        marks.append(
            f'<text x="{to_x(value):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{value:g}</text>'
        )
    for index, curve in enumerate(series.values()):
        path = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in _thin(curve))
        marks.append(f'<polyline class="series s{index % 4}" points="{path}"/>')
        x, y = curve[-1]
        marks.append(f'<circle class="s{index % 4}" cx="{to_x(x):.1f}" cy="{to_y(y):.1f}" r="3"/>')
    legend = " ".join(
        f'<span class="key s{index % 4}">{html.escape(name)} <b>{_number(curve[-1][1])}</b></span>'
        for index, (name, curve) in enumerate(series.items())
    )
    heading = html.escape(title.replace("_", " "))
    return (
        f'<figure class="chart"><figcaption><strong>{heading}</strong> {legend}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{heading} against {html.escape(x_label)}">{"".join(marks)}</svg></figure>'
    )


def ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten) within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _range(values: Sequence[float], pad: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * pad if high > low else max(abs(low) * 0.1, 0.5)
    return low - margin, high + margin


def _thin(curve: Curve) -> list[tuple[float, float]]:
    """Every n-th point, the last one always among them."""
    stride = max(math.ceil(len(curve) / _MAX_POINTS), 1)
    kept = list(curve[::stride])
    return kept if kept[-1] == curve[-1] else [*kept, curve[-1]]


def _at(axis: str, value: float) -> str:
    return f'{axis}1="{value:.1f}" {axis}2="{value:.1f}"'


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"
