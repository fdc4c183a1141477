"""Detections of a whole clip in, one person's motion and cameras out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.tracking.camera import check_camera, guess_camera, solver_camera
from pear_avatar.tracking.config import TrackConfig
from pear_avatar.tracking.groups import make_group
from pear_avatar.tracking.initialise import initial_state, viewing_turn
from pear_avatar.tracking.observations import (
    FACE_POINTS,
    IRIS_POINTS,
    NUM_HAND,
    NUM_POSE,
    Observations,
    check_detections,
    make_observations,
)
from pear_avatar.tracking.priors import (
    EXPRESSION_ACCELERATION,
    EXPRESSION_SPEED,
    JOINT_SPEED,
    ROOT_ACCELERATION,
    ROOT_SPEED,
    TRANSL_ACCELERATION,
    TRANSL_SPEED,
    UNSEEN_SHRINK,
    Dofs,
    make_dofs,
)
from pear_avatar.tracking.problem import ClipCamera, PointTerm, Problem, to_camera
from pear_avatar.tracking.result import make_track
from pear_avatar.tracking.rig import PointRig, build_rig, pose_rig
from pear_avatar.tracking.solve import minimise
from pear_avatar.tracking.state import Layout, TrackState
from pear_avatar.tracking.temporal import Smoothness, gaps
from pear_avatar.types import Camera, ClipDetections, Track

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]

_DTYPE = torch.float32
_LEFT = slice(NUM_POSE, NUM_POSE + NUM_HAND)
_RIGHT = slice(_LEFT.stop, _LEFT.stop + NUM_HAND)
_FACE = slice(_RIGHT.stop, _RIGHT.stop + len(FACE_POINTS) + len(IRIS_POINTS))

#: Energy shares. Many face points measure few unknowns with errors they have in common.
_SHARE = {"pose": 1.0, "hand": 0.5, "face": 0.25}
#: pixels: what no detector resolves
_PIXEL_FLOOR = 0.5
_WIDE_KERNEL, _NARROW_KERNEL = 12.0, 4.0
_COARSE_DIRECTIONS = 1.0


@dataclass(frozen=True)
class _Clip:
    """What every stage needs."""

    detections: ClipDetections
    observations: Observations
    camera: ClipCamera
    rig: PointRig
    config: TrackConfig
    parts: tuple[bool, bool, bool]  # left hand, right hand, face
    refine_focal: bool


def track_clip(
    detections: ClipDetections,
    body: BodyModel,
    *,
    camera: Camera | None = None,
    config: TrackConfig | None = None,
    progress: Progress | None = None,
) -> Track:
    """Solve shape, motion and camera of the one person in a clip, all frames at once.

    Args:
        detections: landmarks of N frames; untrusted frames carry no weight and are bridged.
        body: any body model with the mediapipe landmark sets.
        camera: the clip's calibrated camera (one, or one per frame), whose world is then the
            track's; it stays as it is. Without it the world is the camera frame turned y-up, the
            principal point is the image centre and the focal length is refined from a guess.
        config: settings; the defaults if left out.
        progress: called as ``progress("track", done, total)``.

    Returns:
        N frames with shared betas. Frames without a trusted observation hold smooth
        interpolation and are marked in ``Track.trusted``.

    Raises:
        ValueError: no frame can be trusted, or the camera does not fit the clip.
    """
    config = config or TrackConfig()
    config.validate()
    check_detections(detections)
    if camera is not None:
        check_camera(camera, detections)
    given = camera or guess_camera(detections, config)
    with torch.inference_mode():
        clip, T_world_solver = _prepare(detections, body, given, config, camera is None)
        state = _solve(clip, progress)
        return make_track(detections, body, clip.rig, state, given, T_world_solver)


def _prepare(
    detections: ClipDetections,
    body: BodyModel,
    camera: Camera,
    config: TrackConfig,
    guessed: bool,
) -> tuple[_Clip, Tensor]:
    observations = make_observations(detections, _DTYPE)
    clip_camera, T_world_solver = solver_camera(camera, detections.num_frames, _DTYPE)
    landmarks = [
        ("mediapipe_pose", range(NUM_POSE)),
        ("mediapipe_left_hand", range(NUM_HAND)),
        ("mediapipe_right_hand", range(NUM_HAND)),
        ("mediapipe_face", [*FACE_POINTS, *IRIS_POINTS]),
    ]
    rig = build_rig(body, landmarks, config.num_betas, config.num_expression).to(_DTYPE)
    weights = (
        observations.left_hand_weight,
        observations.right_hand_weight,
        observations.face_weight,
    )
    parts = tuple(bool(w.max() >= config.min_part_confidence) for w in weights)
    turn = viewing_turn(observations, clip_camera)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=_DTYPE))
    T_solver_view = clip_camera.R.transpose(1, 2) @ flip @ turn
    directions = observations.direction @ T_solver_view.transpose(1, 2)
    observations = replace(observations, direction=directions)
    refine = guessed and config.focal_sigma > 0
    clip = _Clip(detections, observations, clip_camera, rig, config, parts, refine)  # type: ignore[arg-type]
    return clip, T_world_solver


def _solve(clip: _Clip, progress: Progress | None) -> TrackState:
    config = clip.config
    total = 2 * config.coarse_steps + 2 * config.fine_steps
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("track", min(done, total), total)

    results = []
    for mirrored in (False, True):
        start = initial_state(
            clip.detections, clip.observations, clip.camera, clip.rig, mirrored=mirrored
        )
        results.append(_coarse(clip, start, advance))
    (state, value), (other, other_value) = results
    logger.info("start as detected %.0f, depth mirrored %.0f", value, other_value)
    if other_value < value:
        state = other
    for kernel in (1.5 * _NARROW_KERNEL, _NARROW_KERNEL):
        problem = _fine_problem(clip, state, kernel)
        state, value = minimise(problem, state, config.fine_steps // 2, advance)
    logger.info("track solved, energy %.0f, focal x %.3f", value, float(state.log_focal.exp()))
    if progress is not None:
        progress("track", total, total)
    return state


def _coarse(
    clip: _Clip, state: TrackState, advance: Callable[[], None]
) -> tuple[TrackState, float]:
    """Body only, few shape coefficients, robust kernel wide at first."""
    dofs = make_dofs(hands=(False, False), face=False, dtype=_DTYPE)
    layout = Layout(dofs, 0, min(10, clip.config.num_betas), False, False)
    value = float("inf")
    steps = clip.config.coarse_steps
    for kernel, share in ((_WIDE_KERNEL, steps // 2), (_NARROW_KERNEL, steps - steps // 2)):
        terms = _pose_and_face_terms(clip, layout, state, kernel)
        problem = _problem(clip, layout, terms, _COARSE_DIRECTIONS)
        state, value = minimise(problem, state, share, advance)
    return state, value


def _pose_and_face_terms(
    clip: _Clip, layout: Layout, state: TrackState, kernel: float
) -> tuple[PointTerm, ...]:
    o = clip.observations
    scale = _pixels_per_metre(clip, state)
    terms = [
        _term(clip, layout, slice(0, NUM_POSE), o.pose_px, o.pose_weight * _SHARE["pose"],
              o.pose_noise, scale, kernel, own_offsets=layout.offsets)
    ]  # fmt: skip
    if clip.parts[2]:
        weight = o.face_weight * _SHARE["face"] * _face_visibility(clip, state)
        terms.append(
            _term(clip, layout, _FACE, o.face_px, weight, o.face_noise, scale, kernel)
        )
    return tuple(terms)


def _fine_problem(clip: _Clip, state: TrackState, kernel: float) -> Problem:
    """Everything: hands, jaw, eyes, expression, all shape coefficients, focal, offsets."""
    left, right, face = clip.parts
    dofs = make_dofs(hands=(left, right), face=face, dtype=_DTYPE)
    config, o = clip.config, clip.observations
    layout = Layout(
        dofs,
        clip.rig.pair_expression.shape[-1] if face else 0,
        clip.rig.joint_shape.shape[-1],
        clip.refine_focal,
        config.landmark_offsets > 0,
    )
    terms = list(_pose_and_face_terms(clip, layout, state, kernel))
    scale = _pixels_per_metre(clip, state)
    for seen, points, px, weight in (
        (left, _LEFT, o.left_hand_px, o.left_hand_weight),
        (right, _RIGHT, o.right_hand_px, o.right_hand_weight),
    ):
        if seen:
            weight = weight * _SHARE["hand"]
            terms.append(_term(clip, layout, points, px, weight, o.hand_noise, scale, kernel))
    return _problem(clip, layout, tuple(terms), config.world_directions)


def _term(
    clip: _Clip,
    layout: Layout,
    points: slice,
    px: Tensor,
    weight: Tensor,
    noise: Tensor,
    scale: Tensor,
    kernel: float,
    own_offsets: bool = False,
) -> PointTerm:
    """Landmarks err by their noise and, unless offsets take that up, by a fixed displacement."""
    sigma = clip.rig.sigma[points] * (0.0 if own_offsets else 1.0)
    metres = (noise**2 + sigma**2).sqrt()
    sigma_px = (_PIXEL_FLOOR**2 + (metres * scale[:, None]) ** 2).sqrt()
    group = make_group(clip.rig, layout, points.start, points.stop, points == _FACE)
    return PointTerm(group, px, weight, sigma_px, kernel)


def _pixels_per_metre(clip: _Clip, state: TrackState) -> Tensor:
    """(N,) at the pelvis, from the clip's median depth: one odd frame must not reweigh itself."""
    posed = pose_rig(
        clip.rig, state.rotations(), state.transl, state.betas, state.expression
    )
    depth = to_camera(clip.camera, posed.p[:, :1])[:, 0, 2].median().clamp_min(0.1)
    return clip.camera.focal(state.log_focal).mean(1) / depth


def _face_visibility(clip: _Clip, state: TrackState) -> Tensor:
    """(N, F) in (0, 1): small where a face point lies on the far side of the head."""
    posed = pose_rig(
        clip.rig, state.rotations(), state.transl, state.betas, state.expression
    )
    points = posed.points[:, _FACE]
    ears = (posed.points[:, 7] + posed.points[:, 8])[:, None] / 2
    outward = torch.nn.functional.normalize(points - ears, dim=-1)
    eye = -(clip.camera.R.transpose(1, 2) @ clip.camera.t[..., None])[:, None, :, 0]
    view = torch.nn.functional.normalize(eye - points, dim=-1)
    return torch.sigmoid(((outward * view).sum(-1) - 0.1) / 0.12)


def _problem(
    clip: _Clip, layout: Layout, terms: tuple[PointTerm, ...], direction_share: float
) -> Problem:
    config, o = clip.config, clip.observations
    sigma = clip.rig.sigma[:NUM_POSE] * max(config.landmark_offsets, 1e-3)
    return Problem(
        rig=clip.rig,
        camera=clip.camera,
        layout=layout,
        config=config,
        terms=terms,
        directions=o.direction,
        direction_weight=o.direction_weight * direction_share,
        pose_precision=_pose_precision(layout.dofs, o, config),
        expression_precision=_expression_precision(o, layout.num_expression),
        offset_sigma=sigma.clamp_min(1e-3),
        smoothness=_smoothness(layout, o.time, config.smoothness),
    )


def _pose_precision(dofs: Dofs, o: Observations, config: TrackConfig) -> Tensor:
    """(N, D): hands and faces that a frame does not show stay closer to their mean."""
    seen = torch.stack(
        [
            torch.ones_like(o.face_weight[:, 0]),
            (o.left_hand_weight[:, 0] > 0).to(_DTYPE),
            (o.right_hand_weight[:, 0] > 0).to(_DTYPE),
            (o.face_weight[:, 0] > 0).to(_DTYPE),
        ],
        dim=1,
    )
    part = dofs.part.clone()
    part[dofs.joint == JOINT_INDEX["left_wrist"]] = 1
    part[dofs.joint == JOINT_INDEX["right_wrist"]] = 2
    shrink = UNSEEN_SHRINK + (1 - UNSEEN_SHRINK) * seen[:, part]
    return config.pose_prior / (dofs.sigma * shrink) ** 2


def _expression_precision(o: Observations, count: int) -> Tensor:
    unseen = (o.face_weight[:, :1] <= 0).to(_DTYPE)
    return (1 + unseen * (1 / UNSEEN_SHRINK**2 - 1)).expand(-1, count)


def _smoothness(layout: Layout, time: Tensor, weight: float) -> Smoothness:
    dofs, E = layout.dofs, layout.num_expression
    one = torch.ones
    acceleration = torch.cat(
        [
            ROOT_ACCELERATION * one(3),
            torch.tensor(TRANSL_ACCELERATION),
            dofs.acceleration,
            EXPRESSION_ACCELERATION * one(E),
        ]
    )
    speed = torch.cat(
        [
            ROOT_SPEED * one(3),
            TRANSL_SPEED * one(3),
            JOINT_SPEED * one(dofs.count),
            EXPRESSION_SPEED * one(E),
        ]
    )
    return Smoothness(
        gaps(time), (weight / acceleration**2).to(_DTYPE), (weight / speed**2).to(_DTYPE)
    )
