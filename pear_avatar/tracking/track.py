"""Detections of a whole clip in, one person's motion and cameras out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.ehm import EhmModel
from pear_avatar.geometry.cameras import invert_rigid
from pear_avatar.geometry.rotations import rotation_between
from pear_avatar.tracking.clip_camera import check_camera, guess_camera, solver_camera
from pear_avatar.tracking.initialise import STARTS, given_state, initial_state, spread_state
from pear_avatar.tracking.observations import check_detections
from pear_avatar.tracking.proportions import PersonModel
from pear_avatar.tracking.result import make_track
from pear_avatar.tracking.solve import FIRST_DAMPING, MIN_DAMPING, minimise
from pear_avatar.tracking.track_config import TrackConfig
from pear_avatar.tracking.track_stages import (
    NARROW_KERNEL,
    WIDE_KERNEL,
    Clip,
    body_problem,
    clip_up,
    full_problem,
    make_clip,
    make_rig,
    with_actions,
)
from pear_avatar.tracking.track_state import TrackState
from pear_avatar.types import BodyParams, Camera, ClipDetections, ProgressFn, Track

logger = logging.getLogger(__name__)

#: steps that carry the coarse solution over to all frames
_SPREAD_STEPS = 6
#: steps that settle a given first guess
_GIVEN_STEPS = 6
#: relative decrease of the energy below which a step counts as converged
_COARSE_TOLERANCE, _FINE_TOLERANCE = 3e-3, 1e-3
#: frames from which on a clip gets ``fine_steps`` and no more, and how many times as many a
#: short one may get
_LONG_CLIP, _MOST_TIMES = 240, 5


def track_clip(
    detections: ClipDetections,
    body: BodyModel | EhmModel,
    *,
    camera: Camera | None = None,
    config: TrackConfig | None = None,
    initial: BodyParams | None = None,
    progress: ProgressFn | None = None,
) -> Track:
    """Solve shape, motion and camera of the one person in a clip, all frames at once.

    Args:
        detections: landmarks of N frames; untrusted frames carry no weight and are bridged.
        body: any body model with the mediapipe landmark sets; EHM-s also estimates the person's
            head and hand scales, and ``body.person(track.proportions)`` is then the body.
        camera: the clip's calibrated camera (one, or one per frame), whose world is then the
            track's; it stays as it is. Without it the world is the camera frame turned y-up, the
            principal point is the image centre and the focal length is refined from a guess.
        config: settings; the defaults if left out.
        initial: a first guess of all N frames in the camera's world (in the default camera's,
            if there is none), coefficients in this body's order; it replaces the search from
            several guesses of the tracker's own.
        progress: called as ``progress("track", done, total)``.

    Returns:
        N frames with shared betas. Frames without a trusted observation hold smooth
        interpolation and are marked in ``Track.trusted``.

    Raises:
        ValueError: no frame can be trusted, or the camera or the first guess does not fit the
            clip.
    """
    config = config or TrackConfig()
    _check_input(detections, camera, config, initial)
    given = camera or guess_camera(detections, config)
    with torch.no_grad():  # inference tensors would poison the body's shared caches
        clip_camera, T_world_solver = solver_camera(given, detections.num_frames)
        if isinstance(body, EhmModel):
            person, plain = PersonModel(body, config), body.body
            rig = person.rig()
        else:
            person, plain = None, body
            rig = make_rig(body, config)
        refine = camera is None and config.focal_sigma > 0
        known = camera is not None or not config.level_sigma
        up = T_world_solver[1, :3].to(clip_camera.K) if known else None
        clip = make_clip(detections, rig, clip_camera, config, refine_focal=refine, up=up)
        start = None
        if initial is not None:
            initial = replace(initial, betas=initial.betas[..., : config.num_betas])
            start = given_state(initial, detections.trusted, detections.time, T_world_solver, rig)
        state, person = _solve(with_actions(clip, plain.arkit_coef), person, start, progress)
        found = None
        if up is None:
            final = clip if person is None else replace(clip, rig=person.rig(state.betas))
            given, T_world_solver = _levelled(given, T_world_solver, clip_up(final, state))
        if person is not None:
            found, plain = person.proportions(state.betas), person.body(state.betas)
            state = replace(state, betas=state.betas[: person.num_betas])
        return make_track(detections, plain, state, given, T_world_solver, proportions=found)


def _check_input(
    detections: ClipDetections,
    camera: Camera | None,
    config: TrackConfig,
    initial: BodyParams | None,
) -> None:
    config.validate()
    check_detections(detections)
    if camera is not None:
        check_camera(camera, detections)
    if initial is not None and initial.num_frames != detections.num_frames:
        raise ValueError(
            f"the first guess has {initial.num_frames} frames, the clip {detections.num_frames}"
        )


def _levelled(camera: Camera, T_world_solver: Tensor, up: Tensor) -> tuple[Camera, Tensor]:
    """The camera and the solver in a world whose y axis is ``up`` (3,) of the solver's."""
    T = torch.eye(4, dtype=T_world_solver.dtype)
    T[:3, :3] = rotation_between(up, up.new_tensor([0.0, 1.0, 0.0])).to(T)
    T_camera_world = camera.T_camera_world @ invert_rigid(T).to(camera.T_camera_world)
    return replace(camera, T_camera_world=T_camera_world), T @ T_world_solver


def _solve(
    clip: Clip, person: PersonModel | None, start: TrackState | None, progress: ProgressFn | None
) -> tuple[TrackState, PersonModel | None]:
    """The solution, and the body model that its betas belong to."""
    config = clip.config
    coarse = len(STARTS) * config.coarse_steps if start is None else _GIVEN_STEPS
    fine = fine_steps(config, clip.detections.num_frames)
    total = coarse + _SPREAD_STEPS + fine
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("track", min(done, total), total)

    if start is None:
        state = _coarse_start(clip, advance)
    else:
        problem = body_problem(clip, start, WIDE_KERNEL)
        state, _ = minimise(problem, start, _GIVEN_STEPS, _COARSE_TOLERANCE, advance)
    problem = body_problem(clip, state, 2 * NARROW_KERNEL)
    state, _ = minimise(problem, state, _SPREAD_STEPS, _COARSE_TOLERANCE, advance)
    for kernel, damping in ((1.5 * NARROW_KERNEL, FIRST_DAMPING), (NARROW_KERNEL, MIN_DAMPING)):
        if person is not None:
            if kernel == NARROW_KERNEL:
                person, betas = person.settled(state.betas)
                state = replace(state, betas=betas)
            clip = replace(clip, rig=person.rig(state.betas))
        problem = full_problem(clip, state, kernel)
        state, value = minimise(
            problem, state, fine // 2, _FINE_TOLERANCE, advance, damping=damping
        )
        logger.info("energy %.0f, focal x %.3f", value, float(state.log_focal.exp()))
    if progress is not None:
        progress("track", total, total)
    return state, person


def fine_steps(config: TrackConfig, frames: int) -> int:
    """Most steps on all frames: short clips, whose steps are cheap, get more for the same work.

    Few views hardly separate shape from distance, so that the minimum lies in a long valley.
    """
    return int(config.fine_steps * min(max(_LONG_CLIP / frames, 1), _MOST_TIMES))


def _coarse_start(clip: Clip, advance: Callable[[], None]) -> TrackState:
    """Body only on few frames, from several first guesses; the best one."""
    index = _coarse_frames(clip.detections, clip.config.coarse_frames)
    part = make_clip(
        clip.detections[index],
        clip.rig,
        clip.camera.frames(torch.from_numpy(index)),
        clip.config,
        refine_focal=False,
        up=clip.up,
    )
    steps = clip.config.coarse_steps
    results = []
    for start in STARTS:
        state = initial_state(part.detections, part.observations, part.camera, clip.rig, start)
        value = float("inf")
        for kernel, share in ((WIDE_KERNEL, steps // 2), (NARROW_KERNEL, steps - steps // 2)):
            problem = body_problem(part, state, kernel)
            state, value = minimise(problem, state, share, _COARSE_TOLERANCE, advance)
        results.append((value, state))
        logger.info("start %r: energy %.0f", start, value)
    state = min(results, key=lambda result: result[0])[1]
    return spread_state(state, clip.detections.time[index], clip.detections.time)


def _coarse_frames(detections: ClipDetections, count: int) -> np.ndarray:
    """Evenly spread trusted frames, at most ``count`` of them."""
    trusted = np.flatnonzero(detections.trusted)
    if len(trusted) <= count:
        return trusted
    return trusted[np.linspace(0, len(trusted) - 1, count).round().astype(np.int64)]
