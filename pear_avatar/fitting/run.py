"""The joint fit from crops and a track to an avatar, resumable at any moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.body.model import BodyModel
from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.fitting.details import Detail
from pear_avatar.fitting.evaluate import Evaluator
from pear_avatar.fitting.evidence import evidence_density
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Scene, frame_params, make_scene
from pear_avatar.fitting.fit_stages import (
    Fitter,
    color_from_frames,
    fit_jointly,
    fit_silhouettes,
    mark_occluders,
)
from pear_avatar.fitting.fit_state import (
    FitState,
    full_betas,
    new_state,
    restore_checkpoint,
    save_checkpoint,
    splat_density,
    state_to,
)
from pear_avatar.fitting.frame_poses import interpolated_pose
from pear_avatar.fitting.frames import FrameSet, Split
from pear_avatar.fitting.native_figures import native_figures
from pear_avatar.fitting.objective import Term, checked_terms
from pear_avatar.fitting.refusal import (
    PICTURE_DISAGREES,
    SILHOUETTE_DISAGREES,
    measure_agreement,
    refused_by_picture,
    refused_by_silhouette,
    without_crops,
    without_details,
)
from pear_avatar.fitting.sides import origins
from pear_avatar.types import BodyParams, ClipDetections, ProgressFn, Track

logger = logging.getLogger(__name__)

_CPU = torch.device("cpu")
STAGES = ("start", "silhouettes", "joint", "evaluation", "done")


@dataclass(frozen=True)
class FitOutcome:
    """What a joint fit gives.

    avatar:  the person.
    params:  refined parameters of every crop (held-out ones interpolated), leading axis N.
    frames:  the crops, with occluders marked in ``valid``.
    figures: ``initial``, ``heldout``, ``heldout_tracked``, ``heldout_refit``, ``fitted``,
             ``unseen``: metric name -> value, None where there was nothing to measure;
             ``close_up``: part -> metric name -> value, at the video's own resolution.
    curves:  name -> [(step, value)].
    seconds: stage -> seconds spent, interrupted runs included.
    steps:   optimiser steps done, all stages.
    focal_scale: refined focal length over the tracked one.
    origins: (N, 3) of each splat, rows sum to 1: how much of its looks comes from the clip, from
             its partner on the other side, and is made up.
    refused: reason -> positions of the crops that the avatar does not explain.
    details: head and hands at the video's own resolution.
    """

    avatar: Avatar
    params: BodyParams
    frames: FrameSet
    figures: dict[str, Any]
    curves: dict[str, list[tuple[float, float]]]
    seconds: dict[str, float]
    steps: int
    focal_scale: float
    origins: torch.Tensor
    refused: Mapping[str, list[int]] = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)


def crop_keypoints(detections: ClipDetections, frames: FrameSet, track: Track) -> torch.Tensor:
    """(N, 33, 3) detected pose landmarks in crop pixels with confidence."""
    points = np.concatenate([detections.pose_px, detections.pose_confidence[..., None]], -1)
    return _in_crops(points, frames, track)


def crop_face(detections: ClipDetections, frames: FrameSet, track: Track) -> torch.Tensor:
    """(N, 478, 3) detected face landmarks in crop pixels with confidence."""
    px, confidence = detections.face_px, detections.face_confidence
    points = np.concatenate(
        [px, np.broadcast_to(confidence.reshape(-1, 1, 1), (*px.shape[:2], 1))], -1
    )
    return _in_crops(points, frames, track)


def _in_crops(points: np.ndarray, frames: FrameSet, track: Track) -> torch.Tensor:
    """Full-frame points (rows, L, 3: x, y, confidence) in the pixels of each crop."""
    chosen = torch.from_numpy(points[frames.row]).float()
    full = track.camera.K[torch.from_numpy(frames.row)].float()
    crop = frames.camera.K.float()
    scale = crop[:, 0, 0] / full[:, 0, 0]
    shift = crop[:, :2, 2] - full[:, :2, 2] * scale[:, None]
    moved = chosen[..., :2] * scale[:, None, None] + shift[:, None]
    return torch.cat([moved, chosen[..., 2:]], -1)


def run_fit(
    body: BodyModel,
    track: Track,
    detections: ClipDetections,
    frames: FrameSet,
    config: FittingConfig,
    *,
    details: Mapping[str, Detail] | None = None,
    checkpoint: Path,
    key: str,
    free_focal: bool,
    perceptual: Perceptual | None,
    device: torch.device = _CPU,
    progress: ProgressFn | None = None,
    terms: Sequence[Term] = (),
    record: Callable[[str, int, float], None] | None = None,
) -> FitOutcome:
    """Fit an avatar to crops of a tracked clip.

    Args:
        body: the person's own.
        track, detections: of the clip; the track was solved from the detections.
        frames, config: the crops and the settings.
        details: head and hands at the video's own resolution.
        checkpoint: written every ``config.checkpoint_seconds``; a later call with the same
            ``key`` goes on from there.
        key: of the input and its settings, the names of ``terms`` included.
        free_focal: the camera was guessed, so its focal length may move.
        perceptual: the perceptual metric of this machine, if any.
        device: where to compute; the outcome lies on the CPU.
        progress: called with (stage, steps done, steps in all).
        terms: further terms of the objective.
        record: called with (curve, step, value), first for the points of an interrupted run.

    Raises:
        PearError: a term's name is taken, or its weight names no setting.
    """
    all_terms = checked_terms(terms)
    params = track.motion.params[torch.from_numpy(frames.row)]
    state = state_to(_first_state(body, params, frames, config), device)
    keypoints = crop_keypoints(detections, frames, track), crop_face(detections, frames, track)
    scene = _scene_on(device, body, params, frames, keypoints, num_betas=config.num_betas)
    betas0, record = state.betas.clone(), record or (lambda *_: None)
    _resume(checkpoint, state, key, record)
    fitter = Fitter(
        scene,
        state,
        config,
        betas0=betas0,
        free_focal=free_focal,
        perceptual=perceptual,
        details=details or {},
        save=lambda: save_checkpoint(checkpoint, state, key),
        progress=progress or (lambda *_: None),
        record=record,
        terms=all_terms,
        threads=torch.get_num_threads(),
    )
    with single_torch_thread():
        return _outcome(_run_stages(fitter))


def _first_state(
    body: BodyModel, params: BodyParams, frames: FrameSet, config: FittingConfig
) -> FitState:
    """Splats on the tracked body, denser where the crops show more of it."""
    density, share = None, config.pixel_density
    if share > 0:
        density = evidence_density(body, params, frames.camera, splat_density(body), share)
    return new_state(body, params.betas, len(frames), config, density)


def _scene_on(
    device: torch.device,
    body: BodyModel,
    params: BodyParams,
    frames: FrameSet,
    keypoints: tuple[torch.Tensor, torch.Tensor],
    *,
    num_betas: int,
) -> Scene:
    pose, face = (points.to(device) for points in keypoints)
    frames = replace(frames, camera=frames.camera.to(device))
    return make_scene(body.to(device), frames, params.to(device), (pose, face), num_betas)


def _resume(
    checkpoint: Path, state: FitState, key: str, record: Callable[[str, int, float], None]
) -> None:
    """Go on from a checkpoint, if there is one, and record the curves of the interrupted run."""
    if not restore_checkpoint(checkpoint, state, key):
        return
    progress = state.progress
    logger.info("going on from stage %s, step %d", progress.stage, progress.step)
    for curve, points in progress.curves.items():
        for step, value in points:
            record(curve, int(step), value)


@contextmanager
def single_torch_thread() -> Iterator[None]:
    """Keep torch to one thread while the native core's threads do the heavy work.

    A step's torch operations take microseconds; shared among OpenMP threads they take longer,
    and on a busy machine a hundred times longer.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _enter(fitter: Fitter, stage: str) -> bool:
    """Whether a stage still has work; moves the bookkeeping on to it and saves."""
    progress = fitter.state.progress
    if STAGES.index(progress.stage) > STAGES.index(stage):
        return False
    if progress.stage != stage:
        progress.figures["steps"] = progress.figures.get("steps", 0) + progress.step
        progress.stage, progress.step = stage, 0
        fitter.save()
    return True


def _run_stages(fitter: Fitter) -> Fitter:
    state, config = fitter.state, fitter.config
    held_out = _measured(fitter.scene.frames)
    if state.progress.stage == "start":
        started = time.monotonic()
        color_from_frames(fitter)
        evaluator = _evaluator(fitter)
        state.progress.figures |= evaluator.measure(held_out, {"initial": evaluator.tracked})
        state.splats["colors"].fill_(0.5)
        state.progress.seconds["first colours"] = time.monotonic() - started
    if _enter(fitter, "silhouettes"):
        fit_silhouettes(fitter)
        agreement = measure_agreement(fitter.scene, state)
        refused = refused_by_silhouette(fitter.scene.frames, agreement)
        state.progress.figures["refused"] = {SILHOUETTE_DISAGREES: refused}
        fitter = _without_refused(fitter)
        color_from_frames(fitter)
    else:
        fitter = _without_refused(fitter)
    if _enter(fitter, "joint"):
        fit_jointly(fitter)
    if config.find_occluders:
        fitter = mark_occluders(fitter)
    if _enter(fitter, "evaluation"):
        refused = refused_by_picture(fitter.scene.frames, measure_agreement(fitter.scene, state))
        state.progress.figures["refused"][PICTURE_DISAGREES] = refused
        _measure(fitter, _measured(fitter.scene.frames))
        _enter(fitter, "done")
    return fitter


def _measured(frames: FrameSet) -> list[int]:
    """The held-out crops; a few of the fitted ones where none is held out."""
    return frames.indices(Split.HELD_OUT) or frames.indices(Split.FITTED)[::8]


def _without_refused(fitter: Fitter) -> Fitter:
    """The fit without the crops whose silhouettes it refused."""
    refused = fitter.state.progress.figures.get("refused", {}).get(SILHOUETTE_DISAGREES, [])
    if not refused:
        return fitter
    logger.warning("%d crops are left out: %s", len(refused), SILHOUETTE_DISAGREES)
    frames = without_crops(fitter.scene.frames, refused)
    details = without_details(dict(fitter.details), refused)
    return replace(fitter, scene=replace(fitter.scene, frames=frames), details=details)


def _evaluator(fitter: Fitter) -> Evaluator:
    return Evaluator(
        fitter.scene, fitter.state, fitter.config, fitter.perceptual, threads=fitter.threads
    )


def _measure(fitter: Fitter, held_out: list[int]) -> None:
    started = time.monotonic()
    evaluator = _evaluator(fitter)
    frames, figures = fitter.scene.frames, fitter.state.progress.figures
    fitted, unseen = frames.indices(Split.FITTED)[::16], frames.indices(Split.UNSEEN)
    total = len(held_out) + len(unseen) + 1
    report = fitter.progress
    figures |= evaluator.measure(fitted, {"fitted": evaluator.interpolated})
    figures |= evaluator.measure(
        held_out,
        {
            "heldout": evaluator.interpolated,
            "heldout_tracked": evaluator.tracked,
            "heldout_refit": evaluator.refitted,
        },
        perceptual=("heldout", "heldout_refit"),
        few=("heldout_refit",),
        on_frame=lambda k: report("evaluation", k, total),
    )
    figures |= evaluator.measure(
        unseen,
        {"unseen": evaluator.tracked, "unseen_refit": evaluator.refitted},
        perceptual=("unseen", "unseen_refit"),
        few=("unseen_refit",),
        on_frame=lambda k: report("evaluation", len(held_out) + k, total),
    )
    figures["close_up"] = native_figures(evaluator, fitter.details, evaluator.interpolated)
    report("evaluation", total, total)
    fitter.state.progress.seconds["evaluation"] = time.monotonic() - started


def refined_params(scene: Scene, state: FitState) -> BodyParams:
    """Parameters of every crop with the learnt corrections; shared refined betas."""
    fitted = scene.frames.indices(Split.FITTED)
    rows = [
        frame_params(scene, i, interpolated_pose(state, fitted, i))
        for i in range(len(scene.frames))
    ]
    return BodyParams(
        full_betas(state, scene.params),
        torch.stack([r.expression for r in rows]),
        torch.stack([r.rotations for r in rows]),
        torch.stack([r.transl for r in rows]),
    )


def avatar_of(scene: Scene, state: FitState) -> Avatar:
    """Bake the state into an avatar."""
    betas = full_betas(state, scene.params)
    splats = {k: v.detach().clone() for k, v in state.splats.items()}
    return Avatar(
        body=personalise(scene.body, betas, state.cloth.values),
        binding=state.binding,
        splats=SplatSet(
            splats["offsets"],
            splats["local_quats"],
            splats["log_scales"],
            splats["logit_opacities"],
            splats["colors"],
        ),
        betas=betas,
    )


def _outcome(fitter: Fitter) -> FitOutcome:
    state, scene = fitter.state, fitter.scene
    progress = state.progress
    figures = {k: v for k, v in progress.figures.items() if k not in ("steps", "refused")}
    frames = replace(scene.frames, camera=scene.frames.camera.to(_CPU))
    scale = float(state.log_focal.exp())
    if fitter.free_focal and scale != 1.0:
        K = frames.camera.K.clone()
        K[:, 0, 0] *= scale
        K[:, 1, 1] *= scale
        frames = replace(frames, camera=replace(frames.camera, K=K))
    return FitOutcome(
        avatar=avatar_of(scene, state).to(_CPU),
        params=refined_params(scene, state).to(_CPU),
        frames=frames,
        figures=figures,
        curves=progress.curves,
        seconds=progress.seconds,
        steps=int(progress.figures.get("steps", 0)),
        focal_scale=scale,
        origins=origins(state).to(_CPU),
        refused={k: v for k, v in progress.figures.get("refused", {}).items() if v},
        details=fitter.details,
    )


def refined_track(track: Track, outcome: FitOutcome) -> Track:
    """The track with the joint fit's shape and poses put in where frames were fitted.

    Frames left out of the fit (untrusted, thinned out) keep the tracked pose; refused ones are no
    longer trusted.
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
    trusted = track.trusted.copy()
    trusted[_refused_rows(outcome)] = False
    return replace(
        track,
        trusted=trusted,
        motion=replace(track.motion, params=params),
        camera=replace(track.camera, K=K),
    )


def refused_detections(detections: ClipDetections, outcome: FitOutcome) -> ClipDetections:
    """The detections with the frames that the fit refused marked, and why."""
    trusted, reason = detections.trusted.copy(), detections.reason.astype("<U40")
    for why, crops in outcome.refused.items():
        rows = outcome.frames.row[crops]
        trusted[rows], reason[rows] = False, why
    return replace(detections, trusted=trusted, reason=reason)


def _refused_rows(outcome: FitOutcome) -> np.ndarray:
    """Rows of the track that hold refused crops."""
    crops = sorted({i for found in outcome.refused.values() for i in found})
    rows: np.ndarray = outcome.frames.row[crops]
    return rows
