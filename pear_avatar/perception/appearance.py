"""What a person looks like: colours of head, trunk, thighs and lower legs, each by itself.

One histogram of the whole person confuses people in like clothes; hair and skin, shirt and shoes
compared apart distinguish more of them.
"""

from __future__ import annotations

import cv2
import numpy as np

from pear_avatar.body.topology import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

__all__ = ["NUM_COLOR_BINS", "color_histogram", "similarity"]

NUM_PARTS = 4
#: Bins of each part in CIELAB and the range of their values; what lies beyond counts at its end.
_BINS = (4, 4, 4)
_LOW, _HIGH = (0, 108, 108), (256, 160, 168)
NUM_COLOR_BINS = NUM_PARTS * _BINS[0] * _BINS[1] * _BINS[2]
_HISTOGRAM_SIDE = 96
_ON_PERSON = 160
#: A part counts from this share of the person's pixels; the trunk must be so long (px) to have
#: a direction.
_LEAST_SHARE, _LEAST_TRUNK = 0.02, 6.0


def color_histogram(rgb: np.ndarray, mask: np.ndarray, pose: np.ndarray | None) -> np.ndarray:
    """(256,) float32, four parts of 64 bins, each part in sight with the same sum; 1 in all.

    Args:
        rgb: (H, W, 3) uint8. mask: (H, W) uint8 of the person; pose: (33, 3) or None. Without
            a person it is zero.
    """
    histogram = np.zeros((NUM_PARTS, NUM_COLOR_BINS // NUM_PARTS), np.float32)
    step = max(1, max(rgb.shape[:2]) // (4 * _HISTOGRAM_SIDE))
    inside = mask[::step, ::step] > _ON_PERSON
    if pose is None or not inside.any():
        return histogram.ravel()
    rows, columns = np.nonzero(inside)
    lab = cv2.cvtColor(rgb[::step, ::step][inside][None], cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    low, high = np.array(_LOW, np.float32), np.array(_HIGH, np.float32)
    place = ((lab - low) / (high - low) * _BINS).astype(int).clip(0, np.array(_BINS) - 1)
    index = np.ravel_multi_index(tuple(place.T), _BINS)
    part = _parts(step * np.stack([columns, rows], axis=1).astype(np.float32), pose[:, :2])
    np.add.at(histogram, (part, index), 1.0)
    share = histogram.sum(1, keepdims=True)
    seen = share[:, 0] >= _LEAST_SHARE * len(rows)
    histogram[~seen] = 0
    histogram[seen] /= share[seen] * seen.sum()
    return histogram.ravel()


def _parts(pixels: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """(P,) part of each pixel (P, 2): how far down the trunk's line it lies, in trunk lengths."""
    shoulders = pose[[LEFT_SHOULDER, RIGHT_SHOULDER]].mean(0)
    trunk = pose[[LEFT_HIP, RIGHT_HIP]].mean(0) - shoulders
    length = float(np.linalg.norm(trunk))
    if length < _LEAST_TRUNK:
        return np.ones(len(pixels), int)
    along = (pixels - shoulders) @ trunk / length**2
    parts: np.ndarray = np.digitize(along, (-0.05, 1.0, 1.9))
    return parts


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Mean Bhattacharyya coefficient, in [0, 1], of the parts that two histograms share."""
    a, b = (np.maximum(x, 0).reshape(NUM_PARTS, -1) for x in (a, b))
    mass = np.sqrt(a.sum(1) * b.sum(1))
    common = mass > 0
    if not common.any():
        return 0.0
    return float((np.sqrt(a * b).sum(1)[common] / mass[common]).mean())
