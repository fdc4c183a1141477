"""C3D files of motion capture systems: named points over time, in binary.

After the user guide of c3d.org: a header block of 512 bytes, a section of parameters in groups,
then frames of points as four numbers each, integers times POINT:SCALE or 32-bit floats. Written for
input that may be hostile: every size is checked before it is used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from pear_avatar.motion.formats.arrays import MAX_FRAMES
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.named_points import NamedPoints, solve_named_points
from pear_avatar.motion.formats.read_options import ReadOptions

_BLOCK, _MAX_POINTS = 512, 1000
_INTEL = 84


@dataclass(frozen=True)
class _Header:
    """Numbers of the first block that are needed; blocks count from 1."""

    parameters: int
    points: int
    analog: int
    first: int
    last: int
    scale: float
    data: int
    rate: float


def sniff(content: Content) -> bool:
    """Whether the data begin as C3D files do."""
    return len(content.data) > _BLOCK and content.data[1] == 0x50


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The points solved onto the body."""
    try:
        given = points_of_c3d(content.data)
    except (struct.error, IndexError, ValueError) as error:
        raise content.error(f"not a readable C3D file ({error}); export it again") from error
    return solve_named_points(content, given, options, FORMAT.name)


def points_of_c3d(data: bytes) -> NamedPoints:
    """The named points of a file's bytes; ValueError says what is wrong."""
    header = _header(data)
    values = _parameters(data, header.parameters)
    labels = [*values.get("POINT:LABELS", []), *values.get("POINT:LABELS2", [])]
    frames = header.last - header.first + 1
    counted = values.get("POINT:FRAMES", [])
    if counted and frames < 1:
        frames = int(float(counted[0]) % 65536)
    width = 4 if header.scale < 0 else 2
    row = (4 * header.points + header.analog) * width
    start = (header.data - 1) * _BLOCK
    if not (1 <= header.points <= _MAX_POINTS and row > 0 and start > 0):
        raise ValueError(f"{header.points} points in data block {header.data}")
    frames = min(frames, (len(data) - start) // row)
    if not 1 <= frames <= MAX_FRAMES:
        raise ValueError(f"{frames} frames")
    table = np.frombuffer(data, np.uint8, frames * row, start).reshape(frames, row)
    kind = "<f4" if width == 4 else "<i2"
    four = np.ascontiguousarray(table[:, : 4 * header.points * width]).view(kind)
    four = four.reshape(frames, header.points, 4).astype(np.float64)
    points = four[..., :3] * (1.0 if width == 4 else header.scale)
    points[four[..., 3] < 0] = np.nan  # a negative residual: not seen
    names = [str(n) for n in labels[: header.points]]
    names += [f"point {k}" for k in range(len(names), header.points)]
    units = values.get("POINT:UNITS", [""])
    return NamedPoints(tuple(names), points, None, header.rate or None, str(units[0]))


def _header(data: bytes) -> _Header:
    block = data[0]
    start = (block - 1) * _BLOCK
    if not block >= 2 or start + 4 > len(data):
        raise ValueError(f"parameters in block {block}")
    if data[start + 3] != _INTEL:
        raise ValueError("written by a DEC or MIPS processor; save it for Intel")
    points, analog, first, last = struct.unpack_from("<4H", data, 2)
    scale, at, _, rate = struct.unpack_from("<fHHf", data, 12)
    return _Header(
        parameters=block,
        points=points,
        analog=analog,
        first=first,
        last=last,
        scale=scale,
        data=at,
        rate=rate,
    )


def _parameters(data: bytes, block: int) -> dict[str, list[str]]:
    """``GROUP:NAME`` -> its texts (numbers as texts) of the groups that are needed."""
    at = (block - 1) * _BLOCK + 4
    end = min(len(data), at + 512 * 256)
    groups: dict[int, str] = {}
    found: list[tuple[int, str, int]] = []
    while at + 4 < end:
        length, group = struct.unpack_from("<bb", data, at)
        size = abs(length)
        if size == 0 or group == 0:
            break
        name = data[at + 2 : at + 2 + size].decode("latin-1").strip().upper()
        offset = struct.unpack_from("<h", data, at + 2 + size)[0]
        if group < 0:
            groups[-group] = name
        else:
            found.append((group, name, at + 4 + size))
        if offset <= 0:
            break
        at += 2 + size + offset
    out: dict[str, list[str]] = {}
    for group, name, place in found:
        key = f"{groups.get(group, '')}:{name}"
        if key in ("POINT:LABELS", "POINT:LABELS2", "POINT:UNITS", "POINT:FRAMES"):
            out[key] = _texts(data, place)
    return out


def _texts(data: bytes, at: int) -> list[str]:
    kind, rank = struct.unpack_from("<bB", data, at)
    sizes = list(data[at + 2 : at + 2 + rank])
    start = at + 2 + rank
    if kind == -1 and sizes:
        width, count = sizes[0], int(np.prod(sizes[1:], dtype=np.int64)) if rank > 1 else 1
        if not 0 < count <= _MAX_POINTS or start + width * count > len(data):
            raise ValueError(f"{count} names of {width} letters")
        return [
            data[start + k * width : start + (k + 1) * width].decode("latin-1").strip()
            for k in range(count)
        ]
    form = {1: "<b", 2: "<H", 4: "<f"}.get(kind)
    return [] if form is None else [str(struct.unpack_from(form, data, start)[0])]


FORMAT = Format(
    name="c3d",
    files="C3D with points named as keypoints or joints (Theia, Pose2Sim, OpenCap, markerless "
    "exports)",
    notes="named keypoints, solved onto the body as `keypoints` are; rate and unit are the file's",
    endings=(".c3d",),
    sniff=sniff,
    read=read,
    rank=30,
)
