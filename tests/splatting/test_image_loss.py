"""The fused L1 + SSIM against torch and against windows written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from pear_avatar import _native
from pear_avatar.splatting import l1_ssim_loss, ssim
from pear_avatar.splatting.image_loss import l1_ssim_reference, ssim_map


def _images(channels=3, height=40, width=57, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(channels, height, width, generator=g)
    y = (x + 0.2 * torch.randn(channels, height, width, generator=g)).clamp(0, 1)
    return x, y


def _loss_and_gradient(x, y, dtype, **kwargs):
    leaf = x.to(dtype).clone().requires_grad_()
    loss = l1_ssim_loss(leaf, y.to(dtype), **kwargs)
    return loss, torch.autograd.grad(loss, leaf)[0]


def _assert_parity(x, y, **kwargs):
    truth, truth_gradient = _loss_and_gradient(x, y, torch.float64, backend="torch", **kwargs)
    found, gradient = _loss_and_gradient(x, y, torch.float32, backend="cpu", **kwargs)
    assert abs(float(found.detach()) - float(truth.detach())) < 2e-6
    error = (gradient.double() - truth_gradient).norm() / truth_gradient.norm().clamp_min(1e-12)
    assert error < 5e-6


def test_ssim_map_matches_windows_by_hand():
    x, y = (t.double() for t in _images(1, 23, 17))
    i = np.arange(-5, 6)
    taps = np.exp(-(i**2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2

    def blur(image):
        return correlate2d(image, window, mode="same", boundary="fill", fillvalue=0)

    a, b = x[0].numpy(), y[0].numpy()
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    np.testing.assert_allclose(ssim_map(x, y)[0].numpy(), expected, rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    channels=st.integers(1, 4),
    height=st.integers(1, 130),
    width=st.integers(1, 130),
    seed=st.integers(0, 100),
    weighted=st.booleans(),
)
def test_kernel_matches_twin(channels, height, width, seed, weighted):
    x, y = _images(channels, height, width, seed)
    g = torch.Generator().manual_seed(seed)
    weight = torch.rand(height, width, generator=g) if weighted else None
    _assert_parity(x, y, pixel_weight=weight)


@pytest.mark.parametrize(("weight_l1", "weight_ssim"), [(1.0, 0.0), (0.0, 1.0), (0.3, 2.0)])
def test_weights_of_the_terms(weight_l1, weight_ssim):
    _assert_parity(*_images(), weight_l1=weight_l1, weight_ssim=weight_ssim)


def test_gradcheck_of_the_twin():
    x, y = (t.double() for t in _images(2, 7, 9))
    weight = torch.rand(7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda t: l1_ssim_reference(t, y, pixel_weight=weight), x)


def test_ssim_of_equal_images_is_one():
    x, _ = _images()
    assert float(ssim(x, x)) == pytest.approx(1.0, abs=1e-6)
    assert float(l1_ssim_loss(x, x)) == pytest.approx(0.0, abs=1e-6)


def test_ssim_is_differentiable_in_its_first_image():
    x, y = _images()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ssim(leaf, y), leaf)
    assert float(ssim(x + 0.01 * gradient / gradient.abs().max(), y)) > float(ssim(x, y))


def test_pixels_of_weight_zero_do_not_count():
    x, y = _images()
    weight = torch.ones(40, 57)
    weight[:, 30:] = 0
    changed = x.clone()
    changed[:, :, 40:] = 0.5  # farther from the weighted part than half a window
    assert torch.equal(
        l1_ssim_loss(x, y, pixel_weight=weight), l1_ssim_loss(changed, y, pixel_weight=weight)
    )
    nothing = l1_ssim_loss(x.requires_grad_(), y, pixel_weight=torch.zeros(40, 57))
    (gradient,) = torch.autograd.grad(nothing, x)
    assert float(nothing.detach()) == 0
    assert not gradient.any()


def test_any_number_of_threads_gives_the_same_bits():
    x, y = _images(3, 301, 203)
    before = _native.num_threads()
    results = []
    for count in (1, 2, 7):
        _native.set_num_threads(count)
        results.append(_loss_and_gradient(x, y, torch.float32))
    _native.set_num_threads(before)
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_gradient_scales_and_survives_a_second_backward():
    x, y = _images()
    leaf = x.clone().requires_grad_()
    loss = l1_ssim_loss(leaf, y)
    (once,) = torch.autograd.grad(3 * loss, leaf, retain_graph=True)
    (again,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(once, 3 * again)


def test_strided_and_float64_input():
    x, y = _images()
    expected = l1_ssim_loss(x, y)
    planar_view = x.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert torch.equal(l1_ssim_loss(planar_view, y), expected)
    assert torch.equal(l1_ssim_loss(x.double(), y.double()), expected)


def test_errors_name_what_was_found():
    x, y = _images()
    with pytest.raises(ValueError, match=r"\(3, 40, 57\) and \(3, 40, 56\)"):
        l1_ssim_loss(x, y[:, :, :-1])
    with pytest.raises(ValueError, match=r"\(40, 57\)"):
        l1_ssim_loss(x[0], y[0])
    with pytest.raises(ValueError, match=r"got \(57, 40\)"):
        l1_ssim_loss(x, y, pixel_weight=torch.ones(57, 40))
    with pytest.raises(ValueError, match="detach the target"):
        l1_ssim_loss(x, y.clone().requires_grad_())
    with pytest.raises(ValueError, match="'gpu'"):
        l1_ssim_loss(x, y, backend="gpu")


def test_what_is_equal_is_skipped_without_a_trace():
    """A patch that differs, on equal pictures: loss and gradient as of whole windows."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(3, 70, 90, generator=g)
    y = x.clone()
    y[:, 20:33, 40:47] = torch.rand(3, 13, 7, generator=g)
    y[1, 60, 2] = 0.5
    _assert_parity(x, y)
    _assert_parity(x, y, pixel_weight=torch.rand(70, 90, generator=g))


def test_equal_pictures_pull_nowhere():
    x, _ = _images()
    loss, gradient = _loss_and_gradient(x, x, torch.float32)
    assert abs(float(loss.detach())) < 1e-7
    assert not gradient.any()
