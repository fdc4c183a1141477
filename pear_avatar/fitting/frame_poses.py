"""Poses of frames the appearance fit did not see."""

from __future__ import annotations

import bisect
from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.fitting.adam import RowAdam
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Leaves, Pose, Scene, leaves_of, render_frame, stored_pose
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.objective import image_loss
from pear_avatar.fitting.step_sizes import pose_rates


def zero_pose() -> Pose:
    """No correction: the pose as tracked."""
    return Pose(torch.zeros(NUM_JOINTS, 3), torch.zeros(3))


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
    tables = {name: _table_of(getattr(start, name)) for name in ("rotations", "transl")}
    rates = replace(config.rates, pose_px=config.rates.refit_px)
    generator = torch.Generator().manual_seed(config.seed + i)
    target = scene.target(i)
    for k in range(config.refit_steps):
        pose = _pose_of(tables).leaf()
        fixed = leaves_of(state, pose, refine=frozenset())
        leaves = Leaves(**{**vars(fixed), "pose": pose})
        background = torch.rand(3, generator=generator).to(scene.device)
        out = render_frame(scene, state, i, leaves, background=background)
        moved = (pose.rotations - start.rotations).square().sum()
        loss = image_loss(out, background, target, config) + config.loss.pose_prior * moved
        loss.backward()
        steps = pose_rates(scene.step_sizes, rates, i, 0.05 ** (k / config.refit_steps))
        for (name, table), rate in zip(tables.items(), steps, strict=True):
            table.step(0, getattr(pose, name).grad.flatten(), rate)
    return _pose_of(tables)


def _table_of(values: Tensor) -> RowAdam:
    """An optimiser of one row that starts at some values."""
    row = values.detach().reshape(1, -1).clone()
    return RowAdam(row, torch.zeros_like(row), torch.zeros_like(row), row.new_zeros(1), beta1=0.9)


def _pose_of(tables: dict[str, RowAdam]) -> Pose:
    return Pose(tables["rotations"].values[0].view(-1, 3), tables["transl"].values[0])
