"""CSV with a column for each coordinate of named points: FreeMoCap's, MediaPipe's, and our own."""

from __future__ import annotations

import re

import numpy as np

from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.named_points import NamedPoints, solve_named_points
from pear_avatar.motion.formats.read_options import ReadOptions

_COLUMN = re.compile(r"\"?\s*(.+?)[ _.:]([xyz])\s*\"?", re.IGNORECASE)
_TIME = frozenset(("time", "timestamp", "seconds", "t"))
_MAX_VALUES = 60_000_000
_FEWEST = 12


def sniff(content: Content) -> bool:
    """Whether the first line names coordinates."""
    head = content.text[:65536].partition("\n")[0]
    return len(_columns(head)) >= _FEWEST


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The points solved onto the body."""
    lines = [line for line in content.text.splitlines() if line.strip()]
    separator = _separator(lines[0])
    columns = _columns(lines[0])
    cells = [c.strip().strip('"').lower() for c in lines[0].split(separator)]
    names = list(dict.fromkeys(name for name, _ in columns))
    place = {name: k for k, name in enumerate(names)}
    if len(lines) < 2 or len(lines) * len(cells) > _MAX_VALUES:
        raise content.error(f"{len(lines) - 1} rows of {len(cells)} columns cannot be read")
    points = np.full((len(lines) - 1, len(names), 3), np.nan)
    times = np.full(len(lines) - 1, np.nan)
    time_column = next((k for k, cell in enumerate(cells) if cell in _TIME), None)
    for row, line in enumerate(lines[1:]):
        values = [_number(cell) for cell in line.split(separator)]
        if len(values) < len(cells):
            raise content.error(f"line {row + 2}: {len(values)} values for {len(cells)} columns")
        for (name, axis), k in columns.items():
            points[row, place[name], "xyz".index(axis)] = values[k]
        if time_column is not None:
            times[row] = values[time_column]
    known = times if np.isfinite(times).all() and (np.diff(times) > 0).all() else None
    given = NamedPoints(tuple(names), points, known)
    return solve_named_points(content, given, options, FORMAT.name)


def _separator(line: str) -> str:
    return max(",;\t", key=line.count)


def _columns(line: str) -> dict[tuple[str, str], int]:
    """(point, axis) -> column, for the columns that name a coordinate."""
    out: dict[tuple[str, str], int] = {}
    for k, cell in enumerate(line.split(_separator(line))):
        match = _COLUMN.fullmatch(cell.strip())
        if match:
            out[match[1], match[2].lower()] = k
    return out


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


FORMAT = Format(
    name="csv",
    files="CSV with columns `NAME_x`, `NAME_y`, `NAME_z` for each point (FreeMoCap, our own)",
    notes="named keypoints, solved onto the body as `keypoints` are; a column `time` in seconds",
    endings=(".csv",),
    sniff=sniff,
    read=read,
    rank=30,
)
