"""From a video file to landmarks, masks and trust, one person, cached and resumable."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.data.video import MediaError, VideoInfo, pick_frames, probe_video, read_frames
from pear_avatar.perception.cleaning import (
    face_confidence,
    find_flips,
    hand_confidence,
    pose_confidence,
    undo_flips,
)
from pear_avatar.perception.holistic import Detector, HolisticDetector
from pear_avatar.perception.masks import PersonMasks, masks_from_arrays, masks_to_arrays
from pear_avatar.perception.measure import SEEN, inside_image, landmark_box, pixels_per_metre
from pear_avatar.perception.raw import RawClip, join_clips, raw_frame, stack_frames
from pear_avatar.perception.store import Store, content_key, write_arrays
from pear_avatar.perception.trust import judge_frames, summarise
from pear_avatar.types import ClipDetections

_log = logging.getLogger(__name__)

#: Part of the cache key: raise it whenever results change.
VERSION = 1
#: Frames between two saves; also how often the detector starts afresh, so that a run that was
#: interrupted and one that was not give the same result.
CHUNK = 64
_FEW_TRUSTED = 0.5

Progress = Callable[[str, int, int], None]


def detect_clip(
    video_path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    max_frames: int | None = None,
    max_side: int | None = None,
    progress: Progress | None = None,
    detector: Callable[[], Detector] = HolisticDetector,
) -> tuple[ClipDetections, PersonMasks]:
    """Find one person in a clip: landmarks, hands, face, masks and which frames to trust.

    Args:
        video_path: a video or a still picture.
        cache_dir: folder that keeps the results; the same call on the same content returns at
            once, and an interrupted call goes on where it was. None keeps nothing.
        max_frames: at most so many frames, at an even stride over the whole clip.
        max_side: scale frames down to this longer side; results are in scaled pixels.
        progress: called with (stage, done, total).
        detector: makes the network to use.

    Raises:
        MediaError: the file cannot be used, or nobody is in it.
    """
    info = probe_video(video_path)
    store = Store(
        cache_dir,
        content_key(
            video_path, {"version": VERSION, "max_frames": max_frames, "max_side": max_side}
        ),
    )
    cached = store.load("person")
    if cached is not None:
        try:
            return _from_arrays(cached)
        except (KeyError, ValueError) as error:
            _log.warning("the cached detections are damaged (%s): made again", error)
    report = progress or _no_progress
    raw = _detect_all(video_path, info, store, max_frames, max_side, report, detector)
    if not raw.found.any():
        raise MediaError(
            f"no person found in {raw.num_frames} frames of {video_path}: "
            "one person should be well lit and fill a good part of the picture"
        )
    width, height = info.scaled_size(max_side)
    detections, masks = _assemble(raw, width, height)
    quality = summarise(detections)
    level = logging.WARNING if quality.trusted < _FEW_TRUSTED * quality.frames else logging.INFO
    _log.log(level, "%s: %s", video_path, quality)
    store.save("person", _to_arrays(detections, masks))
    return detections, masks


def save_detections(
    path: str | os.PathLike[str], detections: ClipDetections, masks: PersonMasks
) -> None:
    """Write detections and masks to one npz (plain arrays, no pickle)."""
    write_arrays(Path(path), _to_arrays(detections, masks))


def load_detections(path: str | os.PathLike[str]) -> tuple[ClipDetections, PersonMasks]:
    """Read what :func:`save_detections` wrote.

    Raises:
        FileNotFoundError: no such file. ValueError: not a file of detections.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _from_arrays({key: archive[key] for key in archive.files})
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} does not hold detections ({error}): detect again") from None


def _to_arrays(detections: ClipDetections, masks: PersonMasks) -> dict[str, np.ndarray]:
    arrays = {f.name: np.asarray(getattr(detections, f.name)) for f in fields(detections)}
    return arrays | masks_to_arrays(masks.packed)


def _from_arrays(arrays: dict[str, np.ndarray]) -> tuple[ClipDetections, PersonMasks]:
    values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(ClipDetections)}
    values |= {"width": int(values["width"]), "height": int(values["height"])}
    detections = ClipDetections(**values)
    masks = PersonMasks(
        detections.height, detections.width, tuple(masks_from_arrays(arrays))
    )
    if len(masks) != detections.num_frames:
        raise ValueError(f"{len(masks)} masks for {detections.num_frames} frames")
    return detections, masks


def _no_progress(stage: str, done: int, total: int) -> None:
    del stage, done, total


def _detect_all(
    path: str | os.PathLike[str],
    info: VideoInfo,
    store: Store,
    max_frames: int | None,
    max_side: int | None,
    progress: Progress,
    make_detector: Callable[[], Detector],
) -> RawClip:
    """Run the detector over the clip, chunk by chunk; chunks on disk are not run again."""
    wanted = pick_frames(info.num_frames, max_frames)
    starts = range(0, len(wanted), CHUNK)
    chunks: dict[int, RawClip] = {}
    for start in starts:
        arrays = store.load(f"raw-{start:06d}")
        if arrays is not None:
            try:
                chunks[start] = RawClip.from_arrays(arrays)
            except (KeyError, ValueError) as error:
                _log.warning("cached chunk %d is damaged (%s): made again", start, error)
    missing = [s for s in starts if s not in chunks]
    if missing:
        detector = make_detector()
        try:
            done = sum(c.num_frames for c in chunks.values())
            for start in missing:
                rows = wanted[start : start + CHUNK]
                detector.reset()
                frames = []
                for index, time, rgb in read_ahead(path, rows, max_side):
                    frames.append(raw_frame(index, time, rgb, detector.detect(rgb)))
                    done += 1
                    progress("detect", done, len(wanted))
                if frames:
                    chunks[start] = stack_frames(frames)
                    store.save(f"raw-{start:06d}", chunks[start].to_arrays())
        finally:
            detector.close()
    return join_clips([chunks[s] for s in sorted(chunks)])


def read_ahead(
    path: str | os.PathLike[str], indices: np.ndarray, max_side: int | None, depth: int = 4
) -> Iterator[tuple[int, float, np.ndarray]]:
    """:func:`read_frames` decoding in a thread of its own, ``depth`` frames ahead."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def decode() -> None:
        try:
            for item in read_frames(path, indices=indices, max_side=max_side):
                if not put(item):
                    return
            put(None)
        except BaseException as error:  # handed to the reader, which raises it
            put(error)

    worker = threading.Thread(target=decode, name="decode", daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        worker.join()


def _assemble(
    raw: RawClip, width: int, height: int
) -> tuple[ClipDetections, PersonMasks]:
    confidence = pose_confidence(raw, width, height)
    scale = pixels_per_metre(raw.pose[..., :2], confidence, raw.world)
    raw = undo_flips(raw, find_flips(raw, scale))
    confidence = pose_confidence(raw, width, height)
    left, right = hand_confidence(raw, scale, width, height)
    face = face_confidence(raw, scale, width, height)
    boxes, agreement = _boxes(raw, confidence, scale, width, height)
    locked = raw.found
    reason = judge_frames(raw, confidence, face, scale, agreement, locked, boxes, height)
    detections = ClipDetections(
        frame_index=raw.frame_index,
        time=raw.time,
        pose_px=raw.pose[..., :2],
        pose_confidence=confidence,
        pose_world=raw.world,
        left_hand_px=raw.left_hand,
        left_hand_confidence=left,
        right_hand_px=raw.right_hand,
        right_hand_confidence=right,
        face_px=raw.face,
        face_confidence=face,
        box_xyxy=boxes,
        trusted=reason == "",
        reason=reason,
        width=width,
        height=height,
    )
    return detections, PersonMasks(height, width, raw.masks)


def _boxes(
    raw: RawClip, confidence: np.ndarray, scale: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) boxes around seen landmarks, and the share of those landmarks on the mask."""
    boxes = np.zeros((raw.num_frames, 4), np.float32)
    agreement = np.zeros(raw.num_frames, np.float32)
    for i in np.flatnonzero(raw.found):
        points = raw.pose[i, :, :2]
        seen = (confidence[i] > SEEN) & inside_image(points, width, height)
        if not seen.any():
            continue
        boxes[i] = landmark_box(points[seen], 0.12 * scale[i], width, height)
        mask = raw.masks[i].unpack(height, width)
        columns, rows = points[seen].astype(int).T
        agreement[i] = (mask[rows, columns] > 100).mean()
    return boxes, agreement
