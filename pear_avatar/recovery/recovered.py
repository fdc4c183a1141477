"""What recovery returns: the people of one picture, posed, with the camera that saw them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pear_avatar.types import BodyParams, Camera, ClipDetections, Proportions

__all__ = ["PoseEstimate", "RecoveredPeople", "RecoveredPerson"]


@dataclass(frozen=True)
class PoseEstimate:
    """P people, or one person in P frames, as a network gives them.

    params:      betas (P, S), expression (P, E), rotations (P, 55, 3, 3), transl (P, 3), in the
                 world of ``camera``.
    proportions: head_scale and hand_scale (P, 3), and the rest likewise.
    camera:      one for all, or P of them.
    """

    params: BodyParams
    proportions: Proportions
    camera: Camera


@dataclass(frozen=True)
class RecoveredPerson:
    """One person recovered from one picture; nothing here has a batch axis.

    params:      betas (S,), expression (E,), rotations (55, 3, 3), transl (3,), in the world of
                 ``camera``.
    proportions: head and hand scale, and the head's shape where it was recovered.
    camera:      of the whole picture.
    box_xyxy:    (4,) pixels.
    confidence:  in [0, 1]: how clearly the person was seen.
    reason:      empty, or why the result should not be trusted.
    identity:    the same for the same person in all frames of a video; 0, 1, ... in a picture,
                 largest first.
    detections:  the landmarks (one frame) that it was recovered from; in the picture as it was
                 looked at, which may be turned (see ``quarter_turns``).
    quarter_turns: how often the picture was turned by 90 degrees, anticlockwise, until a person
                 was found in it; everything else here refers to the original picture.
    """

    params: BodyParams
    proportions: Proportions
    camera: Camera
    box_xyxy: np.ndarray
    confidence: float
    reason: str
    identity: int
    detections: ClipDetections
    quarter_turns: int = 0


@dataclass(frozen=True)
class RecoveredPeople:
    """The people recovered from one picture of ``width`` x ``height`` pixels, largest first."""

    people: tuple[RecoveredPerson, ...]
    width: int
    height: int

    def __iter__(self) -> Iterator[RecoveredPerson]:
        return iter(self.people)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> RecoveredPerson:
        return self.people[index]
