"""All people in a video, each with an identity that is kept from frame to frame.

People are looked for in the whole picture now and then; between these looks each one is found
again in a crop around where they were. Identities join detections by place, size and the colours of
the clothes, so that a person who was hidden for a while keeps their number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pear_avatar.perception.identity import similarity
from pear_avatar.perception.measure import box_overlap
from pear_avatar.perception.picture import DetectedPerson, PictureDetector

__all__ = ["Follower", "Identified"]

#: Boxes are searched with this margin, as a share of their longer side.
_SEARCH_MARGIN = 0.25
#: Two detections this far overlapping and this similar in colour are one person.
_MIN_OVERLAP, _MIN_COLORS = 0.2, 0.5
#: A person who was lost is known again by colour alone above this.
_KNOWN_AGAIN = 0.75
_SMOOTH_COLORS = 0.1
#: Frames after losing a person in which the whole picture is searched at once.
_LOOK_FOR = 3


@dataclass(frozen=True)
class Identified:
    """A person seen in this frame; identity is a small number that stays theirs."""

    identity: int
    person: DetectedPerson


@dataclass(frozen=True)
class _Known:
    identity: int
    box: np.ndarray
    colors: np.ndarray
    lost: int = 0


class Follower:
    """Follows all people through the frames of one video.

    Args:
        detector: shared with others; not closed here.
        look_every: frames between two looks at the whole picture.
        forget_after: frames after which a lost person's place counts no more; their colours do.
    """

    def __init__(
        self, detector: PictureDetector, *, look_every: int = 10, forget_after: int = 30
    ) -> None:
        self._detector, self._every, self._forget = detector, look_every, forget_after
        self._known: list[_Known] = []
        self._frame, self._next = 0, 0

    def update(self, rgb: np.ndarray) -> list[Identified]:
        """The people in the next (H, W, 3) uint8 frame, by identity."""
        here = [k for k in self._known if k.lost <= self._forget]
        just_lost = any(0 < k.lost <= _LOOK_FOR for k in here)
        look = self._frame % self._every == 0 or just_lost or not here
        people = self._detector.everyone(rgb) if look else self._near(rgb, here)
        self._frame += 1
        matches = self._match(people)
        seen = []
        for person, known in zip(people, matches, strict=True):
            identity = known.identity if known is not None else self._next
            if known is None:
                self._next += 1
            self._remember(identity, person, known)
            seen.append(Identified(identity, person))
        present = {s.identity for s in seen}
        self._known = [
            k if k.identity in present else replace(k, lost=k.lost + 1) for k in self._known
        ]
        return sorted(seen, key=lambda s: s.identity)

    def _near(self, rgb: np.ndarray, known: list[_Known]) -> list[DetectedPerson]:
        """Each known person in a crop around their last place; each person once."""
        people: list[DetectedPerson] = []
        for k in known:
            side = max(k.box[2] - k.box[0], k.box[3] - k.box[1])
            margin = _SEARCH_MARGIN * side * (1.0 + 0.1 * k.lost)
            grown = k.box + np.array([-margin, -margin, margin, margin], np.float32)
            person = self._detector.in_box(rgb, grown)
            if person is not None and not any(
                box_overlap(person.box_xyxy, other.box_xyxy) > 0.7 for other in people
            ):
                people.append(person)
        return people

    def _match(self, people: list[DetectedPerson]) -> list[_Known | None]:
        """For each find the known person it is; best pairs first, each known person once."""
        pairs = []
        for i, person in enumerate(people):
            for k in self._known:
                alike = similarity(person.colors, k.colors)
                overlap = box_overlap(person.box_xyxy, k.box) if k.lost <= self._forget else 0.0
                if (overlap > _MIN_OVERLAP and alike > _MIN_COLORS) or alike > _KNOWN_AGAIN:
                    pairs.append((overlap + alike, i, k))
        result: list[_Known | None] = [None] * len(people)
        taken: set[int] = set()
        for _, i, k in sorted(pairs, key=lambda p: -p[0]):
            if result[i] is None and k.identity not in taken:
                result[i] = k
                taken.add(k.identity)
        return result

    def _remember(self, identity: int, person: DetectedPerson, known: _Known | None) -> None:
        if known is None:
            self._known.append(_Known(identity, person.box_xyxy, person.colors))
            return
        colors = known.colors + _SMOOTH_COLORS * (person.colors - known.colors)
        fresh = _Known(identity, person.box_xyxy, colors)
        self._known = [fresh if k.identity == identity else k for k in self._known]
