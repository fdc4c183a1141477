"""A second look at crops: the person where the detector lost them, small faces, missed hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from pear_avatar.body.topology import HEAD_POINTS, LEFT_EAR, RIGHT_EAR
from pear_avatar.perception.detectors import Detector, FrameDetection, PartDetector
from pear_avatar.perception.measure import SEEN

#: Pixels to which a face or hand crop is brought; the networks see 192 to 224.
_CROP_SIDE = 256
_HEAD_CROP_M, _HAND_CROP_M = 0.55, 0.45
#: Smaller hands (pixels, for 0.18 m) and heads (0.22 m) hold nothing to find.
_MIN_HAND_PX, _MIN_HEAD_PX = 22, 16
_MIN_HAND_SCORE = 0.6


def detect_in_box(rgb: np.ndarray, box: np.ndarray, detector: Detector) -> FrameDetection:
    """Run a whole-person detector on a (4,) box of the (H, W, 3) frame only.

    Returns the detection in pixels of the whole frame.
    """
    height, width = rgb.shape[:2]
    x0, y0 = (max(0, int(v)) for v in box[:2])
    x1, y1 = min(width, int(box[2]) + 1), min(height, int(box[3]) + 1)
    if x1 - x0 < 32 or y1 - y0 < 32:
        return FrameDetection()
    found = detector.detect(np.ascontiguousarray(rgb[y0:y1, x0:x1]))
    if found.pose is None:
        return found
    shift = np.array([x0, y0], np.float32)
    pose = found.pose.copy()
    pose[:, :2] += shift
    mask = np.zeros((height, width), np.uint8)
    if found.mask is not None:
        mask[y0:y1, x0:x1] = found.mask

    def moved(points: np.ndarray | None) -> np.ndarray | None:
        return None if points is None else points + shift

    return replace(
        found,
        pose=pose,
        left_hand=moved(found.left_hand),
        right_hand=moved(found.right_hand),
        face=moved(found.face),
        mask=mask,
    )


def face_search(raw_pose: np.ndarray, confidence: np.ndarray, scale: float) -> np.ndarray | None:
    """(3,) centre x, y and side of the crop in which to look for a face; None if it is hopeless.

    Args:
        raw_pose: (33, 3). confidence: (33,). scale: pixels per metre.
    """
    head = confidence[list(HEAD_POINTS)] > SEEN
    if head.sum() < 5 or 0.22 * scale < _MIN_HEAD_PX:
        return None
    centre = raw_pose[list(HEAD_POINTS), :2][head].mean(0)
    ears = np.linalg.norm(raw_pose[LEFT_EAR, :2] - raw_pose[RIGHT_EAR, :2])
    return np.array([*centre, max(_HEAD_CROP_M * scale, 3.0 * ears)])


def hand_search(
    raw_pose: np.ndarray, confidence: np.ndarray, scale: float, wrist: int
) -> np.ndarray | None:
    """(3,) centre x, y and side of the crop in which to look for a hand; None if hopeless."""
    elbow = wrist - 2
    if confidence[wrist] < SEEN or 0.18 * scale < _MIN_HAND_PX:
        return None
    forearm = raw_pose[wrist, :2] - raw_pose[elbow, :2]
    length = float(np.linalg.norm(forearm))
    centre = raw_pose[wrist, :2] + forearm * min(0.35, 0.09 * scale / max(length, 1.0))
    return np.array([*centre, _HAND_CROP_M * scale])


def search_parts(
    rgb: np.ndarray,
    areas: Sequence[tuple[str, np.ndarray]],
    faces: PartDetector,
    hands: PartDetector,
) -> dict[str, np.ndarray]:
    """Look into each area ("face", "left_hand" or "right_hand", (3,) centre and side).

    Returns what was found, in pixels of the whole frame.
    """
    found = {}
    for name, area in areas:
        crop, origin, zoom = _crop(rgb, area)
        if crop is None:
            continue
        result = (faces if name == "face" else hands).find(crop)
        if result is None:
            continue
        points, score, side = result
        wrong_side = name != "face" and f"{side}_hand" != name
        if not wrong_side and score >= _MIN_HAND_SCORE:
            found[name] = (points / zoom + origin).astype(np.float32)
    return found


def _crop(rgb: np.ndarray, area: np.ndarray) -> tuple[np.ndarray | None, np.ndarray, float]:
    """A square crop brought to a fixed size, its origin and its zoom; black beyond the frame."""
    height, width = rgb.shape[:2]
    side = max(8, round(float(area[2])))
    x0, y0 = round(float(area[0]) - side / 2), round(float(area[1]) - side / 2)
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(width, x0 + side), min(height, y0 + side)
    origin, zoom = np.array([x0, y0], np.float32), _CROP_SIDE / side
    if right - left < side // 3 or bottom - top < side // 3:
        return None, origin, zoom
    square = np.zeros((side, side, 3), np.uint8)
    square[top - y0 : bottom - y0, left - x0 : right - x0] = rgb[top:bottom, left:right]
    how = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    return cv2.resize(square, (_CROP_SIDE, _CROP_SIDE), interpolation=how), origin, zoom
