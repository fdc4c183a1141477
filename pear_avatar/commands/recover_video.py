"""Recover one person or all people in a video: tracks, animated meshes, an overlay video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pear_avatar.commands.recover import RecoverOptions, RecoverSummary
from pear_avatar.commands.recover_inputs import MediaInput
from pear_avatar.commands.recover_outputs import (
    MAX_DRAWN_SIDE,
    PersonTrack,
    draw_people,
    write_person,
)
from pear_avatar.errors import MediaError, PearError
from pear_avatar.io.video import VideoWriter, pick_frames, probe_video, read_frames
from pear_avatar.perception import detect_landmarks
from pear_avatar.perception.following import Follower
from pear_avatar.perception.measure import box_overlap
from pear_avatar.perception.picture import at_time
from pear_avatar.recovery.lens import guess_camera
from pear_avatar.recovery.recoverer import Recoverer, visibility
from pear_avatar.recovery.smoothing import gaussian_body, one_euro_both_ways
from pear_avatar.tracking.clip_camera import clip_cameras
from pear_avatar.tracking.track_report import frame_errors
from pear_avatar.types import BodyParams, ClipDetections, Motion, ProgressFn, Track

__all__ = ["person_result", "recover_video"]

#: A person seen in fewer frames than this, or this share of them, gets no file.
_FEWEST_FRAMES, _FEWEST_SHARE = 3, 0.02


def recover_video(
    source: MediaInput,
    out: Path,
    options: RecoverOptions,
    recoverer: Recoverer,
    *,
    progress: ProgressFn | None = None,
) -> RecoverSummary:
    """Recover the people of a video file and write them to ``out``.

    Raises:
        MediaError: the file cannot be used, or shows no person.
        PearError: the person asked for is not there.
    """
    path = Path(source.source)
    report = progress or (lambda *_: None)
    info = probe_video(path)
    if options.all_people_needed or options.box is not None:
        clips = _choose(_follow(path, options, recoverer, report), options, path)
    else:
        one = detect_landmarks(
            path,
            max_frames=options.max_frames,
            progress=report,
            detectors=recoverer.detector.detectors,
        )
        clips = {0: one}
    if not clips:
        raise MediaError(f"no person found in {path}: is one well lit and large enough?")
    people = [
        person_result(i, path, clip, options, recoverer, name=source.name)
        for i, clip in sorted(clips.items())
    ]
    for done, person in enumerate(people, 1):
        stem = out / (source.name if len(people) == 1 else f"{source.name}_{person.identity}")
        write_person(stem, person, options.mesh)
        report("write", done, len(people))
    if options.overlay:
        wanted = pick_frames(info.num_frames, options.max_frames)
        rate = info.fps * len(wanted) / max(info.num_frames, 1)
        _write_overlay(
            path,
            out / f"{source.name}_overlay.mp4",
            people,
            options,
            wanted,
            fps=rate,
            report=report,
        )
    return RecoverSummary(out, 1, len(people))


def _follow(
    path: Path, options: RecoverOptions, recoverer: Recoverer, report: ProgressFn
) -> dict[int, ClipDetections]:
    """Each person's detections over the frames in which they were seen, by identity."""
    wanted = pick_frames(probe_video(path).num_frames, options.max_frames)
    follower = Follower(recoverer.detector)
    found: dict[int, list[ClipDetections]] = {}
    for done, (index, time, rgb) in enumerate(read_frames(path, indices=wanted), 1):
        for seen in follower.update(rgb):
            moved = at_time(seen.person, int(index), float(time))
            found.setdefault(seen.identity, []).append(moved.detections)
        report("follow", done, len(wanted))
    fewest = min(len(wanted), max(_FEWEST_FRAMES, round(_FEWEST_SHARE * len(wanted))))
    return {i: ClipDetections.concat(rows) for i, rows in found.items() if len(rows) >= fewest}


def _choose(
    clips: dict[int, ClipDetections], options: RecoverOptions, path: Path
) -> dict[int, ClipDetections]:
    """All, the n-th largest, or the one who is in the box when they are first seen."""
    if options.box is not None:
        box = np.array(options.box, np.float32)
        best = max(clips, key=lambda i: box_overlap(clips[i].box_xyxy[0], box), default=None)
        if best is None or box_overlap(clips[best].box_xyxy[0], box) == 0:
            raise PearError(f"{path}: no person appears in the box {options.box}")
        return {best: clips[best]}
    if options.everyone or options.person is None:
        return clips

    def size(clip: ClipDetections) -> float:
        sides = clip.box_xyxy[:, 2:] - clip.box_xyxy[:, :2]
        return float(sides.prod(1).sum())

    ranked = sorted(clips, key=lambda i: -size(clips[i]))
    if options.person >= len(ranked):
        raise PearError(
            f"{path}: person {options.person} was asked for, but only {len(ranked)} found "
            "(they are numbered from 0, largest first)"
        )
    return {ranked[options.person]: clips[ranked[options.person]]}


def person_result(
    identity: int,
    path: Path,
    detections: ClipDetections,
    options: RecoverOptions,
    recoverer: Recoverer,
    *,
    name: str,
) -> PersonTrack:
    """One person's parameters in all frames: recovered, of one shape, smoothed."""
    camera = options.camera or guess_camera(detections.width, detections.height)
    confidence = visibility(detections)
    with torch.no_grad():
        found = recoverer.source.recover_clip(_pictures(path, detections), detections, camera)
        params = found.params
        if options.smooth != "off" and detections.num_frames > 2:
            params = _smoothed(params, detections, options)
    cameras = clip_cameras(found.camera, detections.num_frames, 0.0)
    track = Track(
        Motion(params, detections.time, name),
        cameras,
        detections.frame_index,
        detections.trusted,
        np.full(detections.num_frames, np.nan),
        found.proportions,
    )
    body = recoverer.source.body.person(found.proportions)
    track = replace(track, landmark_error=frame_errors(track, detections, body))
    return PersonTrack(
        identity, track, body, confidence, detections.box_xyxy, tuple(map(str, detections.reason))
    )


def _smoothed(
    params: BodyParams, detections: ClipDetections, options: RecoverOptions
) -> BodyParams:
    """Steadied over the frames; a file can be filtered without lag."""
    if options.smooth == "gaussian":
        return gaussian_body(params, 1.0, torch.from_numpy(detections.trusted.astype(np.float32)))
    return one_euro_both_ways(params, detections.time)


def _pictures(path: Path, detections: ClipDetections) -> Iterator[np.ndarray]:
    """The frames of the detections' rows, decoded only on demand."""
    for _, _, rgb in read_frames(path, indices=detections.frame_index):
        yield rgb


def _write_overlay(
    video: Path,
    out: Path,
    people: list[PersonTrack],
    options: RecoverOptions,
    wanted: np.ndarray,
    *,
    fps: float,
    report: ProgressFn,
) -> None:
    with VideoWriter(out, max(1.0, fps)) as writer:
        frames = read_frames(video, indices=wanted, max_side=MAX_DRAWN_SIDE)
        for done, (index, _, rgb) in enumerate(frames, 1):
            writer.write(draw_people(rgb, people, int(index), mesh=options.mesh != "none"))
            report("overlay", done, len(wanted))
