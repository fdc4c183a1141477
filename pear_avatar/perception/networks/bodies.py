"""The body: where people are, 33 landmarks of one of them, in pixels and metres, and a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from pear_avatar.perception.networks.anchors import AnchorDetector, Detection
from pear_avatar.perception.networks.regions import Region, region_between
from pear_avatar.perception.networks.runner import Network

__all__ = ["BodyFollower", "BodyLandmarks", "BodyNetwork", "PeopleNetwork"]

#: Landmarks of the body; two more of the network's span the circle around the person.
_NUM_BODY, _NUM_ALL = 33, 39
_MIN_PRESENCE = 0.5
#: The crop is this much larger than the circle around the person.
_MARGIN = 1.25
#: Landmarks are refined by the heat around them, in so many cells, where it exceeds this.
_KERNEL, _MIN_HEAT = 9, 0.5
#: The circle of the last frame is smoothed by a one-euro filter: cut-off and slope a unit of
#: speed in circle sizes a second, and the cut-off of the speed itself, Hz.
_CUTOFF, _SLOPE, _SPEED_CUTOFF, _RATE = 0.01, 10.0, 1.0, 30.0


class PeopleNetwork(AnchorDetector):
    """Locates people: point 0 is the middle of the hips, point 1 lies on a circle around all."""

    def __init__(self) -> None:
        super().__init__("pose_detection", (8, 16, 32, 32, 32), low=-1.0)

    @staticmethod
    def region(person: Detection) -> Region:
        """The region in which the body network looks for a detected person."""
        return _region(person.points[:2])


def _region(circle: np.ndarray) -> Region:
    return region_between(circle[0], circle[1], 90.0).grown(_MARGIN)


@dataclass(frozen=True)
class BodyLandmarks:
    """pose (33, 3) x, y px, visibility; world (33, 3) m about the hips; circle (2, 2) px: middle
    of the hips and a point on the circle around the person; logit_mask (S, S) of the region."""

    pose: np.ndarray
    world: np.ndarray
    circle: np.ndarray
    logit_mask: np.ndarray
    region: Region

    def mask(self, width: int, height: int) -> np.ndarray:
        """(height, width) uint8 soft mask of the person."""
        share = expit(self.logit_mask)
        whole = self.region.paste(share, width, height)
        result: np.ndarray = (whole * 255.0 + 0.5).astype(np.uint8)
        return result


class BodyNetwork:
    """Landmarks and mask of the person in a region."""

    def __init__(self) -> None:
        self._network = Network("pose_landmark_full")

    def find(self, rgb: np.ndarray, region: Region) -> BodyLandmarks | None:
        """The person in a region of an (H, W, 3) uint8 picture, None where there is none."""
        crop = region.crop(rgb, self._network.size).astype(np.float32) / 255.0
        points, presence, mask, heat, world = self._network(crop[None])
        if presence.item() <= _MIN_PRESENCE:
            return None
        rows = points.reshape(_NUM_ALL, 5)
        shares = _refined(rows[:, :2] / self._network.size, heat[0])
        pixels = region.to_picture(shares)
        visibility = expit(rows[:_NUM_BODY, 3])
        metres = world.reshape(_NUM_ALL, 3)[:_NUM_BODY].copy()
        metres[:, :2] = metres[:, :2] @ region.axes.T
        return BodyLandmarks(
            pose=np.column_stack([pixels[:_NUM_BODY], visibility]).astype(np.float32),
            world=metres.astype(np.float32),
            circle=pixels[_NUM_BODY : _NUM_BODY + 2],
            logit_mask=mask[0, ..., 0],
            region=region,
        )


def _refined(shares: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Landmarks (L, 2) moved to the middle of the heat (S, S, L) around them, where it is hot."""
    size, reach = len(heat), (_KERNEL - 1) // 2
    result = shares.astype(np.float64)
    for i, (column, row) in enumerate((shares * size).astype(int)):
        if not (0 <= column < size and 0 <= row < size):
            continue
        x0, y0 = max(0, column - reach), max(0, row - reach)
        logits = heat[y0 : row + reach + 1, x0 : column + reach + 1, i]
        weight = expit(logits.astype(np.float64))
        if weight.max() < _MIN_HEAT:
            continue
        total = weight.sum() * size
        result[i, 0] = (weight.sum(0) @ np.arange(x0, x0 + weight.shape[1])) / total
        result[i, 1] = (weight.sum(1) @ np.arange(y0, y0 + weight.shape[0])) / total
    return result


class BodyFollower:
    """Follows one person: looks near the last frame's, and anew where there was none.

    Args:
        follow: False treats every frame as a picture of its own.
    """

    def __init__(self, *, follow: bool = True) -> None:
        self._people, self._body = PeopleNetwork(), BodyNetwork()
        self._follow = follow
        self._circle: _SmoothCircle | None = None

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self._circle = None

    def find(self, rgb: np.ndarray) -> BodyLandmarks | None:
        """The person in the next (H, W, 3) uint8 frame."""
        if self._circle is not None:
            region = _region(self._circle.points)
        else:
            people = self._people.find(rgb, Region.of_picture(rgb.shape[1], rgb.shape[0]))
            if not people:
                return None
            region = self._people.region(people[0])
        found = self._body.find(rgb, region)
        if found is None or not self._follow:
            self._circle = None
        elif self._circle is None:
            self._circle = _SmoothCircle(found.circle)
        else:
            self._circle.update(found.circle)
        return found


class _SmoothCircle:
    """A one-euro filter over the two points that span the circle around the person."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points.astype(np.float64)
        self._last = self.points
        self._speed = np.zeros((2, 2))

    def update(self, points: np.ndarray) -> None:
        scale = max(2.0 * float(np.linalg.norm(points[1] - points[0])), 1e-6)
        speed = (points - self._last) * (_RATE / scale)
        self._speed = self._speed + _alpha(np.array(_SPEED_CUTOFF)) * (speed - self._speed)
        weight = _alpha(_CUTOFF + _SLOPE * np.abs(self._speed))
        self.points = self.points + weight * (points - self.points)
        self._last = points


def _alpha(cutoff: np.ndarray) -> np.ndarray:
    """Weight of a new value in a low-pass filter of a cut-off frequency, Hz."""
    way = 2.0 * np.pi * cutoff / _RATE
    return way / (1.0 + way)
