"""The body in stages: model -> shaped -> posed -> mesh or landmarks.

Each stage is a frozen value that knows what the stages before it decided, so work is done once
and only when asked for::

    shaped = model.shape(betas, expression)         # joints: a small product, no mesh
    posed = shaped.pose(rotations, transl)          # forward kinematics on 55 joints, no mesh
    posed.joints, posed.landmarks("coco17")         # still no mesh
    posed.vertices()                                # linear blend skinning of the whole mesh

Every stage is differentiable in all its inputs and takes any leading batch shape ``*B``;
batches of the stages broadcast, so one shape can be posed in many frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pear_avatar.body.blending import BlendBasis
from pear_avatar.body.landmarks import LandmarkPlan, LandmarkSet, combine_sets
from pear_avatar.body.posed_skin import PosedSkin
from pear_avatar.body.skinning import (
    KinematicTree,
    SkinTable,
    forward_kinematics,
    rest_to_posed,
)
from pear_avatar.geometry.sparse import SparseMatrix

__all__ = ["BodyModel", "PosedBody", "ShapedBody"]


@dataclass(frozen=True)
class BodyModel:
    """A linear-blend-skinned body with SMPL-X's joints; sizes V vertices, F faces, J joints.

    v_template:            (V, 3) metres, T-pose.
    faces:                 (F, 3) int64.
    shape_dirs:            (V, 3, S) metres per unit of betas.
    expression_dirs:       (V, 3, E) metres per unit of expression.
    pose_dirs:             (V, 3, 9 (J - 1)) pose correctives on ``R - I`` of all joints but the
                           root, as in SMPL-X; None for a body without them.
    skin_joints:           (V, K) int64, the joints that move each vertex.
    skin_weights:          (V, K) >= 0, rows summing to 1.
    tree:                  the skeleton.
    joint_index:           (J, Q) int64, the vertices each joint is regressed from.
    joint_weight:          (J, Q) >= 0, rows summing to 1.
    joint_template:        (J, 3) metres, the regressed joints of the template; likewise below.
    joint_shape_dirs:      (J, 3, S).
    joint_expression_dirs: (J, 3, E).
    uv, uv_faces:          (T, 2) in [0, 1] and (F, 3) int64 into them.
    part_names, face_part: names of the parts and (F,) int64 into them.
    eyelid_dirs:           (V, 3, 2) metres, left and right lid closing.
    arkit_names:           the 52 facial actions.
    arkit_coef:            (52, E) expression of each action at full strength.
    arkit_pose:            (52, 9) axis-angle of jaw, left eye, right eye of each action.
    scalp:                 (V,) bool, where hair grows.
    landmark_sets:         by name.
    """

    v_template: Tensor
    faces: Tensor
    shape_dirs: Tensor
    expression_dirs: Tensor
    pose_dirs: Tensor | None
    skin_joints: Tensor
    skin_weights: Tensor
    tree: KinematicTree
    joint_index: Tensor
    joint_weight: Tensor
    joint_template: Tensor
    joint_shape_dirs: Tensor
    joint_expression_dirs: Tensor
    uv: Tensor
    uv_faces: Tensor
    part_names: tuple[str, ...]
    face_part: Tensor
    eyelid_dirs: Tensor
    arkit_names: tuple[str, ...]
    arkit_coef: Tensor
    arkit_pose: Tensor
    scalp: Tensor
    landmark_sets: dict[str, LandmarkSet] = field(default_factory=dict)

    @property
    def num_vertices(self) -> int:
        """V."""
        return int(self.v_template.shape[0])

    @property
    def num_joints(self) -> int:
        """J."""
        return len(self.tree.parents)

    @property
    def num_betas(self) -> int:
        """S."""
        return int(self.shape_dirs.shape[-1])

    @property
    def num_expression(self) -> int:
        """E."""
        return int(self.expression_dirs.shape[-1])

    @property
    def parents(self) -> tuple[int, ...]:
        """Each joint's parent, -1 for the root."""
        return self.tree.parents

    @cached_property
    def skin_weights_t(self) -> Tensor:
        """(J, V) the skinning weights as a dense matrix, as the skinning functions want them."""
        dense = self.skin_weights.new_zeros(self.num_vertices, self.num_joints)
        return dense.scatter_add(1, self.skin_joints, self.skin_weights).t().contiguous()

    @cached_property
    def skin_table(self) -> SkinTable:
        """The skinning weights as the C++ core reads them."""
        joints, weights = self.skin_joints.int(), self.skin_weights.detach().float()
        return SkinTable(joints.contiguous(), weights.contiguous())

    @cached_property
    def shape_basis(self) -> BlendBasis:
        """The shape directions of all vertices."""
        return BlendBasis(self.shape_dirs.flatten(0, 1))

    @cached_property
    def expression_rows(self) -> tuple[Tensor, BlendBasis]:
        """The vertices (M,) that any expression moves, and their directions."""
        index = torch.nonzero(self.expression_dirs.abs().amax((1, 2))).squeeze(-1)
        return index, BlendBasis(self.expression_dirs[index].flatten(0, 1))

    @cached_property
    def pose_basis(self) -> BlendBasis | None:
        """The pose correctives of all vertices."""
        return None if self.pose_dirs is None else BlendBasis(self.pose_dirs.flatten(0, 1))

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> BodyModel:
        """The same body on another device or in another floating-point dtype."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device=device, dtype=dtype if value.is_floating_point() else None)
            if isinstance(value, KinematicTree):
                return value.to(device)
            if isinstance(value, dict):
                return {name: s.to(device, dtype) for name, s in value.items()}
            return value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})

    def landmark_set(self, name: str) -> LandmarkSet:
        """The landmark set of this name."""
        if name not in self.landmark_sets:
            known = ", ".join(sorted(self.landmark_sets)) or "none"
            raise ValueError(f"no landmark set {name!r} on this body; there are: {known}")
        return self.landmark_sets[name]

    def landmark_plan(self, *names: str) -> LandmarkPlan:
        """What the named landmark sets need of the model; made once for each combination."""
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = self._make_plan(names)
        return plan

    @cached_property
    def _plans(self) -> dict[tuple[str, ...], LandmarkPlan]:
        return {}

    def _make_plan(self, names: tuple[str, ...]) -> LandmarkPlan:
        sets = tuple(self.landmark_set(name) for name in names)
        index, mix = combine_sets(sets, self.num_joints)
        return self.row_plan(index, mix, tuple(s.count for s in sets))

    def row_plan(self, index: Tensor, mix: SparseMatrix, splits: tuple[int, ...]) -> LandmarkPlan:
        """Gather the rows of the vertices ``index`` (M,); ``mix`` and ``splits`` as of the plan."""
        table = self.skin_table
        return LandmarkPlan(
            vertex_index=index,
            template=self.v_template[index],
            shape_dirs=self.shape_dirs[index].flatten(0, 1),
            expression_dirs=self.expression_dirs[index].flatten(0, 1),
            pose_basis=None
            if self.pose_dirs is None
            else BlendBasis(self.pose_dirs[index].flatten(0, 1)),
            weights_t=self.skin_weights_t[:, index].contiguous(),
            table=SkinTable(*(t[index].contiguous() for t in (table.joints, table.weights))),
            mix=mix,
            splits=splits,
        )

    def shape(
        self,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        vertex_offsets: Tensor | None = None,
        joint_offsets: Tensor | None = None,
    ) -> ShapedBody:
        """Give the body a shape.

        Args:
            betas: (*B, up to S); missing coefficients are zero.
            expression: (*B, up to E); likewise.
            vertex_offsets: (*B, V, 3) metres, added to the rest pose; the joints stay put.
            joint_offsets: (*B, J, 3) metres, added to the joints; the vertices stay put.
        """
        joints = self.joint_template
        joints = joints + _blend("betas", self.joint_shape_dirs.flatten(0, 1), betas)
        joints = joints + _blend("expression", self.joint_expression_dirs.flatten(0, 1), expression)
        if joint_offsets is not None:
            joints = joints + joint_offsets
        if vertex_offsets is not None and vertex_offsets.shape[-2:] != (self.num_vertices, 3):
            raise ValueError(
                f"vertex_offsets must have shape (*B, {self.num_vertices}, 3), "
                f"got {tuple(vertex_offsets.shape)}"
            )
        return ShapedBody(self, betas, expression, vertex_offsets, joints)


@dataclass(frozen=True)
class ShapedBody:
    """A body of one shape (or a batch of shapes) in its rest pose.

    joints: (*B, J, 3) metres. The other fields are the arguments of :meth:`BodyModel.shape`.
    """

    model: BodyModel
    betas: Tensor | None
    expression: Tensor | None
    vertex_offsets: Tensor | None
    joints: Tensor

    def vertices(self) -> Tensor:
        """(*B, V, 3) rest-pose vertices in metres; computed at the first call."""
        return self._vertices

    @cached_property
    def _vertices(self) -> Tensor:
        model = self.model
        vertices = model.v_template
        if self.betas is not None:
            vertices = model.shape_basis.blend("betas", self.betas, vertices)
        if self.expression is not None:
            index, basis = model.expression_rows
            moved = basis.blend("expression", self.expression)
            batch = torch.broadcast_shapes(vertices.shape[:-2], moved.shape[:-2])
            vertices = vertices.expand(*batch, *vertices.shape[-2:])
            vertices = vertices.index_add(-2, index, moved.expand(*batch, *moved.shape[-2:]))
        return vertices if self.vertex_offsets is None else vertices + self.vertex_offsets

    def subset(self, plan: LandmarkPlan) -> Tensor:
        """(*B, M, 3) rest positions of a plan's vertices only."""
        vertices = plan.template + _blend("betas", plan.shape_dirs, self.betas)
        vertices = vertices + _blend("expression", plan.expression_dirs, self.expression)
        if self.vertex_offsets is None:
            return vertices
        return vertices + self.vertex_offsets.index_select(-2, plan.vertex_index)

    def pose(self, rotations: Tensor, transl: Tensor | None = None) -> PosedBody:
        """Pose the skeleton.

        Args:
            rotations: (*B, J, 3, 3) local rotations; joint 0 is the global orientation, about
                the pelvis joint.
            transl: (*B, 3) metres, added after posing.
        """
        T = forward_kinematics(rotations, self.joints, self.model.tree)
        if transl is not None:
            R, t = T[..., :3], T[..., 3:] + transl[..., None, :, None]
            T = torch.cat([R.expand(*t.shape[:-1], 3), t], dim=-1)
        return PosedBody(rotations, T, self)


@dataclass(frozen=True)
class PosedBody(PosedSkin):
    """A shaped body in a pose; the mesh is made only when asked for."""

    shaped: ShapedBody

    @cached_property
    def rest_to_posed(self) -> Tensor:
        """(*B, J, 3, 4) transforms that skinning blends; translation included."""
        return rest_to_posed(self.joint_transforms, self.shaped.joints)

    @property
    def skin(self) -> tuple[Tensor, SkinTable]:
        """(J, V) skinning weights, and the same as the C++ core reads them."""
        return self.shaped.model.skin_weights_t, self.shaped.model.skin_table

    def rest_vertices(self) -> Tensor:
        """(*B, V, 3) rest-pose vertices with this pose's correctives: what skinning moves."""
        return self.add_correctives(self.shaped.vertices(), self.shaped.model.pose_basis)

    def landmark_rows(self, *names: str) -> tuple[LandmarkPlan, Tensor | None]:
        """The plan of landmark sets and (*B, M, 3) the rest vertices that it needs, if any."""
        plan = self.shaped.model.landmark_plan(*names)
        if not len(plan.vertex_index):
            return plan, None
        return plan, self.add_correctives(self.shaped.subset(plan), plan.pose_basis)


def _blend(name: str, dirs: Tensor, coefficients: Tensor | None) -> Tensor:
    """(P * 3, C) directions x (*B, up to C) coefficients -> (*B, P, 3); zeros without any."""
    if coefficients is None:
        return dirs.new_zeros(())
    return BlendBasis(dirs).blend(name, coefficients)
