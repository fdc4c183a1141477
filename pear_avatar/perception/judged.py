"""A clip of detections with all that is derived from it, each computed once on first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pear_avatar.perception.cleaning import (
    face_confidence,
    hand_confidence,
    pose_confidence,
    shows_back,
)
from pear_avatar.perception.measure import SEEN, inside_image, person_boxes, pixels_per_metre
from pear_avatar.perception.raw import RawClip

__all__ = ["JudgedClip"]

#: A landmark lies on the soft mask (0 to 255) where the mask exceeds this.
_ON_MASK = 100


@dataclass(frozen=True, eq=False)
class JudgedClip:
    """N frames of raw detections with confidences, image scale and boxes."""

    raw: RawClip

    @cached_property
    def pose_confidence(self) -> np.ndarray:
        """(N, 33)."""
        return pose_confidence(self.raw)

    @cached_property
    def scale(self) -> np.ndarray:
        """(N,) pixels per metre of the person."""
        return pixels_per_metre(self.raw.pose[..., :2], self.pose_confidence, self.raw.world)

    @cached_property
    def hand_confidence(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) of the left and (N,) of the right hand."""
        return hand_confidence(self.raw, self.scale)

    @cached_property
    def face_confidence(self) -> np.ndarray:
        """(N,)."""
        return face_confidence(self.raw, self.scale)

    @cached_property
    def shows_back(self) -> np.ndarray:
        """(N,) bool: the person faces away from the camera."""
        return shows_back(self.raw, self.scale)

    @cached_property
    def boxes(self) -> np.ndarray:
        """(N, 4) x0, y0, x1, y1 px; zeros where no person was found."""
        return person_boxes(self.raw.pose, self.raw.found, self.raw.width, self.raw.height)

    @cached_property
    def mask_agreement(self) -> np.ndarray:
        """(N,) share of the visible landmarks that lie on the detector's own mask."""
        raw = self.raw
        agreement = np.zeros(raw.num_frames, np.float32)
        for i in np.flatnonzero(raw.found):
            points = raw.pose[i, :, :2]
            seen = (self.pose_confidence[i] > SEEN) & inside_image(points, raw.width, raw.height)
            if seen.any():
                columns, rows = points[seen].astype(int).T
                agreement[i] = (raw.mask(i)[rows, columns] > _ON_MASK).mean()
        return agreement
