"""One person through the frames of several: by the number that the tracker gave, or by nearness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = ["follow_nearest", "most_seen"]


def most_seen(ids: Sequence[Sequence[int]]) -> tuple[int, list[tuple[int, int]]]:
    """The person seen in most frames, and (frame, place in that frame) of each sight.

    ids: the numbers of the people of each frame.
    """
    counts = Counter(i for frame in ids for i in dict.fromkeys(frame))
    if not counts:
        return -1, []
    person = max(sorted(counts), key=lambda i: counts[i])
    sights = [(k, list(frame).index(person)) for k, frame in enumerate(ids) if person in frame]
    return person, sights


def follow_nearest(places: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """(frame, place in that frame) of one person, who is in each frame nearest to the last.

    places: for each frame (P, D) positions of its people; P may be 0. Whoever is first in the
        first frame with a person is followed.
    """
    found: list[tuple[int, int]] = []
    last: np.ndarray | None = None
    for frame, positions in enumerate(places):
        if len(positions) == 0:
            continue
        nearest = 0 if last is None else int(np.linalg.norm(positions - last, axis=-1).argmin())
        last = positions[nearest]
        found.append((frame, nearest))
    return found
