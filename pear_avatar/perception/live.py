"""One person in a live picture: as fast as the detector goes, each frame judged on its own."""

from __future__ import annotations

import numpy as np

from pear_avatar.io.closing import Closing
from pear_avatar.perception.assemble import judged_detections
from pear_avatar.perception.detectors import Detectors, load_detectors
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.raw import raw_frame, stack_frames
from pear_avatar.types import ClipDetections

__all__ = ["LiveDetector"]


class LiveDetector(Closing):
    """Follows the person in front of a camera; a ``with`` block frees the networks."""

    def __init__(self, detectors: Detectors | None = None) -> None:
        self._person = (detectors or load_detectors()).person(True)
        self._frame = 0

    def close(self) -> None:
        """Free the networks."""
        self._person.close()

    def detect(self, rgb: np.ndarray, time: float) -> ClipDetections | None:
        """The person in the next (H, W, 3) uint8 frame, as detections of one frame.

        Args:
            rgb: the frame. time: seconds since the first one.

        Returns:
            None where no person is seen.
        """
        index, self._frame = self._frame, self._frame + 1
        found = self._person.detect(rgb)
        if found.pose is None:
            return None
        raw = stack_frames([raw_frame(index, time, rgb, found)])
        return judged_detections(JudgedClip(raw))
