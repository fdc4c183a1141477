"""Whether the camera stands still, and the empty scene behind the person if it does."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

#: Corner features may move so much over the clip, in pixels of a 640-pixel-wide picture.
_STILL_PX = 1.5
_FLOW_WIDTH = 640
_MIN_CORNERS = 12
#: A corner is followed if its surroundings still look alike (mean difference, grey levels).
_FLOW_ERROR = 15.0
#: The empty scene may change brightness so much (median over pixels, grey levels).
_MAX_NOISE = 7.0
_MIN_SAMPLES = 3


@dataclass(frozen=True)
class Background:
    """The scene without the person, for a camera that stands still.

    color: (H, W, 3) float32, 0 to 255. noise: (H, W) float32 mean absolute deviation.
    known: (H, W) bool where the scene was seen often enough; False far from the person.
    """

    color: np.ndarray
    noise: np.ndarray
    known: np.ndarray

    def cut(self, region: tuple[slice, slice]) -> Background:
        """Part of the background."""
        return Background(self.color[region], self.noise[region], self.known[region])

    def resized(self, size: tuple[int, int]) -> Background:
        """Scaled down to (width, height); what was partly unknown becomes unknown."""
        known = cv2.resize(self.known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return Background(
            cv2.resize(self.color, size, interpolation=cv2.INTER_AREA),
            cv2.resize(self.noise, size, interpolation=cv2.INTER_AREA),
            known > 0.99,
        )


def camera_motion(frames: list[np.ndarray], near_person: list[np.ndarray]) -> float:
    """Median displacement of background corners from the first frame to the worst other frame.

    Args:
        frames: (H, W, 3) uint8 samples over the clip. near_person: (H, W) uint8, non-zero where
            the person may be.

    Returns pixels of a 640-pixel-wide picture; infinity where too few corners are visible.
    """
    zoom = min(1.0, _FLOW_WIDTH / frames[0].shape[1])
    greys = [_small_grey(f, zoom) for f in frames]
    size = (greys[0].shape[1], greys[0].shape[0])
    free = [cv2.resize(m, size, interpolation=cv2.INTER_NEAREST) == 0 for m in near_person]
    corners = cv2.goodFeaturesToTrack(greys[0], 400, 0.01, 8, mask=free[0].astype(np.uint8))
    if corners is None:
        return float("inf")
    columns, rows = corners.reshape(-1, 2).astype(int).T
    worst = 0.0
    for grey, is_free in zip(greys[1:], free[1:], strict=True):
        # Small moves only (one pyramid level): coarser levels are drawn along by the person.
        moved, status, error = cv2.calcOpticalFlowPyrLK(
            greys[0], grey, corners, corners.copy(), winSize=(15, 15), maxLevel=1
        )
        followed = (status.ravel() == 1) & is_free[rows, columns] & (error.ravel() < _FLOW_ERROR)
        if followed.sum() < _MIN_CORNERS:
            return float("inf")
        shift = np.linalg.norm((moved - corners).reshape(-1, 2)[followed], axis=1)
        worst = max(worst, float(np.median(shift)))
    return worst


def _small_grey(rgb: np.ndarray, zoom: float) -> np.ndarray:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)


def estimate_background(
    frames: list[np.ndarray], near_person: list[np.ndarray]
) -> Background | None:
    """Median colour of every pixel over the samples in which the person is not near it.

    Args as :func:`camera_motion`. None where the camera moves or the light changes too much for
    a background to mean anything.
    """
    picks = np.linspace(0, len(frames) - 1, min(len(frames), 8)).round().astype(int)
    motion = camera_motion([frames[i] for i in picks], [near_person[i] for i in picks])
    if motion > _STILL_PX or len(frames) < _MIN_SAMPLES:
        return None
    height, width = frames[0].shape[:2]
    color = np.zeros((height, width, 3), np.float32)
    noise = np.zeros((height, width), np.float32)
    known = np.zeros((height, width), bool)
    top, bottom, left, right = _reach(near_person)
    for y in range(top, bottom, 32):  # strips keep the sort in cache and memory low
        part = slice(y, min(y + 32, bottom)), slice(left, right)
        stack = np.stack([f[part] for f in frames])
        hidden = np.stack([m[part] for m in near_person]) > 0
        color[part], noise[part], known[part] = _masked_median(stack, hidden)
    if not known.any() or float(np.median(noise[known])) > _MAX_NOISE:
        return None
    return Background(color, noise, known)


def _reach(near_person: list[np.ndarray]) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of all that the person ever comes near, with some room."""
    ever = np.logical_or.reduce([m > 0 for m in near_person])
    height, width = ever.shape
    rows, columns = np.flatnonzero(ever.any(1)), np.flatnonzero(ever.any(0))
    if len(rows) == 0:
        return 0, height, 0, width
    room = max(16, (rows[-1] - rows[0]) // 8)
    return (
        max(0, int(rows[0] - room)),
        min(height, int(rows[-1] + room)),
        max(0, int(columns[0] - room)),
        min(width, int(columns[-1] + room)),
    )


def _masked_median(
    stack: np.ndarray, hidden: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median (h, W, 3), mean absolute deviation (h, W) and "seen often enough" (h, W)."""
    count = (~hidden).sum(0)
    filled = np.where(hidden[..., None], np.uint8(255), stack)
    filled.sort(axis=0)
    middle = np.maximum(count - 1, 0) // 2
    median = np.take_along_axis(filled, middle[None, ..., None], axis=0)[0].astype(np.float32)
    spread = np.abs(stack.astype(np.float32) - median).mean(-1) * ~hidden
    noise = spread.sum(0) / np.maximum(count, 1)
    return median, noise, count >= _MIN_SAMPLES
