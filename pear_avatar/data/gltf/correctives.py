"""Pose correctives of one motion, as morph targets.

SMPL-X bends its skin with every joint: 486 directions, each times an entry of a rotation. glTF
knows no such thing, but one motion needs few combinations of them: its principal components,
which become morph targets that the animation drives.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel

__all__ = ["pose_correctives"]

logger = logging.getLogger(__name__)

#: Enough components are kept that no vertex is farther off than this, metres; but so many at most.
_EXACT, _MOST, _STEP = 3e-4, 64, 4

#: Frames that the error is measured on.
_MEASURED = 64


def pose_correctives(body: BodyModel, rotations: Tensor) -> tuple[list[np.ndarray], np.ndarray]:
    """Morph targets and their weights for the poses (N, J, 3, 3) of a motion.

    Returns K deltas, each (V, 3) float32 metres, and weights (N, K) float32 in [-1, 1]; none for
    a body without correctives.
    """
    count = len(rotations)
    if body.pose_dirs is None:
        return [], np.zeros((count, 0), np.float32)
    dirs = body.pose_dirs.detach().double().cpu().flatten(0, 1)  # (3 V, P)
    bent = rotations[:, 1:].detach().double().cpu() - torch.eye(3, dtype=torch.float64)
    features = bent.flatten(1)  # (N, P)
    # Singular vectors of features @ dirs.T, without ever making that (N, 3 V) matrix.
    scale, basis = torch.linalg.eigh(dirs.T @ dirs)
    root = scale.clamp_min(0).sqrt()
    usable = root > 1e-9 * root.max().clamp_min(1e-30)
    basis, root = basis[:, usable], root[usable]
    u, s, wt = torch.linalg.svd(features @ (basis * root), full_matrices=False)
    targets = dirs @ ((basis / root) @ wt.T)[:, :_MOST]  # (3 V, up to K), orthonormal
    weights = (u * s)[:, :_MOST]
    kept = _components(features, dirs, weights, targets)
    peak = weights[:, :kept].abs().amax(0).clamp_min(1e-12)
    deltas = (targets[:, :kept] * peak).float().numpy()
    return (
        [np.ascontiguousarray(deltas[:, k].reshape(-1, 3)) for k in range(kept)],
        (weights[:, :kept] / peak).float().numpy(),
    )


def _components(features: Tensor, dirs: Tensor, weights: Tensor, targets: Tensor) -> int:
    """How many components bring every vertex within :data:`_EXACT`."""
    frames = torch.linspace(0, len(features) - 1, min(_MEASURED, len(features))).round().long()
    left = features[frames] @ dirs.T
    available, kept = targets.shape[1], 0
    while True:
        worst = float(left.unflatten(1, (-1, 3)).norm(dim=-1).max())
        if worst < _EXACT or kept == available:
            break
        more = slice(kept, min(kept + _STEP, available))
        left = left - weights[frames, more] @ targets[:, more].T
        kept = more.stop
    if worst > _EXACT:
        logger.warning(
            "%d morph targets leave pose correctives of this motion up to %.1f mm off",
            kept,
            worst * 1e3,
        )
    return kept
