"""The stages of EHM-s: shaped, posed, mesh or landmarks, as those of the plain body."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pear_avatar.body.ehm.rows import BODY_TURNING, HEAD_TURNING, HandRows, HeadRows, PartRows
from pear_avatar.body.model import PosedBody, ShapedBody
from pear_avatar.body.skinning import linear_blend_skinning, rest_to_posed
from pear_avatar.types import Proportions

if TYPE_CHECKING:
    from pear_avatar.body.ehm.model import EhmModel

__all__ = ["PosedEhm", "ShapedEhm", "shape_ehm"]

_EYES = slice(1, 3)  # of jaw, left eye, right eye


@dataclass(frozen=True)
class ShapedEhm:
    """One shape (or a batch of shapes) of EHM-s at rest.

    own:         the plain body of that shape, before head, hands and offsets.
    head:        the head model's own shape; None keeps the body's head.
    proportions: the person's constants; None for scales of one.
    eyelids:     (*B, 2) or None.
    joints:      (*B, 55, 3) metres, with jaw and eyes where the head turns them.
    """

    model: EhmModel
    own: ShapedBody
    head: ShapedBody | None
    proportions: Proportions | None
    eyelids: Tensor | None
    joints: Tensor

    def vertices(self) -> Tensor:
        """(*B, V, 3) rest-pose vertices in metres; computed at the first call."""
        return self._vertices

    @cached_property
    def _vertices(self) -> Tensor:
        return self.changed(self.own.vertices(), self.model.all_rows, None)

    def pose(self, rotations: Tensor, transl: Tensor | None = None) -> PosedEhm:
        """Pose the skeleton; arguments as of :meth:`ShapedBody.pose`, jaw and eyes included."""
        joints = self.joints
        if self.model.joints_follow_face and self.proportions is not None:
            joints = self.regressed_joints(rotations[..., BODY_TURNING, :, :])
        placed = replace(self.own, joints=joints).pose(rotations, transl)
        return PosedEhm(self, rotations, placed.joint_transforms, joints)

    def changed(self, own: Tensor, parts: PartRows, turns: Tensor | None) -> Tensor:
        """Give some of the body's vertices their head and hands.

        Args:
            own: (*B, M, 3) rest positions on the plain body.
            parts: the rows of these vertices.
            turns: (*B, 3, 3, 3) rotations of jaw, left eye and right eye; None at rest.
        """
        if self.proportions is not None:
            for hand, centre in zip(parts.hands, self._hand_centres, strict=True):
                own = self._scaled_hand(own, hand, centre)
        if not len(parts.head.at):
            return own
        head = self._head(own.index_select(-2, parts.head.at), parts.head, turns)
        batch = torch.broadcast_shapes(own.shape[:-2], head.shape[:-2])
        own = own.expand(*batch, *own.shape[-2:])
        return own.index_copy(-2, parts.head.at, head.expand(*batch, *head.shape[-2:]))

    def regressed_joints(self, turns: Tensor | None) -> Tensor:
        """(*B, 55, 3) joints of the changed body, with offsets; jaw and eyes as the head has."""
        joints, given = self.own.joints, self.proportions
        if given is None:
            return joints
        plan = self.model.joint_rows
        rows = self.own.subset(plan.body)
        joints = joints + plan.body.mix @ (self.changed(rows, plan.parts, turns) - rows)
        if given.joint_offsets is not None:
            joints = joints + given.joint_offsets
        turning = self._placed(self._pivots, None)
        start, stop = BODY_TURNING.start, BODY_TURNING.stop
        batch = torch.broadcast_shapes(joints.shape[:-2], turning.shape[:-2])
        joints, turning = (t.expand(*batch, *t.shape[-2:]) for t in (joints, turning))
        return torch.cat([joints[..., :start, :], turning, joints[..., stop:, :]], dim=-2)

    def _head(self, own: Tensor, rows: HeadRows, turns: Tensor | None) -> Tensor:
        """(*B, H, 3) the head's vertices, eased into the body's own (*B, H, 3)."""
        follows = self.model.blend > 0
        carried = own
        if turns is not None and (follows or self.head is None):
            pivots = self.own.joints[..., BODY_TURNING, :]
            carried = _turned(own, rows.own_turn, pivots, rows.own_pose_dirs, turns)
        if self.head is None:
            new = carried
        else:
            new = rows.template
            for coefficients, dirs in (
                (self.head.betas, rows.shape_dirs),
                (self.head.expression, rows.expression_dirs),
            ):
                moved = _combine(coefficients, dirs)
                new = new if moved is None else new + moved
            if turns is not None:
                new = _turned(new, rows.turn, self._pivots, rows.pose_dirs, turns)
        new = self._placed(new, _combine(self.eyelids, rows.eyelid_dirs))
        return torch.lerp(*torch.broadcast_tensors(carried if follows else own, new, rows.share))

    @property
    def _pivots(self) -> Tensor:
        """(*B, 3, 3) where jaw, left eye and right eye turn, before the head is placed."""
        if self.head is None:
            return self.own.joints[..., BODY_TURNING, :]
        return self.head.joints[..., HEAD_TURNING, :]

    def _placed(self, points: Tensor, eyelids: Tensor | None) -> Tensor:
        """Points (*B, P, 3) of the head, scaled about its eyes and put onto the body's."""
        given = self.proportions
        if given is None:
            return points if eyelids is None else points + eyelids
        eyes = self._pivots[..., _EYES, :].mean(-2, keepdim=True)
        target = self.own.joints[..., BODY_TURNING, :][..., _EYES, :].mean(-2, keepdim=True)
        if given.joint_offsets is not None:
            offsets = given.joint_offsets[..., BODY_TURNING, :][..., _EYES, :]
            target = target + offsets.mean(-2, keepdim=True)
        moved = points - eyes if eyelids is None else points + eyelids - eyes
        return moved * given.head_scale[..., None, :] + target

    @cached_property
    def _hand_centres(self) -> tuple[Tensor, Tensor]:
        """Left and right, (*B, 1, 3): the template's hand, or with blending the person's."""
        betas = self.own.betas if self.model.blend > 0 else None
        centres = []
        for template, dirs in self.model.hand_centres:
            moved = template if betas is None else template + betas @ dirs[:, : betas.shape[-1]].T
            centres.append(moved[..., None, :])
        return centres[0], centres[1]

    def _scaled_hand(self, own: Tensor, hand: HandRows, centre: Tensor) -> Tensor:
        if self.proportions is None or not len(hand.at):
            return own
        grow = hand.share * (self.proportions.hand_scale[..., None, :] - 1)
        moved = grow * (own.index_select(-2, hand.at) - centre)
        batch = torch.broadcast_shapes(own.shape[:-2], moved.shape[:-2])
        own = own.expand(*batch, *own.shape[-2:])
        return own.index_add(-2, hand.at, moved.expand(*batch, *moved.shape[-2:]))


@dataclass(frozen=True)
class PosedEhm:
    """EHM-s in a pose; the mesh is made only when asked for.

    joint_transforms: (*B, 55, 3, 4), the upper rows of :attr:`T_world_joint`. Those of jaw and
                      eyes tell where the head has turned them.
    rest_joints:      (*B, 55, 3) metres, regressed from this pose's rest vertices.
    """

    shaped: ShapedEhm
    rotations: Tensor
    joint_transforms: Tensor
    rest_joints: Tensor

    @property
    def joints(self) -> Tensor:
        """(*B, 55, 3) posed joints in metres."""
        return self.joint_transforms[..., 3]

    @cached_property
    def T_world_joint(self) -> Tensor:  # noqa: N802 - the name says which frames it joins
        """(*B, 55, 4, 4) rigid transforms from each joint's frame to the world."""
        return PosedBody(self.shaped.own, self.rotations, self.joint_transforms).T_world_joint

    @cached_property
    def rest_to_posed(self) -> Tensor:
        """(*B, 55, 3, 4) transforms that skinning blends; jaw and eyes move with the head bone."""
        transforms = rest_to_posed(self.joint_transforms, self.rest_joints)
        return transforms.index_select(-3, self.shaped.model.carriers)

    def rest_vertices(self) -> Tensor:
        """(*B, V, 3) what skinning moves: with this pose's jaw, eyes and correctives."""
        model = self.shaped.model
        rest = self.shaped.changed(self.shaped.own.vertices(), model.all_rows, self._turns)
        dirs = model.body.pose_dirs
        return self._corrected(rest, None if dirs is None else dirs.flatten(0, 1))

    def vertices(self) -> Tensor:
        """(*B, V, 3) posed vertices in metres, by linear blend skinning."""
        weights_t = self.shaped.model.body.skin_weights_t
        return linear_blend_skinning(self.rest_vertices(), self.rest_to_posed, weights_t)

    def landmarks(self, name: str) -> Tensor:
        """(*B, L, 3) metres: one landmark set, from the few vertices it needs."""
        return self.landmarks_many(name)[0]

    def landmarks_many(self, *names: str) -> tuple[Tensor, ...]:
        """Several landmark sets at once, each (*B, L, 3), sharing the vertices they need."""
        plan = self.shaped.model.landmark_plan(*names)
        points = self.joints
        if len(plan.body.vertex_index):
            rest = self.shaped.changed(self.shaped.own.subset(plan.body), plan.parts, self._turns)
            rest = self._corrected(rest, plan.body.pose_dirs)
            posed = linear_blend_skinning(rest, self.rest_to_posed, plan.body.weights_t)
            points = torch.cat([points.expand(*posed.shape[:-2], -1, 3), posed], dim=-2)
        return (plan.body.mix @ points).split(plan.body.splits, dim=-2)

    @property
    def _turns(self) -> Tensor:
        return self.rotations[..., BODY_TURNING, :, :]

    def _corrected(self, rest: Tensor, pose_dirs: Tensor | None) -> Tensor:
        """Add the correctives of all joints but jaw and eyes, which the head already has."""
        if pose_dirs is None:
            return rest
        start, stop = BODY_TURNING.start, BODY_TURNING.stop
        kept = [self.rotations[..., 1:start, :, :], self.rotations[..., stop:, :, :]]
        bent = torch.cat(kept, dim=-3)
        eye = torch.eye(3, dtype=bent.dtype, device=bent.device)
        columns = pose_dirs.unflatten(-1, (-1, 9))
        columns = torch.cat([columns[:, : start - 1], columns[:, stop - 1 :]], dim=1).flatten(1)
        moved = torch.nn.functional.linear((bent - eye).flatten(-3), columns)
        return rest + moved.unflatten(-1, (-1, 3))


def shape_ehm(
    model: EhmModel,
    betas: Tensor | None,
    expression: Tensor | None,
    proportions: Proportions | None,
    eyelids: Tensor | None,
    head_expression: Tensor | None,
) -> ShapedEhm:
    """See :meth:`EhmModel.shape`."""
    _check_sizes(model, proportions, eyelids)
    own = model.body.shape(betas, expression)
    head = None
    if proportions is not None and proportions.head_betas is not None:
        if head_expression is None and expression is not None:
            head_expression = expression[..., : model.head.num_expression]
        head = model.head.shape(proportions.head_betas, head_expression)
    elif head_expression is not None:
        raise ValueError(
            "head_expression was given without head_betas: the body's own head takes the body's "
            "expression"
        )
    shaped = ShapedEhm(model, own, head, proportions, eyelids, own.joints)
    return replace(shaped, joints=shaped.regressed_joints(None))


def _check_sizes(model: EhmModel, given: Proportions | None, eyelids: Tensor | None) -> None:
    if eyelids is not None and eyelids.shape[-1] != 2:
        raise ValueError(f"eyelids must have shape (*B, 2), got {tuple(eyelids.shape)}")
    if given is None:
        return
    for name, value in (("head_scale", given.head_scale), ("hand_scale", given.hand_scale)):
        if value.shape[-1] != 3:
            raise ValueError(f"{name} must have shape (*B, 3), got {tuple(value.shape)}")
    offsets, count = given.joint_offsets, model.body.num_joints
    if offsets is not None and offsets.shape[-2:] != (count, 3):
        raise ValueError(
            f"joint_offsets must have shape (*B, {count}, 3), got {tuple(offsets.shape)}"
        )


def _turned(
    points: Tensor, weights: Tensor, pivots: Tensor, pose_dirs: Tensor | None, turns: Tensor
) -> Tensor:
    """Head vertices (*B, H, 3) after jaw and eyes have turned (*B, 3, 3, 3) about their pivots.

    Blend skinning with every other transform the identity: only what the three joints add to it
    is blended.
    """
    eye = torch.eye(3, dtype=turns.dtype, device=turns.device)
    added = turns - eye
    if pose_dirs is not None:
        moved = torch.nn.functional.linear(added.flatten(-3), pose_dirs)
        points = points + moved.unflatten(-1, (-1, 3))
    shift = -(added @ pivots[..., None])
    batch = torch.broadcast_shapes(added.shape[:-2], shift.shape[:-2])
    transforms = torch.cat([added.expand(*batch, 3, 3), shift.expand(*batch, 3, 1)], dim=-1)
    return points + linear_blend_skinning(points, transforms, weights)


def _combine(coefficients: Tensor | None, dirs: Tensor) -> Tensor | None:
    """(*B, up to C) x (P * 3, C) -> (*B, P, 3); None without any."""
    if coefficients is None:
        return None
    moved = torch.nn.functional.linear(coefficients, dirs[:, : coefficients.shape[-1]])
    return moved.unflatten(-1, (-1, 3))
