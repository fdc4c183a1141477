"""The terms of the joint fit's objective; each returns a scalar tensor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Leaves, Pose, Scene
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.splatting import l1_ssim_loss
from pear_avatar.types import RenderOutput

#: How firmly each joint's correction is held: fingers, jaw and eyes hardly show in a silhouette.
_JOINT_WEIGHT = torch.ones(55)
_JOINT_WEIGHT[22:25] = 6.0
_JOINT_WEIGHT[25:] = 3.0


@dataclass(frozen=True)
class PoseNeighbours:
    """Fitted crops before and after each fitted crop: row -> (previous, next) or None."""

    pairs: dict[int, tuple[int, int] | None]

    @staticmethod
    def of(indices: list[int]) -> PoseNeighbours:
        """Neighbours within one list of crops in time order."""
        inner = {b: (a, c) for a, b, c in zip(indices, indices[1:], indices[2:], strict=False)}
        return PoseNeighbours({i: inner.get(i) for i in indices})


def image_loss(
    out: RenderOutput,
    background: Tensor,
    target: tuple[Tensor, Tensor, Tensor],
    config: FittingConfig,
) -> Tensor:
    """L1 + SSIM against the target on the same background, plus L1 on alpha.

    ``out.color`` was composited over ``background`` (3,). Pixels with valid = 0 are replaced by
    the prediction itself, so that neither they nor the SSIM windows around them pull.
    """
    _, mask, valid = target
    prediction = out.color.permute(2, 0, 1)
    wanted = on_background(prediction, background, target)
    loss = l1_ssim_loss(prediction, wanted, weight_l1=config.loss.l1, weight_ssim=config.loss.ssim)
    return loss + config.loss.alpha * alpha_loss(out, mask, valid)


@torch.no_grad()
def on_background(
    prediction: Tensor, background: Tensor, target: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """(3, h, w) the target over a colour (3,), with the prediction itself where not valid."""
    color, mask, valid = target
    wanted = torch.lerp(background[:, None, None], color, mask)
    return torch.where(valid > 0.5, wanted, prediction)


def alpha_loss(out: RenderOutput, mask: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute difference of coverage and mask over valid pixels."""
    return ((out.alpha[..., 0] - mask).abs() * valid).mean()


def pose_loss(
    state: FitState, neighbours: PoseNeighbours, i: int, pose: Pose, config: FittingConfig
) -> Tensor:
    """Hold the correction near zero and near the mean of its neighbours' corrections."""
    w = config.loss
    prior = (pose.rotations.square().sum(-1) * _JOINT_WEIGHT.to(pose.rotations)).sum()
    loss = w.pose_prior * (prior + pose.transl.square().sum())
    pair = neighbours.pairs.get(i)
    if pair is not None:
        for name, now in (("rotations", pose.rotations.reshape(-1)), ("transl", pose.transl)):
            values = state.poses[name].values
            expected = 0.5 * (values[pair[0]] + values[pair[1]])
            loss = loss + w.pose_smooth * (now - expected).square().sum()
    return loss


def cloth_loss(leaves: Leaves, weights: Tensor, config: FittingConfig) -> Tensor:
    """Mean squared offset, weighted by vertex (V,): heavy on hands and face."""
    squared = leaves.vertex_offsets.square().sum(-1)
    return config.loss.vertex_offsets * (squared * weights).mean()


def shape_loss(leaves: Leaves, betas0: Tensor, config: FittingConfig) -> Tensor:
    """Hold the betas near the tracked ones."""
    return config.loss.betas_prior * (leaves.betas - betas0).square().sum()


def keypoint_loss(scene: Scene, landmarks_px: Tensor, i: int, config: FittingConfig) -> Tensor:
    """Robust distance of projected pose landmarks (33, 2) to the detected ones.

    Geman-McClure with a scale of 3 % of the crop's height: a wrong detection stops pulling.
    """
    wanted = scene.keypoints[i]
    scale = 0.03 * scene.frames.camera.height
    squared = ((landmarks_px - wanted[:, :2]) / scale).square().sum(-1)
    robust = squared / (1 + squared)
    weight = wanted[:, 2]
    return config.loss.keypoints * (robust * weight).sum() / weight.sum().clamp_min(1.0)


def splat_loss(leaves: Leaves, config: FittingConfig) -> Tensor:
    """Keep splat centres near the surface."""
    return config.loss.splat_offsets * leaves.splats["offsets"].square().sum(-1).mean()
