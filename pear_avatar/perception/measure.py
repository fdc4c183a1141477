"""Sizes and places measured from landmarks: the yardsticks of every plausibility test."""

from __future__ import annotations

import numpy as np

#: Typical standing height, metres: turns "share of the height" into metres.
HEIGHT_M = 1.7
SEEN = 0.5


def pixels_per_metre(pose_px: np.ndarray, confidence: np.ndarray, world: np.ndarray) -> np.ndarray:
    """(N,) image scale of the person: pixels per metre of mediapipe's own 3D estimate.

    Works for cropped bodies too, since only landmarks in sight count. Frames without a usable
    pose get the clip's median (NaN if there is none at all).

    Args:
        pose_px: (N, 33, 2). confidence: (N, 33). world: (N, 33, 3) metres.
    """
    weight = np.where(confidence > SEEN, confidence, 0.0)[..., None].astype(np.float64)
    total = weight.sum(1, keepdims=True) + 1e-9
    a = world[..., :2] - (world[..., :2] * weight).sum(1, keepdims=True) / total
    b = pose_px - (pose_px * weight).sum(1, keepdims=True) / total
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt((weight * b**2).sum((1, 2)) / (weight * a**2).sum((1, 2)))
    usable = ((confidence > SEEN).sum(1) >= 4) & np.isfinite(scale) & (scale > 0)
    if not usable.any():
        return np.full(len(scale), np.nan)
    return np.where(usable, scale, np.median(scale[usable]))


def inside_image(points: np.ndarray, width: float, height: float) -> np.ndarray:
    """(...,) bool: which (..., 2) points lie in the picture."""
    x, y = points[..., 0], points[..., 1]
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def landmark_box(points: np.ndarray, margin: float, width: int, height: int) -> np.ndarray:
    """(4,) x0, y0, x1, y1 around (P, 2) points, grown by ``margin`` pixels, in the picture."""
    low, high = points.min(0) - margin, points.max(0) + margin
    limit = np.array([width, height], np.float64)
    return np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)]).astype(np.float32)


def person_boxes(pose: np.ndarray, found: np.ndarray, width: int, height: int) -> np.ndarray:
    """(N, 4) boxes around the landmarks in sight, with a margin; zeros where no person was found.

    Args:
        pose: (N, 33, 3) x, y, visibility. found: (N,) bool.
    """
    boxes = np.zeros((len(pose), 4), np.float32)
    for i in np.flatnonzero(found):
        points = pose[i, :, :2]
        seen = (pose[i, :, 2] > SEEN) & inside_image(points, width, height)
        if seen.sum() >= 2:
            size = float(np.ptp(points[seen], axis=0).max())
            boxes[i] = landmark_box(points[seen], 0.07 * size, width, height)
    return boxes


def box_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two (4,) boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = float(width * height)
    return shared / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def swap_sides(values: np.ndarray, rows: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> None:
    """Exchange left and right landmarks of (N, 33, ...) in place in the frames ``rows``."""
    index = np.flatnonzero(rows)
    for left, right in pairs:
        values[index, left], values[index, right] = (
            values[index, right].copy(),
            values[index, left].copy(),
        )
