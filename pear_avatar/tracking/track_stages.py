"""What each stage of the solve looks at: measurements, unknowns and priors put together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.topology import IRIS_POINTS, NUM_HAND, NUM_POSE, TRACKED_FACE_POINTS
from pear_avatar.tracking.footing import (
    SOLES,
    LinearTerm,
    find_footing,
    foot_speeds,
    footing_terms,
)
from pear_avatar.tracking.gravity import find_up
from pear_avatar.tracking.groups import make_group
from pear_avatar.tracking.initialise import viewing_turn
from pear_avatar.tracking.observations import OFFSET_LANDMARKS, Observations, make_observations
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
from pear_avatar.tracking.rig import PointRig, build_rig
from pear_avatar.tracking.temporal import Smoothness, gaps
from pear_avatar.tracking.track_config import TrackConfig
from pear_avatar.tracking.track_state import Layout, TrackState
from pear_avatar.types import ClipDetections

DTYPE = torch.float32
_POSE = slice(0, NUM_POSE)
_LEFT = slice(NUM_POSE, NUM_POSE + NUM_HAND)
_RIGHT = slice(_LEFT.stop, _LEFT.stop + NUM_HAND)
_FACE = slice(_RIGHT.stop, _RIGHT.stop + len(TRACKED_FACE_POINTS) + len(IRIS_POINTS))

#: Energy shares. Many face points measure few unknowns with errors they have in common.
_POSE_SHARE, _HAND_SHARE, _FACE_SHARE = 1.0, 0.5, 0.25
#: pixels: what no detector resolves
_PIXEL_FLOOR = 0.5
#: sigmas at which robust kernels turn over, early and late
WIDE_KERNEL, NARROW_KERNEL = 12.0, 4.0
#: trust in the detector's 3D bone directions before the pose has settled
_EARLY_DIRECTIONS = 1.0
#: shape coefficients that a body-only stage may use
_FEW_BETAS = 10


@dataclass(frozen=True)
class Clip:
    """What every stage needs.

    parts: whether left hand, right hand, face are ever seen. up: (3,) against gravity in the
    solver's world; None where it is to be found. expression: (N, E) that the detector's facial
    actions stand for.
    """

    detections: ClipDetections
    observations: Observations
    camera: ClipCamera
    rig: PointRig
    config: TrackConfig
    parts: tuple[bool, bool, bool]
    expression: Tensor
    refine_focal: bool
    up: Tensor | None = None


def make_rig(body: BodyModel, config: TrackConfig) -> PointRig:
    """All landmarks the tracker uses, pose landmarks first."""
    landmarks = [
        ("mediapipe_pose", range(NUM_POSE)),
        ("mediapipe_left_hand", range(NUM_HAND)),
        ("mediapipe_right_hand", range(NUM_HAND)),
        ("mediapipe_face", [*TRACKED_FACE_POINTS, *IRIS_POINTS]),
    ]
    return build_rig(body, landmarks, config.num_betas, config.num_expression).to(DTYPE)


def make_clip(
    detections: ClipDetections,
    rig: PointRig,
    camera: ClipCamera,
    config: TrackConfig,
    *,
    refine_focal: bool,
    up: Tensor | None = None,
) -> Clip:
    """Weigh the detections and bring the detector's 3D into the solver's world."""
    o = make_observations(detections, DTYPE)
    weights = (o.left_hand_weight, o.right_hand_weight, o.face_weight)
    left, right, face = (bool(w.max() >= config.min_part_confidence) for w in weights)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=DTYPE))
    T_solver_view = camera.R.transpose(1, 2) @ flip @ viewing_turn(o, camera)
    o = replace(o, direction=o.direction @ T_solver_view.transpose(1, 2))
    return Clip(
        detections=detections,
        observations=o,
        camera=camera,
        rig=rig,
        config=config,
        parts=(left, right, face),
        expression=torch.zeros(o.num_frames, rig.pair_expression.shape[-1], dtype=DTYPE),
        refine_focal=refine_focal,
        up=up,
    )


def with_actions(clip: Clip, actions: Tensor) -> Clip:
    """The clip with the expression of the detector's facial actions, where it found any.

    Args:
        actions: (A, E) expression of each action at full strength; bodies without a map of
            ARKit's 52 actions change nothing.
    """
    found = clip.detections.face_actions
    if found is None or len(actions) != found.shape[1]:
        return clip
    strength = torch.from_numpy(np.ascontiguousarray(found)).to(DTYPE)
    count = clip.expression.shape[1]
    return replace(clip, expression=strength @ actions.to(DTYPE)[:, :count])


def body_problem(clip: Clip, state: TrackState, kernel: float) -> Problem:
    """Body only, the face's points as a rigid hint."""
    layout = Layout(
        make_dofs(hands=(False, False), face=False, dtype=DTYPE),
        0,
        min(_FEW_BETAS, clip.rig.joint_shape.shape[-1]),
        False,
        False,
    )
    terms = _pose_and_face_terms(clip, layout, state, kernel)
    # An up that is still unknown is found from a pose that no guess of it has bent.
    standing = () if clip.up is None else _standing(clip, state)
    return _problem(clip, layout, terms, standing, _EARLY_DIRECTIONS)


def _pose_and_face_terms(
    clip: Clip, layout: Layout, state: TrackState, kernel: float
) -> tuple[PointTerm, ...]:
    o = clip.observations
    scale = _pixels_per_metre(clip, state)
    terms = [
        _term(
            clip,
            layout,
            _POSE,
            o.pose_px,
            o.pose_weight * _POSE_SHARE,
            noise=o.pose_noise,
            scale=scale,
            kernel=kernel,
            own_offsets=layout.offsets,
        )
    ]
    if clip.parts[2]:
        weight = o.face_weight * _FACE_SHARE * _face_visibility(clip, state)
        terms.append(
            _term(
                clip,
                layout,
                _FACE,
                o.face_px,
                weight,
                noise=o.face_noise,
                scale=scale,
                kernel=kernel,
            )
        )
    return tuple(terms)


def full_problem(clip: Clip, state: TrackState, kernel: float) -> Problem:
    """Everything: hands, jaw, eyes, expression, all shape coefficients, focal, offsets."""
    left, right, face = clip.parts
    dofs = make_dofs(hands=(left, right), face=face, dtype=DTYPE)
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
            weight = weight * _HAND_SHARE
            terms.append(
                _term(
                    clip, layout, points, px, weight, noise=o.hand_noise, scale=scale, kernel=kernel
                )
            )
    return _problem(clip, layout, tuple(terms), _standing(clip, state), config.world_directions)


def _term(
    clip: Clip,
    layout: Layout,
    points: slice,
    px: Tensor,
    weight: Tensor,
    *,
    noise: Tensor,
    scale: Tensor,
    kernel: float,
    own_offsets: bool = False,
) -> PointTerm:
    """Landmarks err by their noise and, unless offsets take that up, by a fixed displacement."""
    sigma = clip.rig.sigma[points].clone()
    if own_offsets:
        sigma[list(OFFSET_LANDMARKS)] = 0.0
    metres = (noise**2 + sigma**2).sqrt()
    sigma_px = (_PIXEL_FLOOR**2 + (metres * scale[:, None]) ** 2).sqrt()
    group = make_group(clip.rig, layout, points.start, points.stop)
    return PointTerm(group, px, weight, sigma_px, kernel)


def _pixels_per_metre(clip: Clip, state: TrackState) -> Tensor:
    """(N,) at the pelvis, from the clip's median depth: one odd frame must not reweigh itself."""
    posed = state.pose(clip.rig)
    depth = to_camera(clip.camera, posed.p[:, :1])[:, 0, 2].median().clamp_min(0.1)
    return clip.camera.focal(state.log_focal).mean(1) / depth


def _face_visibility(clip: Clip, state: TrackState) -> Tensor:
    """(N, F) in (0, 1): small where a face point lies on the far side of the head."""
    posed = state.pose(clip.rig)
    points = posed.points[:, _FACE]
    ears = (posed.points[:, 7] + posed.points[:, 8])[:, None] / 2
    outward = torch.nn.functional.normalize(points - ears, dim=-1)
    eye = -(clip.camera.R.transpose(1, 2) @ clip.camera.t[..., None])[:, None, :, 0]
    view = torch.nn.functional.normalize(eye - points, dim=-1)
    return torch.sigmoid(((outward * view).sum(-1) - 0.1) / 0.12)


def _problem(
    clip: Clip,
    layout: Layout,
    terms: tuple[PointTerm, ...],
    standing: tuple[LinearTerm, ...],
    direction_share: float,
) -> Problem:
    config, o = clip.config, clip.observations
    sigma = clip.rig.sigma[list(OFFSET_LANDMARKS)] * max(config.landmark_offsets, 1e-3)
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
        expression_mean=clip.expression,
        offset_sigma=sigma.clamp_min(1e-3),
        smoothness=_smoothness(layout, o.time, config.smoothness),
        linear_terms=standing,
    )


def clip_up(clip: Clip, state: TrackState) -> Tensor:
    """(3,) against gravity in the solver's world: known, or found from how the state stands."""
    if clip.up is not None:
        return clip.up
    points = state.pose(clip.rig).points[:, _POSE]
    speeds = foot_speeds(clip.observations, _pixels_per_metre(clip, state))
    rest = _resting_soles(clip.rig, state.betas)
    return find_up(clip.observations, speeds, points, rest, math.radians(clip.config.level_sigma))


def _standing(clip: Clip, state: TrackState) -> tuple[LinearTerm, ...]:
    config, o = clip.config, clip.observations
    if config.balance <= 0 and config.ground <= 0:
        return ()
    up = clip_up(clip, state)
    points = state.pose(clip.rig).points[:, _POSE]
    speeds = foot_speeds(o, _pixels_per_metre(clip, state))
    footing = find_footing(o, speeds, points, up, _resting_soles(clip.rig, state.betas))
    return footing_terms(footing, points, up, o.time, config.balance, ground=config.ground)


def _resting_soles(rig: PointRig, betas: Tensor) -> Tensor:
    """(2, 2): left and right heel and toe over the lower of the two, at rest."""
    rest = torch.zeros(rig.num_points, 3, dtype=DTYPE)
    rest.index_add_(0, rig.pair_point, rig.pair_rest + rig.pair_shape @ betas)
    y = rest[[i for sole in SOLES for i in sole], 1].reshape(2, 2)
    return y - y.amin(1, keepdim=True)


def _pose_precision(dofs: Dofs, o: Observations, config: TrackConfig) -> Tensor:
    """(N, D): hands and faces that a frame does not show stay closer to their mean."""
    seen = torch.stack(
        [
            torch.ones_like(o.face_weight[:, 0]),
            (o.left_hand_weight[:, 0] > 0).to(DTYPE),
            (o.right_hand_weight[:, 0] > 0).to(DTYPE),
            (o.face_weight[:, 0] > 0).to(DTYPE),
        ],
        dim=1,
    )
    part = dofs.part.clone()
    part[dofs.joint == JOINT_INDEX["left_wrist"]] = 1
    part[dofs.joint == JOINT_INDEX["right_wrist"]] = 2
    shrink = UNSEEN_SHRINK + (1 - UNSEEN_SHRINK) * seen[:, part]
    return config.pose_prior / (dofs.sigma * shrink) ** 2


def _expression_precision(o: Observations, count: int) -> Tensor:
    unseen = (o.face_weight[:, :1] <= 0).to(DTYPE)
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
        gaps(time), (weight / acceleration**2).to(DTYPE), (weight / speed**2).to(DTYPE)
    )
