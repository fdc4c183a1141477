"""Distances between predicted and true points in space, by the usual names.

MPJPE and PVE are the same mean of distances, over joints or over vertices; the prefix PA says
that a similarity was taken out first. MLE and LVE are the talking-head literature's (MeshTalk,
Richard et al. 2021): LVE is the mean over frames of the largest SQUARED distance of a lip vertex,
so its unit is metres squared: 1.2e-5 is a lip that is 3.5 mm off.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pear_avatar.evaluation.human_mesh.alignment import align_procrustes, align_root, check_pair

__all__ = [
    "lip_vertex_error",
    "mean_distance",
    "mean_landmark_error",
    "mpjpe",
    "pa_mpjpe",
    "pa_pve",
    "pve",
]


def mean_distance(predicted: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """(*B,) mean distance of points (*B, P, 3) as they stand; NaN where none is valid.

    ``valid`` (*B, P) bool says which points count.
    """
    check_pair(predicted, target)
    distance = (predicted.double() - target.double()).norm(dim=-1)
    if valid is None:
        return distance.mean(-1)
    valid = valid.expand(distance.shape)
    count = valid.sum(-1)
    mean = torch.where(valid, distance, 0.0).sum(-1) / count.clamp_min(1)
    return torch.where(count > 0, mean, torch.nan)


def mpjpe(
    predicted: Tensor,
    target: Tensor,
    root: int | tuple[int, ...] = 0,
    valid: Tensor | None = None,
) -> Tensor:
    """(*B,) mean per-joint position error of joints (*B, J, 3), their roots brought together.

    ``root`` is one joint, or several whose midpoint is the root (the hips, where a joint set has
    no pelvis).
    """
    check_pair(predicted, target)
    index = [root] if isinstance(root, int) else list(root)
    own, true = (points[..., index, :].double().mean(-2) for points in (predicted, target))
    return mean_distance(align_root(predicted, target, own, true), target, valid)


def pa_mpjpe(
    predicted: Tensor, target: Tensor, valid: Tensor | None = None, *, with_scale: bool = True
) -> Tensor:
    """(*B,) mean per-joint position error after Procrustes alignment on the valid joints."""
    aligned = align_procrustes(predicted, target, with_scale=with_scale, weight=valid)
    return mean_distance(aligned, target, valid)


def pve(
    predicted: Tensor,
    target: Tensor,
    predicted_root: Tensor,
    target_root: Tensor,
    rows: Tensor | None = None,
) -> Tensor:
    """(*B,) mean per-vertex error of meshes (*B, V, 3), their roots (*B, 3) brought together.

    ``rows`` (K,) measures a part of the mesh: hands are brought together at the wrist, the face
    at the neck.
    """
    predicted, target = _rows(predicted, rows), _rows(target, rows)
    return mean_distance(align_root(predicted, target, predicted_root, target_root), target)


def pa_pve(
    predicted: Tensor, target: Tensor, rows: Tensor | None = None, *, with_scale: bool = True
) -> Tensor:
    """(*B,) mean per-vertex error after Procrustes alignment of that part of the mesh alone."""
    predicted, target = _rows(predicted, rows), _rows(target, rows)
    return mean_distance(align_procrustes(predicted, target, with_scale=with_scale), target)


def mean_landmark_error(predicted: Tensor, target: Tensor) -> Tensor:
    """(*B,) mean distance of facial landmarks (*B, L, 3), in their unit."""
    return mean_distance(predicted, target)


def lip_vertex_error(predicted: Tensor, target: Tensor) -> Tensor:
    """(*B,) largest squared distance among lip vertices (*B, L, 3), in their unit squared."""
    check_pair(predicted, target)
    return (predicted.double() - target.double()).square().sum(-1).amax(-1)


def _rows(points: Tensor, rows: Tensor | None) -> Tensor:
    return points if rows is None else points.index_select(-2, rows)
