"""A smooth course through poses over time: local parabolas, weighted by which frames are known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.geometry.rotations import matrix_to_quat_wxyz, quat_wxyz_to_matrix

__all__ = ["smoothed"]

#: Seconds: width of the Gaussian window; and neighbours on each side that count at most.
_SPAN, _REACH = 0.07, 12


def smoothed(
    rotations: Tensor, transl: Tensor, times: np.ndarray, known: Tensor
) -> tuple[Tensor, Tensor]:
    """Rotations (N, J, 3, 3) and shifts (N, 3) on local parabolas through the known frames (N,).

    Frames far from all known ones lie between their nearest on either side.
    """
    if not bool(known.any()):
        return rotations, transl
    quats = matrix_to_quat_wxyz(rotations)
    values = torch.cat([_continuous(quats).flatten(1), transl], dim=1)
    out = _parabolas(_filled(values, times, known), times)
    turned = torch.nn.functional.normalize(out[:, :-3].unflatten(1, (-1, 4)), dim=-1)
    return quat_wxyz_to_matrix(turned), out[:, -3:]


def _continuous(quats: Tensor) -> Tensor:
    """Quaternions (N, J, 4) with the signs that make them a continuous course."""
    agree = (quats[1:] * quats[:-1]).sum(-1, keepdim=True)
    flips = torch.where(agree < 0, -1.0, 1.0).to(quats).cumprod(0)
    return torch.cat([quats[:1], quats[1:] * flips])


def _filled(values: Tensor, times: np.ndarray, known: Tensor) -> Tensor:
    """Values (N, C) with unknown frames between their known neighbours."""
    if bool(known.all()):
        return values
    at = np.flatnonzero(known.numpy())
    columns = values.numpy()
    filled = [np.interp(times, times[at], columns[at, c]) for c in range(columns.shape[1])]
    return torch.from_numpy(np.stack(filled, 1))


def _parabolas(values: Tensor, times: np.ndarray) -> Tensor:
    """(N, C) the value at each frame of the parabola that fits best around it."""
    count = len(times)
    reach = min(_REACH, count - 1)
    near = np.arange(count)[:, None] + np.arange(-reach, reach + 1)
    inside = (near >= 0) & (near < count)
    near = near.clip(0, count - 1)
    dt = times[near] - times[:, None]
    weight = np.where(inside, np.exp(-0.5 * (dt / _SPAN) ** 2), 0.0)
    basis = torch.from_numpy(np.stack([np.ones_like(dt), dt / _SPAN, (dt / _SPAN) ** 2], -1))
    scaled = basis * torch.from_numpy(weight)[..., None]
    normal = scaled.transpose(-1, -2) @ basis + 1e-9 * torch.eye(3, dtype=torch.float64)
    first = torch.zeros(count, 3, 1, dtype=torch.float64)
    first[:, 0] = 1
    share = (scaled @ torch.linalg.solve(normal, first))[..., 0]  # (N, W)
    return torch.einsum("nw,nwc->nc", share, values[torch.from_numpy(near)])
