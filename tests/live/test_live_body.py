"""Hands that come and go, legs that are not seen, mirrors."""

from __future__ import annotations

import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX, MIRROR
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.live.live_body import HandMemory, mirrored, mirrored_names, with_legs
from pear_avatar.recovery.lifter.lifter import relaxed_fingers


def fist() -> torch.Tensor:
    aa = torch.zeros(55, 3)
    aa[25:40, 2], aa[40:, 2] = -1.2, 1.2
    return axis_angle_to_matrix(aa)


def turned(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(matrix_to_axis_angle(a.transpose(-1, -2) @ b).norm(dim=-1).max())


def test_a_lost_hand_is_held_and_then_relaxes() -> None:
    memory = HandMemory()
    shown = memory.apply(fist(), (True, True), 0.0)
    assert turned(shown[25:], fist()[25:]) < 1e-3
    rest = torch.eye(3).repeat(55, 1, 1)
    for k in range(1, 10):  # 0.36 s: still held
        shown = memory.apply(rest, (False, True), k / 25)
    assert turned(shown[25:40], fist()[25:40]) < 1e-3
    for k in range(10, 100):
        shown = memory.apply(rest, (False, True), k / 25)
    assert turned(shown[25:40], relaxed_fingers()[:15]) < 0.02
    assert turned(shown[40:], rest[40:]) < 1e-3  # the hand that is seen follows


def test_a_hand_that_returns_does_not_pop() -> None:
    memory = HandMemory()
    memory.apply(torch.eye(3).repeat(55, 1, 1), (True, True), 0.0)
    last, most = memory.apply(fist(), (False, False), 0.04), 0.0
    for k in range(2, 12):
        shown = memory.apply(fist(), (True, True), k / 25)
        most, last = max(most, turned(last[25:], shown[25:])), shown
    assert most <= 14.0 / 25 + 1e-3
    assert turned(last[25:], fist()[25:]) < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_a_mirror_reflects_every_joint(seed: int) -> None:
    body = load_body()
    generator = torch.Generator().manual_seed(seed)
    R = axis_angle_to_matrix(0.4 * torch.randn(55, 3, generator=generator))
    t = torch.randn(3, generator=generator)
    M, u = mirrored(R, t)
    shaped = body.shape(torch.zeros(body.num_betas))
    a = shaped.pose(R, t).joints
    b = shaped.pose(M, u).joints
    flip = torch.tensor([-1.0, 1.0, 1.0])
    # The template is symmetric to some tenths of a millimetre.
    assert (b - (a * flip)[list(MIRROR)]).norm(dim=-1).max() < 1e-3
    again, back = mirrored(M, u)
    assert torch.allclose(again, R, atol=1e-6)
    assert torch.allclose(back, t)


def test_actions_change_sides() -> None:
    names = load_body().arkit_names
    other = mirrored_names(names)
    assert names[other[names.index("eyeBlinkLeft")]] == "eyeBlinkRight"
    assert names[other[names.index("jawOpen")]] == "jawOpen"
    assert [other[k] for k in other] == list(range(len(names)))


def test_unseen_legs_stand_or_sit_and_the_trunk_keeps_its_lean() -> None:
    body = load_body()
    aa = torch.zeros(55, 3)
    aa[0] = torch.tensor([0.4, 0.0, 0.0])
    aa[JOINT_INDEX["left_knee"], 0] = 1.0
    R = axis_angle_to_matrix(aa)
    standing, followed = with_legs(R, "stand", 0.0, False)
    assert not followed
    shaped = body.shape(torch.zeros(body.num_betas))
    joints = shaped.pose(standing, torch.zeros(3)).joints
    hip, ankle = (joints[JOINT_INDEX[f"left_{n}"]] for n in ("hip", "ankle"))
    assert float((hip - ankle)[1] / (hip - ankle).norm()) > 0.97  # the leg is upright
    spine = standing[0] @ standing[JOINT_INDEX["spine1"]]
    assert turned(spine, R[0] @ R[JOINT_INDEX["spine1"]]) < 1e-3
    sitting, _ = with_legs(R, "sit", 1.0, True)
    joints = shaped.pose(sitting, torch.zeros(3)).joints
    knee, ankle = (joints[JOINT_INDEX[f"left_{n}"]] for n in ("knee", "ankle"))
    hip = joints[JOINT_INDEX["left_hip"]]
    assert float((knee - hip)[2]) > 0.3
    assert float((knee - ankle)[1]) > 0.3


def test_auto_legs_have_two_thresholds() -> None:
    R = torch.eye(3).repeat(55, 1, 1)
    assert not with_legs(R, "auto", 0.5, False)[1]
    assert with_legs(R, "auto", 0.7, False)[1]
    assert with_legs(R, "auto", 0.5, True)[1]
    assert not with_legs(R, "auto", 0.3, True)[1]
    assert with_legs(R, "track", 0.0, False)[1]
