"""Sparse joint regressor: each joint is a convex combination of at most 16 skin vertices.

Non-negative least squares on local candidates over the shape samples. anny's knees and upper
spine slide along the limb as the body grows, which no skin-defined joint can follow; there the
regressor's own, surface-bound joint is what skinning uses. Vertices that an expression or the jaw
moves are left out, so joints do not move with the face. Left joints are solved and mirrored;
joints in the middle use pairs of mirrored vertices.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, MIRROR

MAX_NONZERO = 16
_CANDIDATES = 160
_SUM_WEIGHT = 100.0  # how hard the rows are held to sum to 1, in metres
_MEAN_WEIGHT = 50.0  # of the samples' mean, against 1 of each sample
_SAMPLES = 100
_BODY_RADIUS = 0.2
_HAND_RADIUS = 0.07
_FIRST_HAND_JOINT = 25


def transport_point(point: np.ndarray, anchors: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Carry a point along with its anchors: (3,), (A, 3), (N, A, 3) -> (N, 3).

    Fits one similarity transform a sample (Umeyama 1991).
    """
    centered = anchors - anchors.mean(axis=0)
    variance = (centered**2).sum()
    result = np.empty((len(samples), 3))
    for i, sample in enumerate(samples):
        mean = sample.mean(axis=0)
        U, S, Vt = np.linalg.svd((sample - mean).T @ centered)
        D = np.array([1.0, 1.0, np.linalg.det(U @ Vt)])
        scale = (S * D).sum() / variance
        result[i] = mean + scale * (U * D) @ Vt @ (point - anchors.mean(axis=0))
    return result


def joint_regressor(
    vertices: np.ndarray,
    joints: np.ndarray,
    mean: np.ndarray,
    allowed: np.ndarray,
    weights: np.ndarray,
    *,
    eye: np.ndarray,
    mirror: np.ndarray,
) -> np.ndarray:
    """(55, V) rows >= 0 that sum to 1, at most 16 entries each.

    vertices (N, V, 3) and joints (N, 55, 3) are the samples, mean (V, 3) their mean shape;
    allowed (V,) marks the vertices that no expression moves, eye (V,) the eyeballs, weights
    (V, 55) says which eyeball is the left one.
    """
    regressor = np.zeros((len(JOINT_NAMES), len(mean)))
    for j, name in enumerate(JOINT_NAMES):
        if name.startswith("right_"):
            continue
        usable = weights[:, j] > 0.5 if name.endswith("eye") else allowed & ~eye
        middle = MIRROR[j] == j
        if middle:
            usable = usable & (mean[:, 0] >= 0.0)
        center = joints[:, j].mean(axis=0)
        radius = _HAND_RADIUS if j >= _FIRST_HAND_JOINT else _BODY_RADIUS
        candidates = _candidates(mean, center, usable, radius)
        columns = vertices[:_SAMPLES][:, candidates]
        if middle:
            columns = 0.5 * (columns + vertices[:_SAMPLES][:, mirror[candidates]])
            limit = MAX_NONZERO // 2
        else:
            limit = MAX_NONZERO
        solved = solve_convex(columns, joints[:_SAMPLES, j], limit)
        if middle:
            np.add.at(regressor[j], candidates, 0.5 * solved)
            np.add.at(regressor[j], mirror[candidates], 0.5 * solved)
        else:
            regressor[j, candidates] = solved
            regressor[MIRROR[j], mirror[candidates]] = solved
    return regressor


def _candidates(
    mean: np.ndarray, center: np.ndarray, usable: np.ndarray, radius: float
) -> np.ndarray:
    """Well spread usable vertices around ``center``: farthest point sampling within reach."""
    distance = np.where(usable, np.linalg.norm(mean - center, axis=1), np.inf)
    near = np.sort(distance)[: 2 * _CANDIDATES]
    reach = max(radius, near[np.isfinite(near)][-1])
    pool = np.nonzero(distance <= reach)[0]
    return pool[farthest_points(mean[pool], center, _CANDIDATES)]


def farthest_points(points: np.ndarray, start: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to ``count`` well spread points (N, 3), the first nearest to ``start`` (3,)."""
    chosen = [int(np.linalg.norm(points - start, axis=1).argmin())]
    gap = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def solve_convex(columns: np.ndarray, targets: np.ndarray, limit: int) -> np.ndarray:
    """Convex weights (C,) with few entries: columns (N, C, 3) should combine to targets (N, 3).

    The mean is met as closely as the candidates allow; what freedom is left follows the samples.
    """
    A = np.moveaxis(columns, 1, 2).reshape(-1, columns.shape[1])
    A = np.concatenate([A, _MEAN_WEIGHT * columns.mean(axis=0).T])
    b = np.concatenate([targets.reshape(-1), _MEAN_WEIGHT * targets.mean(axis=0)])
    weights = _nnls_sum_to_one(A, b)
    if (weights > 0).sum() > limit:
        keep = np.sort(np.argsort(-weights, kind="stable")[:limit])
        weights = np.zeros_like(weights)
        weights[keep] = _nnls_sum_to_one(A[:, keep], b)
    return weights


def _nnls_sum_to_one(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    A = np.vstack([A, np.full((1, A.shape[1]), _SUM_WEIGHT)])
    weights, _ = nnls(A, np.append(b, _SUM_WEIGHT), maxiter=30 * A.shape[1])
    weights[weights < 1e-4] = 0.0
    return np.asarray(weights / weights.sum())


def jaw_targets(
    pivot: np.ndarray,
    neutral: np.ndarray,
    weights: np.ndarray,
    still: np.ndarray,
    samples: np.ndarray,
) -> np.ndarray:
    """The jaw's pivot on every sample, carried along by the still part of the skull around it."""
    skull = weights[:, JOINT_INDEX["head"]] > 0.5
    anchors = skull & still & (np.linalg.norm(neutral - pivot, axis=1) < 0.10)
    targets = transport_point(pivot, neutral[anchors], samples[:, anchors])
    targets[:, 0] = 0.0
    return targets
