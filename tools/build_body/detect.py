"""Landmarks on a render, by the networks that the perception package uses."""

from __future__ import annotations

import numpy as np

from pear_avatar.perception.networks.bodies import BodyFollower
from pear_avatar.perception.networks.faces import FaceNetwork
from pear_avatar.perception.networks.hands import HandNetwork, PalmNetwork


class Detectors:
    """The body, hand and face networks; every image is detected afresh."""

    def __init__(self) -> None:
        self._body = BodyFollower(follow=False)
        self._palms, self._hand = PalmNetwork(), HandNetwork()
        self._face = FaceNetwork()

    def pose(self, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Pixels (33, 2) and visibility (33,), or None."""
        found = self._body.find(rgb)
        return None if found is None else (found.pose[:, :2], found.pose[:, 2])

    def hand_nearest(self, rgb: np.ndarray, pixel: np.ndarray) -> np.ndarray | None:
        """Pixels (21, 2) of the hand centred nearest to ``pixel``; its label is not looked at."""
        found = [self._hand.look(rgb, area) for area in self._palms.regions(rgb)]
        hands = [hand.points for hand in found if hand is not None]
        if not hands:
            return None
        return min(hands, key=lambda h: float(np.linalg.norm(h.mean(axis=0) - pixel)))

    def face(self, rgb: np.ndarray) -> np.ndarray | None:
        """Pixels (478, 2), or None."""
        return self._face.find(rgb)
