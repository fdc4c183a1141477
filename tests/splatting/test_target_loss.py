"""The target of a step and the loss of its coverage: the C++ core and its twins."""

from __future__ import annotations

import torch

from pear_avatar.splatting.target_loss import coverage_loss, target_over


def _maps(height=19, width=23):
    g = torch.Generator().manual_seed(0)
    color, prediction = torch.rand(2, 3, height, width, generator=g)
    mask = torch.rand(height, width, generator=g).mul(2).sub(0.5).clamp(0, 1)
    valid = (torch.rand(height, width, generator=g) > 0.2).float()
    return prediction, torch.rand(3, generator=g), (color, mask, valid)


def test_the_core_s_target_equals_torch_s():
    prediction, background, target = _maps()
    ours, twin = (target_over(prediction, background, target, backend=b) for b in ("cpu", "torch"))
    torch.testing.assert_close(ours, twin, rtol=0, atol=2e-7)


def test_empty_pixels_are_exactly_the_background():
    """What is equal there is skipped by the loss."""
    prediction, background, (color, mask, valid) = _maps()
    wanted = target_over(
        prediction, background, (color, torch.zeros_like(mask), torch.ones_like(valid))
    )
    assert torch.equal(wanted, background[:, None, None].expand_as(wanted))


def test_coverage_and_its_gradient_equal_torch_s():
    prediction, _, (_, mask, valid) = _maps()
    results = []
    for backend, dtype in (("cpu", torch.float32), ("torch", torch.float64)):
        alpha = prediction[0].to(dtype).clone().requires_grad_()
        loss = coverage_loss(alpha, mask.to(dtype), valid.to(dtype), backend=backend)
        (3 * loss).backward()
        results.append((loss.detach(), alpha.grad))
    for ours, twin in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), twin, rtol=1e-6, atol=1e-9)
