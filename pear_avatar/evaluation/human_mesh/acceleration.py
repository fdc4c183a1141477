"""Errors of movement: what a metric on single frames cannot see."""

from __future__ import annotations

import torch
from torch import Tensor

from pear_avatar.evaluation.human_mesh.alignment import check_pair

__all__ = ["acceleration_error", "accelerations"]


def accelerations(points: Tensor, fps: float | None = None) -> Tensor:
    """(N, P, 3) positions -> (N - 2, P, 3) second differences.

    In the points' unit per frame squared, as the literature reports them, or per second squared
    with ``fps``.
    """
    if points.dim() != 3 or points.shape[0] < 3:
        raise ValueError(f"points must be (N >= 3, P, 3) over time, got {tuple(points.shape)}")
    x = points.double()
    second = x[2:] - 2 * x[1:-1] + x[:-2]
    return second if fps is None else second * fps**2


def acceleration_error(
    predicted: Tensor, target: Tensor, valid: Tensor | None = None, fps: float | None = None
) -> Tensor:
    """() mean distance between the accelerations of (N, P, 3) positions.

    ``valid`` (N,) bool says which frames may be used; an acceleration needs three in a row. NaN
    where there are none. Kanazawa et al., "Learning 3D Human Dynamics from Video", 2019.
    """
    check_pair(predicted, target)
    error = (accelerations(predicted, fps) - accelerations(target, fps)).norm(dim=-1).mean(-1)
    if valid is not None:
        error = error[valid[2:] & valid[1:-1] & valid[:-2]]
    return error.mean() if len(error) else error.new_tensor(torch.nan)
