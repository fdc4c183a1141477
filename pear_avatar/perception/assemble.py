"""What is believed of the detector's raw finds: confidences, boxes, and which frames to trust."""

from __future__ import annotations

import numpy as np

from pear_avatar.perception.cleaning import face_confidence, hand_confidence, pose_confidence
from pear_avatar.perception.matting import BodyHints
from pear_avatar.perception.measure import SEEN, inside_image, person_boxes, pixels_per_metre
from pear_avatar.perception.raw import RawClip
from pear_avatar.perception.trust import judge_frames
from pear_avatar.types import ClipDetections


def image_scale(raw: RawClip, width: int, height: int) -> np.ndarray:
    """(N,) pixels per metre of the person."""
    return pixels_per_metre(raw.pose[..., :2], pose_confidence(raw, width, height), raw.world)


def judged_detections(
    raw: RawClip, is_other: np.ndarray, width: int, height: int
) -> ClipDetections:
    """Landmarks with confidences, and a reason for every frame that is not to be trusted.

    Args:
        raw: cleaned finds; ``found`` means that the person was found.
        is_other: (N,) bool frames that show somebody else instead.
        width, height: of the picture, pixels.
    """
    confidence = pose_confidence(raw, width, height)
    scale = image_scale(raw, width, height)
    left, right = hand_confidence(raw, scale, width, height)
    face = face_confidence(raw, scale, width, height)
    agreement = _mask_agreement(raw, confidence, width, height)
    boxes = person_boxes(raw.pose, raw.found, width, height)
    reason = judge_frames(raw, confidence, face, scale, agreement, is_other, boxes, height)
    return ClipDetections(
        frame_index=raw.frame_index,
        time=raw.time,
        pose_px=raw.pose[..., :2].copy(),
        pose_confidence=confidence,
        pose_world=raw.world,
        left_hand_px=raw.left_hand,
        left_hand_confidence=left,
        right_hand_px=raw.right_hand,
        right_hand_confidence=right,
        face_px=raw.face,
        face_confidence=face,
        box_xyxy=boxes,
        trusted=reason == "",
        reason=reason,
        width=width,
        height=height,
    )


def body_hints(raw: RawClip, detections: ClipDetections) -> list[BodyHints | None]:
    """Where each frame's body is, for the matting; None where nobody was found."""
    scale = image_scale(raw, detections.width, detections.height)
    hints: list[BodyHints | None] = []
    for i in range(raw.num_frames):
        pairs = (
            (raw.left_hand[i], detections.left_hand_confidence[i]),
            (raw.right_hand[i], detections.right_hand_confidence[i]),
        )
        hands = tuple(points for points, sure in pairs if sure > 0)
        confidence = detections.pose_confidence[i]
        hint = BodyHints(raw.pose[i, :, :2], confidence, hands, float(scale[i]))
        hints.append(hint if raw.found[i] else None)
    return hints


def _mask_agreement(raw: RawClip, confidence: np.ndarray, width: int, height: int) -> np.ndarray:
    """(N,) share of the landmarks in sight that lie on the detector's own mask."""
    agreement = np.zeros(raw.num_frames, np.float32)
    for i in np.flatnonzero(raw.found):
        points = raw.pose[i, :, :2]
        seen = (confidence[i] > SEEN) & inside_image(points, width, height)
        if seen.any():
            columns, rows = points[seen].astype(int).T
            agreement[i] = (raw.masks[i].unpack(height, width)[rows, columns] > 100).mean()
    return agreement
