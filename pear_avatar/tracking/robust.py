"""The robust kernel that every measurement goes through."""

from __future__ import annotations

from torch import Tensor


def robust(square: Tensor, kernel: float) -> tuple[Tensor, Tensor]:
    """Geman-McClure of squared residuals: value and its derivative (the weight)."""
    share = kernel * kernel / (kernel * kernel + square)
    return square * share, share * share
