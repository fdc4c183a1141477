"""Frames whose tracked body misses its own landmarks: they must not drive anything downstream.

A detector can be sure of a limb that is another person's, or mirrored, and the tracker, which
bridges what it cannot explain, then leaves the body elsewhere. The distance between both is seen
against the extent of what the picture shows: 19 px are little on a whole person, much on a head.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from pear_avatar.body import BodyModel
from pear_avatar.tracking.track_report import confident_landmarks, project_landmarks
from pear_avatar.types import ClipDetections, Track

TRACK_MISSES = "tracked body misses its landmarks"

#: mean distance of a frame's landmarks, and that of its third worst one, over the extent of what
#: is seen; good clips stay below .042 and .09
_MEAN_MISS, _LIMB_MISS = 0.06, 0.14
_WORST = 3
#: good frames between refused ones are refused too when they are at most this many: a wrong
#: stretch passes the right pose on its way
_BRIDGE = 2
#: where more than this share misses it is the yardstick that is wrong, or everything: warned of
#: elsewhere, and refusing all would leave no avatar
_MOST = 0.6


def refuse_misses(
    track: Track, detections: ClipDetections, body: BodyModel
) -> tuple[Track, ClipDetections]:
    """The same track and detections, with the frames that miss marked as not trusted."""
    missed = np.asarray(detections.trusted, bool) & _misses(track, detections, body)
    missed = bridged(missed) & np.asarray(detections.trusted, bool)
    if not missed.any() or missed.sum() > _MOST * detections.trusted.sum():
        return track, detections
    reason = np.where(missed, TRACK_MISSES, detections.reason.astype("<U40"))
    return (
        replace(track, trusted=track.trusted & ~missed),
        replace(detections, trusted=detections.trusted & ~missed, reason=reason),
    )


def _misses(track: Track, detections: ClipDetections, body: BodyModel) -> np.ndarray:
    """(N,) bool: the projected pose landmarks are far from the detected ones."""
    sure = confident_landmarks(detections)
    distance = np.linalg.norm(project_landmarks(track, body)["pose"] - detections.pose_px, axis=-1)
    low = np.where(sure[..., None], detections.pose_px, np.inf).min(1)
    high = np.where(sure[..., None], detections.pose_px, -np.inf).max(1)
    count = sure.sum(1)
    enough = count >= _WORST
    extent = np.linalg.norm(np.where(enough[:, None], high - low, 1.0), axis=-1)
    relative = np.where(sure, distance, 0.0) / np.maximum(extent, 1.0)[:, None]
    mean = relative.sum(1) / np.maximum(count, 1)
    limb = np.sort(relative, axis=1)[:, -_WORST]
    found: np.ndarray = enough & ((mean > _MEAN_MISS) | (limb > _LIMB_MISS))
    return found


def bridged(refused: np.ndarray) -> np.ndarray:
    """(N,) bool with the short gaps between refused frames filled."""
    out = refused.copy()
    rows = np.flatnonzero(refused)
    for a, b in pairwise(rows):
        if b - a <= _BRIDGE + 1:
            out[a:b] = True
    return out
