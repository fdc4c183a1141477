"""One person's constants of EHM-s, baked into a plain body.

Scales, offsets and the head's shape act linearly on what betas and expression do, so a body with
other directions has them built in, and whatever works on a plain body works on the person.

The baked body turns jaw and eyes in the same step as all other bones, where EHM-s turns them
first. On the open body that differs in two places only: skin that hangs on the jaw and on bones
below the head, while both are bent (the product of two small weights: at most 0.7 mm in poses
with 0.3 rad on every axis), and an open jaw in a head that is scaled unevenly (the jaw turns the
scaled head instead of the head being scaled after turning). Licensed bodies add two more: the jaw
turns correctives of other joints, and joints regressed from the face stay where the face rests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.body.ehm.ehm_parts import EhmParts
from pear_avatar.body.ehm.rows import BODY_TURNING, HEAD_TURNING, WRISTS, corrective_columns
from pear_avatar.body.model import BodyModel
from pear_avatar.types import Proportions

__all__ = ["bake_person", "person_expression"]

_EYES = slice(1, 3)  # of jaw, left eye, right eye

# An affine function of betas and expression is a tensor (P, 3, 1 + S + E): its value at zero,
# then a column for each coefficient. Float64 throughout.


def bake_person(model: EhmParts, given: Proportions, betas: Tensor | None = None) -> BodyModel:
    """See :meth:`pear_avatar.body.ehm.ehm_model.EhmModel.person`."""
    given = _check_proportions(model, given)
    body = model.body
    vertices = _affine(body.v_template, body.shape_dirs, body.expression_dirs)
    own_joints = _affine(body.joint_template, body.joint_shape_dirs, body.joint_expression_dirs)
    if _own_columns(model, given):
        vertices, own_joints = (_with_head_columns(model, t) for t in (vertices, own_joints))
    head, pivots = _head(model, given, vertices, own_joints)
    place = _placement(model, given, pivots, own_joints)
    changed = _scale_hands(model, given, vertices, own_joints)
    share = model.head_share.double()[:, None, None]
    own = vertices[model.head_vertices]
    changed[model.head_vertices] = torch.lerp(own, place(head), share.expand_as(own))
    joints = _regress(model, changed - vertices) + own_joints
    if given.joint_offsets is not None:
        joints[..., 0] += given.joint_offsets
    joints[BODY_TURNING] = place(pivots)
    return _assemble(model, given, changed, joints, betas)


def _check_proportions(model: EhmParts, given: Proportions) -> Proportions:
    for name in ("head_scale", "hand_scale", "head_betas", "joint_offsets"):
        value = getattr(given, name)
        batch = None if value is None else value.shape[: -2 if name == "joint_offsets" else -1]
        if batch:
            raise ValueError(
                f"a person has one set of proportions: {name} must have no batch axes, got shape "
                f"{tuple(value.shape)}"
            )
    device = model.body.v_template.device
    return given.to(device=device, dtype=torch.float64)


def _affine(template: Tensor, shape_dirs: Tensor, expression_dirs: Tensor) -> Tensor:
    return torch.cat([template[..., None], shape_dirs, expression_dirs], dim=-1).double()


def _own_columns(model: EhmParts, given: Proportions) -> bool:
    """Whether the head's expression has columns of its own, before those of the body."""
    return model.convention == "pear" and given.head_betas is not None


def _with_head_columns(model: EhmParts, table: Tensor) -> Tensor:
    """An affine function with columns for the head's expression, on which nothing depends yet."""
    betas, rest = table.split([1 + model.body.num_betas, model.body.num_expression], dim=-1)
    none = table.new_zeros(*table.shape[:-1], model.head.num_expression)
    return torch.cat([betas, none, rest], dim=-1)


def person_expression(
    model: EhmParts, head: Tensor, body: Tensor, eyelids: Tensor, *, has_head: bool
) -> Tensor:
    """See :meth:`pear_avatar.body.ehm.ehm_model.EhmModel.person_expression`."""

    def padded(values: Tensor, width: int) -> Tensor:
        values = values[..., :width]
        return torch.nn.functional.pad(values, (0, width - values.shape[-1]))

    parts = [padded(head, model.body.num_expression)]
    own_columns = has_head and model.convention == "pear"
    if own_columns:
        parts = [padded(head, model.head.num_expression), padded(body, model.body.num_expression)]
    lids_of_body = bool(model.body.eyelid_dirs.any())
    if bool(model.head.eyelid_dirs.any()) and (own_columns or not lids_of_body):
        parts.append(eyelids)
    return torch.cat(parts, dim=-1)


def _head(
    model: EhmParts, given: Proportions, vertices: Tensor, joints: Tensor
) -> tuple[Tensor, Tensor]:
    """The head's vertices and its pivots of jaw and eyes, before it is placed."""
    if given.head_betas is None:
        return vertices[model.head_vertices], joints[BODY_TURNING]
    head, num_betas, head_betas = model.head, model.body.num_betas, given.head_betas
    count = head_betas.shape[-1]
    known = head.num_expression
    if not _own_columns(model, given):
        known = min(known, model.body.num_expression)

    def of(template: Tensor, shape_dirs: Tensor, expression_dirs: Tensor) -> Tensor:
        out = template.new_zeros(len(template), 3, joints.shape[-1], dtype=torch.float64)
        out[..., 0] = template + shape_dirs[..., :count].double() @ head_betas
        out[..., 1 + num_betas : 1 + num_betas + known] = expression_dirs[..., :known]
        return out

    pivots = of(head.joint_template, head.joint_shape_dirs, head.joint_expression_dirs)
    return of(head.v_template, head.shape_dirs, head.expression_dirs), pivots[HEAD_TURNING]


def _placement(
    model: EhmParts, given: Proportions, pivots: Tensor, joints: Tensor
) -> Callable[[Tensor], Tensor]:
    """The map that scales points of the head about its centre and puts it onto the body's."""
    eyes = pivots[_EYES].mean(0)
    target = joints[BODY_TURNING][_EYES].mean(0)
    if given.joint_offsets is not None:
        target[..., 0] += given.joint_offsets[BODY_TURNING][_EYES].mean(0)
    centre = eyes
    if model.convention == "pear":
        centre = torch.zeros_like(eyes)
        if given.head_betas is None:
            centre = eyes.clone()
            centre[:, 0] += model.head_origin[0]
    return lambda points: (points - centre) * given.head_scale[:, None] + target + centre - eyes


def _scale_hands(model: EhmParts, given: Proportions, vertices: Tensor, joints: Tensor) -> Tensor:
    changed = vertices.clone()
    hands = (model.left_hand, model.right_hand)
    centres = [torch.zeros_like(joints[wrist]) for wrist in WRISTS]
    for middle, wrist, template in zip(centres, WRISTS, model.hand_centres, strict=True):
        if model.blend > 0:
            middle += joints[wrist]
        else:
            middle[:, 0] = template
    for hand, share, middle in zip(hands, model.hand_shares, centres, strict=True):
        grow = share.double()[:, None, None] * (given.hand_scale[:, None] - 1)
        changed[hand] += grow * (vertices[hand] - middle)
    return changed


def _regress(model: EhmParts, moved: Tensor) -> Tensor:
    """What moving the vertices (V, 3, C) does to the joints (55, 3, C)."""
    plan = model.joint_rows.body
    mix = plan.mix.to(dtype=moved.dtype)
    return (mix @ moved[plan.vertex_index].flatten(1)).unflatten(1, moved.shape[1:])


def _assemble(
    model: EhmParts, given: Proportions, vertices: Tensor, joints: Tensor, betas: Tensor | None
) -> BodyModel:
    body, kind, split = model.body, model.body.v_template.dtype, 1 + model.body.num_betas
    if betas is not None:
        known = slice(1, 1 + betas.shape[-1])
        for table in (vertices, joints):
            table[..., 0] += table[..., known] @ betas.detach().double()
    lids, adds_lids = _eyelids(model, given)
    expression, joint_expression = vertices[..., split:], joints[..., split:]
    coef = body.arkit_coef
    if _own_columns(model, given):
        coef = torch.cat([_head_actions(model), coef], dim=-1)
    if adds_lids:
        expression = torch.cat([expression, lids], dim=-1)
        joint_expression = torch.nn.functional.pad(joint_expression, (0, 2))
        coef = torch.nn.functional.pad(coef, (0, 2))
    skin_joints, skin_weights = _skin(model)
    return replace(
        body,
        v_template=vertices[..., 0].to(kind),
        shape_dirs=vertices[..., 1:split].to(kind),
        expression_dirs=expression.to(kind),
        pose_dirs=_pose_dirs(model, given),
        skin_joints=skin_joints,
        skin_weights=skin_weights,
        joint_template=joints[..., 0].to(kind),
        joint_shape_dirs=joints[..., 1:split].to(kind),
        joint_expression_dirs=joint_expression.to(kind),
        eyelid_dirs=lids.to(kind),
        arkit_coef=coef,
    )


def _head_actions(model: EhmParts) -> Tensor:
    """(A, K) the head's expression for each facial action of the body; zeros where it has none."""
    body, head = model.body, model.head
    if head.arkit_names == body.arkit_names:
        return head.arkit_coef
    return body.arkit_coef.new_zeros(len(body.arkit_names), head.num_expression)


def _eyelids(model: EhmParts, given: Proportions) -> tuple[Tensor, bool]:
    """The placed head's lids (V, 3, 2), and whether the body has no way of its own to close."""
    own = model.body.eyelid_dirs
    if not bool(model.head.eyelid_dirs.any()):
        return own.double(), False
    lids = torch.zeros_like(own, dtype=torch.float64)
    share = model.head_share.double()[:, None, None] * given.head_scale[:, None]
    lids[model.head_vertices] = share * model.head.eyelid_dirs
    return lids, _own_columns(model, given) or not bool(own.any())


def _skin(model: EhmParts) -> tuple[Tensor, Tensor]:
    """Skinning joints and weights; unchanged where the head turns as the body's own does."""
    body = model.body
    turn = torch.zeros_like(body.skin_weights_t[BODY_TURNING])
    turn[:, model.head_vertices] = model.head_turn
    own = body.skin_weights_t[BODY_TURNING]
    if torch.allclose(turn, own, rtol=0, atol=1e-6):
        return body.skin_joints, body.skin_weights
    weights = body.skin_weights_t.clone()
    weights[body.parents[BODY_TURNING.start]] += (own - turn).sum(0)  # the head bone
    weights[BODY_TURNING] = turn
    weights = weights.clamp_min(0)
    most = int((weights > 0).sum(0).max())
    values, joints = weights.T.topk(most, dim=1)
    return joints, values / values.sum(1, keepdim=True)


def _pose_dirs(model: EhmParts, given: Proportions) -> Tensor | None:
    """Correctives of jaw and eyes as the head has them; those of all other joints are kept."""
    body, head, rows = model.body, model.head, model.head_vertices
    if body.pose_dirs is None:
        return None
    dirs, columns = body.pose_dirs.clone(), corrective_columns(BODY_TURNING)
    own = dirs[rows, :, columns]
    dirs[:, :, columns] = 0
    new = own
    if given.head_betas is not None:
        new = torch.zeros_like(own)
        if head.pose_dirs is not None:
            new = head.pose_dirs[:, :, corrective_columns(HEAD_TURNING)]
    new = new * given.head_scale.to(new)[:, None]
    share = model.head_share[:, None, None]
    dirs[rows, :, columns] = share * new + ((1 - share) * own if model.blend > 0 else 0)
    return dirs
