"""The passes over a clip's frames: detect, look again, refine masks. Each can be resumed."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.body.topology import LEFT_WRIST, RIGHT_WRIST
from pear_avatar.io.video import read_frames
from pear_avatar.perception.cleaning import (
    face_confidence,
    hand_confidence,
    pose_confidence,
    shows_back,
)
from pear_avatar.perception.holistic import Detectors
from pear_avatar.perception.identity import Lock, search_box, similarity
from pear_avatar.perception.masks import PackedMask, masks_from_arrays, masks_to_arrays
from pear_avatar.perception.matting import BodyHints, near_person, refine_mask
from pear_avatar.perception.measure import box_overlap, person_boxes, pixels_per_metre
from pear_avatar.perception.parts import detect_in_box, face_search, hand_search, search_parts
from pear_avatar.perception.plate import Plate, build_plate
from pear_avatar.perception.raw import (
    RawClip,
    RawFrame,
    join_clips,
    raw_frame,
    replace_frames,
    stack_frames,
)
from pear_avatar.perception.store import Store

_log = logging.getLogger(__name__)

#: Frames between two saves; also how often the detector starts afresh, so that a run that was
#: interrupted and one that was not give the same result.
CHUNK = 64
#: Frames from which the empty scene is made, and the memory they may take.
_PLATE_SAMPLES, _PLATE_BYTES = 64, 250_000_000
#: Colours of a person found again must be so similar to the locked person's.
_FOUND_AGAIN = 0.6

Progress = Callable[[str, int, int], None]


class Frames:
    """The processed frames of one clip, read as often as a pass needs them.

    Args:
        path: the clip. wanted: (N,) frame numbers in it. max_side: as in ``read_frames``.
    """

    def __init__(self, path: str | os.PathLike[str], wanted: np.ndarray, max_side: int | None):
        self.path = Path(path)
        self.wanted = wanted
        self._max_side = max_side
        self._row = {int(k): i for i, k in enumerate(wanted)}

    def __len__(self) -> int:
        return len(self.wanted)

    def read(self, rows: np.ndarray, ahead: int = 4) -> Iterator[tuple[int, int, float, Any]]:
        """(row, frame number, time, rgb) of the given rows, decoded in a thread of its own."""
        if len(rows) == 0:
            return
        frames = read_frames(self.path, indices=self.wanted[rows], max_side=self._max_side)
        for index, time, rgb in _ahead(frames, ahead):
            yield self._row[index], index, time, rgb


def _ahead(items: Iterator[Any], depth: int) -> Iterator[Any]:
    """Run an iterator in a thread, ``depth`` items ahead; its errors are raised here."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    end = object()

    def put(item: Any) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(end)
        except BaseException as error:  # handed over: the reader raises it
            put(error)

    worker = threading.Thread(target=work, name="decode", daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not end:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        worker.join()


def detect_all(frames: Frames, store: Store, detectors: Detectors, progress: Progress) -> RawClip:
    """First pass: the detector on every frame, chunk by chunk; saved chunks are not run again."""
    starts = range(0, len(frames), CHUNK)
    chunks = {s: c for s in starts if (c := _load_raw(store, f"raw-{s:06d}")) is not None}
    missing = [s for s in starts if s not in chunks]
    if missing:
        done = sum(c.num_frames for c in chunks.values())
        with contextlib.closing(detectors.person(True)) as detector:
            for start in missing:
                detector.reset()
                rows = []
                here = np.arange(start, min(start + CHUNK, len(frames)))
                for _, index, time, rgb in frames.read(here):
                    rows.append(raw_frame(index, time, rgb, detector.detect(rgb)))
                    done += 1
                    progress("detect", done, len(frames))
                if rows:
                    chunks[start] = stack_frames(rows)
                    store.save(f"raw-{start:06d}", chunks[start].to_arrays())
    return join_clips([chunks[s] for s in sorted(chunks)])


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
    raw: RawClip,
    lock: Lock,
    frames: Frames,
    detectors: Detectors,
    width: int,
    height: int,
    progress: Progress,
) -> tuple[RawClip, np.ndarray]:
    """Look for the locked person where the detector lost them or followed somebody else.

    Returns the clip with the finds put in, and (N,) bool frames that now show the person.
    """
    is_person = lock.is_person.copy()
    lost = np.flatnonzero(~is_person)
    boxes = person_boxes(raw.pose, raw.found, width, height)
    lost = np.array([i for i in lost if search_box(i, is_person, boxes, raw.time) is not None])
    if len(lost) == 0 or not is_person.any():
        return raw, is_person
    finds: dict[int, RawFrame] = {}
    with contextlib.closing(detectors.person(False)) as detector:
        for done, (i, index, time, rgb) in enumerate(frames.read(lost), 1):
            area = search_box(i, is_person, boxes, raw.time)
            progress("look again", done, len(lost))
            if area is None:
                continue
            found = raw_frame(index, time, rgb, detect_in_box(rgb, area, detector))
            if found.detection.pose is None:
                continue
            if similarity(found.colors, lock.colors) < _FOUND_AGAIN:
                continue
            box = person_boxes(found.detection.pose[None], np.array([True]), width, height)[0]
            if box_overlap(box, area) < 0.15:
                continue
            finds[i], boxes[i], is_person[i] = found, box, True
    return replace_frames(raw, finds), is_person


def missing_parts(raw: RawClip, width: int, height: int) -> dict[int, list[tuple[str, np.ndarray]]]:
    """Rows of the clip -> where to look closer: ("face", "left_hand" or "right_hand", area).

    Nobody who turns their back is searched for a face.
    """
    confidence = pose_confidence(raw, width, height)
    scale = pixels_per_metre(raw.pose[..., :2], confidence, raw.world)
    left, right = hand_confidence(raw, scale, width, height)
    face = face_confidence(raw, scale, width, height)
    back = shows_back(raw, scale)
    areas: dict[int, list[tuple[str, np.ndarray]]] = {}
    for i in np.flatnonzero(raw.found):
        wanted = []
        if face[i] == 0 and not back[i]:
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
    for i, finds in found.items():
        for name, points in finds.items():
            parts[name][0][i], parts[name][1][i] = points, True
    changed: dict[str, Any] = {n: points for n, (points, _) in parts.items()}
    changed |= {_PART_FLAGS[n]: flags for n, (_, flags) in parts.items()}
    return replace(raw, **changed)


def search_missing_parts(
    raw: RawClip,
    frames: Frames,
    detectors: Detectors,
    width: int,
    height: int,
    progress: Progress,
) -> RawClip:
    """Look into crops for faces too small for the whole frame and for hands that were missed.

    A find is kept only if it passes the same tests as everything else.
    """
    areas = missing_parts(raw, width, height)
    if not areas:
        return raw
    found = {}
    with (
        contextlib.closing(detectors.face()) as faces,
        contextlib.closing(detectors.hand()) as hands,
    ):
        for done, (i, _, _, rgb) in enumerate(frames.read(np.array(sorted(areas))), 1):
            found[i] = search_parts(rgb, areas[i], faces, hands)
            progress("look closer", done, len(areas))
    return with_parts(raw, found)


_PART_FLAGS = {"face": "face_found", "left_hand": "left_found", "right_hand": "right_found"}


def refine_masks(
    raw: RawClip,
    hints: list[BodyHints | None],
    frames: Frames,
    store: Store,
    shape: tuple[int, int],
    progress: Progress,
) -> list[PackedMask]:
    """Last pass: sharpen the masks, chunk by chunk; frames without the person get an empty one."""
    starts = range(0, raw.num_frames, CHUNK)
    chunks = {s: c for s in starts if (c := _load_masks(store, s, raw)) is not None}
    missing = [s for s in starts if s not in chunks]
    if missing:
        plate = _clip_plate(raw, hints, frames, shape)
        _log.info("camera %s", "moves or plate unclear" if plate is None else "stands still")
        done = sum(len(c) for c in chunks.values())

        def work(item: tuple[int, int, float, np.ndarray]) -> PackedMask:
            i, _, _, rgb = item
            hint = hints[i]
            if hint is None:
                return PackedMask.pack(np.zeros(shape, np.uint8))
            return PackedMask.pack(refine_mask(rgb, raw.masks[i].unpack(*shape), hint, plate))

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for start in missing:
                here = np.arange(start, min(start + CHUNK, raw.num_frames))
                chunks[start] = []
                for packed in _bounded_map(pool, work, frames.read(here), 6):
                    chunks[start].append(packed)
                    done += 1
                    progress("refine masks", done, raw.num_frames)
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


def _clip_plate(
    raw: RawClip, hints: list[BodyHints | None], frames: Frames, shape: tuple[int, int]
) -> Plate | None:
    """The empty scene from samples over the whole clip, None if the camera moves."""
    most = int(np.clip(_PLATE_BYTES // (3 * shape[0] * shape[1]), 8, _PLATE_SAMPLES))
    rows = np.unique(np.linspace(0, raw.num_frames - 1, most).round().astype(int))
    if len(rows) < 3:
        return None
    samples, near = [], []
    for i, _, _, rgb in frames.read(rows):
        samples.append(rgb)
        near.append(near_person(raw.masks[i].unpack(*shape), hints[i]))
    return build_plate(samples, near)
