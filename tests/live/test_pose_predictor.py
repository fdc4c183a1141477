"""Prediction between and ahead of detections."""

from __future__ import annotations

import math

import torch

from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.live.pose_predictor import PosePredictor
from pear_avatar.types import BodyParams


def turning(time: float, speed: float) -> BodyParams:
    """Every joint turns about y, the body walks along x."""
    aa = torch.zeros(55, 3)
    aa[:, 1] = speed * time
    return BodyParams(
        torch.zeros(2), torch.zeros(3), axis_angle_to_matrix(aa), torch.tensor([time, 0.0, 0.0])
    )


def angle(a: BodyParams, b: BodyParams) -> float:
    step = matrix_to_axis_angle(a.rotations.transpose(-1, -2) @ b.rotations)
    return float(step.norm(dim=-1).max())


def test_nothing_is_known_before_the_first_detection() -> None:
    assert PosePredictor().at(1.0) is None


def test_the_first_detection_is_shown_as_it_is() -> None:
    predictor = PosePredictor()
    predictor.push(turning(0.0, 1.0), 0.0)
    found = predictor.at(0.5)
    assert found is not None
    assert angle(found, turning(0.0, 1.0)) < 1e-6


def test_a_steady_turn_is_followed_with_less_lag_than_holding() -> None:
    """25 detections a second that arrive 60 ms late."""
    speed, late = 1.5, 0.06
    predictor = PosePredictor()
    held = ahead = 0.0
    for k in range(50):
        now = k / 25
        predictor.push(turning(now - late, speed), now - late)
        if k > 25:
            shown, unmoved = predictor.at(now), predictor.at(now - late)
            assert shown is not None
            assert unmoved is not None
            ahead = max(ahead, angle(shown, turning(now, speed)))
            held = max(held, angle(unmoved, turning(now, speed)))
    assert ahead < 0.7 * held


def test_motion_ends_where_detections_end() -> None:
    predictor = PosePredictor()
    for k in range(10):
        predictor.push(turning(k / 25, 3.0), k / 25)
    a, b = predictor.at(5.0), predictor.at(6.0)
    assert a is not None
    assert b is not None
    assert angle(a, b) < 1e-6
    assert angle(a, turning(9 / 25, 3.0)) < 3.0 * 0.12


def test_a_jump_of_the_detector_is_not_carried_on() -> None:
    predictor = PosePredictor()
    still, jumped = turning(0.0, 0.0), turning(1.0, math.pi)
    predictor.push(still, 0.0)
    predictor.push(still, 0.04)
    predictor.push(jumped, 0.08)
    shown = predictor.at(0.12)
    assert shown is not None
    # One frame of the fastest believable turn at most beyond the filtered pose.
    filtered = predictor.at(0.08)
    assert filtered is not None
    assert angle(shown, filtered) < 12.0 * 0.04


def test_an_older_time_is_left_out() -> None:
    predictor = PosePredictor()
    predictor.push(turning(0.2, 1.0), 0.2)
    predictor.push(turning(0.1, 5.0), 0.1)
    assert predictor.last_time == 0.2
