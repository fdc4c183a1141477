"""Blend shapes: the C++ core beside torch, and messages."""

from __future__ import annotations

import pytest
import torch

from pear_avatar import _native
from pear_avatar.body import blending
from pear_avatar.body.blending import BlendBasis


@pytest.mark.parametrize("batch", [(), (1,), (3,), (5,), (16,), (2, 11)])
@pytest.mark.parametrize("given", [7, 4])
@pytest.mark.parametrize("with_base", [True, False])
@pytest.mark.parametrize("halves", [True, False])
def test_the_core_blends_as_torch_does(monkeypatch, batch, given, with_base, halves):
    """Values and gradients; 1367 points leave a panel that is not full."""
    monkeypatch.setattr(blending, "_WIDENS", (_native.isa(),))  # slow where it is not, but right
    generator = torch.Generator().manual_seed(0)
    dirs = torch.randn(1367 * 3, 7, generator=generator)
    dirs[:50] *= 1e-6  # 16 bits hold such numbers without a leading one
    basis = BlendBasis(dirs.half().float() if halves else dirs)
    base = torch.randn(1367, 3, generator=generator) if with_base else None
    coefficients = torch.randn(*batch, given, generator=generator)
    wanted = torch.randn(*batch, 1367, 3, generator=generator)
    slow_basis = BlendBasis(basis.dirs.double())
    c, slow_c = coefficients.clone().requires_grad_(), coefficients.double().requires_grad_()
    out = basis.blend("betas", c, base)
    slow = slow_basis.blend("betas", slow_c, None if base is None else base.double())
    assert basis.panels.dtype == (torch.float16 if halves else torch.float32)
    assert out.shape == (*batch, 1367, 3)
    assert torch.allclose(out.double(), slow, atol=1e-5)
    (out * wanted).sum().backward()
    (slow * wanted).sum().backward()
    assert torch.allclose(c.grad.double(), slow_c.grad, rtol=1e-4, atol=1e-3)


def test_directions_and_bases_that_need_gradients_get_them():
    dirs = torch.randn(2000 * 3, 4).requires_grad_()
    base = torch.randn(2000, 3).requires_grad_()
    BlendBasis(dirs).blend("betas", torch.randn(4), base).sum().backward()
    assert dirs.grad is not None
    assert base.grad is not None


def test_too_many_coefficients_are_named():
    with pytest.raises(ValueError, match="betas has 5 coefficients"):
        BlendBasis(torch.zeros(6, 4)).blend("betas", torch.zeros(2, 5))
