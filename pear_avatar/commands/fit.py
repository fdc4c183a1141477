"""From a video to an avatar: detection, tracking, joint fit, report. Resumable throughout."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
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
from pear_avatar.commands.background import Background
from pear_avatar.commands.configuration import (
    BodyConfig,
    FitConfig,
    config_to_dict,
    save_fit_config,
)
from pear_avatar.commands.fit_job import FitJob, StageClock, person_body, write_track
from pear_avatar.errors import ConfigError, MissingFileError, PearError
from pear_avatar.evaluation.metrics import EVALUATOR_VERSION
from pear_avatar.evaluation.perceptual import load_perceptual
from pear_avatar.fitting.objective import Term, checked_terms
from pear_avatar.fitting.run import (
    FitOutcome,
    refined_track,
    refused_detections,
    run_fit,
    single_torch_thread,
)
from pear_avatar.perception.detectors import Detectors, load_detectors
from pear_avatar.perception.everyone import PersonChoice
from pear_avatar.report.fit_report import ReportImages, write_report_html, write_report_json
from pear_avatar.report.origins import origin_shares, refused_frames
from pear_avatar.report.outputs import report_images, write_preview
from pear_avatar.report.tensorboard import CurveWriter
from pear_avatar.splatting.devices import choose_device
from pear_avatar.tracking.judge import refuse_misses
from pear_avatar.tracking.track_report import track_report
from pear_avatar.types import Camera, ClipDetections, ProgressFn, Track

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
    _check_paths(Path(video), Path(out_dir))
    checked_terms(terms)
    job = FitJob(
        Path(video),
        Path(out_dir),
        config,
        detectors or load_detectors(config.perception.detector),
        camera,
        person,
        unseen_tail=unseen_tail,
        terms=terms,
        progress=progress,
    )
    ehm = load_ehm(body_source(config.body, body_models))
    with Background() as background:
        return _run(job, ehm, background)


def _run(job: FitJob, ehm: EhmModel, background: Background) -> FitResult:
    clock = StageClock(job.cache / "seconds.json", job.key)
    job.out.mkdir(parents=True, exist_ok=True)
    with clock.stage("perception"):
        detections, masks = job.detect()
    job.draw_overlay(background, detections, masks)
    with clock.stage("tracking"), single_torch_thread():
        track = job.track(detections, ehm)
    body = person_body(ehm, track)
    track, detections = refuse_misses(track, detections, body)
    with clock.stage("crops"):
        frames, details = job.crops(detections, masks, track, body)
    device = choose_device(job.config.device)
    perceptual = load_perceptual(device)
    writer = CurveWriter(job.out / "tensorboard") if job.config.output.tensorboard else None
    outcome = run_fit(
        body,
        track,
        detections,
        frames,
        job.config.fitting,
        details=details,
        checkpoint=job.cache / "fit.safetensors",
        key=job.key,
        free_focal=job.camera is None,
        perceptual=perceptual,
        device=device,
        progress=job.progress,
        terms=job.terms,
        record=writer,
    )
    with clock.stage("outputs"):
        avatar, refined, images = _write_avatar(job, body, track, outcome)
    detections = refused_detections(detections, outcome)
    background.finish()
    if writer is not None:
        writer.figures(outcome.figures)
        writer.close()
    tracking = {
        **track_report(track, detections, body),
        "refused": refused_frames(track.frame_index, refined.trusted, list(detections.reason)),
    }
    seconds = {**clock.seconds, **outcome.seconds}
    seconds["outputs"] = seconds.pop("outputs")  # last, as it happened
    warnings = _warnings(detections, tracking, perceptual is None)
    report = _report(job, outcome, tracking, seconds, device=device, warnings=warnings)
    write_report_json(job.out / "report.json", report)
    write_report_html(job.out / "report.html", report, images, outcome.curves)
    job.frames_path.unlink(missing_ok=True)
    return FitResult(job.out, avatar, refined, report)


def _check_paths(video: Path, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise PearError(f"{out} is a file: name a folder with -o")
    if not video.is_file():
        raise MissingFileError(f"no video at {video}")


def _write_avatar(
    job: FitJob, body: BodyModel, track: Track, outcome: FitOutcome
) -> tuple[Avatar, Track, ReportImages]:
    """Write avatar, track and preview; returns them with the pictures of the report."""
    refined = refined_track(track, outcome)
    facts = {**_avatar_metadata(job.video, outcome), "body": job.config.body.name}
    avatar = replace(outcome.avatar, metadata=facts)
    save_fit_config(job.config, job.out / "config.yaml")
    save_avatar(job.out / "avatar.safetensors", avatar)
    write_track(job.out / "track.npz", refined, body)
    images = report_images(avatar, outcome, job.report)
    if job.config.output.preview:
        write_preview(job.out / "preview.mp4", avatar, outcome, track.motion.fps, job.report)
    return avatar, refined, images


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
    job: FitJob,
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
        "title": job.video.name,
        "warnings": warnings,
        "config": config_to_dict(job.config),
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


def _avatar_metadata(video: Path, outcome: FitOutcome) -> dict[str, str]:
    heldout = outcome.figures.get("heldout") or {}
    return {
        "source": video.name,
        "pear_avatar": pear_avatar.__version__,
        "steps": str(outcome.steps),
        "heldout": json.dumps(heldout),
    }
