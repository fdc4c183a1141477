"""The rows of head and hands that a choice of the body's vertices needs, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.landmarks import LandmarkPlan
from pear_avatar.body.model import BodyModel

__all__ = ["EhmPlan", "HandRows", "HeadRows", "PartRows", "head_rows"]

#: jaw and eyes: joints of the body, joints of the head, and their pose-corrective columns
BODY_TURNING = slice(JOINT_INDEX["jaw"], JOINT_INDEX["right_eye"] + 1)
HEAD_TURNING = slice(2, 5)


@dataclass(frozen=True)
class HeadRows:
    """H chosen head vertices; sizes of the head model as in its BodyModel.

    at:              (H,) places among the chosen vertices of the body.
    share:           (H, 1) how much of each is the new head's.
    turn, own_turn:  (3, H) weights of jaw, left eye, right eye in the head and in the body.
    template:        (H, 3); shape_dirs (H * 3, Sh); expression_dirs (H * 3, Eh).
    eyelid_dirs:     (H * 3, 2).
    pose_dirs, own_pose_dirs: (H * 3, 27) correctives of jaw and eyes, None without any.
    """

    at: Tensor
    share: Tensor
    turn: Tensor
    own_turn: Tensor
    template: Tensor
    shape_dirs: Tensor
    expression_dirs: Tensor
    eyelid_dirs: Tensor
    pose_dirs: Tensor | None
    own_pose_dirs: Tensor | None


@dataclass(frozen=True)
class HandRows:
    """N chosen vertices of one hand: their places (N,) and how much they scale (N, 1)."""

    at: Tensor
    share: Tensor


@dataclass(frozen=True)
class PartRows:
    """The rows of the head and of the left and the right hand."""

    head: HeadRows
    hands: tuple[HandRows, HandRows]


@dataclass(frozen=True)
class EhmPlan:
    """Some of the body's vertices, and what head and hands change in them."""

    body: LandmarkPlan
    parts: PartRows


def head_rows(
    body: BodyModel, head: BodyModel, share: Tensor, vertices: Tensor, rows: Tensor, at: Tensor
) -> HeadRows:
    """Gather ``rows`` (H,) of the head, which overwrite the body's ``vertices`` (H,).

    Args:
        share: (H,) and at: (H,) as in :class:`HeadRows`.
    """
    return HeadRows(
        at,
        share[:, None],
        head.skin_weights_t[HEAD_TURNING][:, rows].contiguous(),
        body.skin_weights_t[BODY_TURNING][:, vertices].contiguous(),
        head.v_template[rows],
        head.shape_dirs[rows].flatten(0, 1),
        head.expression_dirs[rows].flatten(0, 1),
        head.eyelid_dirs[rows].flatten(0, 1),
        _corrective_rows(head.pose_dirs, rows, HEAD_TURNING),
        _corrective_rows(body.pose_dirs, vertices, BODY_TURNING),
    )


def _corrective_rows(pose_dirs: Tensor | None, rows: Tensor, joints: slice) -> Tensor | None:
    if pose_dirs is None:
        return None
    columns = slice(9 * (joints.start - 1), 9 * (joints.stop - 1))  # the root has none
    return pose_dirs[rows, :, columns].flatten(0, 1)
