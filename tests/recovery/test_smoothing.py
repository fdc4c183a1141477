"""Steadying rotations and vectors: for files (both ways in time) and live (backwards only)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from pear_avatar.recovery.smoothing import (
    OneEuro,
    gaussian_body,
    gaussian_rotations,
    gaussian_vectors,
    one_euro_both_ways,
    one_euro_clip,
    one_euro_rotations,
    one_euro_vectors,
)
from pear_avatar.types import BodyParams


def turning(count: int, shape: tuple[int, ...] = ()) -> torch.Tensor:
    """(N, *shape, 3, 3) a steady turn about y through a half turn and beyond."""
    angle = torch.linspace(-3.5, 3.5, count).reshape(count, *[1] * len(shape)).expand(count, *shape)
    zero = torch.zeros_like(angle)
    return axis_angle_to_matrix(torch.stack([zero, angle, zero], -1))


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 20),
    shape=st.lists(st.integers(1, 3), max_size=2),
    sigma=st.floats(0.0, 3.0),
)
def test_any_shape_keeps_its_shape_and_constants_stay(
    count: int, shape: list[int], sigma: float
) -> None:
    values = torch.full((count, *shape), 2.5)
    torch.testing.assert_close(gaussian_vectors(values, sigma), values)
    R = turning(1, tuple(shape)).expand(count, *shape, 3, 3)
    torch.testing.assert_close(gaussian_rotations(R, sigma), R, atol=1e-5, rtol=0)


def test_a_steady_turn_passes_unchanged_through_half_turns() -> None:
    R = turning(60)
    smooth = gaussian_rotations(R, 1.0)
    # Away from the ends the window is symmetric, and the mean of a steady turn is its middle.
    assert geodesic_angle(R, smooth)[5:-5].max() < 1e-3


def test_noise_shrinks_as_a_gaussian_says() -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = axis_angle_to_matrix(0.05 * torch.randn(400, 4, 3, generator=generator))
    eye = torch.eye(3).expand_as(noisy)
    before = geodesic_angle(noisy, eye).square().mean().sqrt()
    after = geodesic_angle(gaussian_rotations(noisy, 2.0), eye).square().mean().sqrt()
    # A Gaussian of sigma s leaves 1 / sqrt(2 s sqrt(pi)) of white noise.
    assert float(after / before) == pytest.approx(1 / np.sqrt(4 * np.sqrt(np.pi)), rel=0.15)


def test_frames_without_trust_take_their_neighbours_values() -> None:
    values = torch.arange(10.0)[:, None].clone()
    weight = torch.ones(10)
    values[4:6], weight[4:6] = 1e3, 0
    smooth = gaussian_vectors(values, 1.0, weight)
    assert 2 < smooth[4, 0] < 5
    assert 4 < smooth[5, 0] < 7
    R = turning(30)
    weight = torch.ones(30)
    R[10:20], weight[10:20] = torch.diag(torch.tensor([1.0, -1, -1])), 0
    bridged = gaussian_rotations(R, 1.0, weight)
    assert geodesic_angle(bridged[12], R[9]) < 0.3


def test_a_clip_nobody_trusts_is_left_alone() -> None:
    values = torch.randn(5, 3)
    assert torch.equal(gaussian_vectors(values, 2.0, torch.zeros(5)), values)


def body_of(rotations: torch.Tensor) -> BodyParams:
    N = len(rotations)
    return BodyParams(torch.zeros(4), torch.zeros(N, 52), rotations, torch.zeros(N, 3))


def test_bodies_are_smoothed_in_every_part() -> None:
    params = body_of(turning(12, (55,)))
    smooth = gaussian_body(params, 1.0)
    assert smooth.rotations.shape == params.rotations.shape
    assert torch.equal(smooth.betas, params.betas)


def test_the_live_filter_calms_what_stands_still_and_follows_what_moves() -> None:
    generator = torch.Generator().manual_seed(0)
    time = np.arange(120) / 30
    still = axis_angle_to_matrix(0.03 * torch.randn(120, 55, 3, generator=generator))
    steady = one_euro_clip(body_of(still), time).rotations
    eye = torch.eye(3).expand(60, 55, 3, 3)
    before, after = (geodesic_angle(x[60:], eye).mean() for x in (still, steady))
    assert after < 0.6 * before

    fast = turning(60)[:, None].expand(60, 55, 3, 3)  # 3.5 rad/s
    lag = geodesic_angle(one_euro_clip(body_of(fast), time[:60]).rotations, fast)[30:]
    assert lag.max() < 0.25  # about two frames


def test_the_live_filter_restarts_when_time_does_not_increase() -> None:
    settings_ = OneEuro()
    first = one_euro_vectors(None, torch.zeros(3), 1.0, settings_)
    again = one_euro_vectors(first, torch.ones(3), 1.0, settings_)
    assert torch.equal(again.value, torch.ones(3))
    turned = one_euro_rotations(None, turning(3)[0], 0.0)
    back = one_euro_rotations(turned, turning(3)[2], -1.0)
    assert torch.equal(back.value, turning(3)[2])


def test_filtered_rotations_stay_rotations() -> None:
    generator = torch.Generator().manual_seed(1)
    wild = axis_angle_to_matrix(3 * torch.randn(50, 2, 3, generator=generator))
    state = None
    for i in range(50):
        state = one_euro_rotations(state, wild[i], i / 30)
    assert state is not None
    product = state.value @ state.value.transpose(-1, -2)
    torch.testing.assert_close(product, torch.eye(3).expand(2, 3, 3), atol=1e-4, rtol=0)


def test_both_ways_steadies_without_lag() -> None:
    time = np.arange(60) / 30.0
    angle = torch.zeros(60, 55, 3, dtype=torch.float64)
    angle[:, 16, 2] = 1.2 * torch.sin(torch.from_numpy(time) * math.pi)
    clean = axis_angle_to_matrix(angle)
    shake = torch.randn(60, 55, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noisy = clean @ axis_angle_to_matrix(0.03 * shake)
    zeros = torch.zeros(60, 3, dtype=torch.float64)
    params = BodyParams(torch.zeros(4, dtype=torch.float64), zeros, noisy, zeros + 1.0)
    one_way, both = one_euro_clip(params, time), one_euro_both_ways(params, time)
    assert torch.allclose(both.transl, params.transl)  # what is still stays still

    def error(rotations: torch.Tensor, joint: int) -> float:
        return float(geodesic_angle(rotations[:, joint], clean[:, joint]).mean())

    assert error(both.rotations, 16) < 0.7 * error(one_way.rotations, 16)
    assert error(both.rotations, 5) < 0.7 * error(noisy, 5)
    product = both.rotations @ both.rotations.transpose(-1, -2)
    assert torch.allclose(product, torch.eye(3, dtype=torch.float64).expand_as(product))
