"""Following all people of a video, each with an identity that is kept from frame to frame.

The whole picture is searched now and then; between these searches each person is detected in a
crop around where they are expected. Place, size, motion and appearance together decide who is
who: people in like clothes who walk past each other keep their own way. A person who was away
for long is known again by appearance only, and only where no other known person is as alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from pear_avatar.perception.appearance import similarity
from pear_avatar.perception.measure import box_overlap
from pear_avatar.perception.picture import DetectedPerson, PictureDetector

__all__ = ["Follower", "Identified"]

#: Boxes are searched with this margin, as a share of their longer side.
_SEARCH_MARGIN = 0.25
#: Two boxes that overlap so much in one frame are one person, detected twice.
_TWICE = 0.7
#: Spreads: of the way off the expected place (share of the box' diagonal, and its growth for
#: each frame out of sight), of the natural log of the size, of what appearance lacks to 1.
_PLACE, _PLACE_LOST, _SIZE, _LOOK = 0.12, 0.04, 0.25, 0.2
#: Place may be off by so many of its spreads; less similar people are never the same one.
_FARTHEST, _LEAST_ALIKE = 4.0, 0.5
#: Someone away is known again by appearance above this, if no other person is nearly as alike, at a
#: speed below this many diagonals a frame.
_KNOWN_AGAIN, _AS_ALIKE, _FASTEST = 0.75, 0.04, 0.3
#: What being known by appearance only costs beside any match by place.
_BY_LOOK = 100.0
_IMPOSSIBLE = 1e6
_SMOOTH_COLORS, _SMOOTH_MOTION = 0.1, 0.3
#: Frames for which a person out of sight is expected to go on moving.
_GO_ON = 8
#: Frames after losing a person in which the whole picture is searched at once.
_LOOK_FOR = 3


@dataclass(frozen=True)
class Identified:
    """A person seen in this frame.

    identity:   a small number that stays theirs.
    known_again: appearance by which a person who was away was known again, in [0, 1]; None
                where place and motion said who it is.
    """

    identity: int
    person: DetectedPerson
    known_again: float | None = None


@dataclass(frozen=True)
class _Known:
    """box (4,) px; velocity (2,) px a frame; colors (256,); lost: frames out of sight."""

    identity: int
    box: np.ndarray
    colors: np.ndarray
    velocity: np.ndarray
    lost: int = 0

    @property
    def expected(self) -> np.ndarray:
        """(4,) the box, moved on."""
        way = self.velocity * min(self.lost + 1, _GO_ON)
        return self.box + np.tile(way, 2)


class Follower:
    """Follows all people through the frames of one video.

    Args:
        detector: shared with others; not closed here.
        look_every: frames between two searches of the whole picture.
        forget_after: frames after which a lost person's place counts no more; their colours do.
    """

    def __init__(
        self, detector: PictureDetector, *, look_every: int = 10, forget_after: int = 30
    ) -> None:
        self._detector, self._every, self._forget = detector, look_every, forget_after
        self._known: list[_Known] = []
        self._frame, self._next = 0, 0

    def update(self, rgb: np.ndarray) -> list[Identified]:
        """All people in the next (H, W, 3) uint8 frame, by identity."""
        here = [k for k in self._known if k.lost <= self._forget]
        just_lost = any(0 < k.lost <= _LOOK_FOR for k in here)
        look = self._frame % self._every == 0 or just_lost or not here or _close(here)
        people = self._detector.everyone(rgb) if look else self._near(rgb, here)
        self._frame += 1
        seen = []
        for person, known in zip(people, self._match(people), strict=True):
            again = None
            if known is None:
                known = _Known(self._next, person.box_xyxy, person.colors, np.zeros(2))
                self._next += 1
                self._known.append(known)
            elif known.lost and not self._by_place(person, known):
                again = similarity(person.colors, known.colors)
            self._remember(person, known, moved=again is None)
            seen.append(Identified(known.identity, person, again))
        present = {s.identity for s in seen}
        self._known = [
            k if k.identity in present else replace(k, lost=k.lost + 1) for k in self._known
        ]
        return sorted(seen, key=lambda s: s.identity)

    def _near(self, rgb: np.ndarray, known: list[_Known]) -> list[DetectedPerson]:
        """Each known person in a crop around where they are expected, each once."""
        people: list[DetectedPerson] = []
        for k in known:
            side = max(k.box[2] - k.box[0], k.box[3] - k.box[1])
            margin = _SEARCH_MARGIN * side * (1.0 + 0.1 * k.lost)
            grown = k.expected + np.array([-margin, -margin, margin, margin])
            person = self._detector.in_box(rgb, grown.astype(np.float32))
            if person is not None and not any(
                box_overlap(person.box_xyxy, other.box_xyxy) > _TWICE for other in people
            ):
                people.append(person)
        return people

    def _match(self, people: list[DetectedPerson]) -> list[_Known | None]:
        """For each detection the known person it is, each known person at most once."""
        if not people or not self._known:
            return [None] * len(people)
        cost = np.array([[self._cost(person, k) for k in self._known] for person in people])
        result: list[_Known | None] = [None] * len(people)
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            by_look = _BY_LOOK <= cost[i, j] < _IMPOSSIBLE
            if cost[i, j] < _BY_LOOK or (by_look and not self._doubtful(people[i], j)):
                result[i] = self._known[j]
        return result

    def _cost(self, person: DetectedPerson, known: _Known) -> float:
        alike = similarity(person.colors, known.colors)
        look = ((1 - alike) / _LOOK) ** 2
        if alike > _LEAST_ALIKE and self._by_place(person, known):
            size = np.log(_diagonal(person.box_xyxy) / _diagonal(known.box)) / _SIZE
            return float(self._way(person, known) ** 2 + size**2 + look)
        reach = _FASTEST * (known.lost + 1) * _diagonal(known.box)
        away = np.linalg.norm(_centre(person.box_xyxy) - _centre(known.box))
        if known.lost and alike > _KNOWN_AGAIN and away < reach:
            return _BY_LOOK + float(look)
        return _IMPOSSIBLE

    def _by_place(self, person: DetectedPerson, known: _Known) -> bool:
        return known.lost <= self._forget and self._way(person, known) < _FARTHEST

    def _way(self, person: DetectedPerson, known: _Known) -> float:
        """How far a detection lies off the expected place, in its spreads."""
        way = _centre(person.box_xyxy) - _centre(known.expected)
        spread = (_PLACE + _PLACE_LOST * known.lost) * _diagonal(known.box)
        return float(np.linalg.norm(way) / spread)

    def _doubtful(self, person: DetectedPerson, chosen: int) -> bool:
        """Whether another known person who is away is almost as alike."""
        alike = [similarity(person.colors, k.colors) for k in self._known]
        return any(
            k.lost > 0 and j != chosen and alike[j] > alike[chosen] - _AS_ALIKE
            for j, k in enumerate(self._known)
        )

    def _remember(self, person: DetectedPerson, known: _Known, *, moved: bool) -> None:
        colors = known.colors + _SMOOTH_COLORS * (person.colors - known.colors)
        velocity = np.zeros(2)
        if moved:
            step = (_centre(person.box_xyxy) - _centre(known.box)) / (known.lost + 1)
            velocity = known.velocity + _SMOOTH_MOTION * (step - known.velocity)
        fresh = _Known(known.identity, person.box_xyxy, colors, velocity)
        self._known = [fresh if k.identity == known.identity else k for k in self._known]


def _close(known: list[_Known]) -> bool:
    """Whether two people in sight are so near that a crop of one could show the other."""
    here = [k.expected for k in known if not k.lost]
    return any(box_overlap(a, b) > 0.05 for i, a in enumerate(here) for b in here[i + 1 :])


def _centre(box: np.ndarray) -> np.ndarray:
    middle: np.ndarray = (box[:2] + box[2:]) / 2
    return middle


def _diagonal(box: np.ndarray) -> float:
    return max(float(np.linalg.norm(box[2:] - box[:2])), 1.0)
