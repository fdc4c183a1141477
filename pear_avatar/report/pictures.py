"""Pictures of a report: one contact sheet, and data URIs for a page that needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_INK, _PAPER, _RULE = (28, 31, 36), (255, 255, 255), (226, 229, 233)
_GAP, _LABEL_HEIGHT, _FONT_SIZE = 8, 28, 15


def as_uint8(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) or (H, W, 4) uint8 from uint8, or from floats in [0, 1].

    Raises:
        ValueError: another shape.
    """
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or 0 in picture.shape:
        raise ValueError(f"a picture must be (H, W, 3) or (H, W, 4), got {picture.shape}")
    if picture.dtype == np.uint8:
        return picture
    finite = np.nan_to_num(picture.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    return (finite.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str], cell_height: int = 320
) -> np.ndarray:
    """Pictures in labelled columns on white.

    Args:
        rows: pictures (H, W, 3|4), uint8 or floats in [0, 1]; each is scaled to ``cell_height``
            and keeps its proportions. Rows may be shorter than ``labels``.
        labels: one a column, drawn above it.
        cell_height: pixels.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: no pictures, or more pictures in a row than labels.
    """
    if not rows or not any(len(row) for row in rows):
        raise ValueError("a contact sheet needs at least one picture")
    if max(len(row) for row in rows) > len(labels):
        raise ValueError(f"{max(len(row) for row in rows)} columns but {len(labels)} labels")
    cells = [[_fit(picture, cell_height) for picture in row] for row in rows]
    font = ImageFont.load_default(size=_FONT_SIZE)
    widths = [int(font.getlength(label)) + _GAP for label in labels]
    for row in cells:
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], cell.width)
    width = sum(widths) + _GAP * (len(widths) + 1)
    height = _LABEL_HEIGHT + (cell_height + _GAP) * len(cells) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    left = _GAP
    for column, label in enumerate(labels):
        draw.text((left + 1, 7), label, fill=_INK, font=font)
        for line, row in enumerate(cells):
            if column < len(row):
                cell = row[column]
                top = _LABEL_HEIGHT + _GAP + (cell_height + _GAP) * line
                x = left + (widths[column] - cell.width) // 2
                sheet.paste(cell, (x, top))
                draw.rectangle((x, top, x + cell.width - 1, top + cell_height - 1), outline=_RULE)
        left += widths[column] + _GAP
    return np.asarray(sheet)


def data_uri(picture: np.ndarray, max_height: int = 640) -> str:
    """A picture as a ``data:`` URI: JPEG, or PNG where it has alpha."""
    image = Image.fromarray(as_uint8(picture))
    if image.height > max_height:
        width = max(round(image.width * max_height / image.height), 1)
        image = image.resize((width, max_height), Image.Resampling.LANCZOS)
    kind, options = ("png", {}) if image.mode == "RGBA" else ("jpeg", {"quality": 88})
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _fit(picture: np.ndarray, height: int) -> Image.Image:
    image = Image.fromarray(as_uint8(picture))
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*_PAPER, 255)), image)
    image = image.convert("RGB")
    width = max(round(image.width * height / image.height), 1)
    return image.resize((width, height), Image.Resampling.LANCZOS)
