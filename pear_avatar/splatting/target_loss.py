"""What a drawing is compared with, and the loss of its coverage; in the C++ core on the CPU."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pear_avatar import _native

__all__ = ["coverage_loss", "target_over"]


@torch.no_grad()
def target_over(
    prediction: Tensor,
    background: Tensor,
    target: tuple[Tensor, Tensor, Tensor],
    *,
    backend: str = "auto",
) -> Tensor:
    """(3, h, w) a target over a colour, with the prediction itself where it is not valid.

    Args:
        prediction: (3, h, w) the drawing.
        background: (3,) the colour.
        target: colour (3, h, w), mask (h, w) and validity (h, w), in [0, 1].
        backend: "cpu" (the C++ core: contiguous float32), "torch", or "auto".
    """
    color, mask, valid = target
    tensors = (color, mask, valid, background, prediction)
    if backend == "cpu" or (backend == "auto" and _fits_core(*tensors)):
        wanted = torch.empty_like(prediction)
        addresses = (t.data_ptr() for t in (*tensors, wanted))
        _native.check(_native.fit_library().pear_target_over(mask.numel(), *addresses))
        return wanted
    mixed = torch.lerp(background[:, None, None], color, mask)
    return torch.where(valid > 0.5, mixed, prediction)


def coverage_loss(alpha: Tensor, mask: Tensor, valid: Tensor, *, backend: str = "auto") -> Tensor:
    """() mean of |alpha - mask| valid, all (h, w); differentiable in ``alpha``.

    backend: "cpu" (the C++ core: contiguous float32), "torch", or "auto".
    """
    if backend == "cpu" or (backend == "auto" and _fits_core(alpha, mask, valid)):
        loss: Tensor = _CoverageLoss.apply(alpha, mask, valid)
        return loss
    return ((alpha - mask).abs() * valid).mean()


def _fits_core(*tensors: Tensor) -> bool:
    return _native.fit_is_available() and all(
        t.device.type == "cpu" and t.dtype == torch.float32 and t.is_contiguous() for t in tensors
    )


class _CoverageLoss(torch.autograd.Function):
    """The kernel makes loss and gradient in one go, so the backward pass only scales."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, mask: Tensor, valid: Tensor) -> Tensor:
        grad = torch.empty_like(alpha) if ctx.needs_input_grad[0] else None
        total, share = ctypes.c_double(), 1.0 / max(1, alpha.numel())
        _native.check(
            _native.fit_library().pear_coverage_loss(
                alpha.numel(),
                *(t.data_ptr() for t in (alpha, mask, valid)),
                share,
                total,
                None if grad is None else grad.data_ptr(),
            )
        )
        if grad is not None:
            ctx.save_for_backward(grad)
        return alpha.new_tensor(total.value * share)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * grad_loss, None, None
