"""Many pictures on one, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pear_avatar.io.images import write_image


def write_sheet(path: Path, pictures: list[np.ndarray], columns: int = 8) -> None:
    """Write pictures (H, W, 3) uint8 of one size in rows; the ending names the format.

    Raises:
        ValueError: there are no pictures.
    """
    if not pictures:
        raise ValueError("a sheet needs at least one picture")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    high, wide = pictures[0].shape[:2]
    sheet = np.full((rows * high, columns * wide, 3), 255, np.uint8)
    for k, picture in enumerate(pictures):
        y, x = k // columns * high, k % columns * wide
        sheet[y : y + high, x : x + wide] = picture
    write_image(path, sheet)
