"""A kinematic chain under corrections of a pose, in one call of the C++ core on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pear_avatar import _native
from pear_avatar.body.skinning import KinematicTree, fk_transforms
from pear_avatar.geometry.rotations import axis_angle_to_matrix

__all__ = ["corrected_chain", "corrected_chain_reference"]


def corrected_chain(
    rotations: Tensor,
    correction: Tensor,
    joints: Tensor,
    transl: Tensor,
    tree: KinematicTree,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Turn each joint of a pose a little further and walk down the skeleton.

    Differentiable in everything but ``rotations``, the pose that the correction comes after.

    Args:
        rotations: (J, 3, 3) local rotations.
        correction: (J, 3) axis-angle (radians), applied first: R exp(correction).
        joints: (J, 3) rest positions in metres.
        transl: (3,) metres, added to everything.
        tree: the skeleton.
        backend: "cpu" (the C++ core: float32, sums in float64), "torch", or "auto".

    Returns:
        (J, 3, 3) corrected local rotations, and (J, 3, 4) transforms of rest points.
    """
    inputs = (rotations, correction, joints, transl)
    floats = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in inputs)
    if backend == "cpu" or (backend == "auto" and floats and _native.fit_is_available()):
        parents = torch.tensor(tree.parents, dtype=torch.int32)
        turns, transforms = _Chain.apply(parents, *(t.contiguous() for t in inputs))
        return turns, transforms
    return corrected_chain_reference(rotations, correction, joints, transl, tree)


def corrected_chain_reference(
    rotations: Tensor, correction: Tensor, joints: Tensor, transl: Tensor, tree: KinematicTree
) -> tuple[Tensor, Tensor]:
    """The readable twin of :func:`corrected_chain`."""
    turns = rotations @ axis_angle_to_matrix(correction)
    transforms = fk_transforms(turns, joints, tree)
    shifted = transforms[..., 3:] + transl[:, None]
    return turns, torch.cat([transforms[..., :3], shifted], dim=-1)


class _Chain(torch.autograd.Function):
    """(parents int32, rotations, correction, joints, transl), all contiguous on the CPU."""

    @staticmethod
    def forward(ctx: Any, parents: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        rotations, _, joints, _ = inputs
        turns, transforms = torch.empty_like(rotations), joints.new_empty(len(joints), 3, 4)
        addresses = (t.data_ptr() for t in (parents, *inputs, turns, transforms))
        _native.check(_native.fit_library().pear_chain_forward(len(joints), *addresses))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(parents, *inputs)
        return turns, transforms

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_turns: Tensor | None, grad_transforms: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        parents, rotations, correction, joints, transl = ctx.saved_tensors
        if grad_transforms is None:
            grad_transforms = joints.new_zeros(len(joints), 3, 4)
        incoming = [None if g is None else g.contiguous() for g in (grad_turns, grad_transforms)]
        grads = [torch.empty_like(t) for t in (correction, joints, transl)]
        tensors = (parents, rotations, correction, joints, *incoming, *grads)
        addresses = (None if t is None else t.data_ptr() for t in tensors)
        _native.check(_native.fit_library().pear_chain_backward(len(joints), *addresses))
        return (None, None, *grads)
