"""Steadying motion that was recovered frame by frame: one-euro filters and a Gaussian mean.

The one-euro filter (Casiez, Roussel and Vogel, CHI 2012) is a low-pass whose cut-off rises with
speed: slow motion is held still, quick motion is followed without lag. Rotations are filtered on
the sphere: the step from the last filtered rotation to the new one is shortened, and its angle
over time is the speed. For files a filter runs forward and backward and the two are averaged, so
that nothing lags; live input can only be filtered forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pear_avatar.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_quat_wxyz,
    quat_wxyz_to_matrix,
    slerp_wxyz,
)
from pear_avatar.recovery.types import Recovered
from pear_avatar.types import BodyParams

__all__ = [
    "LiveSmoother",
    "OneEuro",
    "RotationFilter",
    "VectorFilter",
    "gaussian_rotations",
    "gaussian_vectors",
    "one_euro_rotations",
    "one_euro_vectors",
    "smooth_recovered",
]

#: Frames beyond this many standard deviations do not count in the Gaussian mean.
_REACH = 3.0
_SHORTEST_STEP = 1e-4


@dataclass(frozen=True)
class OneEuro:
    """Settings of a one-euro filter.

    min_cutoff: Hz, of motionless input; lower is steadier.
    beta:       Hz per unit of speed (rad/s, m/s or 1/s); higher lags less.
    speed_cutoff: Hz, of the low-pass on the speed itself.
    """

    min_cutoff: float
    beta: float
    speed_cutoff: float = 1.0

    def gain(self, speed: Tensor, step: float) -> Tensor:
        """Share of the way to the new value, for a step of so many seconds."""
        return _gain(self.min_cutoff + self.beta * speed, step)


ROTATION = OneEuro(min_cutoff=1.2, beta=0.6)
TRANSLATION = OneEuro(min_cutoff=0.8, beta=2.0)
EXPRESSION = OneEuro(min_cutoff=2.0, beta=0.5)


def _gain(cutoff: Tensor | float, step: float) -> Tensor:
    r = 2.0 * math.pi * step * torch.as_tensor(cutoff)
    return r / (r + 1.0)


class VectorFilter:
    """A one-euro filter for (..., D) vectors whose D values move together."""

    def __init__(self, settings: OneEuro) -> None:
        self._settings = settings
        self._last: Tensor | None = None
        self._speed = torch.zeros(())
        self._time = 0.0

    def __call__(self, value: Tensor, time: float) -> Tensor:
        """The filtered value at ``time`` seconds, which must not decrease."""
        last = self._last
        step, self._time = max(time - self._time, _SHORTEST_STEP), time
        if last is None:
            self._last, self._speed = value, torch.zeros_like(value[..., :1])
            return value
        speed = (value - last).norm(dim=-1, keepdim=True) / step
        self._speed = self._speed + _gain(self._settings.speed_cutoff, step) * (speed - self._speed)
        self._last = last + self._settings.gain(self._speed, step) * (value - last)
        return self._last


class RotationFilter:
    """A one-euro filter for (..., 3, 3) rotations, each on its own."""

    def __init__(self, settings: OneEuro) -> None:
        self._settings = settings
        self._last: Tensor | None = None
        self._speed = torch.zeros(())
        self._time = 0.0

    def __call__(self, value: Tensor, time: float) -> Tensor:
        """The filtered rotations at ``time`` seconds, which must not decrease."""
        last = self._last
        step, self._time = max(time - self._time, _SHORTEST_STEP), time
        if last is None:
            self._last, self._speed = value, torch.zeros_like(value[..., 0, :1])
            return value
        turn = matrix_to_axis_angle(last.transpose(-1, -2) @ value)
        speed = turn.norm(dim=-1, keepdim=True) / step
        self._speed = self._speed + _gain(self._settings.speed_cutoff, step) * (speed - self._speed)
        gain = self._settings.gain(self._speed, step)
        self._last = last @ axis_angle_to_matrix(gain * turn)
        return self._last


def one_euro_vectors(
    values: Tensor, time: np.ndarray, settings: OneEuro, *, both_ways: bool = True
) -> Tensor:
    """Filter (N, ..., D) vectors over N frames at ``time`` (N,) seconds.

    both_ways: the mean of a forward and a backward run, without lag; else forward only.
    """
    forward = _run(VectorFilter(settings), values, time)
    if not both_ways:
        return forward
    backward = _run(VectorFilter(settings), values.flip(0), (time[-1] - time)[::-1]).flip(0)
    return (forward + backward) / 2


def one_euro_rotations(
    rotations: Tensor, time: np.ndarray, settings: OneEuro, *, both_ways: bool = True
) -> Tensor:
    """Filter (N, ..., 3, 3) rotations over N frames; see :func:`one_euro_vectors`."""
    forward = _run(RotationFilter(settings), rotations, time)
    if not both_ways:
        return forward
    backward = _run(RotationFilter(settings), rotations.flip(0), (time[-1] - time)[::-1]).flip(0)
    half = torch.full(forward.shape[:-2], 0.5, dtype=forward.dtype)
    mean = slerp_wxyz(matrix_to_quat_wxyz(forward), matrix_to_quat_wxyz(backward), half)
    return quat_wxyz_to_matrix(mean)


def _run(smoother: VectorFilter | RotationFilter, values: Tensor, time: np.ndarray) -> Tensor:
    return torch.stack([smoother(v, float(t)) for v, t in zip(values, time, strict=True)])


def gaussian_vectors(values: Tensor, time: np.ndarray, sigma: float) -> Tensor:
    """(N, ...) values -> their Gaussian mean over time; sigma in seconds."""
    weight = _gaussian(time, sigma).to(values)
    return torch.tensordot(weight, values, dims=1)


def gaussian_rotations(rotations: Tensor, time: np.ndarray, sigma: float) -> Tensor:
    """(N, ..., 3, 3) rotations -> their Gaussian mean over time; sigma in seconds.

    The mean is of quaternions brought to the hemisphere of each frame's own, which for the small
    spreads within a window is the mean on the sphere.
    """
    weight = _gaussian(time, sigma).to(rotations)
    quats = matrix_to_quat_wxyz(rotations)
    out = torch.empty_like(quats)
    for i in range(len(quats)):
        near = torch.nonzero(weight[i]).squeeze(-1)
        around = quats[near]
        side = torch.where((around * quats[i]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        out[i] = torch.tensordot(weight[i, near], around * side, dims=1)
    return quat_wxyz_to_matrix(torch.nn.functional.normalize(out, dim=-1))


def _gaussian(time: np.ndarray, sigma: float) -> Tensor:
    """(N, N) weights, rows summing to 1."""
    apart = np.abs(time[:, None] - time[None]) / sigma
    weight = np.where(apart <= _REACH, np.exp(-0.5 * apart**2), 0.0)
    return torch.from_numpy(weight / weight.sum(1, keepdims=True))


def smooth_recovered(
    recovered: Recovered, time: np.ndarray, kind: Literal["auto", "one-euro", "gaussian"]
) -> Recovered:
    """One person in N frames at ``time`` (N,) seconds, steadied; nothing lags behind.

    kind: "one-euro" (also "auto"), or "gaussian" with a standard deviation of one frame.
    """
    p = recovered.params
    if kind == "gaussian":
        sigma = float(np.median(np.diff(time)))
        params = BodyParams(
            p.betas,
            gaussian_vectors(p.expression, time, sigma),
            gaussian_rotations(p.rotations, time, sigma),
            gaussian_vectors(p.transl, time, sigma),
        )
    else:
        params = BodyParams(
            p.betas,
            one_euro_vectors(p.expression, time, EXPRESSION),
            one_euro_rotations(p.rotations, time, ROTATION),
            one_euro_vectors(p.transl, time, TRANSLATION),
        )
    return replace(recovered, params=params)


class LiveSmoother:
    """Steadies one person frame by frame."""

    def __init__(self) -> None:
        self._rotations = RotationFilter(ROTATION)
        self._transl = VectorFilter(TRANSLATION)
        self._expression = VectorFilter(EXPRESSION)

    def __call__(self, params: BodyParams, time: float) -> BodyParams:
        """The filtered parameters at ``time`` seconds; the shape is passed on as it is."""
        return BodyParams(
            params.betas,
            self._expression(params.expression, time),
            self._rotations(params.rotations, time),
            self._transl(params.transl, time),
        )
