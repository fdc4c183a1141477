"""Splats of one pose as SPZ, Niantic's compressed format (versions 2 and 3 of its description).

A gzip stream: a 16-byte header, then for all splats positions (24-bit fixed point), opacities,
colours, log scales (8 bits each) and rotations. The axes are OpenGL's, which are ours.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Literal

import numpy as np

from pear_avatar.errors import PearError
from pear_avatar.export.plain_splats import PlainSplats, plain_splats
from pear_avatar.io.atomic import atomic_path
from pear_avatar.io.replacing import MARK
from pear_avatar.splatting import Gaussians

__all__ = ["save_spz"]

_MAGIC = 0x5053474E
_MAX_SPLATS = 10_000_000

#: Colours are stored over a range wider than [0, 1]: byte = 255 (0.5 + 0.15 sh0).
_COLOR_SCALE = 0.15

#: 15 um; the 12 bits of the reference implementation are 0.24 mm. Scenes beyond 128 m get fewer.
_MOST_FRACTIONAL_BITS = 16


def save_spz(path: str | Path, gaussians: Gaussians, *, version: Literal[2, 3] = 3) -> None:
    """Write an SPZ file: about 20 bytes a splat before compression.

    Rounding: positions 8 um within 128 m, scales 3 %, opacities and colours half a step of 1/255
    and 1/136, rotations 0.1 degrees on average (version 2: 1, and up to 12 for half turns).

    Args:
        path: the file; it appears whole or not at all.
        gaussians: splats in the world, at most ten million.
        version: 3 by default; 2 for old readers.
    """
    if version not in (2, 3):
        raise PearError(f"SPZ is written in version 2 or 3, got {version}")
    splats = plain_splats(gaussians)
    if splats.count > _MAX_SPLATS:
        raise PearError(f"SPZ files hold up to {_MAX_SPLATS} splats, got {splats.count}")
    farthest = float(np.abs(splats.means).max())
    bits = _MOST_FRACTIONAL_BITS
    while bits > 0 and farthest * (1 << bits) >= (1 << 23) - 1:
        bits -= 1
    if bits == 0:
        raise PearError(f"splats lie up to {farthest:.3g} m away; SPZ reaches 4194 km")
    header = struct.pack("<IIIBBBB", _MAGIC, version, splats.count, 0, bits, 0, 0)
    rotations = _smallest_three(splats) if version == 3 else _first_three(splats)
    body = [
        _fixed_point(splats.means, bits),
        _bytes(255 * splats.opacities),
        _bytes(255 * (0.5 + _COLOR_SCALE * splats.sh0)),
        _bytes((splats.log_scales + 10) * 16),
        rotations,
    ]
    # A fixed time in the gzip header: the same splats give the same file.
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as f,
        gzip.GzipFile(MARK, "wb", compresslevel=9, fileobj=f, mtime=0) as packed,
    ):
        packed.write(header + b"".join(body))


def _bytes(values: np.ndarray) -> bytes:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8).tobytes()


def _fixed_point(means: np.ndarray, bits: int) -> bytes:
    """(N, 3) -> three little-endian bytes for each coordinate."""
    fixed = np.round(means.astype(np.float64) * (1 << bits)).astype("<i4")
    return fixed.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()


def _first_three(splats: PlainSplats) -> bytes:
    """Version 2: x y z as bytes, the sign chosen so that w >= 0."""
    quats = splats.quats_wxyz * np.where(splats.quats_wxyz[:, :1] < 0, -1, 1)
    return _bytes(quats[:, 1:] * 127.5 + 127.5)


def _smallest_three(splats: PlainSplats) -> bytes:
    """Version 3: two bits for the largest of x y z w, ten (sign, 9 bits) for each of the others."""
    xyzw = np.roll(splats.quats_wxyz.astype(np.float64), -1, axis=1)
    rows = np.arange(len(xyzw))
    largest = np.abs(xyzw).argmax(axis=1)
    xyzw = xyzw * np.where(xyzw[rows, largest] < 0, -1, 1)[:, None]
    others = np.array([[i for i in range(4) if i != k] for k in range(4)])[largest]
    small = np.take_along_axis(xyzw, others, axis=1)
    magnitude = np.floor(511 * np.abs(small) * np.sqrt(2) + 0.5).clip(0, 511).astype(np.uint32)
    field = ((small < 0).astype(np.uint32) << 9) | magnitude
    packed = largest.astype(np.uint32) << 30
    packed |= (field[:, 0] << 20) | (field[:, 1] << 10) | field[:, 2]
    return packed.astype("<u4").tobytes()
