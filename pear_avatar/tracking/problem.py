"""The energy of a clip and its Gauss-Newton normal equations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.tracking.arrow import ArrowSystem
from pear_avatar.tracking.config import TrackConfig
from pear_avatar.tracking.groups import Group, point_jacobian, rotation_axes
from pear_avatar.tracking.observations import DIRECTION_BONES
from pear_avatar.tracking.priors import EYE_VERGENCE_SIGMA, LIMIT_SIGMA, eye_pairs
from pear_avatar.tracking.rig import PointRig, PosedRig, pose_rig, shape_jacobian
from pear_avatar.tracking.state import ANGLES, Layout, TrackState, frame_steps
from pear_avatar.tracking.temporal import Smoothness

#: metres; nearer points are projected as if they stood here
_MIN_DEPTH = 0.05
#: spread of the length of the difference of two unit directions
_DIRECTION_SIGMA = 0.4
_DIRECTION_KERNEL = 2.5
#: Detections err alike from frame to frame, so N frames are worth only this share of N
#: independent ones against what is known about the shared unknowns.
_INDEPENDENT_SHARE = 0.1


@dataclass(frozen=True)
class ClipCamera:
    """The clip's cameras in the solver's world: K (N, 3, 3), R (N, 3, 3), t (N, 3)."""

    K: Tensor
    R: Tensor
    t: Tensor

    def focal(self, log_focal: Tensor) -> Tensor:
        """(N, 2) pixels."""
        return torch.diagonal(self.K, dim1=1, dim2=2)[:, :2] * log_focal.exp()


@dataclass(frozen=True)
class PointTerm:
    """2D measurements of one group.

    px (N, M, 2); weight (N, M); sigma_px (N, M); kernel: residuals beyond this many sigmas lose
    their say (Geman-McClure).
    """

    group: Group
    px: Tensor
    weight: Tensor
    sigma_px: Tensor
    kernel: float


@dataclass(frozen=True)
class Problem:
    """All terms of one stage. ``pose_precision`` (N, D) already holds the prior's weight."""

    rig: PointRig
    camera: ClipCamera
    layout: Layout
    config: TrackConfig
    terms: tuple[PointTerm, ...]
    directions: Tensor
    direction_weight: Tensor
    pose_precision: Tensor
    expression_precision: Tensor
    offset_sigma: Tensor
    smoothness: Smoothness

    @property
    def num_frames(self) -> int:
        """Number of frames N."""
        return int(self.camera.K.shape[0])

    @property
    def shared_weight(self) -> float:
        """How strongly priors on shared unknowns stand against N frames of measurements."""
        return 1.0 + _INDEPENDENT_SHARE * self.num_frames

    def pose(self, state: TrackState) -> PosedRig:
        """Forward kinematics at ``state``."""
        return pose_rig(
            self.rig, state.rotations(), state.transl, state.betas, state.expression
        )


def robust(square: Tensor, kernel: float) -> tuple[Tensor, Tensor]:
    """Geman-McClure of squared residuals: value and its derivative (the weight)."""
    share = kernel * kernel / (kernel * kernel + square)
    return square * share, share * share


def to_camera(camera: ClipCamera, points: Tensor) -> Tensor:
    """Solver-world points (N, M, 3) -> camera (N, M, 3)."""
    return points @ camera.R.transpose(1, 2) + camera.t[:, None]


def project(camera: ClipCamera, log_focal: Tensor, points: Tensor) -> Tensor:
    """Solver-world points (N, M, 3) -> pixels (N, M, 2)."""
    x = to_camera(camera, points)
    depth = x[..., 2:].clamp_min(_MIN_DEPTH)
    return x[..., :2] / depth * camera.focal(log_focal)[:, None] + camera.K[:, None, :2, 2]


def _projection_jacobian(problem: Problem, state: TrackState, points: Tensor) -> Tensor:
    """(N, M, 2, 3) derivative of pixels by solver-world points."""
    camera = problem.camera
    x = to_camera(camera, points)
    inverse = 1 / x[..., 2].clamp_min(_MIN_DEPTH)
    f = camera.focal(state.log_focal)[:, None] * inverse[..., None]
    D = x.new_zeros(*x.shape[:-1], 2, 3)
    D[..., 0, 0], D[..., 1, 1] = f[..., 0], f[..., 1]
    D[..., :, 2] = -f * x[..., :2] * inverse[..., None]
    return D @ camera.R[:, None]


def _term_points(problem: Problem, state: TrackState, posed: PosedRig, term: PointTerm) -> Tensor:
    points = posed.points[:, term.group.points]
    if term.group.start == 0:  # the pose landmarks come first and alone carry offsets
        G = posed.G[:, problem.rig.main_bone[term.group.points]]
        points = points + (G @ state.offsets[..., None])[..., 0]
    return points


def energy(problem: Problem, state: TrackState) -> Tensor:
    """The scalar that the solver lowers; () of the problem's dtype."""
    posed = problem.pose(state)
    total = state.transl.new_zeros(())
    for term in problem.terms:
        px = project(problem.camera, state.log_focal, _term_points(problem, state, posed, term))
        square = ((px - term.px) / term.sigma_px[..., None]).square().sum(-1)
        total = total + 0.5 * (term.weight * robust(square, term.kernel)[0]).sum()
    residual, _ = _direction_residual(problem, posed)
    total = total + 0.5 * (
        problem.direction_weight * robust(residual.square().sum(-1), _DIRECTION_KERNEL)[0]
    ).sum()
    value, _, _ = _prior_terms(problem, state)
    total = total + value + _shared_prior(problem, state)[0]
    if problem.num_frames > 1:
        total = total + problem.smoothness.energy(frame_steps(state, problem.layout))
    return total


def _direction_residual(problem: Problem, posed: PosedRig) -> tuple[Tensor, Tensor]:
    """Residuals (N, B, 3) in sigmas and bones (N, B, 3) in metres."""
    a, b = torch.tensor(DIRECTION_BONES).unbind(1)
    bone = posed.points[:, b] - posed.points[:, a]
    unit = torch.nn.functional.normalize(bone, dim=-1)
    return (unit - problem.directions) / _DIRECTION_SIGMA, bone


def _prior_terms(problem: Problem, state: TrackState) -> tuple[Tensor, Tensor, Tensor]:
    """Per-frame priors: energy, gradient (N, P - 6) and Hessian diagonal (N, P - 6)."""
    dofs = problem.layout.dofs
    theta = state.theta[:, dofs.joint, dofs.axis]
    away = theta - dofs.mean
    limit = problem.config.pose_prior / LIMIT_SIGMA**2
    beyond = (theta - dofs.upper).clamp_min(0) + (theta - dofs.lower).clamp_max(0)
    E = problem.layout.num_expression
    expression, precision = state.expression[:, :E], problem.expression_precision[:, :E]
    value = 0.5 * (
        (problem.pose_precision * away**2).sum()
        + limit * (beyond**2).sum()
        + (precision * expression**2).sum()
    )
    gradient = torch.cat(
        [problem.pose_precision * away + limit * beyond, precision * expression], dim=1
    )
    hessian = torch.cat([problem.pose_precision + limit * (beyond != 0), precision], dim=1)
    for left, right in eye_pairs(dofs):
        apart = theta[:, left] - theta[:, right]
        value = value + 0.5 * (apart**2).sum() / EYE_VERGENCE_SIGMA**2
        gradient[:, left] += apart / EYE_VERGENCE_SIGMA**2
        gradient[:, right] -= apart / EYE_VERGENCE_SIGMA**2
        hessian[:, [left, right]] += 1 / EYE_VERGENCE_SIGMA**2
    return value, gradient, hessian


def _shared_prior(problem: Problem, state: TrackState) -> tuple[Tensor, Tensor, Tensor]:
    """Priors on shape, height, focal length and offsets: energy, gradient (S,), Hessian."""
    layout, config, rig = problem.layout, problem.config, problem.rig
    S = layout.num_betas
    betas = state.betas[:S]
    tall = (rig.height_rest + rig.height_shape @ state.betas - config.height_mean)
    slope = rig.height_shape[:S] / config.height_sigma**2
    size = layout.shared_size(len(state.offsets))
    gradient, hessian = betas.new_zeros(size), betas.new_zeros(size, size)
    value = 0.5 * (betas.square().sum() + (tall / config.height_sigma) ** 2)
    gradient[:S] = betas + slope * tall
    hessian[:S, :S] = torch.eye(S, dtype=betas.dtype) + torch.outer(slope, rig.height_shape[:S])
    if layout.focal:
        precision = 1 / config.focal_sigma**2
        value = value + 0.5 * precision * state.log_focal**2
        gradient[S], hessian[S, S] = precision * state.log_focal, precision
    if layout.offsets:
        o = layout.offset_start
        precision = (1 / problem.offset_sigma**2)[:, None].expand(-1, 3)
        value = value + 0.5 * (precision * state.offsets**2).sum()
        gradient[o:] = (precision * state.offsets).reshape(-1)
        torch.diagonal(hessian)[o:] = precision.reshape(-1)
    w = problem.shared_weight
    return w * value, w * gradient, w * hessian


def linearise(problem: Problem, state: TrackState) -> ArrowSystem:
    """Gauss-Newton system whose solution is the step that :func:`.state.retract` takes."""
    layout, N, P = problem.layout, problem.num_frames, problem.layout.frame_size
    posed = problem.pose(state)
    axes = rotation_axes(posed, state.theta)
    H = state.transl.new_zeros(N, P, P)
    g = state.transl.new_zeros(N, P)
    _, shared_g, shared_H = _shared_prior(problem, state)
    border = state.transl.new_zeros(N, P, len(shared_g))
    for term in problem.terms:
        J3 = point_jacobian(problem.rig, posed, axes, term.group)
        _add_points(problem, state, posed, term, J3, (H, g, border, shared_H, shared_g))
        if term.group.start == 0:
            _add_directions(problem, posed, term.group, J3, H, g)
    _, prior_g, prior_h = _prior_terms(problem, state)
    g[:, ANGLES:] += prior_g
    diagonal = torch.diagonal(H, dim1=1, dim2=2)
    diagonal[:, ANGLES:] += prior_h
    diagonal += 1e-6 * diagonal.mean()
    for left, right in eye_pairs(layout.dofs):
        H[:, ANGLES + left, ANGLES + right] -= 1 / EYE_VERGENCE_SIGMA**2
        H[:, ANGLES + right, ANGLES + left] -= 1 / EYE_VERGENCE_SIGMA**2
    first, second = g.new_zeros(max(N - 1, 0), P), g.new_zeros(max(N - 2, 0), P)
    if N > 1:
        bands = problem.smoothness.bands()
        diagonal += bands.main
        first, second = bands.first, bands.second
        g += problem.smoothness.gradient(frame_steps(state, layout))
    return ArrowSystem(H, first, second, border, shared_H, -g, -shared_g)


def _add_points(
    problem: Problem,
    state: TrackState,
    posed: PosedRig,
    term: PointTerm,
    J3: Tensor,
    system: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Accumulate one group's reprojection into (H, g, border, shared_H, shared_g)."""
    H, g, border, shared_H, shared_g = system
    layout, group = problem.layout, term.group
    points = _term_points(problem, state, posed, term)
    residual = (project(problem.camera, state.log_focal, points) - term.px) / term.sigma_px[
        ..., None
    ]
    root_weight = (term.weight * robust(residual.square().sum(-1), term.kernel)[1]).sqrt()
    r = (residual * root_weight[..., None]).flatten(1)
    D = _projection_jacobian(problem, state, points)
    D = D * (root_weight / term.sigma_px)[..., None, None]
    J = (D @ J3).flatten(1, 2)  # (N, 2M, C)
    Jt = J.transpose(1, 2)
    columns = group.columns
    H[:, columns[:, None], columns] += Jt @ J
    g[:, columns] += (Jt @ r[..., None])[..., 0]
    shared = []
    if layout.num_betas:
        by_shape = shape_jacobian(problem.rig, posed, group.points)[..., : layout.num_betas]
        shared.append((D @ by_shape).flatten(1, 2))
    if layout.focal:
        centred = project(problem.camera, state.log_focal, points) - problem.camera.K[:, None, :2, 2]
        shared.append(
            (centred * (root_weight / term.sigma_px)[..., None]).flatten(1)[..., None]
        )
    if layout.offsets and group.start == 0:
        O = D @ posed.G[:, problem.rig.main_bone[group.points]]  # (N, M, 2, 3)
        M = O.shape[1]
        block = O.new_zeros(len(O), M, 2, M, 3)
        index = torch.arange(M)
        block[:, index, :, index] = O.transpose(0, 1)
        shared.append(block.flatten(1, 2).flatten(2))
    if not shared:
        return
    Js = torch.cat(shared, dim=2)  # (N, 2M, S')
    size = Js.shape[2]
    border[:, columns, :size] += Jt @ Js
    flat = Js.flatten(0, 1)
    shared_H[:size, :size] += flat.T @ flat
    shared_g[:size] += flat.T @ r.flatten()


def _add_directions(
    problem: Problem, posed: PosedRig, group: Group, J3: Tensor, H: Tensor, g: Tensor
) -> None:
    """Accumulate the detector's 3D bone directions (their dependence on shape is left out)."""
    a, b = torch.tensor(DIRECTION_BONES).unbind(1)
    residual, bone = _direction_residual(problem, posed)
    root_weight = (
        problem.direction_weight * robust(residual.square().sum(-1), _DIRECTION_KERNEL)[1]
    ).sqrt()
    length = bone.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    unit = bone / length
    eye = torch.eye(3, dtype=unit.dtype)
    across = (eye - unit[..., None] * unit[..., None, :]) / length[..., None]
    scale = (root_weight / _DIRECTION_SIGMA)[..., None, None]
    J = (scale * (across @ (J3[:, b] - J3[:, a]))).flatten(1, 2)
    r = (residual * root_weight[..., None]).flatten(1)
    Jt = J.transpose(1, 2)
    columns = group.columns
    H[:, columns[:, None], columns] += Jt @ J
    g[:, columns] += (Jt @ r[..., None])[..., 0]
