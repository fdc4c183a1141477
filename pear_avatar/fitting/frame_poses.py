"""Poses of frames the appearance fit did not see."""

from __future__ import annotations

import bisect

import torch

from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Leaves, Pose, Scene, leaves_of, render_frame, stored_pose
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.objective import image_loss

#: Adam's first rates for rotations (rad) and translation (m) of a refitted pose
_REFIT_RATES = (1.2e-2, 8e-3)


def zero_pose() -> Pose:
    """No correction: the pose as tracked."""
    return Pose(torch.zeros(55, 3), torch.zeros(3))


def interpolated_pose(state: FitState, fitted: list[int], i: int) -> Pose:
    """Crop i's own correction if it was fitted, else its fitted neighbours' in between.

    ``fitted``: ascending crop positions. Beyond the first and last one the nearest is used.
    """
    k = bisect.bisect_left(fitted, i)
    if k < len(fitted) and fitted[k] == i:
        return stored_pose(state, i)
    before, after = fitted[max(0, k - 1)], fitted[min(k, len(fitted) - 1)]
    a, b = stored_pose(state, before), stored_pose(state, after)
    w = 0.0 if after == before else min(1.0, max(0.0, (i - before) / (after - before)))
    return Pose(torch.lerp(a.rotations, b.rotations, w), torch.lerp(a.transl, b.transl, w))


def refit_pose(scene: Scene, state: FitState, i: int, start: Pose, config: FittingConfig) -> Pose:
    """Fit crop i's pose alone to its picture, everything else held: measures appearance only."""
    pose = start.leaf()
    optimiser = torch.optim.Adam(
        [
            {"params": [parameter], "lr": rate}
            for parameter, rate in zip((pose.rotations, pose.transl), _REFIT_RATES, strict=True)
        ],
        betas=(0.9, 0.95),
    )
    generator = torch.Generator().manual_seed(config.seed + i)
    target = scene.target(i)
    for k in range(config.refit_steps):
        for group, rate in zip(optimiser.param_groups, _REFIT_RATES, strict=True):
            group["lr"] = rate * 0.05 ** (k / config.refit_steps)
        fixed = leaves_of(state, pose, refine=frozenset())
        leaves = Leaves(**{**vars(fixed), "pose": pose})
        background = torch.rand(3, generator=generator).to(scene.device)
        out = render_frame(scene, state, i, leaves, background=background)
        moved = (pose.rotations - start.rotations).square().sum()
        loss = image_loss(out, background, target, config) + config.loss.pose_prior * moved
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Pose(pose.rotations.detach(), pose.transl.detach())
