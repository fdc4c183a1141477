"""The passes over a clip's frames: detect, detect again in crops, refine masks. Each resumes."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pear_avatar.body.topology import LEFT_WRIST, RIGHT_WRIST
from pear_avatar.perception.appearance import similarity
from pear_avatar.perception.assemble import body_hints
from pear_avatar.perception.background import Background, estimate_background
from pear_avatar.perception.detectors import Detectors
from pear_avatar.perception.frames import Frames
from pear_avatar.perception.identity import MainPerson, search_box
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.masks import PackedMask, masks_from_arrays, masks_to_arrays
from pear_avatar.perception.matting import BodyHints, near_person, refine_mask
from pear_avatar.perception.measure import box_overlap, person_boxes
from pear_avatar.perception.parts import detect_in_box, face_search, hand_search, search_parts
from pear_avatar.perception.raw import RawClip, RawFrame, raw_frame, stack_frames
from pear_avatar.perception.store import Store
from pear_avatar.types import ProgressFn

if TYPE_CHECKING:
    from pear_avatar.perception.everyone import PersonChoice

_log = logging.getLogger(__name__)

#: Frames between two saves; also how often the detector starts afresh, so that a run that was
#: interrupted and one that was not give the same result.
CHUNK = 64
#: Frames from which the empty scene is made, and the memory they may take.
_BACKGROUND_SAMPLES, _BACKGROUND_BYTES = 64, 250_000_000
#: Colours of a person found again must be so similar to the main person's.
_FOUND_AGAIN = 0.6
#: Their box must overlap so much with the area that was searched.
_SEARCHED_OVERLAP = 0.15


@dataclass(frozen=True)
class PassContext:
    """What every pass over a clip works with; ``person``: who is wanted, None for the main one."""

    frames: Frames
    store: Store
    detectors: Detectors
    progress: ProgressFn
    person: PersonChoice | None = None


def detect_all(context: PassContext) -> RawClip:
    """First pass: the detector on every frame, chunk by chunk; saved chunks are not run again."""
    frames, store = context.frames, context.store
    starts = range(0, len(frames), CHUNK)
    chunks = {s: c for s in starts if (c := _load_raw(store, f"raw-{s:06d}")) is not None}
    missing = [s for s in starts if s not in chunks]
    if missing:
        done = sum(c.num_frames for c in chunks.values())
        with contextlib.closing(context.detectors.person(True)) as detector:
            for start in missing:
                detector.reset()
                rows = []
                here = np.arange(start, min(start + CHUNK, len(frames)))
                for _, index, time, rgb in frames.read(here):
                    rows.append(raw_frame(index, time, rgb, detector.detect(rgb)))
                    done += 1
                    context.progress("detect", done, len(frames))
                if rows:
                    chunks[start] = stack_frames(rows)
                    store.save(f"raw-{start:06d}", chunks[start].to_arrays())
    return RawClip.concat([chunks[s] for s in sorted(chunks)])


def _load_raw(store: Store, name: str) -> RawClip | None:
    arrays = store.load(name)
    if arrays is None:
        return None
    try:
        return RawClip.from_arrays(arrays)
    except (KeyError, ValueError) as error:
        _log.warning("cached %s is damaged (%s): made again", name, error)
        return None


def find_again(
    context: PassContext, clip: JudgedClip, main: MainPerson
) -> tuple[RawClip, np.ndarray]:
    """Search for the main person where the detector lost them or followed another person.

    Returns the clip with what was found put in, and (N,) bool frames that now show the person.
    """
    raw, is_person, boxes = clip.raw, main.is_person.copy(), clip.boxes.copy()
    lost = [
        i
        for i in np.flatnonzero(~is_person)
        if search_box(i, is_person, boxes, raw.time) is not None
    ]
    if not lost or not is_person.any():
        return raw, is_person
    found: dict[int, RawFrame] = {}
    with contextlib.closing(context.detectors.person(False)) as detector:
        frames = context.frames.read(np.array(lost))
        for done, (i, index, time, rgb) in enumerate(frames, 1):
            area = search_box(i, is_person, boxes, raw.time)
            context.progress("look again", done, len(lost))
            if area is None:
                continue
            frame = raw_frame(index, time, rgb, detect_in_box(rgb, area, detector))
            box = _box_of_same_person(frame, main, area)
            if box is not None:
                found[i], boxes[i], is_person[i] = frame, box, True
    if not found:
        return raw, is_person
    rows = sorted(found)
    return raw.with_rows(rows, stack_frames([found[i] for i in rows])), is_person


def _box_of_same_person(frame: RawFrame, main: MainPerson, area: np.ndarray) -> np.ndarray | None:
    """(4,) the box of a detection in ``area`` if it shows the main person, else None."""
    pose = frame.detection.pose
    if pose is None or similarity(frame.colors, main.colors) < _FOUND_AGAIN:
        return None
    box: np.ndarray = person_boxes(pose[None], np.array([True]), frame.width, frame.height)[0]
    return box if box_overlap(box, area) >= _SEARCHED_OVERLAP else None


def missing_parts(clip: JudgedClip) -> dict[int, list[tuple[str, np.ndarray]]]:
    """Rows of the clip -> where to search in a crop: ("face", "left_hand" or "right_hand", area).

    No face is searched for where the person faces away from the camera.
    """
    raw, confidence, scale = clip.raw, clip.pose_confidence, clip.scale
    left, right = clip.hand_confidence
    areas: dict[int, list[tuple[str, np.ndarray]]] = {}
    for i in np.flatnonzero(raw.found):
        wanted = []
        if clip.face_confidence[i] == 0 and not clip.shows_back[i]:
            wanted.append(("face", face_search(raw.pose[i], confidence[i], scale[i])))
        for name, score, wrist in (("left", left, LEFT_WRIST), ("right", right, RIGHT_WRIST)):
            if score[i] == 0:
                area = hand_search(raw.pose[i], confidence[i], scale[i], wrist)
                wanted.append((f"{name}_hand", area))
        some = [(name, area) for name, area in wanted if area is not None]
        if some:
            areas[int(i)] = some
    return areas


def with_parts(raw: RawClip, found: dict[int, dict[str, np.ndarray]]) -> RawClip:
    """The clip with faces and hands put in: row -> part -> points in the picture's pixels."""
    parts = {n: (getattr(raw, n).copy(), getattr(raw, f).copy()) for n, f in _PART_FLAGS.items()}
    for i, of_frame in found.items():
        for name, points in of_frame.items():
            parts[name][0][i], parts[name][1][i] = points, True
    changed: dict[str, Any] = {n: points for n, (points, _) in parts.items()}
    changed |= {_PART_FLAGS[n]: flags for n, (_, flags) in parts.items()}
    return replace(raw, **changed)


def search_missing_parts(context: PassContext, clip: JudgedClip) -> RawClip:
    """Search crops for faces too small in the whole frame and for hands that were missed.

    What is found is kept only if it passes the same tests as everything else.
    """
    areas = missing_parts(clip)
    if not areas:
        return clip.raw
    found = {}
    with (
        contextlib.closing(context.detectors.face()) as faces,
        contextlib.closing(context.detectors.hand()) as hands,
    ):
        frames = context.frames.read(np.array(sorted(areas)))
        for done, (i, _, _, rgb) in enumerate(frames, 1):
            found[i] = search_parts(rgb, areas[i], faces, hands)
            context.progress("look closer", done, len(areas))
    return with_parts(clip.raw, found)


_PART_FLAGS = {"face": "face_found", "left_hand": "left_found", "right_hand": "right_found"}


def refine_masks(context: PassContext, clip: JudgedClip) -> list[PackedMask]:
    """Last pass: sharpen the masks, chunk by chunk; frames without the person get an empty one."""
    raw, store, hints = clip.raw, context.store, body_hints(clip)
    starts = range(0, raw.num_frames, CHUNK)
    chunks = {s: c for s in starts if (c := _load_masks(store, s, raw)) is not None}
    missing = [s for s in starts if s not in chunks]
    if missing:
        background = _clip_background(context.frames, raw, hints)
        _log.info(
            "camera %s", "moves or background unclear" if background is None else "stands still"
        )
        done = sum(len(c) for c in chunks.values())

        def work(item: tuple[int, int, float, np.ndarray]) -> PackedMask:
            i, _, _, rgb = item
            hint = hints[i]
            if hint is None:
                return PackedMask.pack(np.zeros((raw.height, raw.width), np.uint8))
            return PackedMask.pack(refine_mask(rgb, raw.mask(i), hint, background))

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for start in missing:
                here = np.arange(start, min(start + CHUNK, raw.num_frames))
                chunks[start] = []
                for packed in _bounded_map(pool, work, context.frames.read(here), 6):
                    chunks[start].append(packed)
                    done += 1
                    context.progress("refine masks", done, raw.num_frames)
                store.save(f"mask-{start:06d}", masks_to_arrays(chunks[start]))
    return [mask for s in sorted(chunks) for mask in chunks[s]]


def _load_masks(store: Store, start: int, raw: RawClip) -> list[PackedMask] | None:
    arrays = store.load(f"mask-{start:06d}")
    if arrays is None:
        return None
    try:
        masks = masks_from_arrays(arrays)
    except (KeyError, ValueError):
        return None
    return masks if len(masks) == min(CHUNK, raw.num_frames - start) else None


def _bounded_map(
    pool: ThreadPoolExecutor, work: Callable[[Any], Any], items: Iterator[Any], limit: int
) -> Iterator[Any]:
    """``pool.map`` that holds at most ``limit`` items at a time; results in order."""
    waiting: list[Any] = []
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= limit:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()


def _clip_background(
    frames: Frames, raw: RawClip, hints: list[BodyHints | None]
) -> Background | None:
    """The empty scene from samples over the whole clip, None if the camera moves."""
    most = int(np.clip(_BACKGROUND_BYTES // (3 * raw.height * raw.width), 8, _BACKGROUND_SAMPLES))
    rows = np.unique(np.linspace(0, raw.num_frames - 1, most).round().astype(int))
    if len(rows) < 3:
        return None
    samples, near = [], []
    for i, _, _, rgb in frames.read(rows):
        samples.append(rgb)
        near.append(near_person(raw.mask(i), hints[i]))
    return estimate_background(samples, near)
