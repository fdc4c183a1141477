"""Figures at the video's own resolution see what PSNR does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from pear_avatar.evaluation.close_up import (
    feature_psnr,
    frame_figures,
    mean_figures,
    noise_variance,
    part_figures,
    sharpness,
)


def picture(size: int = 96) -> np.ndarray:
    """A smooth picture with a few edges."""
    yy, xx = np.mgrid[:size, :size] / size
    gray = 0.3 + 0.3 * xx + 0.2 * (np.hypot(xx - 0.5, yy - 0.4) < 0.2) + 0.1 * (yy > 0.7)
    return cv2.GaussianBlur(np.repeat(gray[..., None], 3, 2), (0, 0), 0.8).astype(np.float32)


def test_noise_is_measured_beside_edges() -> None:
    rng = np.random.default_rng(0)
    everywhere = np.ones((96, 96), bool)
    clean = picture()[..., 0]
    noisy = clean + rng.normal(0, 0.03, clean.shape)
    assert noise_variance(noisy, everywhere) == pytest.approx(0.03**2, rel=0.1)
    assert noise_variance(clean, everywhere) < 0.002**2


def test_sharpness_sees_blur_and_forgives_noise() -> None:
    inside = np.ones((96, 96), bool)
    image = picture()
    assert sharpness(image, image, inside) == pytest.approx(1.0, abs=0.01)
    blurred = cv2.GaussianBlur(image, (0, 0), 3.0)
    assert sharpness(blurred, image, inside) < 0.75
    rng = np.random.default_rng(1)
    noisy = (image + rng.normal(0, 0.02, image.shape)).astype(np.float32)
    # A clean drawing of a noisy video is as sharp as the video, not less.
    assert sharpness(image, noisy, inside) == pytest.approx(1.0, abs=0.12)
    assert sharpness(image, image, np.zeros((96, 96), bool)) is None


def test_a_blurred_face_loses_sharpness_more_than_psnr() -> None:
    image = torch.from_numpy(picture())
    blurred = torch.from_numpy(cv2.GaussianBlur(picture(), (0, 0), 2.0))
    alpha, keep = torch.ones(96, 96), torch.ones(96, 96, dtype=torch.bool)
    sharp = part_figures(image, alpha, image, keep, None)
    soft = part_figures(blurred, alpha, image, keep, None)
    assert sharp["psnr"] > soft["psnr"] > 25
    assert soft["sharpness"] < 0.85 * sharp["sharpness"]
    assert part_figures(image, alpha, image, ~keep, None) == {}


def test_a_feature_is_measured_in_its_own_box() -> None:
    image = torch.from_numpy(picture())
    drawn, alpha = image.clone(), torch.ones(96, 96)
    drawn[:30] += 0.2  # a fault far from the mouth
    mouth = np.array([[30.0, 60.0], [66.0, 60.0], [48.0, 70.0]])
    assert feature_psnr(drawn, alpha, image, mouth) == pytest.approx(100.0)
    assert feature_psnr(drawn, alpha, image, mouth - [0, 45]) < 20
    assert feature_psnr(drawn, alpha, image, mouth * 0.1) is None


def test_rim_and_frame_by_hand() -> None:
    mask = torch.zeros(80, 80)
    mask[20:60, 20:60] = 1
    image = torch.full((80, 80, 3), 0.4)
    alpha = torch.zeros(80, 80)
    alpha[20:60, 16:60] = 1  # four columns too wide
    color = 0.4 * alpha[..., None].expand(-1, -1, 3)
    keep = torch.ones(80, 80, dtype=torch.bool)
    figures = frame_figures(color, alpha, image, mask, keep, perceptual=None)
    # Masked, the spill is gone: NeuMan's figure is perfect and the rim's is not.
    assert figures["neuman_psnr"] == pytest.approx(100.0)
    assert figures["neuman_ssim"] == pytest.approx(1.0, abs=1e-5)
    assert figures["rim_psnr"] < 15
    exact = frame_figures(
        0.4 * mask[..., None].expand(-1, -1, 3), mask, image, mask, keep, perceptual=None
    )
    assert exact["rim_psnr"] == pytest.approx(100.0)


def test_the_distance_on_a_large_canvas_is_that_of_the_box() -> None:
    class Difference:
        name = "difference"

        def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (x - y).abs().mean()

    mask = torch.zeros(400, 500)
    mask[150:200, 200:260] = 1
    image, alpha = torch.full((400, 500, 3), 0.4), mask.clone()
    color = 0.7 * alpha[..., None].expand(-1, -1, 3)
    keep = torch.ones(400, 500, dtype=torch.bool)
    figures = frame_figures(color, alpha, image, mask, keep, perceptual=Difference())
    assert figures["neuman_perceptual"] == pytest.approx(0.3 * 50 * 60 / (400 * 500), rel=1e-4)


def test_means_skip_what_a_frame_lacks() -> None:
    assert mean_figures([{"psnr": 20.0, "eyes": 1.0}, {"psnr": 30.0}]) == {
        "psnr": 25.0,
        "eyes": 1.0,
    }
