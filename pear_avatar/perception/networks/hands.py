"""Hands: 21 landmarks, which hand it is, and how sure the network is that it is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.body.topology import NUM_HAND
from pear_avatar.perception.networks.anchors import AnchorDetector
from pear_avatar.perception.networks.regions import (
    Region,
    region_around,
    region_between,
    turn_between,
)
from pear_avatar.perception.networks.runner import Network
from pear_avatar.perception.networks.tracking import Tolerance, followed_region

__all__ = ["HandFollower", "HandLandmarks", "HandNetwork", "PalmNetwork"]

_MIN_PRESENCE, _MIN_WRIST = 0.5, 0.1
#: Crops as multiples of what they are placed by, each moved towards the fingers.
_PALM, _PALM_UP = 2.6, -0.5
_BODY, _LANDMARKS, _UP = 2.7, 2.0, -0.1
#: Wrist and the joints at the palm's end of index, middle and ring finger.
_WRIST, _INDEX, _MIDDLE, _RING = 0, 5, 9, 13
_PALM_POINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)


@dataclass(frozen=True)
class HandLandmarks:
    """points (21, 2) px; presence in [0, 1]; right: how sure it is that it is a right hand."""

    points: np.ndarray
    presence: float
    right: float


class HandNetwork:
    """Landmarks of the hand in a region."""

    def __init__(self) -> None:
        self._network = Network("hand_landmark_full")

    def look(self, rgb: np.ndarray, region: Region) -> HandLandmarks | None:
        """The hand in a region of an (H, W, 3) uint8 picture, None where there is none."""
        crop = region.crop(rgb, self._network.size).astype(np.float32) / 255.0
        values, presence, left_of_mirror = self._network(crop[None])[:3]
        if presence.item() <= _MIN_PRESENCE:
            return None
        shares = values.reshape(NUM_HAND, 3)[:, :2] / self._network.size
        points = region.to_picture(shares).astype(np.float32)
        # The network names hands as in a mirror; these pictures are not mirrored.
        return HandLandmarks(points, presence.item(), left_of_mirror.item())


class PalmNetwork:
    """Finds hands anywhere in a picture by their palms."""

    def __init__(self) -> None:
        self._detector = AnchorDetector("palm_detection_full", (8, 16, 16, 16), low=0.0)

    def regions(self, rgb: np.ndarray) -> list[Region]:
        """Regions of the hands of an (H, W, 3) uint8 picture, surest first."""
        found = self._detector.find(rgb, Region.of_picture(rgb.shape[1], rgb.shape[0]))
        result = []
        for palm in found:
            turn = turn_between(palm.points[0], palm.points[2], 90.0)
            box = region_around(palm.box.reshape(2, 2), turn)
            result.append(box.grown(_PALM, down=_PALM_UP))
        return result


class _Recrop:
    """Places a hand's crop better than the body's landmarks can."""

    def __init__(self) -> None:
        self._network = Network("hand_recrop")

    def place(self, rgb: np.ndarray, region: Region) -> Region:
        crop = region.crop(rgb, self._network.size).astype(np.float32) / 255.0
        shares = self._network(crop[None])[0].reshape(2, 2) / self._network.size
        centre, rim = region.to_picture(shares)
        return region_between(centre, rim, -90.0).grown(1.0, down=_UP)


class HandFollower:
    """Follows one hand of the person whose body was found.

    Args:
        points: the body's landmarks of wrist, little finger and index finger.
    """

    _TOLERANCE = Tolerance(degrees=40.0, shift=0.2, scale=0.4, margin=-0.1)

    def __init__(self, points: tuple[int, int, int], *, follow: bool = True) -> None:
        self._points, self._follow = points, follow
        self._recrop, self._network = _Recrop(), HandNetwork()
        self._last: np.ndarray | None = None

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self._last = None

    def find(self, rgb: np.ndarray, pose: np.ndarray) -> np.ndarray | None:
        """(21, 2) px of the hand of a body (33, 3) in an (H, W, 3) uint8 frame."""
        last, self._last = self._last, None
        if pose[self._points[0], 2] <= _MIN_WRIST:
            return None
        wrist, little, index = pose[list(self._points), :2].astype(np.float64)
        middle = (2.0 * index + little) / 3.0
        radius = float(np.linalg.norm(middle - wrist))
        rough = Region(middle, 2.0 * radius, turn_between(wrist, middle, 90.0))
        expected = self._recrop.place(rgb, rough.grown(_BODY, down=_UP))
        old = None if last is None else _region_of(last)
        found = self._network.look(rgb, followed_region(old, last, expected, self._TOLERANCE))
        if found is None:
            return None
        if self._follow:
            self._last = found.points
        return found.points


def _region_of(points: np.ndarray) -> Region:
    """Where to look for a hand that had these (21, 2) landmarks."""
    fingers = 0.25 * points[_INDEX] + 0.5 * points[_MIDDLE] + 0.25 * points[_RING]
    turn = turn_between(points[_WRIST], fingers, 90.0)
    palm = region_around(points[list(_PALM_POINTS)], turn, upright_box=False)
    return palm.grown(_LANDMARKS, down=_UP)
