"""The metrics against hand-computed values and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate
from scipy.spatial.transform import Rotation

from pear_avatar.evaluation import (
    average_metrics,
    iou,
    mask_box,
    masked_crop_metrics,
    mpjpe,
    pa_mpjpe,
    procrustes_align,
    psnr,
    ssim,
)
from pear_avatar.evaluation.metrics import TruthDistances, ssim_reference


def _images(height: int = 40, width: int = 33, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(height, width, 3, generator=rng)
    y = (x + 0.1 * torch.randn(height, width, 3, generator=rng)).clamp(0, 1)
    return x, y


def _naive_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang's definition, one window at a time, in float64."""
    t = np.arange(11) - 5
    g = np.exp(-(t**2) / (2 * 1.5**2))
    w = np.outer(g, g) / np.outer(g, g).sum()
    values = []
    for channel in range(x.shape[2]):
        for i in range(x.shape[0] - 10):
            for j in range(x.shape[1] - 10):
                a, b = (v[i : i + 11, j : j + 11, channel].astype(np.float64) for v in (x, y))
                ma, mb = (w * a).sum(), (w * b).sum()
                va, vb = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum()
                cov = (w * (a - ma) * (b - mb)).sum()
                c1, c2 = 0.01**2, 0.03**2
                values.append(
                    (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
                )
    return float(np.mean(values))


def test_the_core_s_ssim_is_its_twin_s() -> None:
    x, y = _images(57, 43)
    weight = (torch.rand(57, 43, generator=torch.Generator().manual_seed(3)) > 0.4).float()
    for w in (None, weight):
        assert ssim(x, y, w).item() == pytest.approx(ssim_reference(x, y, w).item(), abs=2e-6)
    with pytest.raises(ValueError, match="left out"):
        ssim(x, y, torch.zeros(57, 43))


def test_prepared_truths_give_the_same_distances() -> None:
    s = _Scene()
    plain = masked_crop_metrics(s.rgb, s.alpha, s.image, s.mask, None, perceptual=_MeanDifference())
    distances = TruthDistances.to(
        "mean-difference", lambda y: lambda x: _MeanDifference()(x, y), s.image, s.mask
    )
    prepared = masked_crop_metrics(s.rgb, s.alpha, s.image, s.mask, None, perceptual=distances)
    for key in ("perceptual_masked", "perceptual_frame"):
        assert prepared[key] == pytest.approx(plain[key])


def test_psnr_of_a_known_error() -> None:
    x = torch.full((4, 5, 3), 0.5)
    assert psnr(x, x + 0.1).item() == pytest.approx(20.0, abs=1e-4)
    assert psnr(x, x).item() == pytest.approx(100.0)


def test_psnr_weight_leaves_pixels_out() -> None:
    x, y = torch.zeros(4, 4, 3), torch.zeros(4, 4, 3)
    y[0, 0] = 1.0
    y[1, 1] = 0.1
    weight = torch.ones(4, 4)
    weight[0, 0] = 0
    assert psnr(x, y, weight).item() == pytest.approx(-10 * math.log10(0.01 / 15), abs=1e-4)


def test_psnr_of_nothing_is_an_error() -> None:
    x = torch.zeros(4, 4, 3)
    with pytest.raises(ValueError, match="left out"):
        psnr(x, x, torch.zeros(4, 4))


def test_ssim_equals_the_window_by_window_definition() -> None:
    x, y = _images(22, 19)
    assert ssim(x, y).item() == pytest.approx(_naive_ssim(x.numpy(), y.numpy()), abs=1e-5)
    assert ssim(x, x).item() == pytest.approx(1.0, abs=1e-6)


def test_ssim_weight_counts_windows_by_their_centre() -> None:
    x, y = _images()
    weight = torch.zeros(x.shape[:2])
    weight[20, 12] = 1
    single = ssim(x, y, weight).item()
    window = ssim(x[15:26, 7:18], y[15:26, 7:18]).item()
    assert single == pytest.approx(window, abs=1e-6)


def test_ssim_too_small_says_so() -> None:
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim(torch.zeros(10, 30, 3), torch.zeros(10, 30, 3))


def test_ssim_gradient_points_to_the_truth() -> None:
    x, y = _images()
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(ssim(x, y), x)
    assert ssim(x.detach() + 0.1 * gradient / gradient.norm(), y) > ssim(x.detach(), y)


def test_gaussian_window_matches_scipy() -> None:
    """The mean of x under the window, read off SSIM's own blur of a constant second image."""
    x, _ = _images(15, 15)
    g = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    w = np.outer(g, g) / g.sum() ** 2
    red = x[..., 0].numpy().astype(np.float64)
    mean = correlate(red, w, mode="constant")[5:-5, 5:-5]
    square = correlate(red**2, w, mode="constant")[5:-5, 5:-5]
    expected = (0.01**2 / (mean**2 + 0.01**2)) * (0.03**2 / (square - mean**2 + 0.03**2))
    actual = ssim(x[..., :1], torch.zeros(15, 15, 1)).item()
    assert actual == pytest.approx(expected.mean(), abs=1e-6)


def test_iou_by_counting() -> None:
    a, b = torch.zeros(4, 4), torch.zeros(4, 4)
    a[:2] = 1
    b[1:3] = 1
    assert iou(a, b).item() == pytest.approx(4 / 12)
    weight = torch.ones(4, 4)
    weight[0] = 0
    assert iou(a, b, weight).item() == pytest.approx(4 / 8)
    assert iou(torch.zeros(3, 3), torch.zeros(3, 3)).item() == 1.0


@settings(max_examples=20, deadline=None)
@given(batch=st.lists(st.integers(1, 3), max_size=2), seed=st.integers(0, 2**20))
def test_procrustes_undoes_any_similarity(batch: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = torch.tensor(rng.normal(size=(*batch, 12, 3)))
    rotation = torch.tensor(Rotation.random(random_state=seed).as_matrix())
    moved = 1.7 * target @ rotation.T + torch.tensor([1.0, -2.0, 3.0])
    # float64 through one SVD: the residual is rounding only.
    assert pa_mpjpe(moved, target).item() < 1e-9
    assert torch.allclose(procrustes_align(moved, target), target, atol=1e-9)


def test_procrustes_never_mirrors() -> None:
    target = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mirrored = target * torch.tensor([-1.0, 1.0, 1.0])
    assert pa_mpjpe(mirrored, target).item() > 0.3


def test_mpjpe_moves_the_roots_together() -> None:
    target = torch.zeros(2, 5, 3)
    predicted = target + torch.tensor([0.3, 0.0, 0.4])
    assert mpjpe(predicted, target).item() == pytest.approx(0.0, abs=1e-7)
    assert mpjpe(predicted, target, root=None).item() == pytest.approx(0.5, abs=1e-6)
    predicted[:, 4, 1] += 1.0
    assert mpjpe(predicted, target).item() == pytest.approx(0.2, abs=1e-6)


def test_mask_box_is_tight_then_grows() -> None:
    mask = torch.zeros(50, 40)
    mask[10:30, 5:15] = 1
    assert mask_box(mask) == (5, 10, 15, 30)
    assert mask_box(mask, margin=0.5) == (0, 0, 25, 40)
    with pytest.raises(ValueError, match="no person"):
        mask_box(torch.zeros(4, 4))


class _Scene:
    """A grey person on a noisy background, and a perfect prediction of the person."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(3)
        self.image = torch.rand(64, 48, 3, generator=rng)
        self.mask = torch.zeros(64, 48)
        self.mask[8:56, 12:36] = 1
        self.alpha = self.mask.clone()
        self.rgb = self.image * self.alpha[..., None]


def test_a_perfect_prediction_scores_perfectly() -> None:
    s = _Scene()
    m = masked_crop_metrics(s.rgb, s.alpha, s.image, s.mask)
    assert m["psnr_masked"] == m["psnr_masked_all"] == m["psnr_frame"] == pytest.approx(100.0)
    assert m["ssim_masked"] == pytest.approx(1.0, abs=1e-6)
    assert m["silhouette_iou"] == 1.0
    assert m["excluded_share"] == 0.0
    assert m["perceptual_masked"] is None
    assert m["perceptual_metric"] is None


def test_masked_and_frame_figures_by_hand() -> None:
    s = _Scene()
    wrong = s.rgb.clone()
    wrong[8:56, 12:36] = (wrong[8:56, 12:36] - 0.0) * 0 + 0.25
    s.image[8:56, 12:36] = 0.5
    m = masked_crop_metrics(wrong, s.alpha, s.image, s.mask, box=(12, 8, 36, 56))
    assert m["psnr_masked"] == pytest.approx(-20 * math.log10(0.25), abs=1e-3)
    share = 48 * 24 / (64 * 48)
    assert m["psnr_frame"] == pytest.approx(-10 * math.log10(0.0625 * share), abs=1e-3)


def test_paint_outside_the_mask_costs() -> None:
    s = _Scene()
    s.alpha[:, 40:] = 1.0  # black paint beside the person, over white
    m = masked_crop_metrics(s.rgb, s.alpha, s.image, s.mask)
    assert m["psnr_masked"] == pytest.approx(-10 * math.log10(8 / 48), abs=1e-3)
    assert m["silhouette_iou"] == pytest.approx(48 * 24 / (48 * 24 + 64 * 8))


def test_excluded_pixels_count_for_nothing_but_are_told() -> None:
    s = _Scene()
    excluded = torch.zeros(64, 48, dtype=torch.bool)
    excluded[8:20, 12:36] = True
    s.rgb[8:20, 12:36] = 0.0
    m = masked_crop_metrics(s.rgb, s.alpha, s.image, s.mask, excluded)
    assert m["psnr_masked"] == pytest.approx(100.0)
    assert m["ssim_masked"] == pytest.approx(1.0, abs=1e-6)
    assert m["excluded_share"] == pytest.approx(0.25)
    assert float(m["psnr_masked_all"]) < 20  # type: ignore[arg-type]


class _MeanDifference:
    name = "mean-difference"

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x - y).abs().mean()


def test_perceptual_figures_carry_their_name_and_ignore_the_excluded_share() -> None:
    s = _Scene()
    s.image[:] = 0.5
    s.mask[:] = s.alpha[:] = 1
    rgb = torch.full((64, 48, 3), 0.4)
    excluded = torch.zeros(64, 48, dtype=torch.bool)
    excluded[:32] = True
    for left_out in (None, excluded):
        m = masked_crop_metrics(
            rgb, s.alpha, s.image, s.mask, left_out, perceptual=_MeanDifference()
        )
        assert m["perceptual_masked"] == pytest.approx(0.1, abs=1e-5)
        assert m["perceptual_metric"] == "mean-difference"


def test_wrong_shapes_are_named() -> None:
    s = _Scene()
    with pytest.raises(ValueError, match=r"pred_alpha must be \(64, 48\)"):
        masked_crop_metrics(s.rgb, s.alpha[1:], s.image, s.mask)


def test_average_metrics() -> None:
    mean = average_metrics([{"a": 1.0, "m": "x", "n": None}, {"a": 3.0, "m": "x", "n": 2.0}])
    assert mean == {"a": 2.0, "m": "x", "n": None}
    with pytest.raises(ValueError, match="no frames"):
        average_metrics([])
    with pytest.raises(ValueError, match="differs"):
        average_metrics([{"m": "x"}, {"m": "y"}])
