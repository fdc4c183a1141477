"""Keeping to one person: which frames show another person, and where to search for the right one.

A detector that follows one person can jump to another when they meet, or pick another
when the first leaves the picture. The clip is cut into stretches without jumps; the stretches
that look alike (colours of the clothes) and are in the right place at the right time belong to
one person, and the person who is largest, most central and longest in the picture is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pear_avatar.perception.appearance import similarity
from pear_avatar.perception.raw import RawClip

#: A jump: the centre moves by more than this many metres, or the size changes by this factor.
_JUMP_M, _JUMP_SCALE = 0.55, 1.35
#: Bhattacharyya coefficients (1 is equal): a jump with colours below the first also cuts a
#: stretch without a jump in place; above the second two stretches show the same person; below
#: the third they do not, even where place and size fit.
_CUT_COLORS, _SAME_COLORS, _OTHER_COLORS = 0.55, 0.75, 0.5
#: Seconds of absence after which a return is worth a note.
_ABSENCE = 0.7
#: Seconds for which a lost person is looked for near where they were.
SEARCH_SECONDS = 1.0


@dataclass(frozen=True)
class MainPerson:
    """The person a clip is about.

    is_person: (N,) bool frames that show this person.
    colors: (256,) the person's mean colour histogram.
    others: number of stretches of frames that show another person.
    notes: what the user should know of it, a line each.
    """

    is_person: np.ndarray
    colors: np.ndarray
    others: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Frames [start, stop) without a jump, all with a person."""

    rows: np.ndarray
    colors: np.ndarray
    weight: float


def find_main_person(raw: RawClip, boxes: np.ndarray, scale: np.ndarray) -> MainPerson:
    """Find the frames of the one person that the clip is about.

    Args:
        raw: the clip. boxes: (N, 4) px. scale: (N,) pixels per metre.
    """
    stretches = _cut(raw, boxes, scale)
    is_person = np.zeros(raw.num_frames, bool)
    if not stretches:
        return MainPerson(is_person, np.zeros(raw.colors.shape[1], np.float32), 0)
    groups = _group(stretches)
    weights = [sum(s.weight for s in group) for group in groups]
    kept = groups[int(np.argmax(weights))]
    total = sum(len(s.rows) for s in kept)
    colors = np.sum([s.colors * len(s.rows) for s in kept], axis=0) / total
    mine = list(kept)
    # Short stretches with unclear colours (shade, blur) count if they join on in place and size.
    for stretch in sorted((s for s in stretches if s not in kept), key=lambda s: s.rows[0]):
        if similarity(stretch.colors, colors) > _OTHER_COLORS and _joins_on(
            stretch, mine, boxes, scale
        ):
            mine.append(stretch)
    for stretch in mine:
        is_person[stretch.rows] = True
    others = len(stretches) - len(mine)
    notes = _notes(mine, stretches, raw.time, colors)
    return MainPerson(is_person, colors.astype(np.float32), others, notes)


def _notes(
    mine: list[_Stretch], all_of_them: list[_Stretch], time: np.ndarray, colors: np.ndarray
) -> tuple[str, ...]:
    """Who came back after an absence and is taken for the same person, and who is left out."""
    lines = []
    ordered = sorted(mine, key=lambda s: s.rows[0])
    for before, after in pairwise(ordered):
        away = time[after.rows[0]] - time[before.rows[-1]]
        if away > _ABSENCE:
            likeness = similarity(after.colors, before.colors)
            lines.append(
                f"at {time[after.rows[0]]:.1f} s, after {away:.1f} s away, a person "
                f"{100 * likeness:.0f} % alike is taken for the same person"
            )
    other = [s for s in all_of_them if s not in mine]
    if other:
        frames = sum(len(s.rows) for s in other)
        likeness = max(similarity(s.colors, colors) for s in other)
        lines.append(
            f"{frames} frames show another person (at most {100 * likeness:.0f} % alike) and are "
            "left out"
        )
    return tuple(lines)


def _cut(raw: RawClip, boxes: np.ndarray, scale: np.ndarray) -> list[_Stretch]:
    """Stretches between jumps and gaps; each remembers its weight as a candidate."""
    rows = np.flatnonzero(raw.found)
    if len(rows) == 0:
        return []
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    cuts = [0]
    for k in range(1, len(rows)):
        i, j = rows[k - 1], rows[k]
        alike = similarity(raw.colors[i], raw.colors[j])
        if j - i > 1 or _is_jump(centre, scale, i, j) or alike < _CUT_COLORS:
            cuts.append(k)
    cuts.append(len(rows))
    size = np.array([raw.width, raw.height])
    middle = size / 2
    stretches = []
    for a, b in pairwise(cuts):
        part = rows[a:b]
        share = ((boxes[part, 2:] - boxes[part, :2]) / size).clip(0, 1).prod(1)
        off = np.linalg.norm((centre[part] - middle) / size, axis=1)
        weight = float((np.sqrt(share) * (1.0 - off)).sum())
        stretches.append(_Stretch(part, raw.colors[part].mean(0), weight))
    return stretches


def _is_jump(centre: np.ndarray, scale: np.ndarray, i: int, j: int) -> bool:
    size = max(scale[i], scale[j])
    ratio = size / max(min(scale[i], scale[j]), 1e-6)
    moved = float(np.linalg.norm(centre[j] - centre[i])) / size
    return moved > _JUMP_M or ratio > _JUMP_SCALE


def _group(stretches: list[_Stretch]) -> list[list[_Stretch]]:
    """Stretches that look alike, heaviest first as the seed of each group."""
    groups: list[list[_Stretch]] = []
    for stretch in sorted(stretches, key=lambda s: -s.weight):
        scores = [similarity(stretch.colors, group[0].colors) for group in groups]
        if scores and max(scores) > _SAME_COLORS:
            groups[int(np.argmax(scores))].append(stretch)
        else:
            groups.append([stretch])
    return groups


def _joins_on(
    stretch: _Stretch, kept: list[_Stretch], boxes: np.ndarray, scale: np.ndarray
) -> bool:
    """Whether a stretch begins or ends where a kept one does, within a few frames."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    for other in kept:
        before, after = sorted((stretch, other), key=lambda s: s.rows[0])
        i, j = int(before.rows[-1]), int(after.rows[0])
        if 0 < j - i <= 5 and not _is_jump(centre, scale, i, j):
            return True
    return False


def search_box(
    i: int, is_person: np.ndarray, boxes: np.ndarray, time: np.ndarray
) -> np.ndarray | None:
    """(4,) where to look for the person in frame ``i``; None if they were not seen lately.

    The union of their last and next known boxes, grown with the time since.
    """
    known = np.flatnonzero(is_person)
    before, after = known[known < i], known[known > i]
    near = [int(k) for k in (*before[-1:], *after[:1]) if abs(time[k] - time[i]) <= SEARCH_SECONDS]
    if not near:
        return None
    low, high = boxes[near, :2].min(0), boxes[near, 2:].max(0)
    gap = min(abs(time[k] - time[i]) for k in near)
    margin = (0.15 + 0.4 * gap) * (high - low).max()
    return np.concatenate([low - margin, high + margin])
