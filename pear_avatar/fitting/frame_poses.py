"""Poses of frames the appearance fit did not see."""

from __future__ import annotations

import bisect
from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.fitting.adam import RowAdam
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Leaves, Pose, Scene, leaves_of, render_frame, stored_pose
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.objective import image_loss
from pear_avatar.fitting.step_sizes import pose_rates


def zero_pose(state: FitState) -> Pose:
    """No correction: the pose as tracked."""
    stored = stored_pose(state, 0)
    return Pose(*(torch.zeros_like(x) for x in vars(stored).values()))


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
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return Pose(*(torch.lerp(x, y, w) for x, y in pairs))


def refit_pose(scene: Scene, state: FitState, i: int, start: Pose, config: FittingConfig) -> Pose:
    """Fit crop i's pose alone to its picture, everything else held: measures appearance only."""
    tables = {name: _table_of(value) for name, value in vars(start).items()}
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
        for name, rate in steps.items():
            table, grad = tables[name], getattr(pose, name).grad
            if grad is not None:
                table.step(0, grad.flatten(), rate)
    return _pose_of(tables)


def _table_of(values: Tensor) -> RowAdam:
    """An optimiser of one row that starts at some values."""
    row = values.detach().reshape(1, -1).clone()
    mean, square, count = (torch.zeros_like(row) for _ in range(3))
    return RowAdam(row, mean, square, count, beta1=0.9)


def _pose_of(tables: dict[str, RowAdam]) -> Pose:
    values = {name: table.values[0] for name, table in tables.items()}
    return Pose(values["rotations"].view(-1, 3), values["transl"], values["expression"])
