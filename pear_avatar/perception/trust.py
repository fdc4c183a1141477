"""Which frames later stages may use, and the reason why the others are left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pear_avatar.body.topology import (
    HEAD_POINTS,
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_SHOULDER,
    RIGHT_ANKLE,
    RIGHT_HIP,
    RIGHT_SHOULDER,
)
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.measure import SEEN
from pear_avatar.types import ClipDetections

NO_PERSON = "no person found"
OTHER_PERSON = "another person"
BODY_UNCLEAR = "shoulders not seen clearly"
TOO_SMALL = "person too small"
SIZE_JUMP = "size jumps"
MASK_DISAGREES = "mask and landmarks disagree"

#: A person lower than this (pixels, or share of the picture's height) is too small to use.
_MIN_HEIGHT_PX, _MIN_HEIGHT_SHARE = 48, 0.06
#: The image scale may differ so much from its neighbours' median.
_SCALE_JUMP = 1.6
_MASK_AGREEMENT = 0.55


def judge_frames(clip: JudgedClip, is_other: np.ndarray) -> np.ndarray:
    """(N,) str: empty where the frame is trusted, else the first reason why it is not.

    A body cut at the waist or below the shoulders is fine as long as the shoulders are seen, and
    so is a back view: nothing here asks for legs or for a face.

    Args:
        clip: the cleaned clip.
        is_other: (N,) bool frames that show another person instead.
    """
    confidence, face = clip.pose_confidence, clip.face_confidence
    reason = np.full(clip.raw.num_frames, "", dtype="<U40")

    def mark(where: np.ndarray, text: str) -> None:
        reason[where & (reason == "")] = text

    mark(is_other, OTHER_PERSON)
    mark(~clip.raw.found, NO_PERSON)
    shoulders = confidence[:, [LEFT_SHOULDER, RIGHT_SHOULDER]]
    hips = confidence[:, [LEFT_HIP, RIGHT_HIP]]
    # One shoulder may be hidden in profile; then the hips or the face must carry the frame.
    carried = (hips.max(1) > SEEN) | (face > 0)
    carried |= confidence[:, list(HEAD_POINTS)].mean(1) > SEEN
    clear = (shoulders.min(1) > SEEN) | ((shoulders.max(1) > SEEN) & carried)
    clear |= face > SEEN
    mark(~clear, BODY_UNCLEAR)
    tall = clip.boxes[:, 3] - clip.boxes[:, 1]
    mark(tall < max(_MIN_HEIGHT_PX, _MIN_HEIGHT_SHARE * clip.raw.height), TOO_SMALL)
    mark(_jumps(clip.scale, reason == ""), SIZE_JUMP)
    mark(clip.mask_agreement < _MASK_AGREEMENT, MASK_DISAGREES)
    return reason


def _jumps(scale: np.ndarray, usable: np.ndarray, reach: int = 7) -> np.ndarray:
    """(N,) bool: frames whose scale is far from the median of the usable frames around them."""
    jump = np.zeros(len(scale), bool)
    rows = np.flatnonzero(usable)
    for k, i in enumerate(rows):
        around = scale[rows[max(0, k - reach) : k + reach + 1]]
        ratio = scale[i] / np.median(around)
        jump[i] = not 1 / _SCALE_JUMP < ratio < _SCALE_JUMP
    return jump


@dataclass(frozen=True)
class Quality:
    """Counts by which to decide whether a clip is good enough.

    frames, trusted: numbers of frames. left_hand, right_hand, face: trusted frames with them.
    full_body: trusted frames with both ankles in sight. reasons: why frames are not trusted.
    """

    frames: int
    trusted: int
    left_hand: int
    right_hand: int
    face: int
    full_body: int
    reasons: dict[str, int]

    def __str__(self) -> str:
        text = (
            f"{self.trusted} of {self.frames} frames can be trusted (full body in "
            f"{self.full_body}, face in {self.face}, left hand in {self.left_hand}, "
            f"right hand in {self.right_hand})"
        )
        if self.reasons:
            text += "; not: " + ", ".join(f"{n} {why}" for why, n in self.reasons.items())
        return text


def summarise(detections: ClipDetections) -> Quality:
    """Count what a clip offers."""
    good = detections.trusted
    ankles = detections.pose_confidence[:, [LEFT_ANKLE, RIGHT_ANKLE]].min(axis=1) > SEEN
    return Quality(
        frames=detections.num_frames,
        trusted=int(good.sum()),
        left_hand=int((good & (detections.left_hand_confidence > 0)).sum()),
        right_hand=int((good & (detections.right_hand_confidence > 0)).sum()),
        face=int((good & (detections.face_confidence > 0)).sum()),
        full_body=int((good & ankles).sum()),
        reasons=dict(Counter(str(r) for r in detections.reason if r).most_common()),
    )
