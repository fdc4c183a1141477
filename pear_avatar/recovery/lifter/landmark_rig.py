"""The landmarks that the lifter reads, posed quickly: a few points per landmark, no mesh.

A landmark is a weighted mean of joints and vertices, and a vertex a weighted mean of what its
joints do to it. Both means together give, per landmark, one point for each joint that moves it:
a few hundred points in all, each with its own shape and expression directions.

Inside, the batch comes last: products of many small matrices are then a few long vector
operations, several times quicker than as many small matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.model import BodyModel
from pear_avatar.body.skinning import KinematicTree
from pear_avatar.body.topology import LIFTED_FACE_POINTS
from pear_avatar.recovery.lifter import layout

#: Joints that move a landmark less than this are left out.
_LEAST_WEIGHT = 0.02
_SETS = {
    "pose": "mediapipe_pose",
    "left_hand": "mediapipe_left_hand",
    "right_hand": "mediapipe_right_hand",
    "face": "mediapipe_face",
}


@dataclass(frozen=True)
class Shape:
    """What a person is like, B of them: betas (B, <= S), expression (B, E) and EHM-s scales.

    head_scale, hand_scale: (B, 3), per axis, about the middle of the eyes and of each hand.
    """

    betas: Tensor
    expression: Tensor
    head_scale: Tensor
    hand_scale: Tensor


@dataclass(frozen=True)
class LandmarkRig:
    """L landmarks of a body as P posed points; J = 55 joints, S betas, E expression coefficients.

    joint_template (3, J), joint_dirs (3 * J, S); pair_joint (P,) int64; pair_template (3, P);
    pair_dirs (3 * P, S + E); mix (L, P) with rows summing to 1; splits: landmarks per set;
    joint_part (J,), pair_part (P,) int64: 1 head, 2 left hand, 3 right hand, 0 the rest;
    landmark_joint (L,) int64: the joint that moves a landmark most.
    """

    tree: KinematicTree
    joint_template: Tensor
    joint_dirs: Tensor
    pair_joint: Tensor
    pair_template: Tensor
    pair_dirs: Tensor
    mix: Tensor
    splits: tuple[int, ...]
    joint_part: Tensor
    pair_part: Tensor
    landmark_joint: Tensor

    def pose(self, rotations: Tensor, shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
        """World rotations (B, J, 3, 3), joints (B, J, 3) and landmarks (B, L, 3), metres."""
        count, num_betas = shape.betas.shape[-1], self.joint_dirs.shape[-1]
        betas = shape.betas.t()
        joints = (self.joint_dirs[:, :count] @ betas).unflatten(0, (3, -1))
        joints = joints + self.joint_template[..., None]
        dirs = torch.cat([self.pair_dirs[:, :count], self.pair_dirs[:, num_betas:]], 1)
        points = (dirs @ torch.cat([betas, shape.expression.t()])).unflatten(0, (3, -1))
        points = points + self.pair_template[..., None]
        centers, scales = _scaling(joints, shape)
        joints = _scale_about(joints, centers, scales, self.joint_part)
        points = _scale_about(points, centers, scales, self.pair_part)
        R, p = self._chain(rotations.permute(2, 3, 1, 0).contiguous(), joints)
        offset = points - joints.index_select(1, self.pair_joint)
        turned = _product(R.index_select(2, self.pair_joint), offset[:, None])[:, 0]
        turned = turned + p.index_select(1, self.pair_joint)
        landmarks = self.mix @ turned
        return R.permute(3, 2, 0, 1), p.permute(2, 1, 0), landmarks.permute(2, 1, 0)

    def _chain(self, local: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Local rotations (3, 3, J, B), rest joints (3, J, B) -> world rotations and positions."""
        tree = self.tree
        bones = joints - joints.index_select(1, tree.offset_parent)
        order = tree.order
        R_levels = local.index_select(2, order).split(tree.level_sizes, 2)
        bone_levels = bones.index_select(1, order).split(tree.level_sizes, 1)
        R, p = [R_levels[0]], [joints[:, :1]]
        for parent, R_local, bone in zip(
            tree.level_parents, R_levels[1:], bone_levels[1:], strict=True
        ):
            above = R[-1].index_select(2, parent)
            p.append(p[-1].index_select(1, parent) + _product(above, bone[:, None])[:, 0])
            R.append(_product(above, R_local))
        back = tree.inverse
        return torch.cat(R, 2).index_select(2, back), torch.cat(p, 1).index_select(1, back)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix products with the matrices in front: (3, 3, ...) x (3, K, ...) -> (3, K, ...)."""
    return torch.addcmul(
        torch.addcmul(a[:, 0, None] * b[None, 0], a[:, 1, None], b[None, 1]),
        a[:, 2, None],
        b[None, 2],
    )


def make_rig(body: BodyModel, num_betas: int, sets: tuple[str, ...] = tuple(_SETS)) -> LandmarkRig:
    """Gather the landmark sets ("pose", "left_hand", "right_hand", "face") of a body."""
    pairs = [_pairs_of(body, _select_points(body, name), num_betas) for name in sets]
    joint_part = torch.zeros(body.num_joints, dtype=torch.long)
    joint_part[[layout.JAW, layout.LEFT_EYE, layout.RIGHT_EYE]] = 1
    joint_part[layout.LEFT_FINGERS], joint_part[layout.RIGHT_FINGERS] = 2, 3
    part_of_joint = joint_part.clone()
    part_of_joint[layout.HEAD] = 1
    dirs = body.joint_shape_dirs[..., :num_betas].transpose(0, 1)
    return LandmarkRig(
        tree=body.tree,
        joint_template=body.joint_template.t().contiguous(),
        joint_dirs=dirs.flatten(0, 1).contiguous(),
        pair_joint=torch.cat([p.joint for p in pairs]),
        pair_template=torch.cat([p.template for p in pairs]).t().contiguous(),
        pair_dirs=torch.cat([p.dirs for p in pairs]).transpose(0, 1).flatten(0, 1).contiguous(),
        mix=torch.block_diag(*(p.mix for p in pairs)),
        splits=tuple(p.mix.shape[0] for p in pairs),
        joint_part=joint_part,
        pair_part=part_of_joint[torch.cat([p.owner for p in pairs])],
        landmark_joint=torch.cat([p.landmark_joint for p in pairs]),
    )


def _select_points(body: BodyModel, name: str) -> LandmarkSet:
    marks = body.landmark_set(_SETS[name])
    if name != "face":
        return marks
    index = torch.tensor(LIFTED_FACE_POINTS)
    return LandmarkSet(marks.index[index], marks.weight[index], marks.sigma[index])


@dataclass(frozen=True)
class _Pairs:
    """P (landmark, joint) pairs of one set of L landmarks.

    joint (P,), template (P, 3), dirs (P, 3, S + E), owner (P,) the joint that moves the pair's
    landmark most, mix (L, P), landmark_joint (L,).
    """

    joint: Tensor
    template: Tensor
    dirs: Tensor
    owner: Tensor
    mix: Tensor
    landmark_joint: Tensor


def _pairs_of(body: BodyModel, marks: LandmarkSet, num_betas: int) -> _Pairs:
    J = body.num_joints
    joint_expression = torch.zeros(J, 3, body.num_expression)
    joint_dirs = torch.cat([body.joint_shape_dirs[..., :num_betas], joint_expression], -1)
    vertex_dirs = torch.cat([body.shape_dirs[..., :num_betas], body.expression_dirs], -1)
    joints, templates, dirs, owners, rows, amounts, carriers = [], [], [], [], [], [], []
    for landmark in range(marks.count):
        used = marks.weight[landmark] > 0
        index, weight = marks.index[landmark][used], marks.weight[landmark][used]
        on_joint, joint, vertex = index < J, index.clamp_max(J - 1), (index - J).clamp_min(0)
        skin = torch.where(
            on_joint[:, None], torch.eye(J)[joint], body.skin_weights_t[:, vertex].t()
        )
        at = torch.where(on_joint[:, None], body.joint_template[joint], body.v_template[vertex])
        move = torch.where(on_joint[:, None, None], joint_dirs[joint], vertex_dirs[vertex])
        share = weight[:, None] * skin  # (points, J)
        amount = share.sum(0)
        carriers.append(int(amount.argmax()))
        for j in torch.nonzero(amount > _LEAST_WEIGHT).flatten().tolist():
            part = share[:, j] / amount[j]
            joints.append(j)
            templates.append(part @ at)
            dirs.append(torch.einsum("k,kcd->cd", part, move))
            owners.append(carriers[-1])
            rows.append(landmark)
            amounts.append(float(amount[j]))
    mix = torch.zeros(marks.count, len(rows))
    mix[rows, list(range(len(rows)))] = torch.tensor(amounts)
    return _Pairs(
        torch.tensor(joints),
        torch.stack(templates),
        torch.stack(dirs),
        torch.tensor(owners),
        mix / mix.sum(1, keepdim=True),
        torch.tensor(carriers),
    )


def _scaling(joints: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Centres and scales (3, 4, B) of the parts: the rest, head, left hand, right hand."""
    eyes = joints[:, layout.LEFT_EYE : layout.RIGHT_EYE + 1].mean(1)
    left, right = joints[:, layout.LEFT_FINGERS].mean(1), joints[:, layout.RIGHT_FINGERS].mean(1)
    head, hand = shape.head_scale.t(), shape.hand_scale.t()
    centers = torch.stack([torch.zeros_like(eyes), eyes, left, right], dim=1)
    scales = torch.stack([torch.ones_like(head), head, hand, hand], dim=1)
    return centers, scales


def _scale_about(points: Tensor, centers: Tensor, scales: Tensor, part: Tensor) -> Tensor:
    """(3, N, B) points of the given parts (N,), scaled."""
    center, scale = centers.index_select(1, part), scales.index_select(1, part)
    return torch.addcmul(center, scale, points - center)
