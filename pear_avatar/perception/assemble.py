"""From a judged clip to the detections that later stages use, and to hints for the matting."""

from __future__ import annotations

import numpy as np

from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.matting import BodyHints
from pear_avatar.perception.networks.actions import facial_actions
from pear_avatar.perception.trust import judge_frames
from pear_avatar.types import ClipDetections


def judged_detections(clip: JudgedClip, is_other: np.ndarray | None = None) -> ClipDetections:
    """Landmarks with confidences, and a reason for every frame that is not to be trusted.

    Args:
        clip: cleaned detections; ``found`` means that the person was found.
        is_other: (N,) bool frames that show another person instead; None for no frame.
    """
    raw = clip.raw
    left, right = clip.hand_confidence
    reason = judge_frames(clip, np.zeros(raw.num_frames, bool) if is_other is None else is_other)
    return ClipDetections(
        frame_index=raw.frame_index,
        time=raw.time,
        pose_px=raw.pose[..., :2].copy(),
        pose_confidence=clip.pose_confidence,
        pose_world=raw.world,
        left_hand_px=raw.left_hand,
        left_hand_confidence=left,
        right_hand_px=raw.right_hand,
        right_hand_confidence=right,
        face_px=raw.face,
        face_confidence=clip.face_confidence,
        box_xyxy=clip.boxes,
        trusted=reason == "",
        reason=reason,
        width=raw.width,
        height=raw.height,
        face_actions=facial_actions(raw.face, clip.face_confidence > 0),
    )


def body_hints(clip: JudgedClip) -> list[BodyHints | None]:
    """Where the body is in each frame, for the matting; None where no person was found."""
    raw = clip.raw
    left, right = clip.hand_confidence
    hints: list[BodyHints | None] = []
    for i in range(raw.num_frames):
        pairs = ((raw.left_hand[i], left[i]), (raw.right_hand[i], right[i]))
        hands = tuple(points for points, confidence in pairs if confidence > 0)
        hint = BodyHints(raw.pose[i, :, :2], clip.pose_confidence[i], hands, float(clip.scale[i]))
        hints.append(hint if raw.found[i] else None)
    return hints
