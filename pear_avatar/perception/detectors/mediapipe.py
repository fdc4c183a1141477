"""MediaPipe's networks: body, hands and face of one person; faces and hands in crops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pear_avatar.perception.detectors import Detector, Detectors, FrameDetection
from pear_avatar.perception.networks.bodies import BodyFollower
from pear_avatar.perception.networks.faces import FaceFollower, FaceNetwork
from pear_avatar.perception.networks.hands import HandFollower, HandNetwork, PalmNetwork

#: Wrist, little finger and index finger of each hand in the body's landmarks.
_LEFT, _RIGHT = (15, 17, 19), (16, 18, 20)
#: Hands of a crop that are looked at.
_MOST_HANDS = 2


class HolisticDetector:
    """Pose, hands, face with irises and mask of one person: first the body, then its parts where
    it says they are.

    Args:
        follow: look near the last frame's person (quick, steady); False treats every frame as
            a picture of its own.
    """

    def __init__(self, *, follow: bool = True) -> None:
        self._body = BodyFollower(follow=follow)
        self._left = HandFollower(_LEFT, follow=follow)
        self._right = HandFollower(_RIGHT, follow=follow)
        self._face = FaceFollower(follow=follow)
        #: Hands and face run beside one another.
        self._parts = ThreadPoolExecutor(2, "hands")

    def detect(
        self, rgb: np.ndarray, *, hands: bool = True, face: bool = True, mask: bool = True
    ) -> FrameDetection:
        """Detect in one (H, W, 3) uint8 frame; parts that are not wanted are None."""
        body = self._body.find(rgb)
        if body is None:
            self.reset()
            return FrameDetection()
        followers = (self._left, self._right) if hands else ()
        found = self._parts.map(lambda part: part.find(rgb, body.pose), followers)
        head = self._face.find(rgb, body.pose) if face else None
        left, right = found if hands else (None, None)
        return FrameDetection(
            pose=body.pose,
            pose_world=body.world,
            left_hand=left,
            right_hand=right,
            face=head,
            mask=body.mask(rgb.shape[1], rgb.shape[0]) if mask else None,
        )

    def reset(self) -> None:
        """Forget the frames seen so far."""
        for part in (self._body, self._left, self._right, self._face):
            part.reset()

    def close(self) -> None:
        """End the threads; the networks are freed with the object."""
        self._parts.shutdown()


class FaceMeshDetector:
    """The face network on a crop: for faces too small in the whole frame."""

    def __init__(self) -> None:
        self._network = FaceNetwork()

    def find(self, rgb: np.ndarray) -> tuple[np.ndarray, float, str] | None:
        """(478, 2) pixels of the crop; the score is 1, since the network gives none."""
        points = self._network.find(rgb)
        return None if points is None else (points, 1.0, "")

    def close(self) -> None:
        """The networks are freed with the object."""


class HandCropDetector:
    """The hand network on a crop around a wrist."""

    def __init__(self) -> None:
        self._palms, self._hand = PalmNetwork(), HandNetwork()

    def find(self, rgb: np.ndarray) -> tuple[np.ndarray, float, str] | None:
        """The hand whose wrist lies nearest to the crop's centre."""
        found = [self._hand.look(rgb, area) for area in self._palms.regions(rgb)[:_MOST_HANDS]]
        hands = [hand for hand in found if hand is not None]
        if not hands:
            return None
        centre = np.array([rgb.shape[1], rgb.shape[0]], np.float32) / 2
        nearest = min(hands, key=lambda hand: float(np.linalg.norm(hand.points[0] - centre)))
        right = nearest.right > 0.5
        score = nearest.right if right else 1.0 - nearest.right
        return nearest.points, score, "right" if right else "left"

    def close(self) -> None:
        """The networks are freed with the object."""


def _holistic(follow: bool) -> Detector:
    return HolisticDetector(follow=follow)


DETECTORS = Detectors(
    name="mediapipe-litert-1",
    person=_holistic,
    face=FaceMeshDetector,
    hand=HandCropDetector,
)
