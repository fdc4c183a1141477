"""Which vertices are the body, the hands and the face of a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.body.model import BodyModel

__all__ = ["MeshParts", "parts_by_skinning"]

_FIRST_LEFT_FINGER, _FIRST_RIGHT_FINGER = 25, 40
_FACE_JOINTS = tuple(JOINT_INDEX[n] for n in ("head", "jaw", "left_eye", "right_eye"))


@dataclass(frozen=True)
class MeshParts:
    """Rows (K,) int64 of a mesh's parts, and the joint at which each is brought together.

    The published tables (MANO's and FLAME's vertices within SMPL-X) come with the licensed
    models; hands count from the wrist on, the face is the whole of FLAME.
    """

    left_hand: Tensor
    right_hand: Tensor
    face: Tensor
    root: int = JOINT_INDEX["pelvis"]
    left_wrist: int = JOINT_INDEX["left_wrist"]
    right_wrist: int = JOINT_INDEX["right_wrist"]
    neck: int = JOINT_INDEX["neck"]


def parts_by_skinning(body: BodyModel) -> MeshParts:
    """The parts of any body with the package's joints: what moves most with fingers and head.

    Raises:
        ValueError: a body of other joints.
    """
    if body.num_joints != NUM_JOINTS:
        raise ValueError(f"parts need {NUM_JOINTS} joints, this body has {body.num_joints}")
    weights = body.skin_weights_t

    def rows(joints: list[int]) -> Tensor:
        return torch.nonzero(weights[joints].sum(0) > 0.5).squeeze(-1)

    left, right = _FIRST_LEFT_FINGER, _FIRST_RIGHT_FINGER
    return MeshParts(
        left_hand=rows([JOINT_INDEX["left_wrist"], *range(left, right)]),
        right_hand=rows([JOINT_INDEX["right_wrist"], *range(right, NUM_JOINTS)]),
        face=rows(list(_FACE_JOINTS)),
    )
