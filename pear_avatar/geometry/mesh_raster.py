"""A vectorised z-buffer for triangle meshes, in NumPy: exact visibility, no Python loop.

It draws the synthetic person, not the avatar; splats have their own rasteriser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_EDGE_SLACK = 1e-6  # a pixel centre on a shared edge belongs to both triangles: no cracks


@dataclass(frozen=True)
class Fragments:
    """The visible surface of M pixels.

    pixel:       (M,) int64 flat index row * width + column, each pixel at most once.
    face:        (M,) int64 index of the triangle that is seen.
    barycentric: (M, 3) float32 perspective-correct weights of its corners.
    depth:       (M,) float32 camera-space z.
    facing:      (M,) bool, True where the front side (counter-clockwise from outside) is seen.
    """

    pixel: np.ndarray
    face: np.ndarray
    barycentric: np.ndarray
    depth: np.ndarray
    facing: np.ndarray


def rasterise_mesh(
    points_px: np.ndarray,
    depth: np.ndarray,
    faces: np.ndarray,
    width: int,
    height: int,
    *,
    two_sided: np.ndarray | None = None,
) -> Fragments:
    """Find the nearest triangle at each pixel centre (at +0.5).

    Args:
        points_px: (V, 2) projected vertices in pixels, y down.
        depth: (V,) camera-space z; triangles with a corner at z <= 1 mm are dropped whole.
        faces: (F, 3) integer vertex indices.
        width: image width.
        height: image height.
        two_sided: (F,) bool, True where the back of a triangle is drawn too; None: everywhere.
    """
    # NumPy reduces short trailing axes slowly, so coordinates live in arrays of their own.
    x, y = (points_px[:, k].astype(np.float32)[faces] for k in range(2))
    z = depth.astype(np.float32)[faces]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    # With y down, the front of a counter-clockwise triangle has negative area.
    drawn = (np.abs(area) > 1e-9) & (_extreme(np.minimum, z) > 1e-3)
    if two_sided is not None:
        drawn &= (area < 0) | two_sided
    left, right = _pixel_range(x, width)
    top, bottom = _pixel_range(y, height)
    drawn &= (right >= left) & (bottom >= top)
    index = np.nonzero(drawn)[0]
    face, column, row = _candidates(
        index,
        left[index],
        top[index],
        right[index] - left[index] + 1,
        bottom[index] - top[index] + 1,
    )
    bary, inside = _barycentric(x[index], y[index], area[index], face, column, row=row)
    w0, w1, w2 = (b[inside] for b in bary)
    face, column, row = index[face[inside]], column[inside], row[inside]
    iz = 1.0 / z
    w0, w1, w2 = w0 * iz[face, 0], w1 * iz[face, 1], w2 * iz[face, 2]
    fragment_depth = 1.0 / (w0 + w1 + w2)
    pixel = row * width + column
    nearest = np.full(width * height, np.inf, np.float32)
    np.minimum.at(nearest, pixel, fragment_depth)
    winner = np.full(width * height, -1, np.int64)
    visible = np.nonzero(fragment_depth == nearest[pixel])[0]
    winner[pixel[visible]] = visible  # equal depths on a shared edge: either will do
    pixel = np.nonzero(winner >= 0)[0]
    chosen = winner[pixel]
    face, seen_depth = face[chosen], fragment_depth[chosen]
    return Fragments(
        pixel=pixel,
        face=face,
        barycentric=np.stack([w[chosen] * seen_depth for w in (w0, w1, w2)], 1),
        depth=seen_depth,
        facing=area[face] < 0,
    )


def _extreme(pick: np.ufunc, values: np.ndarray) -> np.ndarray:
    """``pick`` over three columns."""
    extreme: np.ndarray = pick(pick(values[:, 0], values[:, 1]), values[:, 2])
    return extreme


def _pixel_range(values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel whose centre lies within each triangle's extent, cut to the image."""
    first = np.maximum(np.ceil(_extreme(np.minimum, values) - 0.5), 0)
    last = np.minimum(np.floor(_extreme(np.maximum, values) - 0.5), size - 1)
    return first.astype(np.int64), last.astype(np.int64)


def _candidates(
    index: np.ndarray, left: np.ndarray, top: np.ndarray, wide: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every (position in ``index``, column, row) with the pixel in the triangle's box."""
    count = wide * high
    start = np.cumsum(count) - count
    which = np.repeat(np.arange(len(index)), count)
    offset = np.arange(len(which)) - start[which]
    row, column = np.divmod(offset, wide[which])
    return which, column + left[which], row + top[which]


def _barycentric(
    x: np.ndarray,
    y: np.ndarray,
    area: np.ndarray,
    face: np.ndarray,
    column: np.ndarray,
    *,
    row: np.ndarray,
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Screen-space weights of pixel centres, three arrays, and which of them lie inside."""
    # Relative to the first corner, so that float32 keeps its digits.
    dx = (column + 0.5).astype(np.float32) - x[face, 0]
    dy = (row + 0.5).astype(np.float32) - y[face, 0]
    w1 = ((y[:, 2] - y[:, 0]) / area)[face] * dx - ((x[:, 2] - x[:, 0]) / area)[face] * dy
    w2 = ((x[:, 1] - x[:, 0]) / area)[face] * dy - ((y[:, 1] - y[:, 0]) / area)[face] * dx
    w0 = 1 - w1 - w2
    inside = (w0 >= -_EDGE_SLACK) & (w1 >= -_EDGE_SLACK) & (w2 >= -_EDGE_SLACK)
    return (w0, w1, w2), inside
