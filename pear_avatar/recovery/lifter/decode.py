"""The network's outputs -> rotations, shape, face and place of the body."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.geometry.rotations import axis_angle_to_matrix, rotation_6d_to_matrix
from pear_avatar.recovery.lifter.features import Box
from pear_avatar.recovery.lifter.lifter_network import Outputs

_LOG_DEPTH = (-3.0, 4.0)


@dataclass(frozen=True)
class Lifted:
    """B bodies in the camera's world (y up, camera at the origin looking along -z).

    rotations (B, 55, 3, 3); betas (B, 16); head_scale, hand_scale (B, 3); actions (B, 52);
    pelvis (B, 3) metres.
    """

    rotations: Tensor
    betas: Tensor
    head_scale: Tensor
    hand_scale: Tensor
    actions: Tensor
    pelvis: Tensor


@dataclass(frozen=True)
class FaceBasis:
    """Facial actions of a body: coef (52, E) expression, pose (52, 9) jaw and eye turns."""

    coef: Tensor
    pose: Tensor

    def turns(self, actions: Tensor, gaze: Tensor) -> Tensor:
        """(B, 3, 3, 3) rotations of jaw, left and right eye: the actions', then the gaze's."""
        turns = (actions @ self.pose).unflatten(-1, (3, 3))
        pitch_yaw = gaze.unflatten(-1, (2, 2))
        eyes = torch.cat([pitch_yaw, torch.zeros_like(pitch_yaw[..., :1])], -1)
        return axis_angle_to_matrix(torch.cat([turns[:, :1], turns[:, 1:] + eyes], 1))


def decode(out: Outputs, box: Box, face: FaceBasis) -> Lifted:
    """Turn outputs of the network for a box into a body."""
    flip = out.body.new_tensor([-1.0, 1.0, 1.0])
    body = rotation_6d_to_matrix(out.body.float().unflatten(-1, (-1, 6)))
    left = rotation_6d_to_matrix(out.left_fingers.float().unflatten(-1, (-1, 6)))
    right = rotation_6d_to_matrix(out.right_fingers.float().unflatten(-1, (-1, 6)))
    left = left * flip[:, None] * flip
    actions = out.actions.float()
    root = box.turn @ body[:, 0]
    rotations = torch.cat(
        [root[:, None], body[:, 1:], face.turns(actions, out.gaze.float()), left, right], 1
    )
    camera = out.camera.float()
    depth = camera[:, 2].clamp(*_LOG_DEPTH).exp() / box.size
    ray = box.center + 0.5 * box.size[:, None] * camera[:, :2]
    pelvis = torch.stack([ray[:, 0], -ray[:, 1], -torch.ones_like(depth)], -1) * depth[:, None]
    scales = out.scales.float().clamp(-0.5, 0.5).exp()
    return Lifted(rotations, out.betas.float(), scales[:, :3], scales[:, 3:], actions, pelvis)
