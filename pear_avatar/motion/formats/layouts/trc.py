"""TRC files of Pose2Sim, OpenSim and OpenCap: named markers over time, tab-separated."""

from __future__ import annotations

import numpy as np

from pear_avatar.motion.formats.arrays import MAX_FRAMES
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.named_points import NamedPoints, solve_named_points
from pear_avatar.motion.formats.read_options import ReadOptions

#: Lines before the first row of numbers, and values that a file may hold.
_HEADER, _MAX_VALUES = 5, MAX_FRAMES * 300


def sniff(content: Content) -> bool:
    """Whether the text begins as TRC files do."""
    return content.text.lstrip().lower().startswith("pathfiletype")


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The markers solved onto the body."""
    lines = content.text.lstrip().splitlines()
    if len(lines) <= _HEADER:
        raise content.error("the file ends before its first frame")
    fields = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    names = [name.strip() for name in lines[3].split("\t")[2:] if name.strip()]
    if not names:
        raise content.error("line 4: names no markers after Frame# and Time")
    rows = [(k, line) for k, line in enumerate(lines[4:], start=5) if line[:1].isdigit()]
    if len(rows) * len(names) * 3 > _MAX_VALUES:
        raise content.error(f"{len(rows)} frames of {len(names)} markers are more than are read")
    times, points = np.empty(len(rows)), np.full((len(rows), len(names), 3), np.nan)
    for row, (number, line) in enumerate(rows):
        cells = line.split("\t")
        try:
            times[row] = float(cells[1])
            values = [float(c) if c.strip() else np.nan for c in cells[2 : 2 + 3 * len(names)]]
        except (ValueError, IndexError):
            raise content.error(f"line {number}: not a frame of numbers between tabs") from None
        points[row].reshape(-1)[: len(values)] = values
    given = NamedPoints(tuple(names), points, times, _rate(fields), fields.get("Units", ""))
    return solve_named_points(content, given, options, FORMAT.name)


def _rate(fields: dict[str, str]) -> float | None:
    try:
        return float(fields.get("DataRate", ""))
    except ValueError:
        return None


FORMAT = Format(
    name="trc",
    files="TRC of Pose2Sim, OpenSim and OpenCap",
    notes="named keypoints, solved onto the body as `keypoints` are; times and unit are the file's",
    endings=(".trc",),
    sniff=sniff,
    read=read,
    rank=30,
)
