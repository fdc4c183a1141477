"""SSIM and the L1 + SSIM loss, fused with its gradient in the C++ core on the CPU.

SSIM is that of Wang et al. 2004: an 11 x 11 Gaussian window with sigma 1.5, c1 = 0.01^2 and
c2 = 0.03^2 for images in [0, 1], averaged over pixels and channels. Outside of the image both
pictures count as 0 (zero padding, as in the 3D Gaussian splatting code), so the border takes part.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pear_avatar import _native

_RADIUS = 5
_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2


def l1_ssim_loss(
    x: Tensor,
    y: Tensor,
    *,
    weight_l1: float = 0.8,
    weight_ssim: float = 0.2,
    pixel_weight: Tensor | None = None,
    backend: str = "auto",
) -> Tensor:
    """``weight_l1 * mean |x - y| + weight_ssim * (1 - mean SSIM(x, y))``.

    Args:
        x: (C, H, W) image that gets the gradient; fastest when contiguous.
        y: (C, H, W) target; must not require a gradient.
        weight_l1: weight of the L1 term.
        weight_ssim: weight of the SSIM term.
        pixel_weight: (H, W) non-negative; both means become means weighted by it. The windows of
            SSIM still see every pixel. A weight that is zero everywhere gives a loss of zero.
        backend: "cpu" (float32, the C++ core), "torch" (any device and dtype), or "auto".

    Returns:
        The scalar loss: float32 from the C++ core, else in the dtype of ``x``.

    Raises:
        ValueError: shapes do not fit, or ``y`` or ``pixel_weight`` requires a gradient.
    """
    _check(x, y, pixel_weight)
    if backend not in ("auto", "cpu", "torch"):
        raise ValueError(f"backend must be 'auto', 'cpu' or 'torch', got {backend!r}")
    if backend == "torch" or (backend == "auto" and x.device.type != "cpu"):
        return l1_ssim_reference(
            x, y, weight_l1=weight_l1, weight_ssim=weight_ssim, pixel_weight=pixel_weight
        )
    if x.device.type != "cpu":
        raise ValueError(f'backend="cpu" takes CPU tensors, these are on {x.device}')
    x = x.to(torch.float32).contiguous()
    y = y.to(torch.float32).contiguous()
    if pixel_weight is not None:
        pixel_weight = pixel_weight.to(torch.float32).contiguous()
    loss: Tensor = _L1Ssim.apply(x, y, pixel_weight, weight_l1, weight_ssim)
    return loss


def ssim(x: Tensor, y: Tensor, *, backend: str = "auto") -> Tensor:
    """Mean SSIM of two images (C, H, W) in [0, 1]; differentiable in ``x``.

    Raises:
        ValueError: shapes do not fit, or ``y`` requires a gradient.
    """
    return 1.0 - l1_ssim_loss(x, y, weight_l1=0.0, weight_ssim=1.0, backend=backend)


def _check(x: Tensor, y: Tensor, pixel_weight: Tensor | None) -> None:
    if x.dim() != 3 or x.shape != y.shape or x.numel() == 0:
        raise ValueError(
            "both images must be (C, H, W), of one size and not empty; found "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    if pixel_weight is not None and pixel_weight.shape != x.shape[1:]:
        raise ValueError(
            f"pixel_weight must be (H, W) = {tuple(x.shape[1:])}, got {tuple(pixel_weight.shape)}"
        )
    if y.requires_grad or (pixel_weight is not None and pixel_weight.requires_grad):
        raise ValueError("only the first image gets a gradient: detach the target and the weight")


class _L1Ssim(torch.autograd.Function):
    """The kernel makes loss and gradient in one go, so the backward pass only scales."""

    @staticmethod
    def forward(  # noqa: PLR0917  (torch passes them by position)
        ctx: Any,
        x: Tensor,
        y: Tensor,
        pixel_weight: Tensor | None,
        weight_l1: float,
        weight_ssim: float,
    ) -> Tensor:
        channels, height, width = x.shape
        total = float(height * width if pixel_weight is None else pixel_weight.sum())
        inverse = 1.0 / (channels * total) if total > 0 else 0.0
        grad = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        sums = (ctypes.c_double * 2)()
        _native.check(
            _native.library().pear_l1_ssim(
                x.data_ptr(),
                y.data_ptr(),
                None if pixel_weight is None else pixel_weight.data_ptr(),
                channels,
                height,
                width,
                weight_l1 * inverse,
                weight_ssim * inverse,
                sums,
                None if grad is None else grad.data_ptr(),
            )
        )
        if grad is not None:
            ctx.save_for_backward(grad)
        ones = 1.0 if total > 0 else 0.0
        loss = weight_l1 * sums[0] * inverse + weight_ssim * (ones - sums[1] * inverse)
        return x.new_tensor(loss)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        if grad_loss.item() != 1.0:  # a loss that is the end of its graph needs no copy
            grad = grad * grad_loss
        return grad, None, None, None, None


def l1_ssim_reference(
    x: Tensor,
    y: Tensor,
    *,
    weight_l1: float = 0.8,
    weight_ssim: float = 0.2,
    pixel_weight: Tensor | None = None,
) -> Tensor:
    """The readable twin of :func:`l1_ssim_loss` in plain torch, any device and dtype."""
    weight = torch.ones_like(x[0]) if pixel_weight is None else pixel_weight.to(x)
    share = weight / (x.shape[0] * weight.sum().clamp_min(torch.finfo(x.dtype).tiny))
    l1 = ((x - y).abs() * share).sum()
    dissimilarity = ((1 - ssim_map(x, y)) * share).sum()
    return weight_l1 * l1 + weight_ssim * dissimilarity


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """(C, H, W) SSIM at each pixel."""
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, dtype=x.dtype, device=x.device)
    taps = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    window = torch.outer(taps, taps) / taps.sum() ** 2

    def blur(image: Tensor) -> Tensor:
        return F.conv2d(image[:, None], window[None, None], padding=_RADIUS)[:, 0]

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return luminance * (2 * covariance + _C2) / (var_x + var_y + _C2)
