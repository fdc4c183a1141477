"""Metrics as pure functions, with their protocol and the name of whatever made each number."""

from pear_avatar.evaluation.metrics import (
    EVALUATOR_VERSION,
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
from pear_avatar.evaluation.perceptual import Perceptual, load_perceptual

__all__ = [
    "EVALUATOR_VERSION",
    "Perceptual",
    "average_metrics",
    "iou",
    "load_perceptual",
    "mask_box",
    "masked_crop_metrics",
    "mpjpe",
    "pa_mpjpe",
    "procrustes_align",
    "psnr",
    "ssim",
]
