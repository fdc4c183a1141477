"""A person recovered from a turned picture lands where the given picture shows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.recovery.turning import (
    turn_boxes_back,
    turn_picture,
    turned_camera,
    upright_params,
)
from pear_avatar.types import BodyParams, Camera

WIDTH, HEIGHT = 640, 400


def given_camera() -> Camera:
    K = intrinsics(700.0, WIDTH, HEIGHT)
    K[0, 2] += 30.0  # an off-centre principal point must follow the turn
    return Camera(K, default_world_camera(), WIDTH, HEIGHT)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_turned_pixels_and_turned_camera_agree(turns: int) -> None:
    camera = given_camera()
    point = torch.tensor([[0.31, -0.2, -3.0]])
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    u, v = project(camera, point)[0][0].tolist()
    picture[int(v), int(u)] = 255
    turned = turn_picture(picture, turns)
    row, column = np.argwhere(turned[..., 0])[0]
    rolled = turned_camera(camera, turns)
    assert (rolled.height, rolled.width) == turned.shape[:2]
    px = project(rolled, point)[0][0].numpy()
    assert np.abs(px - (column + 0.5, row + 0.5)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_person_is_seen_in_the_same_pixels(turns: int) -> None:
    body, camera = load_body(), given_camera()
    rolled = turned_camera(camera, turns)
    # What recovery assumes of the turned picture: its own lens, standing upright.
    looked = Camera(rolled.K, default_world_camera(), rolled.width, rolled.height)
    rotations = torch.eye(3).repeat(55, 1, 1)
    rotations[0] = axis_angle_to_matrix(torch.tensor([0.2, 0.7, -0.1]))
    rotations[16] = axis_angle_to_matrix(torch.tensor([0.0, 0.0, -1.0]))
    params = BodyParams(torch.zeros(5), torch.zeros(3), rotations, torch.tensor([0.2, 0.1, -4.0]))
    shaped = body.shape(params.betas)
    moved = upright_params(params, shaped.joints[0], looked, rolled)
    assert moved.transl.shape == (3,)
    before = project(looked, shaped.pose(params.rotations, params.transl).joints)[0]
    after = project(rolled, shaped.pose(moved.rotations, moved.transl).joints)[0]
    assert (before - after).abs().max() < 1e-2  # pixels; float32 at 700 px focal length


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_boxes_turn_back(turns: int) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[50:120, 200:420] = 255
    rows, columns = np.nonzero(turn_picture(picture, turns)[..., 0])
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert turn_boxes_back(box, turns, WIDTH, HEIGHT).tolist() == [200, 50, 420, 120]
