"""Steadying motions that were recovered frame by frame, as pure functions.

Files are smoothed with a Gaussian over past and future frames; live video with the one-euro
filter (Casiez, Roussel and Vogel, "1€ Filter", 2012), which looks back only: slow motion is
smoothed much, fast motion little, so that it lags little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
from pear_avatar.types import BodyParams

__all__ = [
    "BodyFilterState",
    "OneEuro",
    "OneEuroState",
    "gaussian_body",
    "gaussian_rotations",
    "gaussian_vectors",
    "one_euro_body",
    "one_euro_both_ways",
    "one_euro_clip",
    "one_euro_rotations",
    "one_euro_vectors",
]

_LEAST_SIGMA = 1e-3  # frames; less changes nothing
_REACH = 3.0  # standard deviations after which a Gaussian is cut off


def gaussian_vectors(values: Tensor, sigma: float, weight: Tensor | None = None) -> Tensor:
    """Smooth (N, ...) values over their first axis.

    Args:
        values: one row per frame.
        sigma: standard deviation in frames; 0 changes nothing.
        weight: (N,) trust in each frame; frames of weight 0 take their neighbours' values.
    """
    N = values.shape[0]
    kernel = _kernel(N, sigma, values, weight)
    return (kernel @ values.reshape(N, -1)).reshape(values.shape)


def gaussian_rotations(rotations: Tensor, sigma: float, weight: Tensor | None = None) -> Tensor:
    """Smooth (N, *B, 3, 3) rotations over their first axis; see :func:`gaussian_vectors`.

    The weighted mean of unit quaternions, each taken on the half sphere of the frame in the
    middle; it departs from the true mean rotation by terms of third order in the spread.
    """
    N = rotations.shape[0]
    if sigma < _LEAST_SIGMA or N < 2:
        return rotations
    quats = matrix_to_quat_wxyz(rotations).reshape(N, -1, 4)
    kernel = _kernel(N, sigma, rotations, weight)
    reach = _reach(sigma)
    if weight is not None and bool((weight <= 0).any()):
        reach = N  # a gap may be bridged from far
    mean = torch.zeros_like(quats)
    for shift in range(-min(reach, N - 1), min(reach, N - 1) + 1):
        low, high = max(0, -shift), min(N, N - shift)
        here, there = quats[low:high], quats[low + shift : high + shift]
        amount = kernel.diagonal(shift)[:, None, None]
        sign = torch.where((here * there).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        mean[low:high] += amount * sign * there
    return quat_wxyz_to_matrix(mean).reshape(rotations.shape)


def gaussian_body(params: BodyParams, sigma: float, weight: Tensor | None = None) -> BodyParams:
    """Smooth a clip's pose, expression and translation (and betas, where there is one a frame)."""
    betas = params.betas
    return BodyParams(
        betas if betas.dim() == 1 else gaussian_vectors(betas, sigma, weight),
        gaussian_vectors(params.expression, sigma, weight),
        gaussian_rotations(params.rotations, sigma, weight),
        gaussian_vectors(params.transl, sigma, weight),
    )


def _reach(sigma: float) -> int:
    return max(1, math.ceil(_REACH * sigma))


def _kernel(count: int, sigma: float, like: Tensor, weight: Tensor | None) -> Tensor:
    """(N, N) rows of Gaussian weights summing to 1; gaps lean on the nearest trusted frames."""
    frame = torch.arange(count, dtype=like.dtype, device=like.device)
    apart = (frame[:, None] - frame).abs()
    if sigma < _LEAST_SIGMA:
        return torch.eye(count, dtype=like.dtype, device=like.device)
    kernel = torch.where(apart <= _reach(sigma), torch.exp(-0.5 * (apart / sigma) ** 2), 0.0)
    if weight is None:
        return kernel / kernel.sum(1, keepdim=True)
    trusted = weight > 0
    if not bool(trusted.any()):
        return torch.eye(count, dtype=like.dtype, device=like.device)
    kernel = kernel * weight.to(like)
    # A frame without a trusted frame in reach takes the nearest trusted one.
    empty = kernel.sum(1) <= 1e-6
    nearest = torch.where(trusted, apart, torch.inf).argmin(1)
    kernel[empty] = torch.nn.functional.one_hot(nearest[empty], count).to(like)
    return kernel / kernel.sum(1, keepdim=True)


@dataclass(frozen=True)
class OneEuro:
    """Settings of the filter.

    min_cutoff: Hz, how much a still value is smoothed. beta: Hz per unit of speed, how quickly
    smoothing gives way to motion. derivative_cutoff: Hz, smoothing of the speed itself.
    """

    min_cutoff: float = 1.5
    beta: float = 0.8
    derivative_cutoff: float = 1.0


#: Rotations in rad/s and translations in m/s.
ROTATION_FILTER = OneEuro(min_cutoff=1.5, beta=0.9)
TRANSL_FILTER = OneEuro(min_cutoff=1.0, beta=2.0)
EXPRESSION_FILTER = OneEuro(min_cutoff=3.0, beta=1.5)


@dataclass(frozen=True)
class OneEuroState:
    """What the filter remembers: the last value, its speed (per second), and when that was."""

    value: Tensor
    speed: Tensor
    time: float


def one_euro_vectors(
    state: OneEuroState | None, value: Tensor, time: float, settings: OneEuro
) -> OneEuroState:
    """Filter one more (*B, C) value; the answer is the new state's ``value``.

    Args:
        state: what the last call returned; None for the first value.
        time: seconds; must increase, else the value is taken as it is.
    """
    if state is None or not time > state.time:
        return OneEuroState(value, torch.zeros_like(value), time)
    span = time - state.time
    speed, amount = _blend((value - state.value) / span, state.speed, span, settings)
    return OneEuroState(state.value + amount * (value - state.value), speed, time)


def one_euro_rotations(
    state: OneEuroState | None, rotations: Tensor, time: float, settings: OneEuro = ROTATION_FILTER
) -> OneEuroState:
    """Filter one more set of (*B, 3, 3) rotations, in the tangent space of the last answer."""
    if state is None or not time > state.time:
        return OneEuroState(rotations, torch.zeros_like(rotations[..., 0]), time)
    span = time - state.time
    step = matrix_to_axis_angle(state.value.transpose(-1, -2) @ rotations)
    speed, amount = _blend(step / span, state.speed, span, settings)
    return OneEuroState(state.value @ axis_angle_to_matrix(amount * step), speed, time)


def _blend(
    speed: Tensor, last_speed: Tensor, span: float, settings: OneEuro
) -> tuple[Tensor, Tensor]:
    """The smoothed speed (*B, C), and which share (*B, 1) of the way to the new value to go."""
    keep = _share(torch.tensor(settings.derivative_cutoff), span)
    speed = last_speed + keep * (speed - last_speed)
    cutoff = settings.min_cutoff + settings.beta * speed.norm(dim=-1, keepdim=True)
    return speed, _share(cutoff, span)


def _share(cutoff: Tensor, span: float) -> Tensor:
    """Weight of the new value in a first-order low-pass filter of a cut-off frequency in Hz."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * span))


@dataclass(frozen=True)
class BodyFilterState:
    """The filters of one person in live video."""

    rotations: OneEuroState
    transl: OneEuroState
    expression: OneEuroState


def one_euro_body(
    state: BodyFilterState | None, params: BodyParams, time: float
) -> tuple[BodyFilterState, BodyParams]:
    """Filter one more frame (BodyParams with or without batch axes) of live video."""
    last = (
        (None, None, None) if state is None else (state.rotations, state.transl, state.expression)
    )
    state = BodyFilterState(
        one_euro_rotations(last[0], params.rotations, time),
        one_euro_vectors(last[1], params.transl, time, TRANSL_FILTER),
        one_euro_vectors(last[2], params.expression, time, EXPRESSION_FILTER),
    )
    steady = replace(
        params,
        rotations=state.rotations.value,
        transl=state.transl.value,
        expression=state.expression.value,
    )
    return state, steady


def one_euro_clip(params: BodyParams, time: np.ndarray) -> BodyParams:
    """Run the live filter over a whole clip of N frames taken at ``time`` (N,) seconds."""
    state: BodyFilterState | None = None
    frames = []
    for i in range(params.num_frames):
        state, steady = one_euro_body(state, params[i], float(time[i]))
        frames.append(steady)
    return BodyParams(
        params.betas,
        torch.stack([f.expression for f in frames]),
        torch.stack([f.rotations for f in frames]),
        torch.stack([f.transl for f in frames]),
    )


def one_euro_both_ways(params: BodyParams, time: np.ndarray) -> BodyParams:
    """The mean of a forward and a backward run of :func:`one_euro_clip`: steady, without lag."""
    forward = one_euro_clip(params, time)
    turned = BodyParams(
        params.betas, params.expression.flip(0), params.rotations.flip(0), params.transl.flip(0)
    )
    backward = one_euro_clip(turned, (time[-1] - time)[::-1])
    halfway = slerp_wxyz(
        matrix_to_quat_wxyz(forward.rotations),
        matrix_to_quat_wxyz(backward.rotations.flip(0)),
        torch.tensor(0.5).expand(forward.rotations.shape[:-2]),
    )
    return BodyParams(
        params.betas,
        (forward.expression + backward.expression.flip(0)) / 2,
        quat_wxyz_to_matrix(halfway),
        (forward.transl + backward.transl.flip(0)) / 2,
    )
