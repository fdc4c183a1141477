"""The stages of EHM-s: shaped, posed, mesh or landmarks, as those of the plain body.

Scaling a head that has turned its jaw, ``s (R (x - p) + p - e) + t`` with the eyes' midpoints
``e`` and ``t`` of head and body, is turning the scaled head by ``D R D^-1`` about the scaled
pivot, ``D = diag(s)``. So the head is placed once for a shape, and only what follows jaw and
eyes is touched again for a pose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pear_avatar.body.blending import BlendBasis
from pear_avatar.body.ehm.ehm_parts import EhmParts
from pear_avatar.body.ehm.rows import (
    BODY_TURNING,
    HEAD_TURNING,
    WRISTS,
    FaceRows,
    HandRows,
    HeadRows,
    PartRows,
)
from pear_avatar.body.landmarks import LandmarkPlan
from pear_avatar.body.model import ShapedBody
from pear_avatar.body.posed_skin import PosedSkin
from pear_avatar.body.skinning import SkinTable, linear_blend_skinning, rest_to_posed
from pear_avatar.types import Proportions

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

    model: EhmParts
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
        return self.with_parts(self.own.vertices(), self.model.all_rows)

    def pose(self, rotations: Tensor, transl: Tensor | None = None) -> PosedEhm:
        """Pose the skeleton; arguments as of :meth:`ShapedBody.pose`, jaw and eyes included."""
        joints = self.joints
        if self.model.joints_follow_face and self.proportions is not None:
            joints = self.face_joints(rotations[..., BODY_TURNING, :, :])
        body = replace(self.own, joints=joints).pose(rotations, transl)
        return PosedEhm(rotations, body.joint_transforms, self, joints)

    def with_parts(self, own: Tensor, parts: PartRows) -> Tensor:
        """Give some of the plain body's rest vertices (*B, M, 3) their head and hands."""
        if self.proportions is None or not len(parts.scaled.at):
            return own
        sizes = [len(rows.at) for rows in (*parts.hands, parts.head)]
        left, right, old = own.index_select(-2, parts.scaled.at).split(sizes, dim=-2)
        hands = [
            self._scaled_hand(hand, rows, centre)
            for hand, rows, centre in zip(
                (left, right), parts.hands, self._hand_centres, strict=True
            )
        ]
        new = old
        if self.head is not None:
            new = _shaped_rows(parts.head, self.head)
        new = self._place_head(new)
        new = old + parts.head.share * (new - old)
        batch = torch.broadcast_shapes(*(t.shape[:-2] for t in (*hands, new)))
        changed = [t.expand(*batch, *t.shape[-2:]) for t in (*hands, new)]
        return parts.scaled.put(own, torch.cat(changed, dim=-2))

    def with_face(self, rest: Tensor, face: FaceRows, turns: Tensor) -> Tensor:
        """Turn jaw and eyes of rest vertices (*B, M, 3) by (*B, 3, 3, 3) and close the eyelids."""
        if not len(face.places.at):
            return rest
        scale = None if self.proportions is None else self.proportions.head_scale
        eye = torch.eye(3, dtype=turns.dtype, device=turns.device)
        points = rest.index_select(-2, face.places.at)
        corrective = self._correctives(face, (turns - eye).flatten(-3), scale)
        points = points if corrective is None else points + corrective
        if scale is not None:
            stretch = scale[..., None, :, None] / scale[..., None, None, :]
            turns = turns * stretch
        added = turns - eye
        shift = -(added @ self._placed_pivots[..., None])
        batch = torch.broadcast_shapes(added.shape[:-2], shift.shape[:-2])
        moves = torch.cat([added.expand(*batch, 3, 3), shift.expand(*batch, 3, 1)], dim=-1)
        points = points + linear_blend_skinning(points, moves, face.turn, face.table)
        lids = _combine(self.eyelids, face.eyelid_dirs)
        if lids is not None:
            points = points + (lids if scale is None else lids * scale[..., None, :])
        return face.places.put(rest, points)

    def with_joints(self) -> ShapedEhm:
        """The same with its joints regressed from the changed body at rest, without the mesh."""
        given = self.proportions
        if given is None:
            return self
        forms = self.model.joint_forms
        parts = _sum_forms(forms.template, forms.shape_dirs, forms.expression_dirs, self.own)
        mass = forms.mass
        centres = torch.cat(torch.broadcast_tensors(*self._hand_centres), dim=-2)[..., None, :]
        hands = parts[..., :2, :, :] - mass[:2] * centres
        moved = (hands * (given.hand_scale - 1)[..., None, None, :]).sum(-3)
        head = parts[..., 2, :, :]
        new = head
        if self.head is not None:
            dirs = forms.head_shape_dirs, forms.head_expression_dirs
            new = _sum_forms(forms.head_template, *dirs, self.head)
        return replace(
            self, joints=self._with_offsets(moved + self._place_head(new, mass[2]) - head)
        )

    def face_joints(self, turns: Tensor) -> Tensor:
        """(*B, 55, 3) joints regressed from the changed body with jaw and eyes turned."""
        plan = self.model.joint_rows
        rows = self.own.subset(plan.body)
        changed = self.with_face(self.with_parts(rows, plan.parts), plan.parts.face, turns)
        return self._with_offsets(plan.body.mix @ (changed - rows))

    def _with_offsets(self, moved: Tensor) -> Tensor:
        """Joints of the plain body moved by (*B, 55, 3), with offsets; jaw and eyes as placed.

        The published programs show jaw and eyes where the body's regressor puts them.
        """
        joints = self.own.joints + moved
        if self.proportions is not None and self.proportions.joint_offsets is not None:
            joints = joints + self.proportions.joint_offsets
        if self.model.convention == "pear":
            return joints
        start, stop, turning = BODY_TURNING.start, BODY_TURNING.stop, self._placed_pivots
        batch = torch.broadcast_shapes(joints.shape[:-2], turning.shape[:-2])
        joints, turning = (t.expand(*batch, *t.shape[-2:]) for t in (joints, turning))
        return torch.cat([joints[..., :start, :], turning, joints[..., stop:, :]], dim=-2)

    @cached_property
    def _pivots(self) -> Tensor:
        """(*B, 3, 3) where jaw, left eye and right eye turn, before the head is placed."""
        if self.head is None:
            return self.own.joints[..., BODY_TURNING, :]
        return self.head.joints[..., HEAD_TURNING, :]

    @cached_property
    def _placed_pivots(self) -> Tensor:
        return self._pivots if self.proportions is None else self._place_head(self._pivots)

    @cached_property
    def _placement(self) -> tuple[Tensor, Tensor]:
        """(*B, 1, 3) each: the point about which the head scales, and where that goes."""
        eyes = self._pivots[..., _EYES, :].mean(-2, keepdim=True)
        target = eyes
        if self.head is not None:
            target = self.own.joints[..., BODY_TURNING, :][..., _EYES, :].mean(-2, keepdim=True)
        offsets = None if self.proportions is None else self.proportions.joint_offsets
        if offsets is not None:
            moved = offsets[..., BODY_TURNING, :][..., _EYES, :]
            target = target + moved.mean(-2, keepdim=True)
        if self.model.convention != "pear":
            return eyes, target
        # The authors scale vertices alone: the eyes that are laid onto the body's are unscaled.
        centre = torch.zeros_like(eyes) if self.head is not None else eyes + self.model.head_origin
        return centre, target + centre - eyes

    def _place_head(self, points: Tensor, mass: Tensor | float = 1.0) -> Tensor:
        """Points (*B, P, 3) of the head, scaled and put onto the body's.

        ``mass`` (P, 1) is the sum of the weights where a point is a weighted sum; 1 for points.
        """
        centre, target = self._placement
        moved = points - mass * centre
        if self.proportions is not None:
            moved = moved * self.proportions.head_scale[..., None, :]
        return moved + mass * target

    def _correctives(self, face: FaceRows, bent: Tensor, scale: Tensor | None) -> Tensor | None:
        """(*B, N, 3) correctives of jaw and eyes, of the head and of what is left of the body."""
        own = _combine(bent, face.own_pose_dirs)
        new = own if self.head is None else _combine(bent, face.pose_dirs)
        if new is not None:
            new = face.share * (new if scale is None else new * scale[..., None, :])
        if own is None or self.model.blend == 0:
            return new
        own = (1 - face.share) * own
        return own if new is None else new + own

    @cached_property
    def _hand_centres(self) -> tuple[Tensor, Tensor]:
        """Left and right, (*B, 1, 3): the template's hand, or with blending the wrist."""
        if self.model.blend == 0:
            left, right = self.model.hand_centres
            return left[None], right[None]
        left, right = (self.own.joints[..., j : j + 1, :] for j in WRISTS)
        return left, right

    def _scaled_hand(self, old: Tensor, rows: HandRows, centre: Tensor) -> Tensor:
        if self.proportions is None:
            return old
        grow = rows.share * (self.proportions.hand_scale[..., None, :] - 1)
        return old + grow * (old - centre)


@dataclass(frozen=True)
class PosedEhm(PosedSkin):
    """EHM-s in a pose; the mesh is made only when asked for.

    Transforms of jaw and eyes say where the head has turned them.

    rest_joints: (*B, J, 3) metres, regressed from this pose's rest vertices.
    """

    shaped: ShapedEhm
    rest_joints: Tensor

    @cached_property
    def rest_to_posed(self) -> Tensor:
        """(*B, J, 3, 4) transforms that skinning blends; jaw and eyes move with the head bone."""
        transforms = rest_to_posed(self.joint_transforms, self.rest_joints)
        return transforms.index_select(-3, self.shaped.model.carriers)

    @property
    def skin(self) -> tuple[Tensor, SkinTable]:
        """(J, V) the body's skinning weights, and the same as the C++ core reads them."""
        body = self.shaped.model.body
        return body.skin_weights_t, body.skin_table

    def rest_vertices(self) -> Tensor:
        """(*B, V, 3) what skinning moves: with this pose's jaw, eyes and correctives."""
        model = self.shaped.model
        return self._turn_face(self.shaped.vertices(), model.all_rows.face, model.body.pose_basis)

    def landmark_rows(self, *names: str) -> tuple[LandmarkPlan, Tensor | None]:
        """The plan of landmark sets and (*B, M, 3) the rest vertices that it needs, if any."""
        plan = self.shaped.model.landmark_plan(*names)
        if not len(plan.body.vertex_index):
            return plan.body, None
        rest = self.shaped.with_parts(self.shaped.own.subset(plan.body), plan.parts)
        return plan.body, self._turn_face(rest, plan.parts.face, plan.body.pose_basis)

    def _turn_face(self, rest: Tensor, face: FaceRows, basis: BlendBasis | None) -> Tensor:
        """Turn jaw and eyes; add the correctives of the other joints, which the head lacks."""
        rest = self.shaped.with_face(rest, face, self.rotations[..., BODY_TURNING, :, :])
        return self.add_correctives(rest, basis, self.shaped.model.bending)


def shape_ehm(
    model: EhmParts,
    betas: Tensor | None,
    expression: Tensor | None,
    proportions: Proportions | None,
    eyelids: Tensor | None,
    *,
    head_expression: Tensor | None,
) -> ShapedEhm:
    """See :meth:`pear_avatar.body.ehm.ehm_model.EhmModel.shape`."""
    _check_sizes(model, proportions, eyelids)
    own = model.body.shape(betas, expression)
    head = None
    if proportions is not None and proportions.head_betas is not None:
        if head_expression is None and expression is not None:
            head_expression = expression[..., : model.head.num_expression]
        head = model.head.shape(proportions.head_betas, head_expression)
    elif head_expression is not None:
        raise ValueError(
            "head_expression needs head_betas: the body's own head takes the body's expression"
        )
    return ShapedEhm(model, own, head, proportions, eyelids, own.joints).with_joints()


def _check_sizes(model: EhmParts, given: Proportions | None, eyelids: Tensor | None) -> None:
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


def _shaped_rows(rows: HeadRows, head: ShapedBody) -> Tensor:
    """(*B, H, 3) the rows of a shaped head."""
    points = rows.template
    if head.betas is not None:
        points = rows.shape.blend("head_betas", head.betas, points)
    if head.expression is not None:
        points = points + rows.expression.blend("head_expression", head.expression)
    return points


def _sum_forms(
    template: Tensor, shape_dirs: Tensor, expression_dirs: Tensor, shaped: ShapedBody
) -> Tensor:
    """(*B, ..., 3) a template (..., 3) and its directions for a shape."""
    sizes = tuple(template.shape)
    for coefficients, dirs in ((shaped.betas, shape_dirs), (shaped.expression, expression_dirs)):
        if coefficients is not None:
            moved = torch.nn.functional.linear(coefficients, dirs[:, : coefficients.shape[-1]])
            template = template + moved.unflatten(-1, sizes)
    return template


def _combine(coefficients: Tensor | None, dirs: Tensor | None) -> Tensor | None:
    """(*B, up to C) x (P * 3, C) -> (*B, P, 3); None without coefficients or directions."""
    if coefficients is None or dirs is None:
        return None
    moved = torch.nn.functional.linear(coefficients, dirs[:, : coefficients.shape[-1]])
    return moved.unflatten(-1, (-1, 3))
