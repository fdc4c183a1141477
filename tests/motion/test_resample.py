"""Motions at another frame rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from pear_avatar.motion.resample import evenly_spaced, resample_motion
from pear_avatar.types import BodyParams, Motion


def swing(count: int, fps: float) -> Motion:
    """An arm that turns at a constant rate while the body moves along x, for one second."""
    t = torch.linspace(0, 1, count)
    axis_angle = torch.zeros(count, 55, 3)
    axis_angle[:, JOINT_INDEX["left_shoulder"], 2] = -1.2 + t
    params = BodyParams(
        torch.zeros(10),
        torch.zeros(count, 10),
        axis_angle_to_matrix(axis_angle),
        torch.stack([t, 0 * t, 0 * t], 1),
    )
    return Motion(params, np.arange(count) / fps, "swing")


@pytest.mark.parametrize("fps", [7.0, 20.0, 60.0])
def test_resampling_keeps_the_ends_and_the_speed(fps: float) -> None:
    resampled, rows = resample_motion(swing(21, fps=20.0), fps)
    assert resampled.params.num_frames == math.floor(fps * 1.0 + 1e-6) + 1
    assert np.allclose(np.diff(resampled.time), 1 / fps)
    assert rows[0] == 0
    assert rows.max() <= 20
    x = resampled.params.transl[:, 0]
    assert np.allclose(x, resampled.time, atol=1e-5)
    expected = axis_angle_to_matrix(torch.stack([0 * x, 0 * x, x - 1.2], 1))
    joint = resampled.params.rotations[:, JOINT_INDEX["left_shoulder"]]
    assert geodesic_angle(joint, expected).max() < 1e-3


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), 1e6])
def test_impossible_rates_are_refused(fps: float) -> None:
    with pytest.raises(ValueError, match="frame rate"):
        resample_motion(swing(3, 20.0), fps)


def test_a_single_frame_stays_itself() -> None:
    motion = swing(1, 20.0)
    assert resample_motion(motion, 60.0)[0] is motion


@pytest.mark.parametrize("missing", [{1}, {3, 4, 9}, {28}])
def test_frames_that_are_missing_are_filled_in_and_it_is_said(missing):
    whole = swing(31, 30.0)
    kept = [k for k in range(31) if k not in missing]
    gappy = Motion(whole.params[torch.tensor(kept)], whole.time[kept], "gappy")
    even, said = evenly_spaced(gappy)
    assert even.params.num_frames == 31
    assert "resampled to 31 frames at 30 a second" in said
    # The arm turns at a constant rate: what lies between two frames is known exactly.
    assert (even.params.rotations - whole.params.rotations).abs().max() < 1e-5


@pytest.mark.parametrize("fps", [23.976, 30.0, 120.0])
def test_even_motions_stay_as_they_are(fps):
    whole = swing(31, fps)
    rounded = Motion(whole.params, np.round(whole.time, 3), "milliseconds")
    for motion in (whole, rounded):
        assert evenly_spaced(motion) == (motion, "")
