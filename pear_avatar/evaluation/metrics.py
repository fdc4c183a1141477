"""Image, silhouette and joint metrics as pure functions; the protocol of every reported number.

Protocol (``EVALUATOR_VERSION`` stands beside every figure made by it)
---------------------------------------------------------------------
``*_masked``      prediction over white against image * mask over white, on the person's crop.
                  This is NeuMan's human-only protocol, save that the prediction keeps its own
                  silhouette: what it paints outside the mask counts as an error.
``*_frame``       nothing is masked: prediction composited over the true image,
                  ``rgb + (1 - alpha) * image``, against the image, over the whole picture given.
                  Where the person lacks coverage the truth shows through, so this figure flatters;
                  it stands beside the masked one and never instead of it.
excluded pixels   occluders in front of the person. They count for nothing: left out of PSNR, IoU
                  and the SSIM mean; replaced by the truth before SSIM and the perceptual metric
                  look at windows; the perceptual mean is divided by the share that is kept.
                  ``psnr_masked_all`` is the figure without any of this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pear_avatar.evaluation.human_mesh.alignment import align_procrustes
from pear_avatar.splatting.image_loss import l1_ssim_loss

#: Raised whenever a change of this file changes a figure.
EVALUATOR_VERSION = "1"

_MSE_FLOOR = 1e-10  # PSNR of identical images is reported as 100 dB: JSON has no infinity.
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2

Box = tuple[int, int, int, int]
MetricDict = dict[str, float | str | None]


class PerceptualMetric(Protocol):
    """What :mod:`pear_avatar.evaluation.perceptual` loads."""

    @property
    def name(self) -> str:
        """The metric's name, written beside its figures."""
        ...

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of two images (H, W, 3) in [0, 1]: a scalar tensor."""
        ...


#: Distance of a picture (H, W, 3) to one fixed truth: a scalar tensor.
Distance = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TruthDistances:
    """Perceptual distances to one frame's two truths, whose features are computed once.

    Several predictions of one frame (poses tracked, interpolated, refitted) meet the same truth.

    name:   of the metric.
    masked: distance to the image over white outside of the mask; frame: to the image as it is.
    """

    name: str
    masked: Distance
    frame: Distance

    @classmethod
    def to(
        cls, name: str, against: Callable[[Tensor], Distance], image: Tensor, mask: Tensor
    ) -> TruthDistances:
        """To image (H, W, 3) and mask (H, W); ``against`` prepares the metric for one truth."""
        soft = mask[..., None]
        return cls(name, against(image * soft + (1 - soft)), against(image))


def _same_shape(x: Tensor, y: Tensor, what: str) -> None:
    if x.shape != y.shape:
        raise ValueError(f"{what} must have one shape, got {tuple(x.shape)} and {tuple(y.shape)}")


def psnr(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of images (H, W, C) in [0, 1], in dB, at most 100.

    Args:
        x: first image.
        y: second image.
        weight: (H, W) non-negative pixel weights; None counts every pixel.

    Raises:
        ValueError: shapes differ, or the weights sum to zero.
    """
    _same_shape(x, y, "the images")
    error = (x - y).square().mean(-1)
    return -10.0 * torch.log10(_weighted_mean(error, weight).clamp_min(_MSE_FLOOR))


def _check_windows(x: Tensor, y: Tensor) -> None:
    _same_shape(x, y, "the images")
    if min(x.shape[0], x.shape[1]) < _SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs images of at least {_SSIM_WINDOW} px, got {tuple(x.shape)}: "
            "enlarge the crop"
        )


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity per pixel and channel (Wang et al. 2004).

    11x11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, population
    covariance; only windows that lie inside the image.

    Args:
        x: (H, W, C) in [0, 1], H and W at least 11.
        y: the same shape.

    Returns:
        (H - 10, W - 10, C); entry (i, j) belongs to pixel (i + 5, j + 5).
    """
    _check_windows(x, y)
    half = _SSIM_WINDOW // 2
    t = torch.arange(-half, half + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-t.square() / (2 * _SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()
    px, py = x.movedim(-1, 0), y.movedim(-1, 0)
    stack = torch.stack([px, py, px * px, py * py, px * py]).flatten(0, 1)[:, None]
    blurred = F.conv2d(
        F.conv2d(stack, kernel.view(1, 1, -1, 1)),
        kernel.view(1, 1, 1, -1),
    )
    mx, my, xx, yy, xy = blurred[:, 0].unflatten(0, (5, -1))
    luminance = (2 * mx * my + _SSIM_C1) / (mx * mx + my * my + _SSIM_C1)
    structure = (2 * (xy - mx * my) + _SSIM_C2) / (xx - mx * mx + yy - my * my + _SSIM_C2)
    return (luminance * structure).movedim(0, -1)


def ssim(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean structural similarity of (H, W, C) images in [0, 1]; see :func:`ssim_map`.

    ``weight`` (H, W) weighs the windows by their centre pixel. On the CPU in float32 the C++ core
    computes it, thirty times faster.

    Raises:
        ValueError: as :func:`ssim_map`, or the weights of all whole windows are zero.
    """
    _check_windows(x, y)
    half = _SSIM_WINDOW // 2
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return ssim_reference(x, y, weight)
    # The core pads with zeros; windows that reach into the padding weigh nothing here.
    inner = torch.zeros(x.shape[:2])
    core = (slice(half, -half), slice(half, -half))
    inner[core] = 1.0 if weight is None else weight.to(inner)[core]
    if float(inner.sum()) <= 0:
        raise ValueError("every pixel is left out: there is nothing to measure")
    ours, theirs = (image.movedim(-1, 0).contiguous() for image in (x, y.detach()))
    return 1.0 - l1_ssim_loss(ours, theirs, weight_l1=0.0, weight_ssim=1.0, pixel_weight=inner)


def ssim_reference(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """The readable twin of :func:`ssim`, any device and dtype."""
    per_pixel = ssim_map(x, y).mean(-1)
    if weight is not None:
        half = _SSIM_WINDOW // 2
        weight = weight[half:-half, half:-half]
    return _weighted_mean(per_pixel, weight)


def iou(alpha_a: Tensor, alpha_b: Tensor, weight: Tensor | None = None) -> Tensor:
    """Intersection over union of two silhouettes (H, W), each cut at 0.5; 1 if both are empty."""
    _same_shape(alpha_a, alpha_b, "the silhouettes")
    a, b = alpha_a > 0.5, alpha_b > 0.5
    w = torch.ones_like(alpha_a) if weight is None else weight.to(alpha_a.dtype)
    union = ((a | b) * w).sum()
    intersection = ((a & b) * w).sum()
    return torch.where(union > 0, intersection / union.clamp_min(1e-12), torch.ones_like(union))


def mpjpe(predicted: Tensor, target: Tensor, root: int | None = 0) -> Tensor:
    """Mean distance between joints (*B, J, 3), in their unit, averaged over everything.

    ``root`` is the joint both skeletons are moved onto first; None compares as they stand.
    """
    _same_shape(predicted, target, "the joints")
    if root is not None:
        predicted = predicted - predicted[..., root : root + 1, :]
        target = target - target[..., root : root + 1, :]
    return (predicted - target).norm(dim=-1).mean()


def procrustes_align(source: Tensor, target: Tensor) -> Tensor:
    """``source`` (*B, J, 3) after the similarity that brings it closest to ``target``.

    Scale, rotation (no reflection) and translation per batch entry, in the least-squares sense
    (Umeyama 1991).
    """
    _same_shape(source, target, "the joints")
    return align_procrustes(source, target).to(source)


def pa_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean joint distance after :func:`procrustes_align`, per frame; (*B, J, 3) each."""
    return (procrustes_align(predicted, target) - target).norm(dim=-1).mean()


def mask_box(mask: Tensor, margin: float = 0.0, threshold: float = 0.5) -> Box:
    """Bounding box (x0, y0, x1, y1), ends excluded, of a mask (H, W), grown by ``margin``.

    ``margin`` is a share of the box's longer side, added on each side and cut at the image's edge.

    Raises:
        ValueError: nothing in the mask exceeds the threshold.
    """
    inside = mask > threshold
    if not bool(inside.any()):
        raise ValueError("the mask is empty: there is no person to measure in this picture")
    rows = torch.nonzero(inside.any(1))[:, 0]
    columns = torch.nonzero(inside.any(0))[:, 0]
    x0, x1 = int(columns[0]), int(columns[-1]) + 1
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    grow = round(margin * max(x1 - x0, y1 - y0))
    height, width = mask.shape
    return max(x0 - grow, 0), max(y0 - grow, 0), min(x1 + grow, width), min(y1 + grow, height)


def masked_crop_metrics(
    pred_rgb: Tensor,
    pred_alpha: Tensor,
    image: Tensor,
    mask: Tensor,
    excluded: Tensor | None = None,
    *,
    perceptual: PerceptualMetric | TruthDistances | None = None,
    box: Box | None = None,
) -> MetricDict:
    """Every figure the report gives for one frame, by the protocol of the module docstring.

    Args:
        pred_rgb: (H, W, 3) rendered color premultiplied by alpha, background black.
        pred_alpha: (H, W) rendered opacity.
        image: (H, W, 3) the true picture in [0, 1].
        mask: (H, W) the person's soft mask in [0, 1].
        excluded: (H, W) bool, pixels that count for nothing (an occluder in front of the person).
        perceptual: from ``load_perceptual()``, or the distances to this very image and mask;
            None makes the perceptual figures None.
        box: (x0, y0, x1, y1) the person's crop for the masked figures (:func:`mask_box` makes
            one); None takes the whole picture given as the crop.

    Returns:
        psnr_masked, psnr_masked_all, excluded_share (of the person's tight box), silhouette_iou,
        ssim_masked, perceptual_masked, psnr_frame, ssim_frame, perceptual_frame, and
        perceptual_metric, the name of the metric that made the perceptual figures.

    Raises:
        ValueError: shapes disagree, or everything is excluded.
    """
    _same_shape(pred_rgb, image, "prediction and image")
    for tensor, what in ((pred_alpha, "pred_alpha"), (mask, "mask")):
        if tensor.shape != image.shape[:2]:
            raise ValueError(f"{what} must be {tuple(image.shape[:2])}, got {tuple(tensor.shape)}")
    keep = torch.ones_like(mask) if excluded is None else 1.0 - excluded.to(mask.dtype)
    x0, y0, x1, y1 = box or (0, 0, mask.shape[1], mask.shape[0])
    crop = (slice(y0, y1), slice(x0, x1))
    alpha = pred_alpha[..., None]
    soft = mask[..., None]
    white_pred = (pred_rgb + (1 - alpha)).clamp(0, 1)[crop]
    white_true = (image * soft + (1 - soft))[crop]
    result: MetricDict = {
        "psnr_masked": float(psnr(white_pred, white_true, keep[crop])),
        "psnr_masked_all": float(psnr(white_pred, white_true)),
        "excluded_share": _excluded_share(keep, mask),
        "silhouette_iou": float(iou(pred_alpha[crop], mask[crop], keep[crop])),
    }
    to_masked, to_frame = _distances(perceptual, white_true, image)
    result |= _window_metrics("masked", (white_pred, white_true), keep[crop], to_masked)
    frame_pred = (pred_rgb + (1 - alpha) * image).clamp(0, 1)
    result["psnr_frame"] = float(psnr(frame_pred, image, keep))
    result |= _window_metrics("frame", (frame_pred, image), keep, to_frame)
    result["perceptual_metric"] = perceptual.name if perceptual is not None else None
    return result


def average_metrics(rows: list[MetricDict]) -> MetricDict:
    """The mean of each figure over frames; text must agree, a figure missing anywhere is None.

    Raises:
        ValueError: no rows, or rows made with different perceptual metrics.
    """
    if not rows:
        raise ValueError("no frames to average: at least one frame must be evaluated")
    mean: MetricDict = {}
    for key, first in rows[0].items():
        values = [row[key] for row in rows]
        if isinstance(first, str):
            if any(v != first for v in values):
                raise ValueError(f"{key} differs between frames: {sorted(set(map(str, values)))}")
            mean[key] = first
        else:
            numbers = [float(v) for v in values if v is not None]
            mean[key] = sum(numbers) / len(numbers) if len(numbers) == len(rows) else None
    return mean


def _distances(
    perceptual: PerceptualMetric | TruthDistances | None, masked: Tensor, frame: Tensor
) -> tuple[Distance | None, Distance | None]:
    """How far a picture is from each of the two truths; None without a metric."""
    if perceptual is None:
        return None, None
    if isinstance(perceptual, TruthDistances):
        return perceptual.masked, perceptual.frame
    return (lambda x: perceptual(x, masked)), (lambda x: perceptual(x, frame))


def _window_metrics(
    suffix: str, pair: tuple[Tensor, Tensor], keep: Tensor, distance_to_truth: Distance | None
) -> MetricDict:
    """SSIM and the perceptual distance of (picture, truth) with excluded pixels made neutral."""
    x, y = pair
    x = torch.where(keep[..., None] > 0.5, x, y)
    distance: float | None = None
    if distance_to_truth is not None:
        with torch.no_grad():
            distance = float(distance_to_truth(x)) / max(float(keep.mean()), 1e-6)
    return {f"ssim_{suffix}": float(ssim(x, y, keep)), f"perceptual_{suffix}": distance}


def _excluded_share(keep: Tensor, mask: Tensor) -> float:
    """The share of the person's tight box that ``keep`` leaves out; 0 without a person."""
    if not bool((mask > 0.5).any()):
        return 0.0
    x0, y0, x1, y1 = mask_box(mask)
    return 1.0 - float(keep[y0:y1, x0:x1].mean())


def _weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of (H, W) values under (H, W) weights."""
    if weight is None:
        return values.mean()
    weight = weight.to(values.dtype)
    total = weight.sum()
    if float(total) <= 0:
        raise ValueError("every pixel is left out: there is nothing to measure")
    return (values * weight).sum() / total
