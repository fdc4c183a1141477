"""What an avatar looks like close up, at the video's own resolution.

PSNR of a whole person hardly notices whether the face has eyes. These figures look at head, hands
and the silhouette's rim in the pixels of the video, and add what PSNR misses: how sharp the
picture is against the input, and a perceptual distance.

``psnr``, ``perceptual``   of the avatar laid over the true picture, inside the part's box.
``sharpness``              root of the gradient energy inside the avatar over that of the input at
                           the same pixels, after the energy that the input's noise adds was taken
                           off; 1 is as sharp as the video, more is grainier.
``eyes_psnr``, ``mouth_psnr``  inside boxes round the detected landmarks, where these are at least
                           ``MIN_FEATURE`` pixels wide.
``rim_psnr``               within ``RIM`` pixels of the mask's outline, both over white.
``neuman_*``               NeuMan's arrangement: the whole frame, prediction and truth multiplied
                           by the mask, over white; so a spill outside of the mask counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.evaluation.metrics import PerceptualMetric, psnr, ssim

#: an eye or mouth narrower than this (px) is a smudge in the input too
MIN_FEATURE = 16
#: half the width of the rim (px)
RIM = 3
_COVERED = 0.9
_MIN_PIXELS = 100
#: sum of squared weights of both Sobel kernels: gradient energy of white noise of unit variance
_SOBEL_GAIN = 24.0
#: pixels round a person that the deepest features of the perceptual metric still see
_REACH = 96
#: median absolute value of a normal variable of unit deviation
_MAD = 0.6745
#: the input keeps at least this share of its gradient energy, however noisy it looks
_MIN_SIGNAL = 0.25


def noise_variance(gray: np.ndarray, inside: np.ndarray) -> float:
    """Variance of a picture's noise, robust against its edges.

    The diagonal detail of 2 x 2 blocks (a - b - c + d) / 2 has the noise's own deviation and none
    of a linear slope; the median does not see the few blocks with edges (Donoho and Johnstone
    1994).

    Args:
        gray: (H, W) in [0, 1].
        inside: (H, W) bool, where to look.
    """
    d = (gray[:-1, :-1] - gray[:-1, 1:] - gray[1:, :-1] + gray[1:, 1:]) / 2
    chosen = d[inside[:-1, :-1] & inside[1:, 1:]]
    return float((np.median(np.abs(chosen)) / _MAD) ** 2) if chosen.size else 0.0


def gradient_energy(gray: np.ndarray, inside: np.ndarray) -> float:
    """Mean squared Sobel gradient of (H, W) over a region (H, W) bool."""
    gray = gray.astype(np.float32)
    x, y = (cv2.Sobel(gray, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return float((x[inside] ** 2 + y[inside] ** 2).mean())


def sharpness(drawn: np.ndarray, image: np.ndarray, inside: np.ndarray) -> float | None:
    """Gradient of a drawing (H, W, 3) over that of the picture (H, W, 3), both in [0, 1].

    None where ``inside`` (H, W) bool holds too few pixels.
    """
    # Sobel reaches one pixel across: gradients of the outline belong to neither.
    inner = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if inner.sum() < _MIN_PIXELS:
        return None
    ours, theirs = (cv2.cvtColor(x.astype(np.float32), cv2.COLOR_RGB2GRAY) for x in (drawn, image))
    energy = gradient_energy(theirs, inner)
    signal = max(energy - _SOBEL_GAIN * noise_variance(theirs, inner), _MIN_SIGNAL * energy, 1e-9)
    return float(np.sqrt(gradient_energy(ours, inner) / signal))


def part_figures(
    color: Tensor,
    alpha: Tensor,
    image: Tensor,
    keep: Tensor,
    perceptual: PerceptualMetric | None,
) -> dict[str, float]:
    """Figures of one part's crop.

    Args:
        color: (H, W, 3) drawn, premultiplied, over black.
        alpha: (H, W) drawn coverage.
        image: (H, W, 3) the true picture.
        keep: (H, W) bool, pixels that count.
        perceptual: the metric, or None.

    Returns:
        psnr, sharpness, perceptual; those that cannot be measured are absent.
    """
    out: dict[str, float] = {}
    if int(keep.sum()) < _MIN_PIXELS:
        return out
    shown = (color + (1 - alpha[..., None]) * image).clamp(0, 1)
    out["psnr"] = float(psnr(shown, image, keep.to(image)))
    covered = ((alpha > _COVERED) & keep).cpu().numpy()
    value = sharpness(color.cpu().numpy(), image.cpu().numpy(), covered)
    if value is not None:
        out["sharpness"] = value
    if perceptual is not None and min(image.shape[:2]) >= 32:
        shown = torch.where(keep[..., None], shown, image)
        with torch.no_grad():
            out["perceptual"] = float(perceptual(shown, image)) / float(keep.float().mean())
    return out


def feature_psnr(
    color: Tensor, alpha: Tensor, image: Tensor, points_px: np.ndarray
) -> float | None:
    """PSNR in the box round some landmarks (L, 2), grown by a quarter; None where it is small."""
    low, high = points_px.min(0), points_px.max(0)
    size = high - low
    if size[0] < MIN_FEATURE:
        return None
    grow = 0.25 * size.max()
    x0, y0 = np.floor(low - grow).astype(int).clip(0)
    x1, y1 = np.ceil(high + grow).astype(int)
    box = (slice(y0, y1), slice(x0, x1))
    a = alpha[box][..., None]
    if a.numel() < MIN_FEATURE**2:
        return None
    shown = color[box] + (1 - a) * image[box]
    return float(psnr(shown.clamp(0, 1), image[box]))


def frame_figures(
    color: Tensor,
    alpha: Tensor,
    image: Tensor,
    mask: Tensor,
    keep: Tensor,
    *,
    perceptual: PerceptualMetric | None,
) -> dict[str, float]:
    """Rim and NeuMan figures of a whole frame; arguments as in :func:`part_figures`.

    ``mask`` (H, W) is the person's soft mask.
    """
    a, m = alpha[..., None], mask[..., None]
    drawn, truth = color + (1 - a), image * m + (1 - m)
    inside = (mask > 0.5).cpu().numpy().astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM + 1,) * 2)
    band = (cv2.dilate(inside, kernel) > 0) & (cv2.erode(inside, kernel) == 0)
    rim = torch.from_numpy(band).to(keep.device) & keep
    out: dict[str, float] = {}
    if int(rim.sum()) >= _MIN_PIXELS:
        out["rim_psnr"] = float(psnr(drawn.clamp(0, 1), truth, rim.to(image)))
    masked = torch.where(keep[..., None], (color * m + (1 - a * m)).clamp(0, 1), truth)
    out["neuman_psnr"] = float(psnr(masked, truth))
    out["neuman_ssim"] = float(ssim(masked, truth))
    if perceptual is not None:
        out["neuman_perceptual"] = _distance_on_canvas(masked, truth, mask, perceptual)
    return out


def _distance_on_canvas(x: Tensor, y: Tensor, mask: Tensor, perceptual: PerceptualMetric) -> float:
    """The mean distance over two pictures that agree outside of the mask.

    Away from the person it is zero, so only their box and what its features reach is looked at.
    """
    rows, columns = (torch.nonzero((mask > 0).any(k))[:, 0] for k in (1, 0))
    if len(rows) == 0:
        return 0.0
    height, width = mask.shape
    y0, y1 = max(0, int(rows[0]) - _REACH), min(height, int(rows[-1]) + _REACH)
    x0, x1 = max(0, int(columns[0]) - _REACH), min(width, int(columns[-1]) + _REACH)
    box = (slice(y0, y1), slice(x0, x1))
    with torch.no_grad():
        distance = float(perceptual(x[box].contiguous(), y[box].contiguous()))
    return distance * (y1 - y0) * (x1 - x0) / (height * width)


def mean_figures(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over the frames that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: float(np.mean([row[n] for row in rows if n in row])) for n in names}
