"""Keypoints over time -> one shape and a smooth pose for each frame.

As in tracking, each frame's rotations and translation minimise robust distances to the points seen
and squared deviations from a usual pose (Levenberg-Marquardt with analytic derivatives); bone
lengths give the shape. Smoothness comes from pulling every frame towards a local parabola through
its neighbours in time, which keeps accelerations and takes out jitter; frames without points
follow it alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_NAMES, NUM_JOINTS
from pear_avatar.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
)
from pear_avatar.motion.keypoints.first_pose import first_pose
from pear_avatar.motion.keypoints.local_course import smoothed
from pear_avatar.motion.keypoints.rigid_points import RigidPoints

__all__ = ["SolvedPoints", "solve_points"]

#: Metres beyond which a point's pull fades: a swapped or lost point.
_KERNEL = 0.12
#: Frames solved at once; the derivatives of 75 points by 52 joints fill 0.1 GB.
_AT_ONCE = 256
_STEPS, _LATER_STEPS, _ROUNDS = 12, 4, 3
#: Radians and metres within which frames follow the local parabola.
_SMOOTH_TURN, _SMOOTH_SHIFT = 0.03, 0.008
#: Radians about a joint's x, y, z (left, up, forward in the T-pose) around its mean.
_SPREAD: dict[str, tuple[float, float, float]] = {
    "pelvis": (9, 9, 9), "spine": (0.25, 0.2, 0.2), "neck": (0.3, 0.3, 0.25),
    "head": (0.35, 0.45, 0.3), "collar": (0.1, 0.18, 0.22), "shoulder": (1.2, 1.2, 1.2),
    "elbow": (0.6, 1.5, 0.12), "wrist": (0.4, 0.4, 0.5), "hip": (1.2, 0.7, 0.6),
    "knee": (1.5, 0.15, 0.08), "ankle": (0.4, 0.25, 0.25), "foot": (0.2, 0.04, 0.04),
    "finger": (0.15, 0.25, 0.9), "thumb": (0.4, 0.5, 0.5),
}  # fmt: skip
#: How much the usual pose weighs against a point that is off by its sigma.
_PRIOR_WEIGHT = 0.5
_BENDS = {"elbow": (0.0, -0.5, 0.0), "knee": (0.3, 0.0, 0.0), "shoulder": (0.0, 0.0, -0.6)}
#: Points that hold a frame; fewer leave it to its neighbours. Frames that show no course.
_ENOUGH, _FEW = 4.0, 4


@dataclass(frozen=True)
class SolvedPoints:
    """Rotations (N, 55, 3, 3), the pelvis' shift (N, 3), and metres of misfit (N,), NaN unseen."""

    rotations: Tensor
    transl: Tensor
    misfit: np.ndarray


@dataclass(frozen=True)
class _Problem:
    """Some frames of a clip: the joints that turn (J,), usual turns (J, 3), points, a goal."""

    points: RigidPoints
    turned: Tensor
    mean: Tensor
    stiffness: Tensor
    seen: Tensor
    weight: Tensor
    goal: tuple[Tensor, Tensor] | None = None

    def part(self, frames: slice) -> _Problem:
        goal = None if self.goal is None else (self.goal[0][frames], self.goal[1][frames])
        return replace(self, seen=self.seen[frames], weight=self.weight[frames], goal=goal)

    def pulls(self, off: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (N, K) and weight (N, K) of points that are (N, K, 3) metres off."""
        square = (off**2).sum(-1)
        share = _KERNEL**2 / (_KERNEL**2 + square)
        scale = self.weight / self.points.sigma**2
        return scale * square * share, scale * share * share

    def turns(self, R: Tensor) -> Tensor:
        """(N, J, 3) deviations of the joints from their usual turns."""
        return matrix_to_axis_angle(R[:, self.turned]) - self.mean

    def from_goal(self, R: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """How far turns (N, J, 3) and shifts (N, 3) are from where the neighbours want them."""
        assert self.goal is not None
        back = self.goal[0][:, self.turned].transpose(-1, -2) @ R[:, self.turned]
        return matrix_to_axis_angle(back), t - self.goal[1]

    def energy(self, R: Tensor, t: Tensor) -> Tensor:
        """(N,)"""
        off = self.points.points(R, t) - self.seen
        total = self.pulls(off)[0].sum(-1) + (self.stiffness * self.turns(R) ** 2).sum((-1, -2))
        if self.goal is not None:
            turn, shift = self.from_goal(R, t)
            total = total + (turn**2).sum((-1, -2)) / _SMOOTH_TURN**2
            total = total + (shift**2).sum(-1) / _SMOOTH_SHIFT**2
        return total

    def equations(self, R: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Gauss-Newton matrix (N, D, D) and gradient (N, D); turns first, then the shift."""
        found, J = self.points.jacobian(R, t, self.turned)
        off = found - self.seen
        pull = self.pulls(off)[1]
        weighted = J * pull[..., None, None]
        flat = J.flatten(1, 2)
        H = weighted.flatten(1, 2).transpose(-1, -2) @ flat
        g = (weighted.flatten(1, 2).transpose(-1, -2) @ off.flatten(1)[..., None])[..., 0]
        count = self.turned.numel() * 3
        diagonal = torch.zeros_like(g)
        diagonal[:, :count] = self.stiffness.flatten()
        g[:, :count] += (self.stiffness * self.turns(R)).flatten(1)
        if self.goal is not None:
            turn, shift = self.from_goal(R, t)
            diagonal[:, :count] += 1 / _SMOOTH_TURN**2
            diagonal[:, count:] += 1 / _SMOOTH_SHIFT**2
            g[:, :count] += turn.flatten(1) / _SMOOTH_TURN**2
            g[:, count:] += shift / _SMOOTH_SHIFT**2
        return H + torch.diag_embed(diagonal), g

    def moved(self, R: Tensor, t: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """The frames after a step (N, D), whose turns are kept below a radian."""
        turns = step[:, :-3].unflatten(-1, (-1, 3))
        turns = turns / turns.norm(dim=-1, keepdim=True).clamp_min(1.0)
        out = R.clone()
        out[:, self.turned] = R[:, self.turned] @ axis_angle_to_matrix(turns)
        return out, t + step[:, -3:]


def solve_points(
    points: RigidPoints, seen: Tensor, weight: Tensor, times: np.ndarray
) -> SolvedPoints:
    """Solve every frame of a clip.

    Args:
        points: of the shaped body.
        seen: (N, K, 3) metres, y up; zeros where the weight is 0.
        weight: (N, K) in [0, 1]; 0 for points that are missing.
        times: (N,) seconds.
    """
    turned = _turned(points)
    problem = _Problem(points, turned, *_usual_pose(turned), seen, weight)
    enough = weight.sum(1) >= _ENOUGH
    state = first_pose(points, seen, weight)
    state = _steps(problem, state, _STEPS)
    for _ in range(_ROUNDS if len(times) > _FEW else 0):
        goal = smoothed(*state, times, enough)
        state = _steps(replace(problem, goal=goal), state, _LATER_STEPS)
    off = (points.points(*state) - seen).norm(dim=-1)
    mass = weight.sum(1)
    misfit = torch.where(mass > 0, (off * weight).sum(1) / mass.clamp_min(1e-9), torch.nan)
    return SolvedPoints(*state, misfit.numpy())


def _turned(points: RigidPoints) -> Tensor:
    """(J,) the joints that are solved for: the body's, and those of fingers with points below."""
    moves = torch.zeros(NUM_JOINTS, dtype=torch.bool)
    moves[:22] = True
    away = points.offsets.norm(dim=-1) > 0
    for j in range(25, NUM_JOINTS):
        moves[j] = bool((points.above[:, j].bool() & ((points.rides != j) | away)).any())
    return torch.nonzero(moves).squeeze(-1)


def _usual_pose(turned: Tensor) -> tuple[Tensor, Tensor]:
    """Means (J, 3) and weights (J, 3) of the joints' axis-angle vectors."""
    means, weights = [], []
    for j in turned.tolist():
        side, _, part = JOINT_NAMES[j].rpartition("_")
        part = part.rstrip("123")
        mirror = np.array([1.0, -1.0, -1.0] if side == "right" else [1.0, 1.0, 1.0])
        means.append(np.array(_BENDS.get(part, (0.0, 0.0, 0.0))) * mirror)
        weights.append(_PRIOR_WEIGHT / np.array(_SPREAD.get(part, _SPREAD["finger"])) ** 2)
    return torch.from_numpy(np.stack(means)), torch.from_numpy(np.stack(weights))


def _steps(problem: _Problem, state: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
    """At most ``count`` damped steps for all frames, some frames at a time."""
    done = []
    for start in range(0, len(state[0]), _AT_ONCE):
        frames = slice(start, start + _AT_ONCE)
        done.append(_minimise(problem.part(frames), state[0][frames], state[1][frames], count))
    return torch.cat([R for R, _ in done]), torch.cat([t for _, t in done])


def _minimise(problem: _Problem, R: Tensor, t: Tensor, count: int) -> tuple[Tensor, Tensor]:
    damping = torch.full((len(R), 1), 1e-2, dtype=torch.float64)
    best = problem.energy(R, t)
    for _ in range(count):
        H, g = problem.equations(R, t)
        damped = H + torch.diag_embed(damping * H.diagonal(dim1=-2, dim2=-1) + 1e-6)
        R_new, t_new = problem.moved(R, t, torch.linalg.solve(damped, -g))
        value = problem.energy(R_new, t_new)
        better = value < best
        R = torch.where(better[:, None, None, None], R_new, R)
        t = torch.where(better[:, None], t_new, t)
        best = torch.where(better, value, best)
        damping = torch.where(better[:, None], damping * 0.3, damping * 8).clamp(1e-7, 1e5)
    return R, t
