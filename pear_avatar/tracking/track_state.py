"""The unknowns of a clip and how a linear step changes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.tracking.observations import OFFSET_LANDMARKS
from pear_avatar.tracking.priors import Dofs
from pear_avatar.tracking.rig import PointRig, PosedRig, pose_rig, shift_points

ROOT, TRANSL, ANGLES = 0, 3, 6
"""First columns of the root's turn, the translation and the joint angles in a frame's step."""


@dataclass(frozen=True)
class TrackState:
    """Everything that is solved for, over N frames.

    root:       (N, 3, 3) world rotation of the pelvis; transl (N, 3) metres.
    theta:      (N, 55, 3) local axis-angle of every joint; row 0 is zero (see ``root``).
    expression: (N, E); betas (S,).
    log_focal:  () change of the focal length's natural log.
    offsets:    (O, 3) metres, where the clip's pose landmarks lie off the body's own, in the
                axes of the bone that carries each.
    """

    root: Tensor
    transl: Tensor
    theta: Tensor
    expression: Tensor
    betas: Tensor
    log_focal: Tensor
    offsets: Tensor

    def rotations(self) -> Tensor:
        """(N, 55, 3, 3) local rotations, the root first."""
        local = axis_angle_to_matrix(self.theta[:, 1:])
        return torch.cat([self.root[:, None], local], dim=1)

    def pose(self, rig: PointRig) -> PosedRig:
        """Forward kinematics of a rig's points, pose landmarks with their offsets."""
        posed = pose_rig(rig, self.rotations(), self.transl, self.betas, self.expression)
        if not len(self.offsets):
            return posed
        return shift_points(rig, posed, torch.tensor(OFFSET_LANDMARKS), self.offsets)


@dataclass(frozen=True)
class Layout:
    """Which unknowns a solve moves: per frame 6 + D + E columns, and the shared ones."""

    dofs: Dofs
    num_expression: int
    num_betas: int
    focal: bool
    offsets: bool

    @property
    def frame_size(self) -> int:
        """Unknowns P per frame."""
        return ANGLES + self.dofs.count + self.num_expression

    @property
    def expression_start(self) -> int:
        """First expression column."""
        return ANGLES + self.dofs.count

    @property
    def offset_start(self) -> int:
        """First shared column of the landmark offsets."""
        return self.num_betas + int(self.focal)

    def shared_size(self, num_offset_points: int) -> int:
        """Shared unknowns S."""
        return self.offset_start + (3 * num_offset_points if self.offsets else 0)


def retract(state: TrackState, layout: Layout, frames: Tensor, shared: Tensor) -> TrackState:
    """Take a step: frames (N, P) and shared (S,)."""
    dofs, E, S = layout.dofs, layout.num_expression, layout.num_betas
    theta = state.theta.clone()
    theta[:, dofs.joint, dofs.axis] += frames[:, ANGLES : ANGLES + dofs.count]
    expression = state.expression.clone()
    expression[:, :E] += frames[:, layout.expression_start :]
    betas = state.betas.clone()
    betas[:S] += shared[:S]
    offsets = state.offsets
    if layout.offsets:
        offsets = offsets + shared[layout.offset_start :].reshape(offsets.shape)
    return TrackState(
        root=axis_angle_to_matrix(frames[:, ROOT:TRANSL]) @ state.root,
        transl=state.transl + frames[:, TRANSL:ANGLES],
        theta=theta,
        expression=expression,
        betas=betas,
        log_focal=state.log_focal + (shared[S] if layout.focal else 0.0),
        offsets=offsets,
    )


def frame_steps(state: TrackState, layout: Layout) -> Tensor:
    """(N-1, P): what every unknown moves by from each frame to the next."""
    turn = matrix_to_axis_angle(state.root[1:] @ state.root[:-1].transpose(1, 2))
    dofs = layout.dofs
    values = [
        state.transl,
        state.theta[:, dofs.joint, dofs.axis],
        state.expression[:, : layout.num_expression],
    ]
    return torch.cat([turn, torch.cat(values, dim=1).diff(dim=0)], dim=1)
