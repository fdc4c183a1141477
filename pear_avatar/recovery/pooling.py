"""One person in many frames: one shape for all, placed so that every picture stays right."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.body.ehm import EhmModel
from pear_avatar.geometry.cameras import to_camera
from pear_avatar.recovery.recovered import PoseEstimate
from pear_avatar.types import BodyParams, Proportions

__all__ = ["pool_person"]

#: Trunk, arms and legs place a body; fingers and face follow.
_BODY = slice(0, 22)


def pool_person(recovered: PoseEstimate, weight: Tensor, body: EhmModel) -> PoseEstimate:
    """The same person with the mean of their shapes in every frame.

    Each frame's body is then moved to where its joints are seen nearest to where they were seen
    with the frame's own shape: mostly nearer or farther away.

    Args:
        recovered: one person in N frames.
        weight: (N,) >= 0, how much each frame's shape counts; equal weights where all are zero.
        body: that the parameters are for.

    Returns:
        betas (S,), scales (3,), and what else there is per frame.
    """
    params, proportions = recovered.params, recovered.proportions
    weight = weight.to(params.betas)
    if float(weight.sum()) <= 0:
        weight = torch.ones_like(weight)
    weight = weight / weight.sum()

    def mean(values: Tensor | None) -> Tensor | None:
        return None if values is None else torch.tensordot(weight, values, dims=1)

    def geometric(values: Tensor) -> Tensor:
        return torch.tensordot(weight, values.clamp_min(1e-3).log(), dims=1).exp()

    betas = torch.tensordot(weight, params.betas, dims=1)
    pooled = Proportions(
        geometric(proportions.head_scale),
        geometric(proportions.hand_scale),
        mean(proportions.head_betas),
        mean(proportions.joint_offsets),
    )
    rotations, transl = params.rotations, params.transl
    before = body.shape(params.betas, None, proportions).pose(rotations, transl).joints
    after = body.shape(betas, None, pooled).pose(rotations, transl).joints
    move = _aligning_move(
        to_camera(recovered.camera, after[..., _BODY, :]),
        to_camera(recovered.camera, before[..., _BODY, :]),
    )
    R = recovered.camera.T_camera_world[..., :3, :3]
    shared = BodyParams(
        betas, params.expression, rotations, transl + (move[..., None, :] @ R)[..., 0, :]
    )
    return replace(recovered, params=shared, proportions=pooled)


def _aligning_move(points: Tensor, targets: Tensor) -> Tensor:
    """(N, 3) metres by which to move (N, P, 3) points so that a camera at the origin sees them
    nearest to (N, P, 3) targets.

    Along the ray of a target (a, b, 1) it asks x + m_x = a (z + m_z) and y + m_y = b (z + m_z),
    linear in the move; rows count by the inverse of the target's depth, as pixels do.
    """
    depth = targets[..., 2:].clamp_min(1e-2)
    ray = targets[..., :2] / depth
    weight = 1.0 / depth
    rows = []
    for axis in range(2):
        unit = torch.zeros_like(targets)
        unit[..., axis] = 1.0
        unit[..., 2] = -ray[..., axis]
        rows.append(unit * weight)
    A = torch.cat(rows, dim=-2)
    gap = ray * points[..., 2:] - points[..., :2]
    b = torch.cat([gap[..., :1] * weight, gap[..., 1:] * weight], dim=-2)
    return torch.linalg.lstsq(A, b).solution[..., 0]
