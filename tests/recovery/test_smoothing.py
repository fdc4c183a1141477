"""Filters: still input stays still, noise shrinks, motion is not held back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from pear_avatar.recovery.smoothing import (
    ROTATION,
    OneEuro,
    RotationFilter,
    gaussian_rotations,
    gaussian_vectors,
    one_euro_rotations,
    one_euro_vectors,
)

TIME = np.arange(60) / 30.0


def waving(noise: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(60, 2, 3, 3) a joint that waves and one that is still: true and noisy."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.zeros(60, 2, 3, dtype=torch.float64)
    angle[:, 0, 2] = 1.2 * torch.sin(torch.from_numpy(TIME) * math.pi)
    clean = axis_angle_to_matrix(angle)
    shake = axis_angle_to_matrix(
        noise * torch.randn(60, 2, 3, generator=generator, dtype=torch.float64)
    )
    return clean, clean @ shake


def jitter(rotations: torch.Tensor) -> float:
    """Mean second difference, radians."""
    step = rotations[:-1].transpose(-1, -2) @ rotations[1:]
    return float(geodesic_angle(step[:-1], step[1:]).mean())


@given(st.lists(st.integers(1, 4), max_size=2), st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_any_batch_shape_and_a_still_person_stays_still(batch: list[int], frames: int) -> None:
    one = axis_angle_to_matrix(torch.tensor([0.4, -2.0, 1.0], dtype=torch.float64))
    still = one.expand(frames, *batch, 3, 3)
    time = np.arange(frames) / 25.0
    for smooth in (
        one_euro_rotations(still, time, ROTATION),
        gaussian_rotations(still, time, 0.04),
    ):
        assert smooth.shape == still.shape
        assert torch.allclose(smooth, still, atol=1e-9)
    vectors = torch.ones(frames, *batch, 3, dtype=torch.float64)
    assert torch.allclose(one_euro_vectors(vectors, time, ROTATION), vectors)
    assert torch.allclose(gaussian_vectors(vectors, time, 0.04), vectors)


@pytest.mark.parametrize("kind", ["one-euro", "gaussian"])
def test_noise_shrinks_and_the_wave_stays(kind: str) -> None:
    clean, noisy = waving(0.03)
    if kind == "gaussian":
        smooth = gaussian_rotations(noisy, TIME, 1 / 30)
    else:
        smooth = one_euro_rotations(noisy, TIME, ROTATION)
    assert jitter(smooth) < 0.45 * jitter(noisy)
    error = geodesic_angle(smooth, clean)
    assert float(error.mean()) < float(geodesic_angle(noisy, clean).mean())
    # The wave turns by up to 0.13 rad a frame: less than half a frame of lag or loss.
    assert float(error[:, 0].mean()) < 0.045


def test_forward_only_is_what_a_live_filter_gives() -> None:
    _, noisy = waving(0.03, seed=1)
    whole = one_euro_rotations(noisy, TIME, ROTATION, both_ways=False)
    live = RotationFilter(ROTATION)
    for i, t in enumerate(TIME):
        assert torch.equal(live(noisy[i], float(t)), whole[i])


def test_results_are_rotations() -> None:
    _, noisy = waving(0.3, seed=2)
    for smooth in (
        one_euro_rotations(noisy, TIME, ROTATION),
        gaussian_rotations(noisy, TIME, 2 / 30),
    ):
        product = smooth @ smooth.transpose(-1, -2)
        assert torch.allclose(product, torch.eye(3, dtype=torch.float64).expand_as(product))
        assert torch.allclose(torch.linalg.det(smooth), torch.ones(60, 2, dtype=torch.float64))


def test_quick_motion_passes_and_slow_motion_is_held() -> None:
    settings = OneEuro(min_cutoff=1.0, beta=2.0)
    slow = torch.zeros(30, 1, dtype=torch.float64)
    slow[15:] = 0.001  # one millimetre
    quick = slow * 500
    time = np.arange(30) / 30.0

    def share(values: torch.Tensor) -> float:
        """How much of the step is done in the frame in which it happens."""
        done = one_euro_vectors(values, time, settings, both_ways=False)
        return float(done[15, 0] / values[15, 0])

    assert share(slow) < 0.25
    assert share(quick) > 0.5


def test_uneven_frame_times_count() -> None:
    values = torch.tensor([[0.0], [1.0], [2.0], [3.0]], dtype=torch.float64)
    near = gaussian_vectors(values, np.array([0.0, 0.01, 5.0, 5.01]), 0.02)
    assert near[:2].max() < 1.0
    assert near[2:].min() > 2.0
