"""From a video file to landmarks, masks and trust: one person, cached and resumable."""

from __future__ import annotations

import logging
import os
from dataclasses import fields, replace
from typing import Any

import numpy as np

from pear_avatar.errors import MediaError
from pear_avatar.io.video import (
    pick_frames,
    probe_video,
)
from pear_avatar.perception.assemble import judged_detections
from pear_avatar.perception.cleaning import find_flips, undo_flips
from pear_avatar.perception.detectors import Detectors, load_detectors
from pear_avatar.perception.everyone import (
    PersonChoice,
    follow_everyone,
    shows_several_people,
)
from pear_avatar.perception.frames import Frames
from pear_avatar.perception.identity import find_main_person
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.masks import PersonMasks, masks_from_arrays, masks_to_arrays
from pear_avatar.perception.passes import (
    PassContext,
    detect_all,
    find_again,
    refine_masks,
    search_missing_parts,
)
from pear_avatar.perception.raw import RawClip
from pear_avatar.perception.store import Store, content_key
from pear_avatar.perception.trust import summarise
from pear_avatar.types import ClipDetections, ProgressFn

_log = logging.getLogger(__name__)

#: Part of the cache key: raise it whenever results change.
VERSION = 6
#: Below this share of trusted frames the user is warned.
_FEW_TRUSTED = 0.5


def detect_clip(
    video_path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    max_frames: int | None = None,
    max_side: int | None = None,
    progress: ProgressFn | None = None,
    detectors: Detectors | None = None,
    person: PersonChoice | None = None,
) -> tuple[ClipDetections, PersonMasks]:
    """Detect one person in a clip: landmarks, hands, face, masks, and which frames to trust.

    Args:
        video_path: a video or a still picture.
        cache_dir: folder that keeps the results; the same call on the same content returns at
            once, and an interrupted call goes on where it was. None keeps nothing.
        max_frames: at most so many frames, at an even stride over the whole clip.
        max_side: scale frames down to this longer side; results are in scaled pixels.
        progress: called with (stage, done, total).
        detectors: the networks to use; those of ``load_detectors()`` by default.
        person: which of several people; by default the largest, most central and longest seen.

    Raises:
        MediaError: the file cannot be used, or shows no person, or not the wanted one.
    """
    context = _context(
        video_path, cache_dir, max_frames, max_side, progress, detectors=detectors, person=person
    )
    cached = _load_result(context.store)
    if cached is not None:
        return cached
    clip, is_other, notes = _one_person(context)
    detections = replace(judged_detections(clip, is_other), notes=notes)
    masks = PersonMasks(clip.raw.height, clip.raw.width, tuple(refine_masks(context, clip)))
    _log_quality(video_path, detections)
    context.store.save("person", _to_arrays(detections, masks))
    for unfinished in ("raw-", "mask-", "checked"):
        context.store.remove(unfinished)
    return detections, masks


def detect_landmarks(
    video_path: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    max_frames: int | None = None,
    max_side: int | None = None,
    progress: ProgressFn | None = None,
    detectors: Detectors | None = None,
    person: PersonChoice | None = None,
) -> ClipDetections:
    """As :func:`detect_clip` without the masks, which take about half of its time."""
    context = _context(
        video_path, cache_dir, max_frames, max_side, progress, detectors=detectors, person=person
    )
    cached = _load_result(context.store)
    if cached is not None:
        return cached[0]
    clip, is_other, notes = _one_person(context)
    detections = replace(judged_detections(clip, is_other), notes=notes)
    _log_quality(video_path, detections)
    return detections


def _context(
    path: str | os.PathLike[str],
    cache_dir: str | os.PathLike[str] | None,
    max_frames: int | None,
    max_side: int | None,
    progress: ProgressFn | None,
    *,
    detectors: Detectors | None,
    person: PersonChoice | None,
) -> PassContext:
    info = probe_video(path)
    networks = detectors or load_detectors()
    settings = {
        "version": VERSION,
        "networks": networks.name,
        "max_frames": max_frames,
        "max_side": max_side,
        "person": None if person is None else person.key,
    }
    return PassContext(
        Frames(path, pick_frames(info.num_frames, max_frames), max_side),
        Store(cache_dir, content_key(path, settings)),
        networks,
        progress or _no_progress,
        person,
    )


def _load_result(store: Store) -> tuple[ClipDetections, PersonMasks] | None:
    """Results of an earlier run, None where there are none that can be read."""
    arrays = store.load("person")
    if arrays is None:
        return None
    try:
        return _from_arrays(arrays)
    except (KeyError, ValueError) as error:
        _log.warning("the cached detections are damaged (%s): detecting again", error)
        return None


def _log_quality(path: str | os.PathLike[str], detections: ClipDetections) -> None:
    quality = summarise(detections)
    level = logging.WARNING if quality.trusted < _FEW_TRUSTED * quality.frames else logging.INFO
    _log.log(level, "%s: %s", path, quality)
    for note in detections.notes:
        _log.warning("%s: %s", path, note)


def _to_arrays(detections: ClipDetections, masks: PersonMasks) -> dict[str, np.ndarray]:
    found = {f.name: getattr(detections, f.name) for f in fields(detections)}
    arrays = {name: np.asarray(value) for name, value in found.items() if value is not None}
    return arrays | masks_to_arrays(masks.packed)


def _from_arrays(arrays: dict[str, np.ndarray]) -> tuple[ClipDetections, PersonMasks]:
    values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(ClipDetections)}
    values |= {"width": int(values["width"]), "height": int(values["height"])}
    values["notes"] = tuple(str(note) for note in values["notes"])
    detections = ClipDetections(**values)
    masks = PersonMasks(detections.height, detections.width, tuple(masks_from_arrays(arrays)))
    if len(masks) != detections.num_frames:
        raise ValueError(f"{len(masks)} masks for {detections.num_frames} frames")
    return detections, masks


def _no_progress(stage: str, done: int, total: int) -> None:
    del stage, done, total


def _one_person(context: PassContext) -> tuple[JudgedClip, np.ndarray, tuple[str, ...]]:
    """The wanted person's cleaned detections, (N,) bool frames that show another person, notes.

    In the clip that is returned ``found`` means that the wanted person was found.

    Raises:
        MediaError: there is no person in the clip, or not the one who is wanted.
    """
    saved = context.store.load("checked")
    if saved is not None and {"is_other", "notes"} <= set(saved):
        try:
            notes = tuple(str(note) for note in saved["notes"])
            return JudgedClip(RawClip.from_arrays(saved)), saved["is_other"], notes
        except (KeyError, ValueError) as error:
            _log.warning("cached second look is damaged (%s): searching again", error)
    if context.person is not None or shows_several_people(context):
        people = follow_everyone(context)
        identity = people.select(context.person)
        (raw, is_other), notes = people.clip_of(identity), people.notes(identity)
    else:
        raw, is_other, notes = _main_person(context)
    clip = JudgedClip(raw)
    clip = JudgedClip(undo_flips(clip.raw, find_flips(clip.raw, clip.scale)))
    clip = JudgedClip(search_missing_parts(context, clip))
    extra = {"is_other": is_other, "notes": np.array(notes, dtype=str)}
    context.store.save("checked", clip.raw.to_arrays() | extra)
    return clip, is_other, notes


def _main_person(context: PassContext) -> tuple[RawClip, np.ndarray, tuple[str, ...]]:
    """The one person of a clip that shows no others beside them for long."""
    raw = detect_all(context)
    if not raw.found.any():
        raise MediaError(
            f"no person found in {raw.num_frames} frames of {context.frames.path}: "
            "one person should be well lit and fill a good part of the picture"
        )
    clip = JudgedClip(raw)
    main = find_main_person(raw, clip.boxes, clip.scale)
    raw, is_person = find_again(context, clip, main)
    return replace(raw, found=is_person), raw.found & ~is_person, main.notes
