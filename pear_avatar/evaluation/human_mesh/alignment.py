"""Bringing a prediction as near to the truth as a protocol allows before it is measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Similarity", "align_procrustes", "align_root", "best_similarity"]


@dataclass(frozen=True)
class Similarity:
    """``x -> scale * R x + shift``: scale (*B,), R (*B, 3, 3) a rotation, shift (*B, 3)."""

    scale: Tensor
    R: Tensor
    shift: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Move (*B, P, 3) points."""
        turned = points.double() @ self.R.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.shift[..., None, :]


def best_similarity(
    source: Tensor, target: Tensor, *, with_scale: bool = True, weight: Tensor | None = None
) -> Similarity:
    """The similarity that brings points nearest to others in the least-squares sense.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991. Never a reflection, however well one would fit.

    Args:
        source, target: (*B, P, 3), at least three points.
        with_scale: False keeps the size.
        weight: (*B, P) >= 0, such as visibility; None counts all points alike.

    Raises:
        ValueError: shapes differ, too few points, or weights that sum to nothing.
    """
    check_pair(source, target)
    if source.shape[-2] < 3:
        raise ValueError(f"alignment needs at least 3 points, got {source.shape[-2]}")
    x, y = source.double(), target.double()
    w = torch.ones_like(x[..., 0]) if weight is None else weight.double().expand(x.shape[:-1])
    total = w.sum(-1, keepdim=True)
    if not bool((total > 0).all()):
        raise ValueError("alignment needs points with weight: a sample has none")
    w = (w / total)[..., None]
    x_mean, y_mean = (w * x).sum(-2, keepdim=True), (w * y).sum(-2, keepdim=True)
    x, y = x - x_mean, y - y_mean
    U, S, Vh = torch.linalg.svd((w * y).transpose(-1, -2) @ x)
    # The smallest direction takes the sign that makes the product of U and V a rotation.
    sign = torch.ones_like(S)
    sign[..., 2] = torch.linalg.det(U @ Vh).sign()
    R = (U * sign[..., None, :]) @ Vh
    scale = torch.ones_like(S[..., 0])
    if with_scale:
        spread = (w * x * x).sum((-2, -1))
        # All points in one place have no size to change.
        scale = torch.where(spread > 0, (S * sign).sum(-1) / spread.clamp_min(1e-300), scale)
    shift = y_mean.squeeze(-2) - scale[..., None] * (R @ x_mean.transpose(-1, -2)).squeeze(-1)
    return Similarity(scale, R, shift)


def align_procrustes(
    source: Tensor, target: Tensor, *, with_scale: bool = True, weight: Tensor | None = None
) -> Tensor:
    """``source`` (*B, P, 3) after :func:`best_similarity`, in float64."""
    return best_similarity(source, target, with_scale=with_scale, weight=weight)(source)


def align_root(source: Tensor, target: Tensor, source_root: Tensor, target_root: Tensor) -> Tensor:
    """``source`` (*B, P, 3) moved so that its root (*B, 3) lies on the target's, in float64."""
    check_pair(source, target)
    return source.double() + (target_root.double() - source_root.double())[..., None, :]


def check_pair(source: Tensor, target: Tensor) -> None:
    """Raise unless both are points (*B, P, 3) of one shape."""
    if source.shape != target.shape or source.dim() < 2 or source.shape[-1] != 3:
        raise ValueError(
            "prediction and truth must have one shape (*B, P, 3), got "
            f"{tuple(source.shape)} and {tuple(target.shape)}"
        )
