"""Pictures that lie on their side or stand on their head: people found after turning them."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from pear_avatar.geometry.cameras import invert_rigid
from pear_avatar.types import BodyParams, Camera

__all__ = ["QUARTER_TURNS", "turn_boxes_back", "turn_picture", "turned_camera", "upright_params"]

#: In the order in which they are tried: as it is, upside down, on either side.
QUARTER_TURNS = (0, 2, 1, 3)


def turn_picture(rgb: np.ndarray, quarter_turns: int) -> np.ndarray:
    """The (H, W, 3) picture turned anticlockwise by so many times 90 degrees."""
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns))


def turned_camera(camera: Camera, quarter_turns: int) -> Camera:
    """The camera that took the turned picture: the same lens at the same place, rolled.

    Args:
        camera: of the original picture, without batch axes.
        quarter_turns: as in :func:`turn_picture`.
    """
    K, width, height = camera.K.clone(), camera.width, camera.height
    for _ in range(quarter_turns % 4):
        # Anticlockwise by 90 degrees: (u, v) goes to (v, width - u).
        fx, fy, cx, cy = K[0, 0].clone(), K[1, 1].clone(), K[0, 2].clone(), K[1, 2].clone()
        K[0, 0], K[1, 1], K[0, 2], K[1, 2] = fy, fx, cy, width - cx
        width, height = height, width
    T = camera.T_camera_world.new_zeros(4, 4)
    T[:3, :3] = _roll(quarter_turns, camera.T_camera_world)
    T[3, 3] = 1.0
    return Camera(K, T @ camera.T_camera_world, width, height)


def _roll(quarter_turns: int, like: Tensor) -> Tensor:
    """(3, 3) from the given camera's axes to those of the camera of the turned picture."""
    angle = -quarter_turns % 4 * math.pi / 2
    c, s = round(math.cos(angle)), round(math.sin(angle))
    return like.new_tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def upright_params(params: BodyParams, pelvis: Tensor, looked: Camera, given: Camera) -> BodyParams:
    """The person in the world of the original picture.

    Recovery worked with the camera of the turned picture as if it stood upright.

    Args:
        params: without batch axes, in the world of ``looked``.
        pelvis: (3,) rest position of the person's pelvis, about which the body turns.
        looked: the camera recovery assumed for the turned picture.
        given: the true camera, rolled by :func:`turned_camera`, in the given picture's world.
    """
    T = invert_rigid(given.T_camera_world) @ looked.T_camera_world
    rotations = params.rotations.clone()
    rotations[0] = T[:3, :3] @ params.rotations[0]
    transl = T[:3, :3] @ (params.transl + pelvis) + T[:3, 3] - pelvis
    return BodyParams(params.betas, params.expression, rotations, transl)


def turn_boxes_back(
    boxes_xyxy: np.ndarray, quarter_turns: int, width: int, height: int
) -> np.ndarray:
    """(..., 4) boxes of the turned picture in the given one of ``width`` x ``height`` pixels."""
    boxes = np.asarray(boxes_xyxy, np.float32)
    # Undone one quarter at a time: (u, v) of the turned picture was (width_before - v, u).
    sizes = [(width, height) if k % 2 == 0 else (height, width) for k in range(quarter_turns % 4)]
    for width_before, _ in reversed(sizes):
        x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)
        boxes = np.stack([width_before - y1, x0, width_before - y0, x1], axis=-1)
    return boxes
