"""One optimiser step: rates over time and the update of every parameter."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pear_avatar.fitting.adam import DenseAdam
from pear_avatar.fitting.fit_scene import Leaves, Pose
from pear_avatar.fitting.fit_state import FitState, parameter

_ADAM = DenseAdam()
_WARM_UP = 30
_DECAY_FROM, _FINAL_RATE = 0.55, 0.05


def rate_factor(step: int, total: int) -> float:
    """Warm-up, a plateau, then exponential decay to 5 %; step counts from 1."""
    u = step / max(1, total)
    warm = min(1.0, step / _WARM_UP)
    return warm * (
        1.0 if u < _DECAY_FROM else _FINAL_RATE ** ((u - _DECAY_FROM) / (1 - _DECAY_FROM))
    )


def frame_of_step(step: int, indices: list[int], seed: int) -> int:
    """Which crop a step (from 0) looks at: each epoch is a new shuffle, the same on resuming."""
    epoch, position = divmod(step, len(indices))
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return indices[int(torch.randperm(len(indices), generator=generator)[position])]


def background_of_step(step: int, seed: int) -> Tensor:
    """(3,) a colour drawn for this step, the same on resuming."""
    generator = torch.Generator().manual_seed(seed * 7_919 + step)
    return torch.rand(3, generator=generator)


@torch.no_grad()
def update_dense(
    state: FitState,
    leaves: Leaves,
    rates: Mapping[str, Tensor | float],
    count: int,
    seen: Tensor | None,
) -> None:
    """Adam on splats, betas and focal length; ``seen`` (N,) scales the splats' steps.

    The steps, not the gradients: Adam would undo a scaled gradient.

    rates: name -> learning rate, a number or one an element; names that are absent, or whose leaf
    has no gradient, stay.
    """
    for name, rate in rates.items():
        source = leaves.splats[name] if name in leaves.splats else getattr(leaves, name)
        grad = source.grad
        if grad is None:
            continue
        share = seen if name in leaves.splats else None
        _ADAM.step(
            parameter(state, name), state.moments[name], grad, rate, count=count, share=share
        )


@torch.no_grad()
def update_pose(
    state: FitState,
    i: int,
    pose: Pose,
    rates: Mapping[str, Tensor | float],
    only: Mapping[str, Tensor] | None = None,
) -> None:
    """Row-wise Adam on the pose correction of crop i.

    Args:
        state: changed in place.
        i: the crop.
        pose: its leaves after the backward pass.
        rates: those of :func:`pear_avatar.fitting.step_sizes.pose_rates`.
        only: name -> the numbers of a row that may move; names that are absent stay. None
            moves all.
    """
    for name, rate in rates.items():
        grad = getattr(pose, name).grad
        if grad is not None and (only is None or name in only):
            columns = None if only is None else only[name]
            state.poses[name].step(i, grad.reshape(-1), rate, columns)


class ClothUpdater:
    """Collects vertex-offset gradients over a few steps, then moves the cloth smoothly.

    The linear solve behind a smooth step costs as much as a rendering, the offsets change
    slowly, and the mean over several frames is the better gradient anyway.
    """

    def __init__(self, state: FitState, limit: float, every: int) -> None:
        """``limit``: largest offset (m); ``every``: steps per update."""
        self._sum = torch.zeros_like(state.cloth.values)
        self._pending = 0
        self._limit, self._every = limit, every

    @torch.no_grad()
    def add(self, state: FitState, leaves: Leaves, rate: Tensor | float) -> None:
        """Take one step's gradient; moves the offsets on every ``every``-th call."""
        if leaves.vertex_offsets.grad is None:
            return
        self._sum += leaves.vertex_offsets.grad
        self._pending += 1
        if self._pending == self._every:
            state.cloth.step(self._sum / self._every, rate)
            values = state.cloth.values
            length = values.norm(dim=-1, keepdim=True).clamp_min(1e-9)
            values.mul_((self._limit / length).clamp_max(1.0))
            self._sum.zero_()
            self._pending = 0
