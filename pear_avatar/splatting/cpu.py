"""The C++ rasteriser as an autograd function."""

from __future__ import annotations

import ctypes
import functools
from collections import deque
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pear_avatar import _native
from pear_avatar.splatting.splat_scene import Images, Splats, View

_MAX_IDLE_STATES = 8


def draw(splats: Splats, view: View) -> Images:
    """Draw float32 images with the C++ kernel, one camera after the other.

    Inputs of other dtypes are cast to float32; gradients come back in the dtype of each input.
    """
    tensors = [
        t.to(torch.float32).contiguous()
        for t in (splats.means, splats.quats_wxyz, splats.scales, splats.opacities, splats.colors)
    ]
    poses = view.T_camera_world.to("cpu", torch.float32)
    background = view.background
    if background is not None:
        background = background.to("cpu", torch.float32).contiguous()
    limits = (view.eps2d, view.near, view.far)
    images = []
    for intrinsics, pose in zip(view.K.detach().tolist(), poses.unbind(), strict=True):
        (fx, _, cx), (_, fy, cy), _ = intrinsics
        target = _Target((fx, fy, cx, cy), limits, view.width, view.height)
        color, alpha, depth = _Rasterise.apply(target, *tensors, pose.contiguous(), background)
        images.append((color.permute(1, 2, 0), alpha[..., None], depth[..., None]))
    if not images:
        empty = tensors[0].new_empty(0, view.height, view.width, 1)
        return empty.expand(-1, -1, -1, tensors[4].shape[1]), empty, empty
    if len(images) == 1:
        color, alpha, depth = images[0]
        return color[None], alpha[None], depth[None]
    colors, alphas, depths = zip(*images, strict=True)
    return torch.stack(colors), torch.stack(alphas), torch.stack(depths)


class _Target:
    """Everything about one image that is not a tensor, ready for the C ABI."""

    __slots__ = ("height", "intrinsics", "limits", "width")

    def __init__(
        self,
        intrinsics: tuple[float, float, float, float],
        limits: tuple[float, float, float],
        width: int,
        height: int,
    ) -> None:
        self.intrinsics = (ctypes.c_float * 4)(*intrinsics)
        self.limits = (ctypes.c_float * 3)(*limits)
        self.width = width
        self.height = height


@functools.cache
def _idle_states() -> deque[int]:
    """States that wait for their next use: their buffers have grown to size already."""
    return deque()


class _State:
    """What one forward pass keeps for its backward pass, on the C++ side.

    Owned by the autograd context alone, so any number of forward passes may be pending. Goes back
    to the idle states when the graph is freed. (deque's append and pop are atomic.)
    """

    __slots__ = ("handle",)

    def __init__(self) -> None:
        try:
            self.handle = _idle_states().pop()
        except IndexError:
            handle = _native.library().pear_raster_new()
            if handle is None:
                raise MemoryError("the C++ core ran out of memory") from None
            self.handle = handle

    def __del__(self) -> None:
        handle = getattr(self, "handle", None)
        if handle is None:
            return
        idle = _idle_states()
        if len(idle) < _MAX_IDLE_STATES:
            idle.append(handle)
        else:
            _native.library().pear_raster_free(handle)


def _address(t: Tensor | None) -> int | None:
    return None if t is None else t.data_ptr()


class _Rasterise(torch.autograd.Function):
    """(target, means, quats, scales, opacities, colors, T_camera_world, background) to images.

    All tensors float32 and contiguous; color (D, H, W), alpha (H, W), depth (H, W).
    """

    @staticmethod
    def forward(ctx: Any, target: _Target, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        *splats, pose, background = inputs
        means, colors = splats[0], splats[4]
        assert means is not None  # for the type checker, as the next
        assert colors is not None
        height, width, channels = target.height, target.width, colors.shape[1]
        planes = means.new_empty(channels + 2, height, width)
        color, alpha, depth = planes[:channels], planes[channels], planes[channels + 1]
        state = _State()
        _native.check(
            _native.library().pear_raster_forward(
                state.handle,
                means.shape[0],
                channels,
                *map(_address, splats),
                _address(pose),
                target.intrinsics,
                target.limits,
                width,
                height,
                _address(background),
                *map(_address, (color, alpha, depth)),
            )
        )
        if any(ctx.needs_input_grad):
            ctx.set_materialize_grads(False)
            ctx.state = state
            ctx.save_for_backward(*splats, color, alpha, depth)
        return color, alpha, depth

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_color: Tensor | None, grad_alpha: Tensor | None, grad_depth: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        *splats, color, alpha, depth = ctx.saved_tensors
        grads_out = [
            None if g is None else g.contiguous() for g in (grad_color, grad_alpha, grad_depth)
        ]
        grads_in = [torch.empty_like(t) for t in splats]
        grad_pose = splats[0].new_zeros(4, 4)
        _native.check(
            _native.library().pear_raster_backward(
                ctx.state.handle,
                splats[4].shape[1],
                *map(_address, (*splats, color, alpha, depth, *grads_out, *grads_in, grad_pose)),
            )
        )
        grad_background = None
        if ctx.needs_input_grad[-1] and grad_color is not None:
            grad_background = torch.einsum("dhw,hw->d", grad_color, 1.0 - alpha)
        return (None, *grads_in, grad_pose, grad_background)
