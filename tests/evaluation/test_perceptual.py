"""The perceptual metric: the folded first layer against the plain one, and what it ranks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pear_avatar.evaluation import perceptual
from pear_avatar.evaluation.perceptual import BlurredConvolution, Perceptual, blur_halve, max_3x3


@pytest.fixture(scope="module")
def metric() -> Perceptual:
    found = perceptual.load_perceptual()
    if found is None:
        pytest.skip(perceptual.NOT_FOUND)
    return found


def _picture(height: int = 64, width: int = 48) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, height // 8, width // 8, generator=rng)
    return F.interpolate(noise, size=(height, width), mode="bilinear")[0].movedim(0, -1)


@pytest.mark.parametrize("size", [(40, 31), (41, 30), (32, 32), (33, 47)])
def test_folded_blur_equals_convolution_then_blur(size: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(1)
    weight = torch.randn(5, 3, 11, 11, generator=rng, dtype=torch.float64)
    bias = torch.randn(5, generator=rng, dtype=torch.float64)
    x = torch.randn(2, 3, *size, generator=rng, dtype=torch.float64)
    expected = blur_halve(F.conv2d(x, weight, bias, padding=2))
    actual = BlurredConvolution(weight, bias, 2)(x)
    assert actual.shape == expected.shape
    assert torch.allclose(actual, expected, atol=1e-11)


def test_distance_orders_distortions(metric: Perceptual) -> None:
    x = _picture()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    distances = [float(metric((x + a * noise).clamp(0, 1), x)) for a in (0.0, 0.05, 0.2)]
    assert distances[0] == pytest.approx(0.0, abs=1e-7)
    assert distances[0] < distances[1] < distances[2]


def test_known_value_of_the_published_weights(metric: Perceptual) -> None:
    """0.916367: what the authors' own code gives for this pair (agreement there is to 1e-6)."""
    if metric.name != "stlpips-alex":
        pytest.skip("another metric is installed here")
    ramp = torch.linspace(0, 1, 64)
    x = torch.stack(
        [ramp[None].expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)], -1
    )
    checks = ((torch.arange(64)[:, None] // 8 + torch.arange(64)[None] // 8) % 2).float()
    y = 0.5 * x + 0.5 * checks[..., None]
    assert float(metric(x, y)) == pytest.approx(0.916367, abs=1e-5)


def test_gradient_flows_and_helps(metric: Perceptual) -> None:
    y = _picture()
    x = (y + 0.2 * torch.randn(y.shape, generator=torch.Generator().manual_seed(4))).clamp(0, 1)
    x.requires_grad_(True)
    distance = metric.against(y)
    before = distance(x)
    (gradient,) = torch.autograd.grad(before, x)
    assert torch.isfinite(gradient).all()
    assert distance(x.detach() - 0.5 * gradient / gradient.norm()) < before


def test_identical_images_have_a_finite_gradient(metric: Perceptual) -> None:
    y = torch.ones(48, 48, 3)
    x = y.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(metric(x, y), x)
    assert torch.isfinite(gradient).all()


def test_bad_shapes_are_named(metric: Perceptual) -> None:
    with pytest.raises(ValueError, match="at least 32 px"):
        metric(torch.zeros(16, 40, 3), torch.zeros(16, 40, 3))
    with pytest.raises(ValueError, match="one shape"):
        metric(torch.zeros(64, 40, 3), torch.zeros(40, 64, 3))


def test_without_weights_there_is_no_metric(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert perceptual.load_perceptual() is None


def test_a_foreign_weight_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a shift-tolerant LPIPS weight file"):
        perceptual.ShiftTolerantLpips({"fc.weight": torch.zeros(1)})


def test_the_largest_by_rows_and_columns_is_the_largest_of_the_window() -> None:
    x = torch.rand(2, 3, 11, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(max_3x3(x), F.max_pool2d(x, kernel_size=3, stride=1))
