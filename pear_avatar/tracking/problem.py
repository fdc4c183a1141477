"""The energy of a clip and its Gauss-Newton normal equations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.topology import NUM_POSE
from pear_avatar.tracking.arrow import ArrowSystem
from pear_avatar.tracking.footing import LinearTerm
from pear_avatar.tracking.groups import Group, point_jacobian, rotation_axes
from pear_avatar.tracking.observations import DIRECTION_BONES, OFFSET_LANDMARKS
from pear_avatar.tracking.priors import EYE_VERGENCE_SIGMA, LIMIT_SIGMA, eye_pairs
from pear_avatar.tracking.rig import (
    PointRig,
    PosedRig,
    joint_shape_jacobian,
    shape_jacobian,
)
from pear_avatar.tracking.robust import robust
from pear_avatar.tracking.temporal import Smoothness
from pear_avatar.tracking.track_config import TrackConfig
from pear_avatar.tracking.track_state import ANGLES, Layout, TrackState, frame_steps

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

    def frames(self, index: Tensor) -> ClipCamera:
        """The cameras of some of the frames."""
        return ClipCamera(self.K[index], self.R[index], self.t[index])

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
    """All terms of one stage. ``pose_precision`` (N, D) already holds the prior's weight.

    ``expression_mean`` (N, E) is what the detector's facial actions stand for, 0 without them.
    """

    rig: PointRig
    camera: ClipCamera
    layout: Layout
    config: TrackConfig
    terms: tuple[PointTerm, ...]
    directions: Tensor
    direction_weight: Tensor
    pose_precision: Tensor
    expression_precision: Tensor
    expression_mean: Tensor
    offset_sigma: Tensor
    smoothness: Smoothness
    linear_terms: tuple[LinearTerm, ...] = ()

    @property
    def num_frames(self) -> int:
        """Number of frames N."""
        return int(self.camera.K.shape[0])

    @property
    def shared_weight(self) -> float:
        """How strongly priors on shared unknowns stand against N frames of measurements."""
        return 1.0 + _INDEPENDENT_SHARE * self.num_frames


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


def energy(problem: Problem, state: TrackState) -> Tensor:
    """The scalar that the solver lowers; () of the problem's dtype."""
    posed = state.pose(problem.rig)
    total = state.transl.new_zeros(())
    for term in problem.terms:
        points = posed.points[:, term.group.points]
        px = project(problem.camera, state.log_focal, points)
        square = ((px - term.px) / term.sigma_px[..., None]).square().sum(-1)
        total = total + 0.5 * (term.weight * robust(square, term.kernel)[0]).sum()
    residual, _ = _direction_residual(problem, posed)
    total = (
        total
        + 0.5
        * (problem.direction_weight * robust(residual.square().sum(-1), _DIRECTION_KERNEL)[0]).sum()
    )
    for linear in problem.linear_terms:
        square = linear.residual(posed.points[:, :NUM_POSE]).square().sum(-1)
        total = total + 0.5 * (linear.weight * robust(square, linear.kernel)[0]).sum()
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
    expression = state.expression[:, :E] - problem.expression_mean[:, :E]
    precision = problem.expression_precision[:, :E]
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
    tall = rig.height_rest + rig.height_shape @ state.betas - config.height_mean
    slope = rig.height_shape[:S] / config.height_sigma**2
    size = layout.shared_size(len(state.offsets))
    gradient, hessian = betas.new_zeros(size), betas.new_zeros(size, size)
    value = 0.5 * (betas.square().sum() + (tall / config.height_sigma) ** 2)
    gradient[:S] = betas + slope * tall
    hessian[:S, :S] = torch.eye(S, dtype=betas.dtype) + torch.outer(slope, rig.height_shape[:S])
    if layout.focal:
        narrow = 1 / config.focal_sigma**2
        value = value + 0.5 * narrow * state.log_focal**2
        gradient[S], hessian[S, S] = narrow * state.log_focal, narrow
    if layout.offsets:
        o = layout.offset_start
        precision = (1 / problem.offset_sigma**2)[:, None].expand(-1, 3)
        value = value + 0.5 * (precision * state.offsets**2).sum()
        gradient[o:] = (precision * state.offsets).reshape(-1)
        torch.diagonal(hessian)[o:] = precision.reshape(-1)
    w = problem.shared_weight
    return w * value, w * gradient, w * hessian


@dataclass(frozen=True)
class _Rows:
    """Whitened residual rows: r (N, R), by columns (N, R, C), by shared unknowns (N, R, S')."""

    residual: Tensor
    by_frame: Tensor
    columns: Tensor
    by_shared: Tensor


def linearise(problem: Problem, state: TrackState) -> ArrowSystem:
    """Gauss-Newton system whose solution is the step that :func:`.state.retract` takes."""
    layout, N = problem.layout, problem.num_frames
    rows = _all_rows(problem, state)
    _, shared_g, shared_H = _shared_prior(problem, state)
    J, Js, r = _stack(rows, layout.frame_size, len(shared_g))
    Jt = J.transpose(1, 2)
    H, border, g = Jt @ J, Jt @ Js, (Jt @ r[..., None])[..., 0]
    flat = Js.flatten(0, 1)
    shared_H = shared_H + flat.T @ flat
    shared_g = shared_g + flat.T @ r.flatten()
    _, prior_g, prior_h = _prior_terms(problem, state)
    g[:, ANGLES:] += prior_g
    diagonal = torch.diagonal(H, dim1=1, dim2=2)
    diagonal[:, ANGLES:] += prior_h
    diagonal += 1e-6 * diagonal.mean()
    for left, right in eye_pairs(layout.dofs):
        H[:, ANGLES + left, ANGLES + right] -= 1 / EYE_VERGENCE_SIGMA**2
        H[:, ANGLES + right, ANGLES + left] -= 1 / EYE_VERGENCE_SIGMA**2
    P = layout.frame_size
    first, second = g.new_zeros(max(N - 1, 0), P), g.new_zeros(max(N - 2, 0), P)
    if N > 1:
        bands = problem.smoothness.bands()
        diagonal += bands.main
        first, second = bands.first, bands.second
        g += problem.smoothness.gradient(frame_steps(state, layout))
    return ArrowSystem(
        frames=H,
        first=first,
        second=second,
        border=border,
        shared=shared_H,
        rhs_frames=-g,
        rhs_shared=-shared_g,
    )


def _all_rows(problem: Problem, state: TrackState) -> list[_Rows]:
    posed = state.pose(problem.rig)
    axes = rotation_axes(posed, state.theta)
    by_joints = joint_shape_jacobian(problem.rig, posed, problem.layout.num_betas)
    rows = []
    for term in problem.terms:
        J3 = point_jacobian(problem.rig, posed, axes, term.group)
        rows.append(_reprojection_rows(problem, state, posed, term, J3, by_joints=by_joints))
        if term.group.start == 0:
            rows.append(_direction_rows(problem, posed, term.group, J3))
            rows += [
                _linear_rows(problem, linear, posed, term.group, J3, by_joints=by_joints)
                for linear in problem.linear_terms
            ]
    return rows


def _stack(rows: list[_Rows], frame_size: int, shared_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Dense Jacobians (N, R, P) and (N, R, S) and residual (N, R) of all rows."""
    r = torch.cat([block.residual for block in rows], dim=1)
    J = r.new_zeros(*r.shape, frame_size)
    Js = r.new_zeros(*r.shape, shared_size)
    start = 0
    for block in rows:
        stop = start + block.residual.shape[1]
        J[:, start:stop].index_copy_(2, block.columns, block.by_frame)
        Js[:, start:stop, : block.by_shared.shape[2]] = block.by_shared
        start = stop
    return J, Js, r


def _reprojection_rows(
    problem: Problem,
    state: TrackState,
    posed: PosedRig,
    term: PointTerm,
    J3: Tensor,
    *,
    by_joints: Tensor,
) -> _Rows:
    layout, group = problem.layout, term.group
    points = posed.points[:, group.points]
    px = project(problem.camera, state.log_focal, points)
    residual = (px - term.px) / term.sigma_px[..., None]
    root_weight = (term.weight * robust(residual.square().sum(-1), term.kernel)[1]).sqrt()
    scale = root_weight / term.sigma_px
    D = _projection_jacobian(problem, state, points) * scale[..., None, None]
    shared = [(D @ shape_jacobian(posed, group.shape, by_joints)).flatten(1, 2)]
    if layout.focal:
        centred = px - problem.camera.K[:, None, :2, 2]
        shared.append((centred * scale[..., None]).flatten(1)[..., None])
    if layout.offsets and group.start == 0:
        index = torch.tensor(OFFSET_LANDMARKS)
        moved = D[:, index] @ posed.G[:, problem.rig.main_bone[index]]  # (N, O, 2, 3)
        block = moved.new_zeros(len(moved), D.shape[1], 2, len(index), 3)
        block[:, index, :, torch.arange(len(index))] = moved.transpose(0, 1)
        shared.append(block.flatten(1, 2).flatten(2))
    return _Rows(
        (residual * root_weight[..., None]).flatten(1),
        (D @ J3).flatten(1, 2),
        group.columns,
        torch.cat(shared, dim=2),
    )


def _direction_rows(problem: Problem, posed: PosedRig, group: Group, J3: Tensor) -> _Rows:
    """The detector's 3D bone directions (their dependence on the shape is left out)."""
    a, b = torch.tensor(DIRECTION_BONES).unbind(1)
    residual, bone = _direction_residual(problem, posed)
    weight = robust(residual.square().sum(-1), _DIRECTION_KERNEL)[1]
    root_weight = (problem.direction_weight * weight).sqrt()
    length = bone.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    unit = bone / length
    eye = torch.eye(3, dtype=unit.dtype)
    across = (eye - unit[..., None] * unit[..., None, :]) / length[..., None]
    across = across * (root_weight / _DIRECTION_SIGMA)[..., None, None]
    r = (residual * root_weight[..., None]).flatten(1)
    by_frame = (across @ (J3[:, b] - J3[:, a])).flatten(1, 2)
    return _Rows(r, by_frame, group.columns, r.new_zeros(*r.shape, 0))


def _linear_rows(
    problem: Problem,
    term: LinearTerm,
    posed: PosedRig,
    group: Group,
    J3: Tensor,
    *,
    by_joints: Tensor,
) -> _Rows:
    residual = term.residual(posed.points[:, group.points])
    weight = term.weight * robust(residual.square().sum(-1), term.kernel)[1]
    root = weight.sqrt()[..., None]
    rows = (term.rows * root[..., None, None]).flatten(1, 2)
    shape = shape_jacobian(posed, group.shape, by_joints)
    shared = [torch.einsum("nrmk,nmks->nrs", rows, shape)]
    if problem.layout.focal:
        shared.append(rows.new_zeros(*rows.shape[:2], 1))
    if problem.layout.offsets:
        index = torch.tensor(OFFSET_LANDMARKS)
        moved = posed.G[:, problem.rig.main_bone[index]]
        shared.append(torch.einsum("nrok,nokc->nroc", rows[:, :, index], moved).flatten(2))
    return _Rows(
        (residual * root).flatten(1),
        torch.einsum("nrmk,nmkc->nrc", rows, J3),
        group.columns,
        torch.cat(shared, dim=2),
    )
