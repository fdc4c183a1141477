"""What training asks of the network, part by part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.body.topology import NUM_POSE
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.decode import FaceBasis, decode
from pear_avatar.recovery.lifter.features import Box
from pear_avatar.recovery.lifter.landmark_rig import LandmarkRig, Shape, make_rig
from pear_avatar.recovery.lifter.lifter_network import Outputs
from pear_avatar.training.lifter.samples import Target
from pear_avatar.training.lifter.views import to_rays

WEIGHTS = {
    "root": 2.0, "body": 3.0, "fingers": 2.0, "unseen": 0.6, "joints": 10.0, "pose_2d": 2.0,
    "face_2d": 2.0, "face_shape": 40.0, "actions": 1.0, "gaze": 2.0, "betas": 0.25, "scales": 2.0,
}  # fmt: skip

_FAR = 2.0  # boxes: landmarks thrown further away than this teach nothing more


@dataclass(frozen=True)
class Objective:
    """Losses against the truth; ``rig`` poses the network's answer, ``at_rest`` (22, 3, 3) is what
    limbs out of sight should do, ``action_dirs`` (52, F * 3) metres the face landmarks move."""

    rig: LandmarkRig
    face: FaceBasis
    at_rest: Tensor
    action_dirs: Tensor

    @classmethod
    def of(cls, body: BodyModel) -> Objective:
        """The objective for the open body."""
        face = FaceBasis(body.arkit_coef, body.arkit_pose)
        rig = make_rig(body, layout.NUM_BETAS, ("pose", "face"))
        return cls(rig, face, resting_body(), action_directions(body, face))

    def __call__(self, out: Outputs, box: Box, target: Target) -> dict[str, Tensor]:
        """Unweighted losses by name, each a mean over the batch."""
        lifted = decode(out, box, self.face)
        one = lifted.head_scale
        shape = Shape(lifted.betas, lifted.actions @ self.face.coef, one, lifted.hand_scale)
        _, joints, points = self.rig.pose(lifted.rotations, shape)
        points = points - joints[:, :1] + lifted.pelvis[:, None]
        joints = joints - joints[:, :1]
        seen = joint_weights(target)
        losses = self._rotations(lifted.rotations, target, seen)
        gap = (joints - target.joints).abs().sum(-1)
        losses["joints"] = (gap[:, 1:22] * seen[:, 1:22]).mean() + 0.5 * (
            (gap[:, 25:] * seen[:, 25:]).mean()
        )
        pose, face = points.split(self.rig.splits, 1)
        losses["pose_2d"] = _reprojection(
            pose, target.rays[:, :NUM_POSE], target.in_sight[:, :NUM_POSE], box
        )
        losses |= self._faces(face, lifted.actions, out.gaze.float(), target)
        losses["betas"] = (lifted.betas - target.betas).abs().mean()
        losses["scales"] = (out.scales.float() - target.scales).abs().mean()
        return losses

    def _rotations(self, R: Tensor, target: Target, seen: Tensor) -> dict[str, Tensor]:
        gap = (R - target.rotations).abs().mean((-1, -2))
        unseen = (1 - seen[:, 1:22]) * (R[:, 1:22] - self.at_rest[1:]).abs().mean((-1, -2))
        return {
            "root": gap[:, 0].mean(),
            "body": (gap[:, 1:22] * seen[:, 1:22]).mean(),
            "fingers": (gap[:, 25:] * seen[:, 25:]).mean(),
            "unseen": unseen.mean(),
        }

    def _faces(
        self, points: Tensor, actions: Tensor, gaze: Tensor, target: Target
    ) -> dict[str, Tensor]:
        found = target.face
        true = target.rays[:, NUM_POSE:]
        low, high = true.amin(1), true.amax(1)
        size = (high - low).amax(-1).clamp_min(1e-3)
        error = (to_rays(points) - true) / size[:, None, None]
        # Where the face as a whole lies is the body's business.
        error = (error - error.mean(1, keepdim=True)).abs().sum(-1).clamp_max(1.0)
        wrong = actions - target.actions
        moved = (wrong @ self.action_dirs).unflatten(-1, (-1, 3))
        shape = (moved.square().sum(-1) + 1e-8).sqrt().mean(1)
        return {
            "face_2d": (error.mean(1) * found).mean(),
            "face_shape": (shape * found).mean(),
            "actions": (wrong.square().mean(1) * found).mean(),
            "gaze": ((gaze - target.gaze).abs().mean(1) * found).mean(),
        }


def total(losses: dict[str, Tensor]) -> Tensor:
    """The weighted sum."""
    return torch.stack([WEIGHTS[name] * value for name, value in losses.items()]).sum()


def joint_weights(target: Target) -> Tensor:
    """(B, 55) 1 for joints of limbs in sight, else 0: a hidden limb cannot be predicted."""
    weight = torch.ones(len(target.rotations), NUM_JOINTS)
    for k, side in enumerate(("left", "right")):
        for name in ("elbow", "wrist"):
            weight[:, JOINT_INDEX[f"{side}_{name}"]] = target.arms[:, k]
        weight[:, JOINT_INDEX[f"{side}_shoulder"]] = target.arms[:, k]
        for name in ("hip", "knee", "ankle", "foot"):
            weight[:, JOINT_INDEX[f"{side}_{name}"]] = target.legs[:, k]
    weight[:, layout.LEFT_FINGERS] = target.hands[:, :1]
    weight[:, layout.RIGHT_FINGERS] = target.hands[:, 1:]
    return weight


def resting_body() -> Tensor:
    """(22, 3, 3) a standing person with hanging arms: the target of limbs out of sight."""
    aa = torch.zeros(layout.NUM_BODY_JOINTS, 3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        aa[JOINT_INDEX[f"{side}_shoulder"]] = torch.tensor([0.0, -0.10, -1.15]) * torch.tensor(
            [1.0, sign, sign]
        )
        aa[JOINT_INDEX[f"{side}_elbow"], 1] = -0.30 * sign
        aa[JOINT_INDEX[f"{side}_hip"], 2] = 0.04 * sign
    return axis_angle_to_matrix(aa)


def action_directions(body: BodyModel, face: FaceBasis) -> Tensor:
    """(52, F * 3) metres that each facial action at full strength moves the face landmarks."""
    rig = make_rig(body, layout.NUM_BETAS, ("face",))
    count = layout.NUM_ACTIONS
    actions = torch.cat([torch.zeros(1, count), torch.eye(count)])
    R = torch.eye(3).repeat(count + 1, NUM_JOINTS, 1, 1)
    R[:, 22:25] = face.turns(actions, torch.zeros(count + 1, layout.NUM_GAZE))
    one = torch.ones(count + 1, 3)
    shape = Shape(torch.zeros(count + 1, layout.NUM_BETAS), actions @ face.coef, one, one)
    points = rig.pose(R, shape)[2]
    return (points[1:] - points[:1]).flatten(1)


def _reprojection(points: Tensor, rays: Tensor, shown: Tensor, box: Box) -> Tensor:
    error = (to_rays(points) - rays) / box.size[:, None, None] * 2
    return (error.clamp(-_FAR, _FAR).abs().sum(-1) * shown).mean()
