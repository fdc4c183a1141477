"""One fit: its input, its settings, and the passes before the joint fit, each kept in its cache."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

import pear_avatar
from pear_avatar.body import BodyModel
from pear_avatar.body.ehm import EhmModel
from pear_avatar.commands.background import Background
from pear_avatar.commands.configuration import FitConfig, config_to_dict
from pear_avatar.errors import PearError
from pear_avatar.fitting.details import Detail, make_details, plan_details
from pear_avatar.fitting.frame_cache import FRAMES_VERSION, load_frames, save_frames
from pear_avatar.fitting.frames import FrameSet, choose_rows, cut_crops, plan_person
from pear_avatar.fitting.objective import Term
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.replacing import MARK
from pear_avatar.io.video import read_frames
from pear_avatar.motion.track_file import load_track, save_track
from pear_avatar.perception.clip import detect_clip
from pear_avatar.perception.detectors import Detectors
from pear_avatar.perception.everyone import PersonChoice
from pear_avatar.perception.masks import PersonMasks
from pear_avatar.perception.overlay import write_overlay
from pear_avatar.perception.store import content_key
from pear_avatar.recovery.first_guess import first_guess
from pear_avatar.recovery.lifter import Lifter
from pear_avatar.tracking.track import track_clip
from pear_avatar.types import Camera, ClipDetections, ProgressFn, Proportions, Track

logger = logging.getLogger(__name__)


class StageClock:
    """Seconds by stage over all runs of one fit; kept beside the cache so that a resumed fit
    reports what it took altogether."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self.seconds: dict[str, float] = {}
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored.get("key") == key:
                self.seconds = {str(k): float(v) for k, v in stored["seconds"].items()}
        except (OSError, ValueError, KeyError, AttributeError):
            pass

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        started, before = time.monotonic(), self.seconds.get(name, 0.0)
        try:
            yield
        finally:
            # A stage served from the cache must not replace the time it once took.
            self.seconds[name] = before + time.monotonic() - started
            text = json.dumps({"made_by": MARK, "key": self._key, "seconds": self.seconds})
            write_text_atomic(self._path, text)


@dataclass(frozen=True)
class FitJob:
    """A video, what to make of it, and the folder of the results; fields as in ``fit_video``."""

    video: Path
    out: Path
    config: FitConfig
    detectors: Detectors
    camera: Camera | None
    person: PersonChoice | None
    unseen_tail: bool
    terms: Sequence[Term]
    progress: ProgressFn | None

    @property
    def cache(self) -> Path:
        """Folder of what an interrupted fit continues from."""
        return self.out / "cache"

    @cached_property
    def key(self) -> str:
        """Of the video's content and all settings that decide the avatar."""
        config, camera = config_to_dict(self.config), self.camera
        config.pop("output", None)
        config.pop("device", None)
        config |= {
            "unseen_tail": self.unseen_tail,
            "detectors": self.detectors.name,
            "person": None if self.person is None else self.person.key,
            "version": pear_avatar.__version__,
            "frames_version": FRAMES_VERSION,
            "camera": None
            if camera is None
            else [camera.K.tolist(), camera.T_camera_world.tolist(), camera.width, camera.height],
        }
        if self.terms:
            config["terms"] = [
                [t.name, t.weight, sorted(t.stages), t.every, t.starts] for t in self.terms
            ]
        return content_key(self.video, config)

    def report(self, stage: str, done: int, total: int) -> None:
        """Report progress to the caller, if it wants any."""
        if self.progress is not None:
            self.progress(stage, done, total)

    def detect(self) -> tuple[ClipDetections, PersonMasks]:
        """Landmarks and masks of the person in all frames."""
        return detect_clip(
            self.video,
            cache_dir=self.cache,
            max_frames=self.config.clip.max_frames,
            progress=self.progress,
            detectors=self.detectors,
            person=self.person,
        )

    def draw_overlay(
        self, background: Background, detections: ClipDetections, masks: PersonMasks
    ) -> None:
        """Start to draw overlay.mp4 in the background, where it is wanted."""
        if self.config.output.overlay:
            stamp = self.cache / f"overlay-{self.key}"
            background.start(_overlay_once, stamp, self.video, detections, masks, self.out)

    def track(self, detections: ClipDetections, body: EhmModel) -> Track:
        """The clip's track, from the cache where the settings agree.

        It starts from what one pass of the lifter recovers in each frame.
        """
        named = self.cache / f"track-{self.key}.npz"
        if named.is_file():
            try:
                return load_track(named)
            except PearError as error:
                logger.warning("%s: tracking again", error)
        guess = None
        if self.config.clip.start == "recovered":
            guess = first_guess(Lifter.load(), detections, self.camera, body)
        track = track_clip(
            detections,
            body,
            camera=self.camera,
            config=self.config.tracking,
            initial=guess,
            progress=self.progress,
        )
        track = replace(track, motion=replace(track.motion, body=self.config.body.name))
        write_track(named, track, person_body(body, track))
        return load_track(named)  # rounded as in a resumed run, so that both give the same result

    @property
    def frames_path(self) -> Path:
        """File of the crops; large, and quick to make again."""
        return self.cache / f"frames-{self.key}.npz"

    def crops(
        self, detections: ClipDetections, masks: PersonMasks, track: Track, body: BodyModel
    ) -> tuple[FrameSet, dict[str, Detail]]:
        """The crops of the person, head and hands, from the cache where the settings agree."""
        stored = load_frames(self.frames_path)
        if stored is not None:
            return stored
        fitting = self.config.fitting
        rows, split = choose_rows(
            track,
            max_frames=fitting.max_frames,
            holdout_every=fitting.holdout_every,
            unseen_tail=self.unseen_tail,
        )
        if len(rows) == 0:
            raise PearError(
                f"none of the {detections.num_frames} frames shows the person well enough to "
                "fit; see overlay.mp4 for the reason of each"
            )
        person = plan_person(masks.mask, detections, rows, split=split, crop_size=fitting.crop_size)
        plans = {"person": person, **plan_details(body, track, detections, rows, split)}
        indices = [int(i) for i in track.frame_index[rows]]
        side = max(detections.width, detections.height)
        cut = cut_crops(
            read_frames(self.video, indices=indices, max_side=side),
            masks.mask,
            track,
            plans,
            on_frame=lambda k: self.report("crops", k, len(rows)),
        )
        frames = cut.pop("person")
        details = make_details(cut, plans, frames)
        save_frames(self.frames_path, frames, details)
        return frames, details


def person_body(body: EhmModel, track: Track) -> BodyModel:
    """The tracked person's own body: EHM-s with their proportions built in."""
    return body.person(track.proportions or Proportions.neutral())


def _overlay_once(
    stamp: Path,
    video: str | Path,
    detections: ClipDetections,
    masks: PersonMasks,
    out: Path,
    *,
    progress: ProgressFn,
) -> None:
    """Draw the overlay unless it was drawn from this very input before."""
    path = out / "overlay.mp4"
    if stamp.is_file() and path.is_file():
        return
    write_overlay(video, detections, masks, path, progress=progress)
    write_text_atomic(stamp, MARK)


def write_track(path: Path, track: Track, person: BodyModel) -> None:
    """Save a track with where its person's pelvis rests."""
    with torch.no_grad():
        pelvis = person.shape(track.motion.params.betas).joints[0]
    save_track(path, track, pelvis_rest=pelvis.tolist())
