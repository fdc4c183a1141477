"""Avatars that follow: proportions, floor, face, switches."""

from __future__ import annotations

import torch
from live_people import plain_avatar, standing_body

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.live.puppet import DriveSettings, Neutral, Puppet
from pear_avatar.types import BodyParams


def neutral(body) -> Neutral:
    return Neutral(torch.eye(3), body.params.transl + body.rest_pelvis)


def joints_of(puppet: Puppet, params: BodyParams) -> torch.Tensor:
    shaped = puppet.avatar.body.shape(None, params.expression)
    return shaped.pose(params.rotations, params.transl).joints


def test_a_child_takes_shorter_steps_and_stands_on_the_floor() -> None:
    start = standing_body()
    settings = DriveSettings(mirror=False, lock_feet=False)
    for child, share in ((False, 1.0), (True, 0.6)):
        puppet = Puppet(plain_avatar(child=child))
        first = puppet.pose(start, settings, neutral(start), 0.0)
        there = standing_body(1.0, transl=(0.6, 0.2, -3.0))
        second = puppet.pose(there, settings, neutral(start), 1.0)
        way = second.transl - first.transl
        assert abs(float(way[0]) - 0.5 * share) < 1e-4
        lowest = joints_of(puppet, first)[:, 1].min()
        assert 0.0 < float(lowest) < 0.05  # the sole is below the lowest joint


def test_a_mirror_moves_the_other_arm_and_the_other_eye() -> None:
    body = plain_avatar().body
    actions = torch.zeros(52)
    actions[body.arkit_names.index("eyeBlinkLeft")] = 1.0
    R = torch.eye(3).repeat(55, 1, 1)
    R[JOINT_INDEX["left_shoulder"]] = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    driven = standing_body(rotations=R, actions=actions)
    straight = Puppet(plain_avatar()).pose(
        driven, DriveSettings(mirror=False), neutral(driven), 0.0
    )
    mirror = Puppet(plain_avatar()).pose(driven, DriveSettings(mirror=True), neutral(driven), 0.0)
    puppet = Puppet(plain_avatar())
    a, b = joints_of(puppet, straight), joints_of(puppet, mirror)
    assert a[JOINT_INDEX["left_wrist"], 1] < 1.2 < a[JOINT_INDEX["right_wrist"], 1]
    assert b[JOINT_INDEX["right_wrist"], 1] < 1.2 < b[JOINT_INDEX["left_wrist"], 1]
    right = actions[:].clone().zero_()
    right[body.arkit_names.index("eyeBlinkRight")] = 1.0
    assert torch.allclose(mirror.expression, right @ body.arkit_coef, atol=1e-5)


def test_switches_put_parts_at_rest() -> None:
    R = torch.eye(3).repeat(55, 1, 1)
    R[:] = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    driven = standing_body(rotations=R, actions=torch.ones(52))
    settings = DriveSettings(hands=False, face=False)
    params = Puppet(plain_avatar()).pose(driven, settings, neutral(driven), 0.0)
    assert torch.allclose(params.rotations[25:], torch.eye(3).expand(30, 3, 3))
    assert not params.expression.any()


def test_a_jump_leaves_the_floor_and_comes_back() -> None:
    puppet, settings = Puppet(plain_avatar()), DriveSettings(mirror=False)
    start = standing_body()
    heights = []
    for k in range(100):
        up = (
            0.3 * max(0.0, float(torch.sin(torch.tensor((k - 50) / 15 * 3.14159))))
            if (50 <= k < 65)
            else 0.0
        )
        body = standing_body(k / 50, transl=(0.1, 0.2 + up, -3.0))
        params = puppet.pose(body, settings, neutral(start), k / 50)
        heights.append(float(joints_of(puppet, params)[:, 1].min()))
    assert max(heights[50:65]) > 0.2
    assert abs(heights[-1] - heights[40]) < 0.05
