"""From a video file to landmarks, masks and trust: one person, cached and resumable."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.errors import DataFileError, MediaError
from pear_avatar.io.npz import load_npz, save_npz
from pear_avatar.io.video import (
    pick_frames,
    probe_video,
)
from pear_avatar.perception.assemble import body_hints, image_scale, judged_detections
from pear_avatar.perception.cleaning import find_flips, undo_flips
from pear_avatar.perception.holistic import Detectors
from pear_avatar.perception.identity import lock_person
from pear_avatar.perception.masks import PersonMasks, masks_from_arrays, masks_to_arrays
from pear_avatar.perception.measure import person_boxes
from pear_avatar.perception.passes import (
    Frames,
    Progress,
    detect_all,
    find_again,
    refine_masks,
    search_missing_parts,
)
from pear_avatar.perception.raw import RawClip
from pear_avatar.perception.store import Store, content_key
from pear_avatar.perception.trust import summarise
from pear_avatar.types import ClipDetections

_log = logging.getLogger(__name__)

#: Part of the cache key: raise it whenever results change.
VERSION = 4
#: Below this share of trusted frames the user is warned.
_FEW_TRUSTED = 0.5


def detect_clip(
    video_path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    max_frames: int | None = None,
    max_side: int | None = None,
    progress: Progress | None = None,
    detectors: Detectors | None = None,
) -> tuple[ClipDetections, PersonMasks]:
    """Find one person in a clip: landmarks, hands, face, masks and which frames to trust.

    Args:
        video_path: a video or a still picture.
        cache_dir: folder that keeps the results; the same call on the same content returns at
            once, and an interrupted call goes on where it was. None keeps nothing.
        max_frames: at most so many frames, at an even stride over the whole clip.
        max_side: scale frames down to this longer side; results are in scaled pixels.
        progress: called with (stage, done, total).
        detectors: the networks to use; mediapipe's by default.

    Raises:
        MediaError: the file cannot be used, or nobody is in it.
    """
    search = _Search.of(video_path, cache_dir, max_frames, max_side, progress, detectors)
    cached = search.cached()
    if cached is not None:
        return cached
    raw, is_other = search.one_person()
    detections, masks = _assemble(
        raw, is_other, search.frames, search.store, *search.size, search.report
    )
    _tell_quality(video_path, detections)
    search.store.save("person", _to_arrays(detections, masks))
    for unfinished in ("raw-", "mask-", "checked"):
        search.store.remove(unfinished)
    return detections, masks


def detect_landmarks(
    video_path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    max_frames: int | None = None,
    max_side: int | None = None,
    progress: Progress | None = None,
    detectors: Detectors | None = None,
) -> ClipDetections:
    """As :func:`detect_clip` without the masks, which take about half of its time."""
    search = _Search.of(video_path, cache_dir, max_frames, max_side, progress, detectors)
    cached = search.cached()
    if cached is not None:
        return cached[0]
    raw, is_other = search.one_person()
    detections = judged_detections(raw, is_other, *search.size)
    _tell_quality(video_path, detections)
    return detections


@dataclass(frozen=True)
class _Search:
    """What looking for the one person of a clip needs."""

    path: str | os.PathLike[str]
    frames: Frames
    store: Store
    detectors: Detectors
    size: tuple[int, int]
    report: Progress

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str] | None,
        max_frames: int | None,
        max_side: int | None,
        progress: Progress | None,
        detectors: Detectors | None,
    ) -> _Search:
        info = probe_video(path)
        networks = detectors or Detectors()
        settings = {
            "version": VERSION,
            "networks": networks.name,
            "max_frames": max_frames,
            "max_side": max_side,
        }
        return cls(
            path,
            Frames(path, pick_frames(info.num_frames, max_frames), max_side),
            Store(cache_dir, content_key(path, settings)),
            networks,
            info.scaled_size(max_side),
            progress or _no_progress,
        )

    def cached(self) -> tuple[ClipDetections, PersonMasks] | None:
        """Results of an earlier run, None where there are none that can be read."""
        arrays = self.store.load("person")
        if arrays is None:
            return None
        try:
            return _from_arrays(arrays)
        except (KeyError, ValueError) as error:
            _log.warning("the cached detections are damaged (%s): made again", error)
            return None

    def one_person(self) -> tuple[RawClip, np.ndarray]:
        """The person's cleaned finds, and (N,) bool frames that show somebody else."""
        raw = detect_all(self.frames, self.store, self.detectors, self.report)
        if not raw.found.any():
            raise MediaError(
                f"no person found in {raw.num_frames} frames of {self.path}: "
                "one person should be well lit and fill a good part of the picture"
            )
        return _one_person(raw, self.frames, self.store, self.detectors, *self.size, self.report)


def _tell_quality(path: str | os.PathLike[str], detections: ClipDetections) -> None:
    quality = summarise(detections)
    level = logging.WARNING if quality.trusted < _FEW_TRUSTED * quality.frames else logging.INFO
    _log.log(level, "%s: %s", path, quality)


def save_detections(
    path: str | os.PathLike[str], detections: ClipDetections, masks: PersonMasks
) -> None:
    """Write detections and masks to one npz (plain arrays, no pickle)."""
    save_npz(Path(path), _to_arrays(detections, masks))


def load_detections(path: str | os.PathLike[str]) -> tuple[ClipDetections, PersonMasks]:
    """Read what :func:`save_detections` wrote.

    Raises:
        FileNotFoundError: no such file. ValueError: not a file of detections.
    """
    try:
        return _from_arrays(load_npz(Path(path)))
    except (KeyError, ValueError) as error:
        raise DataFileError(f"{path} does not hold detections ({error}): detect again") from None


def _to_arrays(detections: ClipDetections, masks: PersonMasks) -> dict[str, np.ndarray]:
    arrays = {f.name: np.asarray(getattr(detections, f.name)) for f in fields(detections)}
    return arrays | masks_to_arrays(masks.packed)


def _from_arrays(arrays: dict[str, np.ndarray]) -> tuple[ClipDetections, PersonMasks]:
    values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(ClipDetections)}
    values |= {"width": int(values["width"]), "height": int(values["height"])}
    detections = ClipDetections(**values)
    masks = PersonMasks(detections.height, detections.width, tuple(masks_from_arrays(arrays)))
    if len(masks) != detections.num_frames:
        raise ValueError(f"{len(masks)} masks for {detections.num_frames} frames")
    return detections, masks


def _no_progress(stage: str, done: int, total: int) -> None:
    del stage, done, total


def _one_person(
    raw: RawClip,
    frames: Frames,
    store: Store,
    detectors: Detectors,
    width: int,
    height: int,
    progress: Progress,
) -> tuple[RawClip, np.ndarray]:
    """Keep one person, put left and right in order, look again for what was missed.

    Returns the clip, in which ``found`` now means "the locked person was found", and (N,) bool
    frames that show somebody else instead.
    """
    saved = store.load("checked")
    if saved is not None and "is_other" in saved:
        try:
            return RawClip.from_arrays(saved), saved["is_other"]
        except (KeyError, ValueError) as error:
            _log.warning("cached second look is damaged (%s): made again", error)
    boxes = person_boxes(raw.pose, raw.found, width, height)
    lock = lock_person(raw, boxes, image_scale(raw, width, height), width, height)
    if lock.others:
        _log.info("%d stretches of the clip show somebody else", lock.others)
    raw, is_person = find_again(raw, lock, frames, detectors, width, height, progress)
    is_other = raw.found & ~is_person
    raw = replace(raw, found=is_person)
    raw = undo_flips(raw, find_flips(raw, image_scale(raw, width, height)))
    raw = search_missing_parts(raw, frames, detectors, width, height, progress)
    store.save("checked", raw.to_arrays() | {"is_other": is_other})
    return raw, is_other


def _assemble(
    raw: RawClip,
    is_other: np.ndarray,
    frames: Frames,
    store: Store,
    width: int,
    height: int,
    progress: Progress,
) -> tuple[ClipDetections, PersonMasks]:
    """Confidences, trust and refined masks."""
    detections = judged_detections(raw, is_other, width, height)
    hints = body_hints(raw, detections)
    packed = refine_masks(raw, hints, frames, store, (height, width), progress)
    return detections, PersonMasks(height, width, tuple(packed))
