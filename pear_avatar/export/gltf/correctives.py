"""What a motion does to the skin beyond glTF's skinning, as morph targets that it drives.

Two things are lost in glTF: SMPL-X bends its skin with every joint (486 directions, each times
an entry of a rotation), and a file with four influences drops the weakest of a few vertices. One
motion needs few combinations of such offsets: its principal components.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.types import Motion

__all__ = ["Driven", "influence_correctives", "pose_correctives"]

logger = logging.getLogger(__name__)

#: K deltas, each (V, 3) float32 metres, and their weights (N, K) float32 in [-1, 1].
Driven = tuple[list[np.ndarray], np.ndarray]

#: Enough components are kept that no vertex is farther off than this, metres; but so many at most.
_EXACT, _MOST, _STEP = 3e-4, 64, 4

#: Frames that the components are taken from, that the error is measured on, and done at a time.
_SAMPLED, _MEASURED, _BATCH = 384, 64, 256

#: Damping of the way back from posed to rest offsets where joints' turns cancel (a half twist).
_DAMPING = 1e-4


def pose_correctives(body: BodyModel, rotations: Tensor) -> Driven:
    """The pose correctives of a motion with rotations (N, J, 3, 3); none without ``pose_dirs``."""
    if body.pose_dirs is None:
        return [], np.zeros((len(rotations), 0), np.float32)
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
    frames = _spread(len(features), _MEASURED)
    weights = (u * s)[:, :_MOST]
    kept = _components(features[frames] @ dirs.T, weights[frames], targets)
    return _drivers(targets[:, :kept], weights[:, :kept])


def influence_correctives(
    body: BodyModel, few: tuple[np.ndarray, np.ndarray], betas: Tensor | None, motion: Motion
) -> Driven:
    """What a motion loses when vertices follow fewer joints than the body's.

    few: joints and weights (V, K) that the file has, as of ``skin_influences``.
    """
    fewer = torch.zeros_like(body.skin_weights_t).scatter_add(
        0, torch.from_numpy(few[0]).long().T, torch.from_numpy(few[1]).to(body.skin_weights).T
    )
    index = torch.nonzero((fewer - body.skin_weights_t).abs().amax(0) > 1e-6)[:, 0]
    count = motion.params.num_frames
    if len(index) == 0:
        return [], np.zeros((count, 0), np.float32)
    lost = _LostOffsets(
        body, body.skin_weights_t[:, index], fewer[:, index], index, betas, motion=motion
    )
    sample = torch.cat([lost.at(f) for f in _spread(count, _SAMPLED).split(_BATCH)])
    targets = torch.linalg.svd(sample, full_matrices=False)[2].T[:, :_MOST]
    kept = _components(sample, sample @ targets, targets)
    targets = targets[:, :kept]
    weights = torch.cat([lost.at(f) @ targets for f in torch.arange(count).split(_BATCH)])
    whole = targets.new_zeros(body.num_vertices, 3, kept)
    whole[index] = targets.unflatten(0, (-1, 3))
    return _drivers(whole.flatten(0, 1), weights)


class _LostOffsets:
    """Rest-pose offsets (n, 3 M) that make up for missing influences, frame by frame."""

    def __init__(
        self,
        body: BodyModel,
        all_weights: Tensor,
        few_weights: Tensor,
        index: Tensor,
        betas: Tensor | None,
        *,
        motion: Motion,
    ) -> None:
        self._body, self._betas, self._motion, self._index = body, betas, motion, index
        self._all, self._few = all_weights.double(), few_weights.double()
        self._rest = body.shape(betas).vertices()[index]
        self._dirs = body.expression_dirs[index]

    def at(self, frames: Tensor) -> Tensor:
        """The offsets of these frames (n,)."""
        p = self._motion.params[frames]
        posed = self._body.shape(self._betas, p.expression).pose(p.rotations, p.transl)
        moved = torch.einsum("vce,ne->nvc", self._dirs[..., : p.expression.shape[1]], p.expression)
        rest = (self._rest + moved).double()
        if self._body.pose_dirs is not None:
            bent = (p.rotations[:, 1:] - torch.eye(3)).flatten(1)
            rest = rest + torch.einsum("vcp,np->nvc", self._body.pose_dirs[self._index], bent)
        T = posed.rest_to_posed.double()
        whole = torch.einsum("jv,njab->nvab", self._all, T)
        cut = torch.einsum("jv,njab->nvab", self._few, T)
        gap = whole - cut
        error = (gap[..., :3] @ rest[..., None])[..., 0] + gap[..., 3]
        A = cut[..., :3]
        normal = A.transpose(-1, -2) @ A + _DAMPING * torch.eye(3, dtype=A.dtype)
        back = torch.linalg.solve(normal, A.transpose(-1, -2) @ error[..., None])
        return back[..., 0].flatten(1)


def _spread(count: int, most: int) -> Tensor:
    """Up to ``most`` of ``count`` frames, evenly spaced."""
    return torch.linspace(0, count - 1, min(most, count)).round().long()


def _components(left: Tensor, weights: Tensor, targets: Tensor) -> int:
    """How many orthonormal targets (3 V, K) bring the offsets ``left`` (n, 3 V) to nothing.

    weights: (n, K) of these frames.
    """
    available, kept = targets.shape[1], 0
    while True:
        worst = float(left.unflatten(1, (-1, 3)).norm(dim=-1).max())
        if worst < _EXACT or kept == available:
            break
        more = slice(kept, min(kept + _STEP, available))
        left = left - weights[:, more] @ targets[:, more].T
        kept = more.stop
    if worst > _EXACT:
        logger.warning(
            "%d morph targets leave correctives of this motion up to %.1f mm off",
            kept,
            worst * 1e3,
        )
    return kept


def _drivers(targets: Tensor, weights: Tensor) -> Driven:
    """Scale so that the largest weight of each target is 1."""
    peak = weights.abs().amax(0).clamp_min(1e-12)
    deltas = (targets * peak).float().cpu().numpy()
    return (
        [np.ascontiguousarray(deltas[:, k].reshape(-1, 3)) for k in range(deltas.shape[1])],
        (weights / peak).float().cpu().numpy(),
    )
