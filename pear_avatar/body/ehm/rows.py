"""The rows of head and hands that a choice of the body's vertices needs, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pear_avatar.body.blending import BlendBasis
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.landmarks import LandmarkPlan
from pear_avatar.body.model import BodyModel
from pear_avatar.body.skinning import SkinTable

__all__ = [
    "BODY_TURNING",
    "HEAD_TURNING",
    "WRISTS",
    "EhmPlan",
    "FaceRows",
    "HandRows",
    "HeadRows",
    "JointForms",
    "PartRows",
    "Places",
    "corrective_columns",
    "face_rows",
    "head_rows",
    "head_turn",
    "joint_forms",
]

#: jaw, left eye and right eye among the joints of the body and of the head
BODY_TURNING = slice(JOINT_INDEX["jaw"], JOINT_INDEX["right_eye"] + 1)
HEAD_TURNING = slice(2, 5)
WRISTS = (JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"])


@dataclass(frozen=True)
class Places:
    """N of M chosen vertices, which get new values.

    at:     (N,) their places among the M.
    gather: (M,) where each of the M comes from in the M old values followed by the N new ones.
    """

    at: Tensor
    gather: Tensor

    @classmethod
    def of(cls, at: Tensor, count: int) -> Places:
        """The places ``at`` among ``count``."""
        gather = torch.arange(count, device=at.device)
        return cls(at, gather.index_copy(0, at, torch.arange(len(at), device=at.device) + count))

    def put(self, old: Tensor, new: Tensor) -> Tensor:
        """(*B, M, 3) values with (*B, N, 3) put in their places."""
        batch = torch.broadcast_shapes(old.shape[:-2], new.shape[:-2])
        old, new = (t.expand(*batch, *t.shape[-2:]) for t in (old, new))
        if torch.is_grad_enabled():
            return old.index_copy(-2, self.at, new)
        return torch.cat([old, new], dim=-2).index_select(-2, self.gather)  # thrice as fast


@dataclass(frozen=True)
class HeadRows:
    """H vertices of a new head at rest; sizes as in the head's BodyModel.

    at:              (H,) places among the chosen vertices of the body.
    share:           (H, 1) how much of each is the new head's.
    template:        (H, 3).
    shape, expression: directions (H * 3, S) and (H * 3, E).
    """

    at: Tensor
    share: Tensor
    template: Tensor
    shape: BlendBasis
    expression: BlendBasis


@dataclass(frozen=True)
class FaceRows:
    """The N head vertices that jaw, eyes or eyelids move, and how.

    places:        among the chosen vertices of the body.
    turn, table:   (3, N) how much of jaw, left eye and right eye each follows, in two layouts.
    share:         (N, 1) how much of each is the new head's.
    pose_dirs:     (N * 3, 27) the head's correctives on its own jaw and eyes, None without any.
    own_pose_dirs: (N * 3, 27) the body's.
    eyelid_dirs:   (N * 3, 2), ``share`` included.
    """

    places: Places
    turn: Tensor
    table: SkinTable
    share: Tensor
    pose_dirs: Tensor | None
    own_pose_dirs: Tensor | None
    eyelid_dirs: Tensor


@dataclass(frozen=True)
class HandRows:
    """N chosen vertices of one hand: their places (N,) and how much they scale (N, 1)."""

    at: Tensor
    share: Tensor


@dataclass(frozen=True)
class PartRows:
    """The rows of the head, of the face, and of both hands among ``count`` vertices."""

    head: HeadRows
    face: FaceRows
    hands: tuple[HandRows, HandRows]
    count: int

    @cached_property
    def scaled(self) -> Places:
        """Left hand, right hand and head, one after the other."""
        return Places.of(torch.cat([self.hands[0].at, self.hands[1].at, self.head.at]), self.count)


@dataclass(frozen=True)
class EhmPlan:
    """Some of the body's vertices, and what head and hands change in them."""

    body: LandmarkPlan
    parts: PartRows


@dataclass(frozen=True)
class JointForms:
    """What left hand, right hand and head of the plain body put into each regressed joint.

    A part P adds ``sum_v R[j, v] share[v] x_v`` to joint j, a linear form of the coefficients.

    mass:            (3, 55, 1), the same sums with 1 for x_v.
    template:        (3, 55, 3); shape_dirs (3 * 55 * 3, S); expression_dirs (3 * 55 * 3, E).
    head_template:   (55, 3) of a new head, and so on, in the head's own coefficients.
    """

    mass: Tensor
    template: Tensor
    shape_dirs: Tensor
    expression_dirs: Tensor
    head_template: Tensor
    head_shape_dirs: Tensor
    head_expression_dirs: Tensor


def joint_forms(body: BodyModel, plan: EhmPlan) -> JointForms:
    """Sum up the rows of ``plan``, whose ``mix`` is the regressor of its vertices."""
    rows, head, regressor = plan.body, plan.parts.head, plan.body.mix.matrix.to_dense()
    parts, mass = [], []
    for part in (*plan.parts.hands, head):
        taken = regressor[:, part.at] * part.share.T
        mass.append(taken.sum(1, keepdim=True))
        parts.append((taken, part.at))

    def summed(values: Tensor) -> Tensor:
        return torch.stack([(t @ values[at].flatten(1)) for t, at in parts])

    def flat(values: Tensor, rest: Tensor) -> Tensor:
        return values.unflatten(-1, rest.shape[1:]).flatten(0, -2)

    index, of_head = rows.vertex_index, parts[-1][0]
    shape, expression = body.shape_dirs[index], body.expression_dirs[index]
    head_shape = head.shape.dirs.unflatten(0, (-1, 3))
    head_expression = head.expression.dirs.unflatten(0, (-1, 3))
    return JointForms(
        mass=torch.stack(mass),
        template=summed(rows.template),
        shape_dirs=flat(summed(shape), shape),
        expression_dirs=flat(summed(expression), expression),
        head_template=of_head @ head.template,
        head_shape_dirs=flat(of_head @ head_shape.flatten(1), head_shape),
        head_expression_dirs=flat(of_head @ head_expression.flatten(1), head_expression),
    )


def head_rows(head: BodyModel, share: Tensor, rows: Tensor, at: Tensor) -> HeadRows:
    """Gather ``rows`` (H,) of the head; ``share`` (Vh,) is that of all its vertices."""
    return HeadRows(
        at,
        share[rows, None],
        head.v_template[rows],
        BlendBasis(head.shape_dirs[rows].flatten(0, 1)),
        BlendBasis(head.expression_dirs[rows].flatten(0, 1)),
    )


def face_rows(
    body: BodyModel,
    head: BodyModel,
    share: Tensor,
    turn: Tensor,
    chosen: tuple[Tensor, Tensor, Tensor],
    *,
    count: int,
) -> FaceRows:
    """Gather what the face moves.

    Args:
        share: (Vh,) and turn: (3, Vh) of all the head's vertices.
        chosen: (N,) each: rows of the head, the body's vertices they replace, and their places
            among ``count``.
    """
    rows, vertices, at = chosen
    new = _corrective_rows(head.pose_dirs, rows, HEAD_TURNING)
    own = _corrective_rows(body.pose_dirs, vertices, BODY_TURNING)
    lids = share[rows, None, None] * head.eyelid_dirs[rows]
    moving = (turn[:, rows] != 0).any(0) | (lids != 0).any(2).any(1)
    for dirs in (new, own):
        if dirs is not None:
            moving |= (dirs != 0).any(2).any(1)
    followed = turn[:, rows[moving]].contiguous()
    return FaceRows(
        places=Places.of(at[moving], count),
        turn=followed,
        table=SkinTable.from_dense(followed),
        share=share[rows[moving], None],
        pose_dirs=None if new is None else new[moving].flatten(0, 1),
        own_pose_dirs=None if own is None else own[moving].flatten(0, 1),
        eyelid_dirs=lids[moving].flatten(0, 1),
    )


def head_turn(
    body: BodyModel, head: BodyModel, head_vertices: Tensor, share: Tensor, blend: float
) -> Tensor:
    """(3, Vh) how much of jaw, left eye and right eye each head vertex follows.

    Where a head is eased in, the body's part of a vertex follows the body's own weights; a hard
    overwrite leaves nothing of them.
    """
    new = share * head.skin_weights_t[HEAD_TURNING]
    if blend == 0:
        return new
    return new + (1 - share) * body.skin_weights_t[BODY_TURNING][:, head_vertices]


def corrective_columns(joints: slice) -> slice:
    """Columns of pose correctives that belong to some joints; the root has none."""
    return slice(9 * (joints.start - 1), 9 * (joints.stop - 1))


def _corrective_rows(pose_dirs: Tensor | None, rows: Tensor, joints: slice) -> Tensor | None:
    return None if pose_dirs is None else pose_dirs[rows, :, corrective_columns(joints)]
