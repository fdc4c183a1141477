"""The face: 478 landmarks, the last ten of them the irises."""

from __future__ import annotations

import numpy as np

from pear_avatar.body.topology import NUM_FACE
from pear_avatar.perception.networks.anchors import AnchorDetector
from pear_avatar.perception.networks.regions import Region, region_around, turn_between
from pear_avatar.perception.networks.runner import Network
from pear_avatar.perception.networks.tracking import Tolerance, followed_region

__all__ = ["FaceFollower", "FaceNetwork"]

#: Outer corners of the right and the left eye, in the face's and in the body's landmarks.
_EYES, _BODY_EYES = (33, 263), (5, 2)
_BODY_HEAD = 11
#: The crop around a face that was detected, the area searched for it around the body's landmarks
#: of the head, and the crop around the last frame's landmarks, as multiples of the points' box.
_CROP, _UP, _SEARCH, _FOLLOW, _FOUND_BOX = 2.0, -0.1, 3.0, 1.5, 1.5


class FaceNetwork:
    """Finds a face and its landmarks in a region."""

    def __init__(self) -> None:
        self._detector = AnchorDetector("face_detection_short_range", (8, 16, 16, 16), low=-1.0)
        self._landmarks = Network("face_landmarks_detector")

    def find(self, rgb: np.ndarray) -> np.ndarray | None:
        """(478, 2) px of the surest face of an (H, W, 3) uint8 picture."""
        faces = self._detector.find(rgb, Region.of_picture(rgb.shape[1], rgb.shape[0]))
        if not faces:
            return None
        turn = turn_between(faces[0].points[0], faces[0].points[1], 0.0)
        box = region_around(faces[0].box.reshape(2, 2), turn)
        return self.look(rgb, box.grown(_FOUND_BOX))

    def detect(self, rgb: np.ndarray, area: Region) -> Region | None:
        """The crop for the landmarks of the surest face of an area."""
        faces = self._detector.find(rgb, area)
        if not faces:
            return None
        points = faces[0].points
        return region_around(points, turn_between(points[0], points[1], 0.0)).grown(_CROP, down=_UP)

    def look(self, rgb: np.ndarray, region: Region) -> np.ndarray:
        """(478, 2) px of the face in a region.

        The network's own opinion of whether there is a face refuses lowered heads whose landmarks
        are right, so only the detector decides.
        """
        crop = region.crop(rgb, self._landmarks.size).astype(np.float32) / 255.0
        values = self._landmarks(crop[None])[0]
        shares = values.reshape(NUM_FACE, 3)[:, :2] / self._landmarks.size
        return region.to_picture(shares).astype(np.float32)


class FaceFollower:
    """Follows the face of the person whose body was found."""

    _TOLERANCE = Tolerance(degrees=15.0, shift=0.1, scale=0.3, margin=-0.2)

    def __init__(self, *, follow: bool = True) -> None:
        self._network, self._follow = FaceNetwork(), follow
        self._last: np.ndarray | None = None

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self._last = None

    def find(self, rgb: np.ndarray, pose: np.ndarray) -> np.ndarray | None:
        """(478, 2) px of the face of a body (33, 2+) in an (H, W, 3) uint8 frame."""
        head = pose[:_BODY_HEAD, :2].astype(np.float64)
        area = region_around(head, _turn(head, _BODY_EYES)).grown(_SEARCH)
        found = self._network.detect(rgb, area)
        result = None
        if found is not None:
            last = self._last
            old = None if last is None else _region_of(last)
            region = followed_region(old, last, found, self._TOLERANCE)
            result = self._network.look(rgb, region)
        self._last = result if self._follow else None
        return result


def _region_of(points: np.ndarray) -> Region:
    return region_around(points, _turn(points, _EYES)).grown(_FOLLOW)


def _turn(points: np.ndarray, eyes: tuple[int, int]) -> float:
    return turn_between(points[eyes[0]], points[eyes[1]], 0.0)
