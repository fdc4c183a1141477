"""Blend shapes: weighted sums of directions, through the C++ core where that can do them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pear_avatar import _native

__all__ = ["BlendBasis", "check_coefficients", "native_is_ready"]

#: values side by side in a panel (``kBlendPanel`` of the C++ core)
_PANEL = 16
#: kernels that widen 16-bit numbers as fast as they read them
_WIDENS = ("avx2", "avx512")
#: Below this many values torch's overhead is smaller than ours.
_WORTH_IT = 4096


@functools.cache
def native_is_ready() -> bool:
    """Whether the C++ core can be used; looked up once."""
    return _native.is_available()


def check_coefficients(name: str, coefficients: Tensor, most: int) -> None:
    """Raise ValueError where a batch has more coefficients than a basis has directions."""
    given = coefficients.shape[-1]
    if given > most:
        raise ValueError(
            f"{name} has {given} coefficients (shape {tuple(coefficients.shape)}), "
            f"but this body has only {most}; cut it to the first {most}"
        )


@dataclass(frozen=True)
class BlendBasis:
    """Directions (P * 3, C) of P points, kept in the layout that the C++ core reads."""

    dirs: Tensor

    def blend(self, name: str, coefficients: Tensor, base: Tensor | None = None) -> Tensor:
        """(*B, P, 3): ``base`` (P, 3), or zeros, plus directions x coefficients (*B, up to C).

        Differentiable in the coefficients, and in base and directions where these need it.
        ``name`` says in a message what the coefficients are.
        """
        size, most = self.dirs.shape
        check_coefficients(name, coefficients, most)
        constant = base is None or not base.requires_grad
        if not (constant and self._fits_core(coefficients)):
            given = coefficients.shape[-1]
            moved = torch.nn.functional.linear(coefficients, self.dirs[:, :given])
            moved = moved.unflatten(-1, (-1, 3))
            return moved if base is None else base + moved
        values = self._zeros if base is None else base.reshape(-1).contiguous()
        flat = coefficients.reshape(-1, coefficients.shape[-1])
        out: Tensor = _Blend.apply(flat, values, self)
        return out.reshape(*coefficients.shape[:-1], size // 3, 3)

    def _fits_core(self, coefficients: Tensor) -> bool:
        return (
            self.dirs.shape[0] >= _WORTH_IT
            and self.dirs.dtype == coefficients.dtype == torch.float32
            and self.dirs.device.type == coefficients.device.type == "cpu"
            and not self.dirs.requires_grad
            and native_is_ready()
        )

    @cached_property
    def _zeros(self) -> Tensor:
        return self.dirs.new_zeros(self.dirs.shape[0])

    @cached_property
    def panels(self) -> Tensor:
        """(panels, C, 16): the directions as the C++ core reads them, padded with zeros.

        Reading them is most of the work for a single body, so they are kept in 16 bits where that
        loses nothing and the processor can widen them.
        """
        size, count = self.dirs.shape
        padded = torch.nn.functional.pad(self.dirs, (0, 0, 0, -size % _PANEL))
        panels = padded.reshape(-1, _PANEL, count).transpose(1, 2).contiguous()
        halves = panels.half()
        return (
            halves if _native.isa() in _WIDENS and torch.equal(halves.float(), panels) else panels
        )


class _Blend(torch.autograd.Function):
    """(coefficients (B, up to C), base (P * 3,), basis) -> (B, P * 3)."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, base: Tensor, basis: BlendBasis) -> Tensor:
        ctx.basis, ctx.given = basis, coefficients.shape[-1]
        size, most = basis.dirs.shape
        if ctx.given < most:
            coefficients = torch.nn.functional.pad(coefficients, (0, most - ctx.given))
        coefficients = coefficients.contiguous()
        out = coefficients.new_empty(coefficients.shape[0], size)
        panels = basis.panels
        _native.check(
            _native.library().pear_blend(
                size,
                most,
                coefficients.shape[0],
                base.data_ptr(),
                panels.data_ptr(),
                panels.dtype == torch.float16,
                coefficients.data_ptr(),
                out.data_ptr(),
            )
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad @ ctx.basis.dirs[:, : ctx.given], None, None
