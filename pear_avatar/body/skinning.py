"""Forward kinematics and linear blend skinning as pure, differentiable functions.

After Loper et al., "SMPL: A Skinned Multi-Person Linear Model", 2015: a joint's world transform
is the product of its ancestors' local ones, and a vertex moves with the weighted mean of the
rest-to-posed transforms of its joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pear_avatar import _native
from pear_avatar.body.blending import native_is_ready

__all__ = [
    "KinematicTree",
    "SkinTable",
    "fk_transforms",
    "forward_kinematics",
    "linear_blend_skinning",
    "rest_to_posed",
]

#: Vertices skinned at a time: their blended transforms (12 floats each) stay in the L2 cache.
_CHUNK_VERTICES = 16384


@dataclass(frozen=True)
class KinematicTree:
    """A skeleton's parents, prepared for walking down level by level.

    parents:       length J; -1 for the root, which comes first.
    order:         (J,) joints sorted by depth.
    inverse:       (J,) where each joint stands in ``order``.
    level_sizes:   number of joints at each depth.
    level_parents: for each depth but the first, (n,) the parents' places in the level above.
    offset_parent: (J,) each joint's parent, the root's own index for the root.
    """

    parents: tuple[int, ...]
    order: Tensor
    inverse: Tensor
    level_sizes: tuple[int, ...]
    level_parents: tuple[Tensor, ...]
    offset_parent: Tensor

    @classmethod
    def from_parents(cls, parents: tuple[int, ...]) -> KinematicTree:
        """Prepare a skeleton whose parents come before their children."""
        if not parents or parents[0] != -1:
            raise ValueError(f"the first joint must be the root (parent -1), got {parents[:1]}")
        depth = [0]
        for joint, parent in enumerate(parents[1:], start=1):
            if not 0 <= parent < joint:
                raise ValueError(f"joint {joint} must follow its parent, got parent {parent}")
            depth.append(depth[parent] + 1)
        levels = [[j for j, d in enumerate(depth) if d == k] for k in range(max(depth) + 1)]
        order = [j for level in levels for j in level]
        return cls(
            tuple(parents),
            torch.tensor(order),
            torch.tensor(order).argsort(),
            tuple(len(level) for level in levels),
            tuple(
                torch.tensor([above.index(parents[j]) for j in level])
                for above, level in pairwise(levels)
            ),
            torch.tensor([0, *parents[1:]]),
        )

    def to(self, device: torch.device | str | None = None) -> KinematicTree:
        """The same tree with its index tensors on another device."""
        return KinematicTree(
            self.parents,
            self.order.to(device),
            self.inverse.to(device),
            self.level_sizes,
            tuple(p.to(device) for p in self.level_parents),
            self.offset_parent.to(device),
        )


def forward_kinematics(rotations: Tensor, joints: Tensor, tree: KinematicTree) -> Tensor:
    """World transforms of the joints, without any mesh.

    Args:
        rotations: (*B, J, 3, 3) local rotations; the root turns about its own rest position.
        joints: (*B, J, 3) rest positions in metres; broadcasts against the rotations.
        tree: the skeleton.

    Returns:
        (*B, J, 3, 4) world rotation and position of each joint, ``T_world_joint[..., :3, :]``.
    """
    num = len(tree.parents)
    if rotations.shape[-3:] != (num, 3, 3):
        raise ValueError(
            f"rotations must have shape (*B, {num}, 3, 3), got {tuple(rotations.shape)}"
        )
    if joints.shape[-2:] != (num, 3):
        raise ValueError(f"joints must have shape (*B, {num}, 3), got {tuple(joints.shape)}")
    # A root without a parent hangs at its absolute position, the others at their offset.
    is_child = torch.ones_like(joints[..., :1])
    is_child[..., 0, :] = 0
    offsets = joints - is_child * joints.index_select(-2, tree.offset_parent)

    batch = torch.broadcast_shapes(rotations.shape[:-3], joints.shape[:-2])
    rotations = rotations.expand(*batch, num, 3, 3)
    offsets = offsets.expand(*batch, num, 3)
    # Made on the device: a list copied to it could not be part of a CUDA graph.
    last_row = torch.eye(4, dtype=rotations.dtype, device=rotations.device)[3]
    bottom = last_row.expand(*batch, num, 1, 4)
    local = torch.cat([torch.cat([rotations, offsets[..., None]], dim=-1), bottom], dim=-2)
    levels = local.index_select(-3, tree.order).split(tree.level_sizes, dim=-3)
    world = [levels[0][..., :3, :]]
    for parent, level in zip(tree.level_parents, levels[1:], strict=True):
        world.append(world[-1].index_select(-3, parent) @ level)
    return torch.cat(world, dim=-3).index_select(-3, tree.inverse)


def rest_to_posed(T_world_joint: Tensor, joints: Tensor) -> Tensor:
    """(*B, J, 3, 4) world transforms and (*B, J, 3) rest joints -> transforms of rest points."""
    R = T_world_joint[..., :3, :3]
    t = T_world_joint[..., :3, 3:] - R @ joints[..., None]
    return torch.cat([R, t], dim=-1)


def fk_transforms(rotations: Tensor, joints: Tensor, tree: KinematicTree) -> Tensor:
    """(*B, J, 3, 4) that carry rest-pose points to the pose; see :func:`forward_kinematics`."""
    return rest_to_posed(forward_kinematics(rotations, joints, tree), joints)


@dataclass(frozen=True)
class SkinTable:
    """Skinning weights as the few joints that move each vertex, as the C++ core reads them.

    joints:  (V, K) int32.
    weights: (V, K) float32; zero where a vertex has fewer than K joints.
    """

    joints: Tensor
    weights: Tensor

    @classmethod
    def from_dense(cls, weights_t: Tensor) -> SkinTable:
        """From (J, V) weights."""
        most = max(1, int((weights_t != 0).sum(0).max())) if weights_t.shape[1] else 1
        weights, joints = weights_t.t().abs().topk(most, dim=1)
        weights = weights_t.t().gather(1, joints)
        return cls(joints.to(torch.int32).contiguous(), weights.detach().float().contiguous())


def linear_blend_skinning(
    vertices: Tensor, transforms: Tensor, weights_t: Tensor, table: SkinTable | None = None
) -> Tensor:
    """Move each vertex with the weighted mean of its joints' transforms.

    Args:
        vertices: (*B, V, 3) rest positions in metres; broadcasts against the transforms.
        transforms: (*B, J, 3, 4) rest-to-posed, of :func:`fk_transforms`.
        weights_t: (J, V) skinning weights, columns summing to 1; not differentiated.
        table: the same weights for the C++ core, which takes float32 on the CPU.

    Returns:
        (*B, V, 3) metres.
    """
    num_joints, num_vertices = weights_t.shape
    if vertices.shape[-2:] != (num_vertices, 3):
        raise ValueError(
            f"vertices must have shape (*B, {num_vertices}, 3), got {tuple(vertices.shape)}"
        )
    if transforms.shape[-3:] != (num_joints, 3, 4):
        raise ValueError(
            f"transforms must have shape (*B, {num_joints}, 3, 4), got {tuple(transforms.shape)}"
        )
    batch = torch.broadcast_shapes(vertices.shape[:-2], transforms.shape[:-3])
    shared = vertices.shape[:-2].numel() == 1
    if not shared:
        vertices = vertices.expand(*batch, num_vertices, 3)
    vertices = vertices.reshape(-1, num_vertices, 3)
    transforms = transforms.expand(*batch, num_joints, 3, 4).reshape(-1, num_joints, 3, 4)
    if table is not None and _fits_core(vertices, transforms):
        skinned: Tensor = _SkinCore.apply(vertices, transforms, table)
        return skinned.reshape(*batch, num_vertices, 3)
    out: Tensor = _Skin.apply(vertices, transforms, weights_t)
    return out.reshape(*batch, num_vertices, 3)


class _Skin(torch.autograd.Function):
    """Skinning in coordinate planes, a few bodies at a time, with its analytic gradient.

    Nothing but the inputs is kept for the gradient: blending the transforms again is cheaper
    than fetching 48 bytes a vertex from memory.
    """

    @staticmethod
    def forward(ctx: Any, vertices: Tensor, transforms: Tensor, weights_t: Tensor) -> Tensor:
        ctx.save_for_backward(vertices, transforms, weights_t)
        num, v = transforms.shape[0], vertices.shape[1]
        out = vertices.new_empty(num, v, 3)
        for part in _chunks(num, v):
            blended = _blend(transforms[part], weights_t)
            x, y, z = _planes(vertices, part)
            moved = blended[:, :, 3].addcmul(blended[:, :, 0], x)
            moved.addcmul_(blended[:, :, 1], y).addcmul_(blended[:, :, 2], z)
            out[part] = moved.transpose(-1, -2)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        vertices, transforms, weights_t = ctx.saved_tensors
        need_vertices, need_transforms, _ = ctx.needs_input_grad
        num, v = transforms.shape[0], vertices.shape[1]
        grad_vertices = torch.zeros_like(vertices) if need_vertices else None
        grad_transforms = torch.empty_like(transforms) if need_transforms else None
        weights = weights_t.t()
        for part in _chunks(num, v):
            g = grad[part].transpose(-1, -2).contiguous()  # (b, 3, V)
            if grad_vertices is not None:
                blended = _blend(transforms[part], weights_t)
                back = blended[:, 0, :3] * g[:, :1]  # (b, 3, V)
                back.addcmul_(blended[:, 1, :3], g[:, 1:2])
                back.addcmul_(blended[:, 2, :3], g[:, 2:])
                if vertices.shape[0] == 1:
                    grad_vertices += back.sum(0).t()
                else:
                    grad_vertices[part] = back.transpose(-1, -2)
            if grad_transforms is not None:
                outer = g.new_empty(g.shape[0], 3, 4, v)
                for column, plane in enumerate(_planes(vertices, part)):
                    torch.mul(g, plane, out=outer[:, :, column])
                outer[:, :, 3] = g
                summed = (outer.reshape(-1, v) @ weights).unflatten(0, (-1, 3, 4))
                grad_transforms[part] = summed.permute(0, 3, 1, 2)
        return grad_vertices, grad_transforms, None


def _fits_core(vertices: Tensor, transforms: Tensor) -> bool:
    return (
        vertices.dtype == transforms.dtype == torch.float32
        and vertices.device.type == transforms.device.type == "cpu"
        and native_is_ready()
    )


class _SkinCore(torch.autograd.Function):
    """The same step in the C++ core, one body after the other: vertices (B or 1, V, 3)."""

    @staticmethod
    def forward(ctx: Any, vertices: Tensor, transforms: Tensor, table: SkinTable) -> Tensor:
        vertices, transforms = vertices.contiguous(), transforms.contiguous()
        ctx.save_for_backward(vertices, transforms)
        ctx.table = table
        out = vertices.new_empty(transforms.shape[0], *vertices.shape[1:])
        pear_skin_forward = _native.library().pear_skin_forward
        sizes, tables = _core_sizes(vertices, transforms, table), _addresses(table)
        bodies = zip(*(_rows(t, len(out)) for t in (vertices, transforms, out)), strict=True)
        for rest, moves, posed in bodies:  # with none of the splats that may ride on a mesh
            nothing = (None,) * 4
            _native.check(
                pear_skin_forward(*sizes, *tables, rest, moves, *nothing, posed, None, None, None)
            )
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        vertices, transforms = ctx.saved_tensors
        num, shared = transforms.shape[0], vertices.shape[0] == 1
        grad = grad.contiguous()
        grad_vertices, grad_transforms = torch.empty_like(grad), torch.empty_like(transforms)
        pear_skin_backward = _native.library().pear_skin_backward
        sizes, tables = _core_sizes(vertices, transforms, ctx.table), _addresses(ctx.table)
        moving = (vertices, transforms, grad, grad_vertices, grad_transforms)
        for rest, moves, g, to_rest, to_moves in zip(*(_rows(t, num) for t in moving), strict=True):
            inputs, splats = (rest, moves, None, None, None, None), (None, None)
            _native.check(
                pear_skin_backward(*sizes, *tables, *inputs, g, *splats, to_rest, to_moves, *splats)
            )
        if shared and num > 1:
            grad_vertices = grad_vertices.sum(0, keepdim=True)
        return grad_vertices, grad_transforms, None


def _core_sizes(
    vertices: Tensor, transforms: Tensor, table: SkinTable
) -> tuple[int, int, int, int]:
    return vertices.shape[1], 0, transforms.shape[1], table.joints.shape[1]


def _addresses(table: SkinTable) -> tuple[int, int]:
    return table.joints.data_ptr(), table.weights.data_ptr()


def _rows(tensor: Tensor, count: int) -> list[int]:
    """Where each body's row of a contiguous float32 tensor begins; one row may serve all."""
    step = 4 * tensor[0].numel() if tensor.shape[0] > 1 else 0
    return [tensor.data_ptr() + i * step for i in range(count)]


def _chunks(num_bodies: int, num_vertices: int) -> list[slice]:
    step = max(1, _CHUNK_VERTICES // max(num_vertices, 1))
    return [slice(i, i + step) for i in range(0, num_bodies, step)]


def _blend(transforms: Tensor, weights_t: Tensor) -> Tensor:
    """(b, J, 3, 4) x (J, V) -> (b, 3, 4, V)."""
    rows = transforms.permute(0, 2, 3, 1).reshape(-1, weights_t.shape[0])
    return (rows @ weights_t).unflatten(0, (transforms.shape[0], 3, 4))


def _planes(vertices: Tensor, part: slice) -> tuple[Tensor, Tensor, Tensor]:
    """x, y, z of the chunk's bodies (of the shared one), each (b, 1, V)."""
    chosen = vertices if vertices.shape[0] == 1 else vertices[part]
    x, y, z = chosen.permute(2, 0, 1).contiguous().unsqueeze(2).unbind(0)
    return x, y, z
