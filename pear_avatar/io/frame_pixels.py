"""Pixels of decoded frames: upright, unmirrored, in display-referred RGB, whatever they were.

High dynamic range (HLG and PQ) is brought to the range of a display: the transfer function is
undone (ITU-R BT.2100), BT.2020's primaries are turned into BT.709's, and light above diffuse
white (203 cd/m2, BT.2408) is compressed softly.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from av.video.reformatter import Colorspace, Interpolation

__all__ = [
    "Orientation",
    "orientation",
    "resample",
    "square_width",
    "to_upright_rgb",
    "transfer_of",
    "upright_size",
]

_log = logging.getLogger(__name__)

#: Above this many lines an untagged video is taken for HD, as players do.
_HD_LINES = 720
#: H.273's matrix coefficients -> libswscale's; anything else counts as untagged.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_BT2020 = (9, 10)
#: H.273's transfer characteristics.
_PQ, _HLG, _UNTAGGED = 16, 18, (0, 2)
#: Whites below this share of the range are PQ's.
_PQ_WHITE = 0.66
#: Diffuse white in cd/m2 (BT.2408), and HLG's nominal peak with its system gamma.
_WHITE, _HLG_PEAK, _HLG_GAMMA = 203.0, 1000.0, 1.2
#: Linear light up to this stays; what is above is compressed, the more the larger the shoulder.
_KNEE, _SHOULDER = 0.7, 3.0
#: BT.2020 to BT.709, linear light (ITU-R BT.2087).
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


@dataclass(frozen=True)
class Orientation:
    """What turns stored pixels into shown ones: transpose, then reverse rows and columns."""

    transpose: bool = False
    reverse_rows: bool = False
    reverse_columns: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether it reflects."""
        return (self.transpose + self.reverse_rows + self.reverse_columns) % 2 == 1

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, C) stored -> shown."""
        out = pixels.swapaxes(0, 1) if self.transpose else pixels
        out = out[::-1] if self.reverse_rows else out
        out = out[:, ::-1] if self.reverse_columns else out
        return np.ascontiguousarray(out)


def orientation(frame: Any) -> Orientation:
    """Of a decoded frame, from its display matrix, to the nearest quarter turn."""
    for data in frame.side_data:
        if "DISPLAYMATRIX" in str(data.type):
            matrix = np.frombuffer(bytes(data), "<i4", 9).astype(np.float64)
            return _of_matrix(matrix)
    turns = round(frame.rotation / 90.0) % 4
    return (
        Orientation(),
        Orientation(True, True, False),
        Orientation(False, True, True),
        Orientation(True, False, True),
    )[turns]


def _of_matrix(matrix: np.ndarray) -> Orientation:
    """x' = a x + c y, y' = b x + d y, with y down (ISO 14496-12's matrix a b u c d v x y w)."""
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, bool(d < 0), bool(a < 0))
    return Orientation(True, bool(b < 0), bool(c < 0))


def square_width(frame: Any, stream: Any) -> int:
    """Width with square pixels (anamorphic recordings store fewer columns than they show)."""
    aspect = stream.sample_aspect_ratio
    return int(frame.width) if not aspect else max(1, round(frame.width * float(aspect)))


def upright_size(frame: Any, stream: Any) -> tuple[int, int]:
    """(width, height) in pixels as shown."""
    width, height = square_width(frame, stream), frame.height
    return (height, width) if orientation(frame).transpose else (width, height)


def to_upright_rgb(frame: Any, size: tuple[int, int], transfer: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8: scaled to (width, height) from the decoder's own pixels, then turned."""
    return orientation(frame).apply(resample(frame, *size, transfer))


def resample(frame: Any, width: int, height: int, transfer: int | None = None) -> np.ndarray:
    """(height, width, 3) uint8 RGB from any pixel format.

    ``transfer`` is what :func:`transfer_of` says of the clip; None for the standard range.
    """
    pixels = _scaled(frame, width, height, "rgb24" if transfer is None else "rgb48le")
    return pixels if transfer is None else _tone_mapped(pixels, transfer)


def _scaled(frame: Any, width: int, height: int, pixel_format: str) -> np.ndarray:
    smaller = width < frame.width or height < frame.height
    untagged = Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601
    is_rgb = frame.format.is_rgb
    scaled = frame.reformat(
        width=width,
        height=height,
        format=pixel_format,
        src_colorspace=None if is_rgb else _MATRICES.get(int(frame.colorspace), untagged),
        interpolation=Interpolation.AREA if smaller else Interpolation.BICUBIC,
    )
    pixels: np.ndarray = scaled.to_ndarray()
    return pixels


def transfer_of(frame: Any) -> int | None:
    """A clip's high-range transfer function (HLG or PQ) from one frame; None for none.

    BT.2020 with more than 8 bits and no tag is high range too. Which one is seen in its whites:
    diffuse white is 75 % of HLG's range and 58 % of PQ's.
    """
    tag = int(frame.color_trc)
    if tag in (_PQ, _HLG):
        return tag
    deep = any(c.bits > 8 for c in frame.format.components)
    if tag not in _UNTAGGED or not deep or int(frame.colorspace) not in _BT2020:
        return None
    code = _scaled(frame, 64, 64, "rgb48le").astype(np.float32) / 65535.0
    white = float(np.percentile(code.max(-1), 99))
    guess = _PQ if white < _PQ_WHITE else _HLG
    name = {_PQ: "PQ", _HLG: "HLG"}[guess]
    _log.warning("the video is high dynamic range without saying which; read as %s", name)
    return guess


def _tone_mapped(rgb16: np.ndarray, transfer: int) -> np.ndarray:
    """(H, W, 3) uint16 code values -> uint8, sRGB."""
    linear = _linear_table(transfer)[rgb16]
    if transfer == _HLG:  # the display's gamma acts on the luminance of the scene
        luma = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        linear = linear * np.maximum(luma, 1e-6)[..., None] ** (_HLG_GAMMA - 1.0)
        linear = linear * (_HLG_PEAK / _WHITE)
    light = np.maximum(linear @ _TO_709.T, 0.0)
    peak = light.max(-1, keepdims=True)
    # One factor for all three channels keeps the hue of bright colours.
    light *= _compressed(peak) / np.maximum(peak, 1e-6)
    code = np.clip(light, 0.0, 1.0)
    srgb = np.where(code <= 0.0031308, 12.92 * code, 1.055 * code ** (1 / 2.4) - 0.055)
    mapped: np.ndarray = (srgb * 255.0 + 0.5).astype(np.uint8)
    return mapped


def _compressed(light: np.ndarray) -> np.ndarray:
    """Linear up to the knee, then logarithmic, so that the peak of the range becomes 1."""
    over = np.maximum(light - _KNEE, 0.0)
    most = np.log1p(_SHOULDER * (_HLG_PEAK / _WHITE - _KNEE))
    above = _KNEE + (1.0 - _KNEE) * np.log1p(_SHOULDER * over) / most
    return np.where(light <= _KNEE, light, above)


@lru_cache(maxsize=2)
def _linear_table(transfer: int) -> np.ndarray:
    """(65536,) float32 linear light of 16-bit code values: PQ in units of diffuse white, HLG as
    scene light in [0, 1]."""
    code = np.arange(65536, dtype=np.float64) / 65535.0
    if transfer == _PQ:  # SMPTE ST 2084
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = code ** (1 / m2)
        light = (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1) * 10000.0 / _WHITE
    else:  # ARIB STD-B67
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3.0, (np.exp((code - c) / a) + b) / 12.0)
    return light.astype(np.float32)
