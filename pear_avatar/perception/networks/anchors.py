"""Single-shot detectors: from scores and boxes at anchors to a few detections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit

from pear_avatar.perception.networks.regions import Region
from pear_avatar.perception.networks.runner import Network

__all__ = ["AnchorDetector", "Detection"]

_MIN_SCORE = 0.5
#: Boxes that overlap more than this (intersection over union) are one detection.
_SAME = 0.3


@dataclass(frozen=True)
class Detection:
    """score in [0, 1]; box (4,) x0, y0, x1, y1 and points (K, 2), both pixels of the picture.

    In a turned region the box is that of the turned box's corners.
    """

    score: float
    box: np.ndarray
    points: np.ndarray


class AnchorDetector:
    """A detector of the BlazeFace family.

    Args:
        name: of the network's file.
        strides: of its feature maps in input pixels, finest first.
        low: the value that black has in its input; white is 1.
    """

    def __init__(self, name: str, strides: tuple[int, ...], *, low: float) -> None:
        self._network = Network(name)
        self._size = self._network.size
        self._anchors = _anchors(self._size, strides)
        self._low = low

    def find(self, rgb: np.ndarray, region: Region) -> list[Detection]:
        """What is in a region of an (H, W, 3) uint8 picture, highest score first."""
        crop = region.crop(rgb, self._size, replicate=False)
        values = crop.astype(np.float32) * ((1.0 - self._low) / 255.0) + self._low
        boxes, logits = self._network(values[None])[:2]
        score = expit(logits[0, :, 0])
        good = np.flatnonzero(score >= _MIN_SCORE)
        if not len(good):
            return []
        raw = boxes[0, good] / self._size
        raw[:, :2] += self._anchors[good]
        raw[:, 4:] += np.tile(self._anchors[good], raw[:, 4:].shape[1] // 2)
        corners = np.column_stack([raw[:, :2] - raw[:, 2:4] / 2, raw[:, :2] + raw[:, 2:4] / 2])
        merged = _merge(score[good], np.column_stack([corners, raw[:, 4:]]))
        return [_in_picture(s, row, region) for s, row in merged]


def _in_picture(score: float, row: np.ndarray, region: Region) -> Detection:
    x0, y0, x1, y1 = row[:4]
    corners = region.to_picture(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
    box = np.concatenate([corners.min(0), corners.max(0)])
    return Detection(score, box, region.to_picture(row[4:].reshape(-1, 2)))


def _merge(score: np.ndarray, rows: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Rows that overlap, averaged by their scores, beginning with the surest."""
    left = np.argsort(-score, kind="stable")
    result = []
    while len(left):
        same = _overlap(rows[left[0], :4], rows[left, :4]) > _SAME
        same[0] = True
        group = left[same]
        weight = score[group] / score[group].sum()
        result.append((float(score[group[0]]), weight @ rows[group]))
        left = left[~same]
    return result


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) intersection over union of a (4,) box with (N, 4) others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0.0, None).prod(1)
    area = np.clip(others[:, 2:] - others[:, :2], 0.0, None).prod(1)
    own = float(np.clip(box[2:] - box[:2], 0.0, None).prod())
    return shared / np.maximum(own + area - shared, 1e-12)


@cache
def _anchors(size: int, strides: tuple[int, ...]) -> np.ndarray:
    """(A, 2) centres in shares of the input; two at each cell for each map of that stride."""
    centres = []
    for stride in dict.fromkeys(strides):
        cells = size // stride
        line = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        centres.append(np.repeat(grid, 2 * strides.count(stride), axis=0))
    return np.concatenate(centres).astype(np.float32)
