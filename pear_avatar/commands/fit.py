"""From a video to an avatar: detection, tracking, joint fit, report. Resumable throughout."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch

import pear_avatar
from pear_avatar.avatar.avatar import Avatar
from pear_avatar.avatar.file_format import save_avatar
from pear_avatar.body import BodyModel
from pear_avatar.body.ehm import EhmModel
from pear_avatar.body.sources import BodySource, load_ehm
from pear_avatar.choices import BodyName, Convention, Gender
from pear_avatar.commands.configuration import (
    BodyConfig,
    FitConfig,
    config_to_dict,
    save_fit_config,
)
from pear_avatar.errors import ConfigError, MissingFileError, PearError
from pear_avatar.evaluation.metrics import EVALUATOR_VERSION
from pear_avatar.evaluation.perceptual import load_perceptual
from pear_avatar.fitting.details import Detail, make_details, plan_details
from pear_avatar.fitting.frame_cache import FRAMES_VERSION, load_frames, save_frames
from pear_avatar.fitting.frames import (
    FrameSet,
    choose_rows,
    cut_crops,
    plan_person,
)
from pear_avatar.fitting.objective import Term, checked_terms
from pear_avatar.fitting.run import FitOutcome, run_fit, single_torch_thread
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.video import read_frames
from pear_avatar.motion.track_file import load_track, save_track
from pear_avatar.perception.clip import detect_clip
from pear_avatar.perception.detectors import Detectors, load_detectors
from pear_avatar.perception.everyone import PersonChoice
from pear_avatar.perception.masks import PersonMasks
from pear_avatar.perception.overlay import write_overlay
from pear_avatar.perception.store import content_key
from pear_avatar.recovery.first_guess import first_guess
from pear_avatar.recovery.lifter import Lifter
from pear_avatar.report.fit_report import write_report_html, write_report_json
from pear_avatar.report.origins import origin_shares, refused_frames
from pear_avatar.report.outputs import report_images, write_preview
from pear_avatar.report.tensorboard import CurveWriter
from pear_avatar.tracking.track import track_clip
from pear_avatar.tracking.track_report import track_report
from pear_avatar.types import BodyParams, Camera, ClipDetections, Proportions, Track

logger = logging.getLogger(__name__)

ProgressFn = Callable[[str, int, int], None]

_DISTRIBUTIONS = ("torch", "numpy", "mediapipe", "gsplat", "lpips", "stlpips_pytorch")


@dataclass(frozen=True)
class FitResult:
    """What ``fit_video`` leaves behind.

    folder: holds avatar.safetensors, track.npz, config.yaml, report.json, report.html,
            preview.mp4 and overlay.mp4.
    """

    folder: Path
    avatar: Avatar
    track: Track
    report: dict[str, Any]


class _Clock:
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
        started, before = time.monotonic(), self.seconds.get(name, 0.0)
        try:
            yield
        finally:
            # A stage served from the cache must not replace the time it once took.
            self.seconds[name] = before + time.monotonic() - started
            text = json.dumps({"key": self._key, "seconds": self.seconds})
            write_text_atomic(self._path, text)


def fit_video(
    video: str | Path,
    out_dir: str | Path,
    config: FitConfig | None = None,
    *,
    camera: Camera | None = None,
    body_models: str | Path | None = None,
    detectors: Detectors | None = None,
    person: PersonChoice | None = None,
    unseen_tail: bool = False,
    terms: Sequence[Term] = (),
    progress: ProgressFn | None = None,
) -> FitResult:
    """Make an avatar of the person in a video.

    video:       a file, upright or rotated, any frame rate.
    out_dir:     one folder for everything; running again with the same input goes on where an
                 interrupted run stopped and does nothing twice.
    camera:      the clip's calibrated camera (unbatched); None guesses one.
    body_models: folder of licensed model files, for ``config.body.name = "smplx"``; None looks
                 where the environment says.
    detectors:   the networks that detect the person; None takes ``config.perception.detector``.
    person:      which of several people; None takes the largest, most central and longest seen.
    unseen_tail: keep the last fifth of the clip out of the fit and measure on it.
    terms:       further terms of the fit's objective. An interrupted fit goes on only with terms
                 of the same names, weights and periods; what their functions compute is up to
                 the caller.
    progress:    called with (stage, done, total).

    Raises:
        PearError: the video, the camera or a setting cannot be used.
    """
    config = config or FitConfig()
    report_progress = progress or (lambda *_: None)
    out = Path(out_dir)
    if out.exists() and not out.is_dir():
        raise PearError(f"{out} is a file: name a folder with -o")
    if not Path(video).is_file():
        raise MissingFileError(f"no video at {video}")
    cache = out / "cache"
    checked_terms(terms)
    detectors = detectors or load_detectors(config.perception.detector)
    key = _fit_key(video, config, detectors, camera, person, unseen_tail=unseen_tail, terms=terms)
    writer = CurveWriter(out / "tensorboard") if config.output.tensorboard else None
    out.mkdir(parents=True, exist_ok=True)
    save_fit_config(config, out / "config.yaml")
    clock = _Clock(cache / "seconds.json", key)
    ehm = load_ehm(body_source(config.body, body_models))

    with clock.stage("perception"):
        detections, masks = detect_clip(
            video,
            cache_dir=cache,
            max_frames=config.clip.max_frames,
            progress=progress,
            detectors=detectors,
            person=person,
        )
    overlay = None
    if config.output.overlay:
        stamp = cache / f"overlay-{key}"
        overlay = _in_background(_overlay_once, stamp, video, detections, masks, out)
    with clock.stage("tracking"), single_torch_thread():
        track = _tracked(cache, key, detections, ehm, camera, config=config, progress=progress)
    body = person_body(ehm, track)
    with clock.stage("crops"):
        frames, details = _crops(
            cache,
            key,
            video,
            detections,
            masks,
            track=track,
            config=config,
            unseen_tail=unseen_tail,
            body=body,
            progress=report_progress,
        )
    device = fit_device(config.device)
    perceptual = load_perceptual(device)
    outcome = run_fit(
        body,
        track,
        detections,
        frames,
        config.fitting,
        details=details,
        checkpoint=cache / "fit.safetensors",
        key=key,
        free_focal=camera is None,
        perceptual=perceptual,
        device=device,
        progress=progress,
        terms=terms,
        record=writer,
    )
    refined = refined_track(track, outcome)
    track_figures = {
        **track_report(track, detections, body),
        "refused": refused_frames(track.frame_index, track.trusted, list(detections.reason)),
    }
    with clock.stage("outputs"):
        facts = {**_avatar_metadata(video, outcome), "body": config.body.name}
        avatar = replace(outcome.avatar, metadata=facts)
        save_avatar(out / "avatar.safetensors", avatar)
        write_track(out / "track.npz", refined, body)
        images = report_images(avatar, outcome, report_progress)
        if config.output.preview:
            write_preview(out / "preview.mp4", avatar, outcome, track.motion.fps, report_progress)
    seconds = {**clock.seconds, **outcome.seconds}
    seconds["outputs"] = seconds.pop("outputs")  # last, as it happened
    warnings = _warnings(detections, track_figures, perceptual is None)
    report = _report(
        video, config, outcome, track_figures, seconds, device=device, warnings=warnings
    )
    if overlay is not None:
        overlay.result()
    if writer is not None:
        writer.figures(outcome.figures)
        writer.close()
    write_report_json(out / "report.json", report)
    write_report_html(out / "report.html", report, images, outcome.curves)
    (cache / f"frames-{key}.npz").unlink(missing_ok=True)  # large, and quick to cut again
    return FitResult(out, avatar, refined, report)


def body_source(config: BodyConfig, models: str | Path | None) -> BodySource:
    """Which body a configuration names, and where its files are."""
    try:
        return BodySource(
            cast(BodyName, config.name),
            None if models is None else Path(models),
            cast(Gender, config.gender),
            cast(Convention, config.convention),
        )
    except PearError as error:
        raise ConfigError(f"body: {error}") from error


def person_body(body: EhmModel, track: Track) -> BodyModel:
    """The tracked person's own body: EHM-s with their proportions built in."""
    return body.person(track.proportions or Proportions.neutral())


def fit_device(name: str) -> torch.device:
    """Where a fit runs: ``auto`` takes CUDA where a GPU and gsplat are at hand."""
    ready = torch.cuda.is_available() and importlib.util.find_spec("gsplat") is not None
    if name == "cuda" and not ready:
        raise PearError(
            "device = cuda needs a CUDA GPU and gsplat (pip install 'pear-avatar[gpu]'); "
            "leave --device out, or say cpu"
        )
    return torch.device("cuda" if ready and name != "cpu" else "cpu")


def _fit_key(
    video: str | Path,
    config: FitConfig,
    detectors: Detectors,
    camera: Camera | None,
    person: PersonChoice | None,
    *,
    unseen_tail: bool,
    terms: Sequence[Term],
) -> str:
    settings = config_to_dict(config)
    settings.pop("output", None)
    settings.pop("device", None)
    settings |= {
        "unseen_tail": unseen_tail,
        "detectors": detectors.name,
        "person": None if person is None else person.key,
        "version": pear_avatar.__version__,
        "frames_version": FRAMES_VERSION,
        "camera": None
        if camera is None
        else [camera.K.tolist(), camera.T_camera_world.tolist(), camera.width, camera.height],
    }
    if terms:
        settings["terms"] = [[t.name, t.weight, sorted(t.stages), t.every, t.starts] for t in terms]
    return content_key(video, settings)


def _in_background(function: Callable[..., None], *args: object) -> Future[None]:
    """Run beside the tracking and the fit, which leave a core free now and then."""
    pool = ThreadPoolExecutor(max_workers=1)
    future = pool.submit(function, *args)
    pool.shutdown(wait=False)
    return future


def _overlay_once(
    stamp: Path,
    video: str | Path,
    detections: ClipDetections,
    masks: PersonMasks,
    out: Path,
) -> None:
    """Draw the overlay unless it was drawn from this very input before."""
    path = out / "overlay.mp4"
    if stamp.is_file() and path.is_file():
        return
    write_overlay(video, detections, masks, path)
    write_text_atomic(stamp, "")


def _tracked(
    cache: Path,
    key: str,
    detections: ClipDetections,
    body: EhmModel,
    camera: Camera | None,
    *,
    config: FitConfig,
    progress: ProgressFn | None,
) -> Track:
    """The clip's track, from the cache where the settings agree.

    It starts from what one pass of the lifter recovers in each frame.
    """
    named = cache / f"track-{key}.npz"
    if named.is_file():
        try:
            return load_track(named)
        except PearError as error:
            logger.warning("%s: tracking again", error)
    guess = None
    if config.clip.start == "recovered":
        guess = first_guess(Lifter.load(), detections, camera, body)
    track = track_clip(
        detections,
        body,
        camera=camera,
        config=config.tracking,
        initial=guess,
        progress=progress,
    )
    track = replace(track, motion=replace(track.motion, body=config.body.name))
    write_track(named, track, person_body(body, track))
    return load_track(named)  # rounded as in a resumed run, so that both give the same result


def write_track(path: Path, track: Track, person: BodyModel) -> None:
    """Save a track with where its person's pelvis rests."""
    with torch.no_grad():
        pelvis = person.shape(track.motion.params.betas).joints[0]
    save_track(path, track, pelvis_rest=pelvis.tolist())


def _crops(
    cache: Path,
    key: str,
    video: str | Path,
    detections: ClipDetections,
    masks: PersonMasks,
    *,
    track: Track,
    config: FitConfig,
    unseen_tail: bool,
    body: BodyModel,
    progress: ProgressFn,
) -> tuple[FrameSet, dict[str, Detail]]:
    """The crops of the person, head and hands, from the cache where the settings agree."""
    named = cache / f"frames-{key}.npz"
    stored = load_frames(named)
    if stored is not None:
        return stored
    fitting = config.fitting
    rows, split = choose_rows(
        track,
        max_frames=fitting.max_frames,
        holdout_every=fitting.holdout_every,
        unseen_tail=unseen_tail,
    )
    if len(rows) == 0:
        raise PearError(
            f"none of the {detections.num_frames} frames shows the person well enough to fit; "
            "see overlay.mp4 for the reason of each"
        )
    plans = {
        "person": plan_person(
            masks.mask, detections, rows, split=split, crop_size=fitting.crop_size
        )
    }
    plans |= plan_details(body, track, detections, rows, split)
    indices = [int(i) for i in track.frame_index[rows]]
    side = max(detections.width, detections.height)
    cut = cut_crops(
        read_frames(video, indices=indices, max_side=side),
        masks.mask,
        track,
        plans,
        on_frame=lambda k: progress("crops", k, len(rows)),
    )
    frames = cut.pop("person")
    details = make_details(cut, plans, frames)
    save_frames(named, frames, details)
    return frames, details


def refined_track(track: Track, outcome: FitOutcome) -> Track:
    """The track with the joint fit's shape and poses put in where frames were fitted.

    Frames left out of the fit (untrusted, thinned out) keep the tracked pose.
    """
    old, new = track.motion.params, outcome.params
    rows = torch.from_numpy(outcome.frames.row)
    params = BodyParams(
        new.betas,
        old.expression.index_copy(0, rows, new.expression),
        old.rotations.index_copy(0, rows, new.rotations),
        old.transl.index_copy(0, rows, new.transl),
    )
    K = track.camera.K.clone()
    K[:, 0, 0] *= outcome.focal_scale
    K[:, 1, 1] *= outcome.focal_scale
    return replace(
        track,
        motion=replace(track.motion, params=params),
        camera=replace(track.camera, K=K),
    )


def _warnings(
    detections: ClipDetections, track_figures: dict[str, Any], no_perceptual: bool
) -> list[str]:
    """What the user should know of a result, a line each."""
    warnings = list(detections.notes)
    if no_perceptual:
        warnings.append(
            "no perceptual metric on this machine, so none was used or measured: "
            "pip install --no-deps stlpips_pytorch"
        )
    trusted, total = int(track_figures["frames_trusted"]), int(track_figures["frames"])
    if trusted < 0.7 * total:
        warnings.append(f"only {trusted} of {total} frames could be trusted: see overlay.mp4")
    return warnings


def _report(
    video: str | Path,
    config: FitConfig,
    outcome: FitOutcome,
    track_figures: dict[str, Any],
    seconds: dict[str, float],
    *,
    device: torch.device,
    warnings: list[str],
) -> dict[str, Any]:
    return {
        **outcome.figures,
        "track": track_figures,
        "seconds": {k: round(v, 2) for k, v in seconds.items()},
        "surface": origin_shares(outcome.avatar, outcome.origins),
        "splats": outcome.avatar.num_splats,
        "steps": outcome.steps,
        "device": str(device),
        "versions": _versions(),
        "evaluator": EVALUATOR_VERSION,
        "title": Path(video).name,
        "warnings": warnings,
        "config": config_to_dict(config),
        "curves": outcome.curves,
    }


def _versions() -> dict[str, str]:
    versions = {"pear_avatar": pear_avatar.__version__, "python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _avatar_metadata(video: str | Path, outcome: FitOutcome) -> dict[str, str]:
    heldout = outcome.figures.get("heldout") or {}
    return {
        "source": os.path.basename(str(video)),
        "pear_avatar": pear_avatar.__version__,
        "steps": str(outcome.steps),
        "heldout": json.dumps(heldout),
    }
