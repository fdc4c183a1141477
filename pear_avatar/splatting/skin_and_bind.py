"""Skinning a mesh and carrying splats on its triangles, as one fused step.

Linear blend skinning poses the vertices; a splat sits at a barycentric point of one triangle plus
an offset in the triangle's frame, and its rotation is relative to that frame (GaussianAvatars,
Qian et al., CVPR 2024, without their isotropic triangle scale). The frame's columns are ``e`` along
the first edge, ``t = n x e`` and ``n``, the normal.

Gradients hold the frame constant: vertices get theirs through the barycentric point alone, which
leaves out only the turn of the (millimetre) offset and of the splat with its triangle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pear_avatar import _native
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz, quat_multiply_wxyz

Posed = tuple[Tensor, Tensor, Tensor]
"""vertices (V, 3), means (N, 3), quats_wxyz (N, 4)."""


@dataclass(frozen=True)
class SkinnedSplats:
    """What does not change while V vertices and N splats are posed; make it with :meth:`build`.

    skin_joints:      (V, K) int32, the joints that move each vertex.
    skin_weights:     (V, K), rows sum to 1; unused places have weight 0.
    face_vertices:    (N, 3) int32, vertices of each splat's triangle.
    barycentric:      (N, 3), rows sum to 1.
    num_joints:       J.
    incident_offsets: (V + 1,) int32, where each vertex's entries begin in the next two.
    incident_splats:  (3 N,) int32, splats whose triangle has this vertex.
    incident_weights: (3 N,) the vertex's barycentric weight there.
    """

    skin_joints: Tensor
    skin_weights: Tensor
    face_vertices: Tensor
    barycentric: Tensor
    num_joints: int
    incident_offsets: Tensor
    incident_splats: Tensor
    incident_weights: Tensor

    @classmethod
    def build(
        cls,
        skin_joints: Tensor,
        skin_weights: Tensor,
        face_vertices: Tensor,
        barycentric: Tensor,
        num_joints: int,
    ) -> SkinnedSplats:
        """Check the tables and index them by vertex; integer tables of any width.

        Raises:
            ValueError: shapes do not fit, or an index is out of range.
        """
        if skin_joints.dim() != 2 or skin_joints.shape != skin_weights.shape:
            raise ValueError(
                "skin_joints and skin_weights must both be (V, K); found "
                f"{tuple(skin_joints.shape)} and {tuple(skin_weights.shape)}"
            )
        if face_vertices.shape != barycentric.shape or face_vertices.shape[1:] != (3,):
            raise ValueError(
                "face_vertices and barycentric must both be (N, 3); found "
                f"{tuple(face_vertices.shape)} and {tuple(barycentric.shape)}"
            )
        num_vertices = len(skin_joints)
        _check_range("skin_joints", skin_joints, num_joints)
        _check_range("face_vertices", face_vertices, num_vertices)
        corner_vertex = face_vertices.long().flatten()
        by_vertex = torch.argsort(corner_vertex, stable=True)
        counts = torch.bincount(corner_vertex, minlength=num_vertices)
        offsets = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
        weights = barycentric.detach().to(torch.float32).contiguous()
        return cls(
            skin_joints=skin_joints.to(torch.int32).contiguous(),
            skin_weights=skin_weights.detach().to(torch.float32).contiguous(),
            face_vertices=face_vertices.to(torch.int32).contiguous(),
            barycentric=weights,
            num_joints=num_joints,
            incident_offsets=offsets.to(torch.int32),
            incident_splats=(by_vertex // 3).to(torch.int32),
            incident_weights=weights.flatten()[by_vertex].contiguous(),
        )

    @property
    def num_vertices(self) -> int:
        """V."""
        return int(self.skin_joints.shape[0])

    @property
    def num_splats(self) -> int:
        """N."""
        return int(self.face_vertices.shape[0])


def skin_and_bind(
    skinned: SkinnedSplats,
    v_rest: Tensor,
    joint_transforms: Tensor,
    offsets: Tensor,
    local_quats_wxyz: Tensor,
    *,
    backend: str = "auto",
) -> Posed:
    """Pose the vertices and put the splats onto them; differentiable in all four tensors.

    Args:
        skinned: the fixed tables.
        v_rest: (V, 3) vertices at rest, metres.
        joint_transforms: (J, 3, 4) from rest to posed, translation included.
        offsets: (N, 3) of each splat in its triangle's frame, metres.
        local_quats_wxyz: (N, 4) relative to the triangle's frame; any length.
        backend: "cpu" (the C++ core: computes and returns float32), "torch" (the readable twin:
            any device and dtype), or "auto" (the C++ core for CPU tensors).

    Returns:
        vertices (V, 3), means (N, 3), quats_wxyz (N, 4) as long as the local ones.

    Raises:
        ValueError: shapes do not fit the tables, or the back end does not fit the device.
    """
    _check_shapes(skinned, v_rest, joint_transforms, offsets, local_quats_wxyz)
    if backend not in ("auto", "cpu", "torch"):
        raise ValueError(f"backend must be 'auto', 'cpu' or 'torch', got {backend!r}")
    inputs = (v_rest, joint_transforms, offsets, local_quats_wxyz)
    if backend == "torch" or (backend == "auto" and v_rest.device.type != "cpu"):
        return skin_and_bind_reference(skinned, *inputs)
    if v_rest.device.type != "cpu":
        raise ValueError(f'backend="cpu" takes CPU tensors, these are on {v_rest.device}')
    posed: Posed = _SkinAndBind.apply(skinned, *(t.to(torch.float32).contiguous() for t in inputs))
    return posed


def skin_and_bind_reference(
    skinned: SkinnedSplats,
    v_rest: Tensor,
    joint_transforms: Tensor,
    offsets: Tensor,
    local_quats_wxyz: Tensor,
) -> Posed:
    """The readable twin of the kernel behind :func:`skin_and_bind`."""
    weights = skinned.skin_weights.to(v_rest)
    blended = torch.einsum("vk,vkij->vij", weights, joint_transforms[skinned.skin_joints.long()])
    vertices = (blended[..., :3] @ v_rest[..., None])[..., 0] + blended[..., 3]
    corners = vertices[skinned.face_vertices.long()]  # (N, 3 corners, 3)
    means = (corners * skinned.barycentric.to(v_rest)[..., None]).sum(dim=1)
    with torch.no_grad():
        a, b, c = corners.unbind(dim=1)
        e = torch.nn.functional.normalize(b - a, dim=-1)
        n = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
        frames = torch.stack((e, torch.linalg.cross(n, e), n), dim=-1)
        frame_quats = matrix_to_quat_wxyz(frames)
    means = means + (frames @ offsets[..., None])[..., 0]
    return vertices, means, quat_multiply_wxyz(frame_quats, local_quats_wxyz)


def _check_range(name: str, index: Tensor, limit: int) -> None:
    if index.numel() == 0:
        return
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= limit:
        raise ValueError(f"{name} must lie in [0, {limit}), found {low} to {high}")


def _check_shapes(
    skinned: SkinnedSplats, v_rest: Tensor, transforms: Tensor, offsets: Tensor, quats: Tensor
) -> None:
    vertices, splats, joints = skinned.num_vertices, skinned.num_splats, skinned.num_joints
    expected = {
        "v_rest": (v_rest, (vertices, 3)),
        "joint_transforms": (transforms, (joints, 3, 4)),
        "offsets": (offsets, (splats, 3)),
        "local_quats_wxyz": (quats, (splats, 4)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(f"{name} must be {shape}, got {tuple(tensor.shape)}")


class _SkinAndBind(torch.autograd.Function):
    """(skinned, v_rest, joint_transforms, offsets, local_quats), all float32 and contiguous."""

    @staticmethod
    def forward(  # noqa: PLR0917  (torch passes them by position)
        ctx: Any,
        skinned: SkinnedSplats,
        v_rest: Tensor,
        transforms: Tensor,
        offsets: Tensor,
        local_quats: Tensor,
    ) -> Posed:
        vertices = torch.empty_like(v_rest)
        means = torch.empty_like(offsets)
        quats, frame_quats = torch.empty_like(local_quats), torch.empty_like(local_quats)
        tensors = (
            skinned.skin_joints,
            skinned.skin_weights,
            v_rest,
            transforms,
            skinned.face_vertices,
            skinned.barycentric,
            offsets,
            local_quats,
            vertices,
            means,
            quats,
            frame_quats,
        )
        _native.check(
            _native.library().pear_skin_forward(*_sizes(skinned), *(t.data_ptr() for t in tensors))
        )
        ctx.skinned = skinned
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(v_rest, transforms, frame_quats)
        return vertices, means, quats

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_vertices: Tensor | None, grad_means: Tensor | None, grad_quats: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        v_rest, transforms, frame_quats = ctx.saved_tensors
        skinned: SkinnedSplats = ctx.skinned
        incoming = [
            None if g is None else g.contiguous() for g in (grad_vertices, grad_means, grad_quats)
        ]
        grads = (
            torch.empty_like(v_rest),
            torch.empty_like(transforms),
            v_rest.new_empty(skinned.num_splats, 3),
            v_rest.new_empty(skinned.num_splats, 4),
        )
        tensors = (
            skinned.skin_joints,
            skinned.skin_weights,
            v_rest,
            transforms,
            frame_quats,
            skinned.incident_offsets,
            skinned.incident_splats,
            skinned.incident_weights,
            *incoming,
            *grads,
        )
        _native.check(
            _native.library().pear_skin_backward(
                *_sizes(skinned), *(None if t is None else t.data_ptr() for t in tensors)
            )
        )
        return (None, *grads)


def _sizes(skinned: SkinnedSplats) -> tuple[int, int, int, int]:
    influences = int(skinned.skin_joints.shape[1])
    return skinned.num_vertices, skinned.num_splats, skinned.num_joints, influences
